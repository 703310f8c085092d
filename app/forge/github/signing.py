"""Commits made anew through the Git Data API, which GitHub signs: the same trees and messages, other commit ids.

That the tree which GitHub made has the id of ours is the proof that what was gated is what is published.
"""

from __future__ import annotations

import base64
import logging
import re
from collections.abc import Iterator
from typing import Any, TypeVar

from app.errors import GitFailed
from app.forge.github.client import Client
from app.forge.github.names import quoted
from app.forge.github.records import CommitAnswer, GitObject, RefAnswer
from app.forge.github.refusals import Refusal
from app.ports.workspace import CommitObject, TreeEntry, Workspace

_log = logging.getLogger(__name__)

T = TypeVar("T")

_NEEDS = "contents: write"
_INLINE_BYTES = 100_000
_BATCH_BYTES = 1_000_000
_BATCH_ENTRIES = 500
_SUBMODULE = "160000"


class SignedCommits:
    """Publishes a commit on a branch of one repository, commit by commit."""

    def __init__(self, client: Client, repository: str, workspace: Workspace) -> None:
        self._client = client
        self._repository = repository
        self._path = f"/repos/{quoted(repository)}/git"
        self._workspace = workspace

    def publish(self, commit: str, branch: str) -> str:
        """The branch's new tip. The same call twice has one effect: a tip with the same tree and the same approval in
        its message is what an earlier call made. Raises GitFailed when the branch cannot take the commit.
        """
        lineage = self._workspace.lineage(commit, branch)
        tip = self._tip(branch)
        if not lineage:  # the remote has it all
            self._point(branch, commit, tip)
            return commit
        if tip is not None and _same_work(self._commit(tip), lineage[-1]):
            return tip
        made: dict[str, CommitAnswer] = {}
        for ours in lineage:
            made[ours.id] = self._recreate(ours, made)
        last = made[lineage[-1].id]
        if not (last.verification and last.verification.verified):
            _log.warning("GitHub did not sign the commit: sign-commits needs the token of an App, or Actions' own")
        self._point(branch, last.sha, tip)
        return last.sha

    def _recreate(self, ours: CommitObject, made: dict[str, CommitAnswer]) -> CommitAnswer:
        parents = [made.get(parent) or self._commit(parent) for parent in ours.parents]
        if not parents:
            raise GitFailed(f"{ours.id[:12]} has no parent: it cannot be made through GitHub's API")
        tree = parents[0].tree.sha
        if tree != ours.tree:
            tree = self._tree(ours, tree)
        body = {"message": ours.message, "tree": tree, "parents": [parent.sha for parent in parents]}
        return self._post("commits", CommitAnswer, body, f"make the commit {ours.id[:12]}")

    def _tree(self, ours: CommitObject, before: str) -> str:
        tree = before
        for batch in self._batches(self._workspace.entries(ours.parents[0], ours.tree)):
            doing = f"make the tree of {ours.id[:12]}"
            tree = self._post("trees", GitObject, {"base_tree": tree, "tree": batch}, doing).sha
        if tree != ours.tree:
            raise GitFailed(f"GitHub made another tree of {ours.id[:12]} than the one that was checked: not published")
        return tree

    def _batches(self, entries: list[TreeEntry]) -> Iterator[list[dict[str, Any]]]:
        """Deletions first and by themselves, so that a file can take a directory's name and the other way round."""
        removed = [
            {"path": _name(entry), "mode": "100644", "type": "blob", "sha": None} for entry in entries if not entry.mode
        ]
        for start in range(0, len(removed), _BATCH_ENTRIES):
            yield removed[start : start + _BATCH_ENTRIES]
        batch: list[dict[str, Any]] = []
        size = 0
        for entry in entries:
            if not entry.mode:
                continue
            stored = self._stored(entry)
            length = len(stored.get("content", ""))
            if batch and (len(batch) >= _BATCH_ENTRIES or size + length > _BATCH_BYTES):
                yield batch
                batch, size = [], 0
            batch.append(stored)
            size += length
        if batch:
            yield batch

    def _stored(self, entry: TreeEntry) -> dict[str, Any]:
        """Short text goes with the tree, anything else as a blob of its own."""
        known: dict[str, Any] = {"path": _name(entry), "mode": entry.mode}
        if entry.mode == _SUBMODULE:
            return known | {"type": "commit", "sha": entry.object}
        content = self._workspace.blob(entry.object)
        text = _text(content)
        if text is not None:
            return known | {"type": "blob", "content": text}
        body = {"content": base64.b64encode(content).decode(), "encoding": "base64"}
        blob = self._post("blobs", GitObject, body, f"store {entry.path!r}")
        if blob.sha != entry.object:
            raise GitFailed(f"GitHub stored other bytes for {entry.path!r} than those that were checked: not published")
        return known | {"type": "blob", "sha": blob.sha}

    def _tip(self, branch: str) -> str | None:
        try:
            path = f"{self._path}/ref/heads/{quoted(branch)}"
            return self._client.call("GET", path, RefAnswer, doing=f"read the branch {branch}").object.sha
        except Refusal as refused:
            if refused.status not in (404, 409):
                raise
            return None

    def _commit(self, sha: str) -> CommitAnswer:
        return self._client.call(
            "GET", f"{self._path}/commits/{sha}", CommitAnswer, doing=f"read the commit {sha[:12]}"
        )

    def _point(self, branch: str, sha: str, tip: str | None) -> None:
        """Make the branch, or move it forward; never with force."""
        if tip == sha:
            return
        doing = f"move the branch {branch} to {sha[:12]}"
        try:
            if tip is None:
                self._create_branch(branch, sha, doing)
            else:
                path = f"{self._path}/refs/heads/{quoted(branch)}"
                body = {"sha": sha, "force": False}
                self._client.call("PATCH", path, RefAnswer, doing=doing, body=body, needs=_NEEDS)
        except Refusal as refused:
            if refused.status not in (404, 409, 422):
                raise
            raise GitFailed(_cannot_take(branch, self._repository, refused.said)) from refused

    def _create_branch(self, branch: str, sha: str, doing: str) -> None:
        def there() -> RefAnswer | None:
            return RefAnswer(object=GitObject(sha=sha)) if self._tip(branch) == sha else None

        body = {"ref": f"refs/heads/{branch}", "sha": sha}
        self._client.call("POST", f"{self._path}/refs", RefAnswer, doing=doing, body=body, needs=_NEEDS, found=there)

    def _post(self, what: str, shape: type[T], body: dict[str, Any], doing: str) -> T:
        """Objects are named by their content (or by nothing yet): to make one twice does no harm."""
        return self._client.call("POST", f"{self._path}/{what}", shape, doing=doing, body=body, needs=_NEEDS)


def _same_work(theirs: CommitAnswer, ours: CommitObject) -> bool:
    return theirs.tree.sha == ours.tree and _approval(theirs.message) == _approval(ours.message)


def _approval(message: str) -> str:
    found = re.findall(r"^Mason-Approval: (\w+)$", message, re.MULTILINE)
    return found[-1] if found else message.strip()


def _cannot_take(branch: str, repository: str, said: str) -> str:
    words = said.lower()
    if "fast forward" in words or "fast-forward" in words or "already exists" in words:
        return f"{branch} in {repository} has commits that this work does not build on, and Mason never pushes by force"
    if "protected" in words or "rule violation" in words:
        return f"{branch} in {repository} is protected, and takes no commits from Mason: {said}"
    return f"{branch} in {repository} cannot take the commit: {said or 'GitHub gave no reason'}"


def _name(entry: TreeEntry) -> str:
    """Raises GitFailed for a path that JSON cannot carry."""
    try:
        entry.path.encode()
    except UnicodeEncodeError:
        raise GitFailed(f"{entry.path!r} is not UTF-8: with sign-commits GitHub takes no such name") from None
    return entry.path


def _text(content: bytes) -> str | None:
    if len(content) > _INLINE_BYTES or b"\0" in content:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None
