"""The endpoint of files at a commit."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote

from tests.fakes.github_api.repository import HEADS, FakeRepository
from tests.fakes.github_api.routes import Ask, Refused, not_found, route

LARGEST = 1_000_000
"""Bytes of a file that comes with its content."""

SUBMODULE, SYMLINK = "160000", "120000"
Shape = dict[str, Any]


@route("GET /repos/{owner}/{repo}/contents/{path}", "contents=read")
def get_content(ask: Ask) -> tuple[int, Any]:
    repository, path = ask.repository, ask.args["path"].strip("/")
    ref = ask.query.get("ref") or HEADS + repository.default_branch
    commit = repository.git.resolve(ref)
    if commit is None:
        raise Refused(404, f"No commit found for the ref {ref}")
    entries = repository.git.entries(commit, path)
    if entries is None:
        raise not_found()
    if isinstance(entries, list):
        return 200, [_shape(repository, commit, *entry) for entry in entries]
    mode, sha, _ = entries
    shape = _shape(repository, commit, mode, sha, path)
    if mode == SUBMODULE:
        return 200, {**shape, "type": "submodule", "submodule_git_url": f"{repository.html_url}-module"}
    content = repository.git.run("cat-file", "blob", sha)[1]
    if mode == SYMLINK:
        return 200, {**shape, "type": "symlink", "target": content.decode("utf-8", "replace")}
    large = len(content) > LARGEST
    encoded = "" if large else base64.encodebytes(content).decode()
    return 200, {**shape, "encoding": "none" if large else "base64", "content": encoded}


def _shape(repository: FakeRepository, commit: str, mode: str, sha: str, path: str) -> Shape:
    """What files, directories and submodules have in common; in a list a submodule says that it is a file."""
    kind = {"040000": "dir", SYMLINK: "symlink"}.get(mode, "file")
    blob = kind != "dir" and mode != SUBMODULE
    url = f"{repository.url}/contents/{quote(path)}?ref={commit}"
    html_url = f"{repository.html_url}/blob/{commit}/{quote(path)}"
    git_url = f"{repository.url}/git/{'blobs' if blob else 'trees'}/{sha}"
    return {
        "type": kind,
        "size": int(repository.git.text("cat-file", "-s", sha)) if blob else 0,
        "name": path.rpartition("/")[2],
        "path": path,
        "sha": sha,
        "url": url,
        "html_url": html_url,
        "git_url": git_url,
        "download_url": f"{repository.html_url}/raw/{commit}/{quote(path)}" if blob else None,
        "_links": {"self": url, "git": git_url, "html": html_url},
    }
