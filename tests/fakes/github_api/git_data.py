"""Endpoints of git's own objects and refs."""

from __future__ import annotations

import base64
import binascii
import time
from datetime import datetime
from typing import Any
from urllib.parse import quote

from tests.fakes.github_api import shapes
from tests.fakes.github_api.bare import ZERO, NoSuchObject, Signature, now_text
from tests.fakes.github_api.repository import HEADS, FakeRepository
from tests.fakes.github_api.routes import Ask, Refused, not_found, route

MODES = {"100644": "blob", "100755": "blob", "040000": "tree", "160000": "commit", "120000": "blob"}
WEB_FLOW = ("GitHub", "noreply@github.com")
SIGNATURE = "-----BEGIN PGP SIGNATURE-----\n\nThe fake GitHub signs nothing.\n-----END PGP SIGNATURE-----"
Shape = dict[str, Any]


@route("POST /repos/{owner}/{repo}/git/blobs", "contents=write")
def create_blob(ask: Ask) -> tuple[int, Any]:
    content = ask.fields.get("content")
    if not isinstance(content, str):
        raise Refused(422, 'Invalid request.\n\n"content" wasn\'t supplied.')
    try:
        raw = base64.b64decode(content) if ask.fields.get("encoding") == "base64" else content.encode()
    except (binascii.Error, UnicodeEncodeError):
        raise Refused(422, "Problems parsing the blob's content") from None
    sha = ask.repository.git.write_blob(raw)
    return 201, {"sha": sha, "url": f"{ask.repository.url}/git/blobs/{sha}"}


@route("POST /repos/{owner}/{repo}/git/trees", "contents=write")
def create_tree(ask: Ask) -> tuple[int, Any]:
    git, entries, base = ask.repository.git, ask.fields.get("tree"), ask.fields.get("base_tree")
    if not isinstance(entries, list) or not entries:
        raise Refused(422, "Invalid tree info")
    if base is not None and (base := git.resolve(str(base), "tree")) is None:
        raise Refused(422, "base_tree is not a valid tree oid")
    there = set(git.text("ls-tree", "-r", "-t", "-z", "--name-only", base).split("\0")) if base else set()
    lines = [_entry(ask.repository, each, there) for each in entries]
    try:
        sha = git.write_tree(base, lines)
    except NoSuchObject as problem:
        raise Refused(422, "GitRPC::BadObjectState") from problem
    return 201, _tree(ask.repository, sha)


@route("POST /repos/{owner}/{repo}/git/commits", "contents=write")
def create_commit(ask: Ask) -> tuple[int, Any]:
    """One that an App makes, without naming an author, is signed by GitHub."""
    repository, fields = ask.repository, ask.fields
    tree, parents = str(fields.get("tree", "")), [str(each) for each in fields.get("parents") or []]
    if not isinstance(fields.get("message"), str):
        raise Refused(422, 'Invalid request.\n\n"message" wasn\'t supplied.')
    if not repository.git.has(tree, "tree"):
        raise Refused(422, "Tree SHA does not exist")
    if not all(repository.git.has(parent, "commit") for parent in parents):
        raise Refused(422, "Parent SHA does not exist or is not a commit object")
    assert ask.actor.user
    signed = ask.actor.app is not None and not ({"author", "committer", "signature"} & fields.keys())
    author = _person(fields.get("author")) or repository.signature(ask.actor.user)
    web_flow = Signature(name=WEB_FLOW[0], email=WEB_FLOW[1], date=ask.hub.now)
    committer = _person(fields.get("committer")) or (web_flow if signed else author)
    sha = repository.git.write_commit(
        tree,
        parents,
        fields["message"],
        author=author,
        committer=committer,
        signature=SIGNATURE if signed else fields.get("signature"),
    )
    if signed:
        repository.verified.add(sha)
    return 201, shapes.git_commit(repository, repository.git.commit(sha))


@route("GET /repos/{owner}/{repo}/git/commits/{commit_sha}", "contents=read")
def get_git_commit(ask: Ask) -> tuple[int, Any]:
    try:
        return 200, shapes.git_commit(ask.repository, ask.repository.git.commit(ask.args["commit_sha"]))
    except NoSuchObject:
        raise not_found() from None


@route("GET /repos/{owner}/{repo}/commits/{ref}", "contents=read")
def get_commit(ask: Ask) -> tuple[int, Any]:
    repository, name = ask.repository, ask.args["ref"]
    sha = repository.git.resolve(HEADS + name) or repository.git.resolve(name)
    if sha is None:
        raise Refused(422, f"No commit found for SHA: {name}")
    return 200, shapes.commit(repository, repository.git.commit(sha))


@route("GET /repos/{owner}/{repo}/git/ref/{ref}", "contents=read")
def get_ref(ask: Ask) -> tuple[int, Any]:
    refs = ask.repository.git.refs()
    if not refs:
        raise Refused(409, "Git Repository is empty.")
    full = f"refs/{ask.args['ref']}"
    if full not in refs:
        raise not_found()
    return 200, _ref(ask.repository, full, refs[full])


@route("POST /repos/{owner}/{repo}/git/refs", "contents=write")
def create_ref(ask: Ask) -> tuple[int, Any]:
    repository, ref, sha = ask.repository, str(ask.fields.get("ref", "")), str(ask.fields.get("sha", ""))
    if not ref.startswith("refs/") or ref.count("/") < 2 or not repository.git.is_name(ref):
        raise Refused(422, f"{ref} is not a valid ref name.")
    if ref in repository.git.refs():
        raise Refused(422, "Reference already exists")
    _require_target(repository, ref, sha)
    assert ask.actor.login
    repository.move(ref, sha, ask.actor.login, via="api")
    return 201, _ref(repository, ref, sha)


@route("PATCH /repos/{owner}/{repo}/git/refs/{ref}", "contents=write")
def update_ref(ask: Ask) -> tuple[int, Any]:
    repository, ref, sha = ask.repository, f"refs/{ask.args['ref']}", str(ask.fields.get("sha", ""))
    old = repository.git.refs().get(ref)
    if old is None:
        raise Refused(422, "Reference does not exist")
    _require_target(repository, ref, sha)
    if not ask.fields.get("force") and not repository.git.is_ancestor(old, sha):
        raise Refused(422, "Update is not a fast forward")
    assert ask.actor.login
    repository.move(ref, sha, ask.actor.login, via="api")
    return 200, _ref(repository, ref, sha)


@route("DELETE /repos/{owner}/{repo}/git/refs/{ref}", "contents=write")
def delete_ref(ask: Ask) -> tuple[int, Any]:
    ref = f"refs/{ask.args['ref']}"
    if ref not in ask.repository.git.refs():
        raise Refused(422, "Reference does not exist")
    assert ask.actor.login
    ask.repository.move(ref, None, ask.actor.login, via="api")
    return 204, None


def _require_target(repository: FakeRepository, ref: str, sha: str) -> None:
    if not repository.git.has(sha, "commit"):
        raise Refused(422, "Object does not exist")
    if repository.is_protected(ref.removeprefix(HEADS)):
        said = (
            "Repository rule violations found\n\nThe branch is protected: changes must be made through a pull request."
        )
        raise Refused(422, said)
    if ref.startswith("refs/pull/"):
        raise Refused(422, "refs/pull is read-only")


def _entry(repository: FakeRepository, entry: Any, there: set[str]) -> tuple[str, str, str]:
    """Mode, object and path for git. Raises Refused (422)."""
    if not isinstance(entry, dict) or not isinstance(entry.get("path"), str) or entry.get("mode") not in MODES:
        raise Refused(422, "Must supply a valid tree.mode and tree.path")
    path, mode, sha = entry["path"], entry["mode"], entry.get("sha")
    if any(part in ("", ".", "..", ".git") for part in path.split("/")):
        raise Refused(422, "tree.path contains a malformed path component")
    if "content" in entry:
        return mode, repository.git.write_blob(entry["content"].encode()), path
    if sha is None:
        if path not in there:
            raise Refused(422, "GitRPC::BadObjectState")
        return "0", ZERO, path
    kind = MODES[mode]
    if kind != "commit" and not repository.git.has(str(sha), kind):
        raise Refused(422, f"tree.sha {sha} is not a valid {kind}")
    return mode, str(sha), path


def _tree(repository: FakeRepository, sha: str) -> Shape:
    found = []
    for line in repository.git.text("ls-tree", "-z", sha).split("\0"):
        if line:
            about, _, path = line.partition("\t")
            mode, kind, object_id = about.split(" ")
            url = f"{repository.url}/git/{kind}s/{object_id}"
            found.append({"path": path, "mode": mode, "type": kind, "sha": object_id, "url": url})
    return {"sha": sha, "url": f"{repository.url}/git/trees/{sha}", "tree": found, "truncated": False}


def _ref(repository: FakeRepository, ref: str, sha: str) -> Shape:
    target = {"type": "commit", "sha": sha, "url": f"{repository.url}/git/commits/{sha}"}
    url = f"{repository.url}/git/{quote(ref)}"
    return {"ref": ref, "node_id": shapes.node("Ref", ref), "url": url, "object": target}


def _person(given: Any) -> Signature | None:
    if not isinstance(given, dict):
        return None
    if not given.get("name") or not given.get("email"):
        raise Refused(422, "Invalid request.\n\nAn author needs a name and an email.")
    moment = datetime.fromisoformat(given["date"]).timestamp() if given.get("date") else time.time()
    return Signature(name=given["name"], email=given["email"], date=now_text(moment))
