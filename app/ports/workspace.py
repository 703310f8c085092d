"""The workspace: trees for agents and checks, and the git objects that the orchestrator alone writes.

A tree is a plain directory. The git directory and index that Mason reads it with lie elsewhere; the ``.git`` inside it
is a throw-away one for the tools (design, Trust).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from app.domain.runs import Base

READABLE = 1_000_000
"""Bytes of a file that anybody looks into; a longer one is no source code that a person wrote."""


class ChangeKind(StrEnum):
    ADDED = "added"
    MODIFIED = "modified"
    DELETED = "deleted"


class FileKind(StrEnum):
    FILE = "file"
    EXECUTABLE = "executable"
    SYMLINK = "symlink"
    SUBMODULE = "submodule"


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One changed path between two trees. ``file`` is its kind after the change (before, when deleted).

    ``target`` is where a symbolic link points. ``binary`` files have no line counts.
    """

    path: str
    kind: ChangeKind
    file: FileKind = FileKind.FILE
    target: str | None = None
    added_lines: int = 0
    removed_lines: int = 0
    binary: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class CommitObject:
    """A commit as git has it: its id, its tree's id, its parents' ids and its message."""

    id: str
    tree: str
    parents: tuple[str, ...]
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TreeEntry:
    """One path that differs between two trees, as git stores it afterwards.

    ``mode`` is git's (100644, 100755, 120000, 160000) and ``object`` a hash; both are empty for a deleted path.
    """

    path: str
    mode: str
    object: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """Where an item's work starts: ``commit`` is the base, or the base merged with the item's existing branch.

    ``published`` is the commit on that branch which already carries this approval's work, when an earlier attempt
    ended between its push and its bookkeeping; ``commit`` is then the one that it shares with the base.
    """

    commit: str
    published: str | None = None


class Files(Protocol):
    """The files of one state of the repository (a git tree or commit), read from git and not from any directory."""

    def paths(self) -> list[str]:
        """Every path, submodules and links included, sorted."""

    def read(self, paths: Sequence[str]) -> dict[str, bytes]:
        """The content of those paths that are regular files of at most `READABLE` bytes. One git process for all."""

    def mentioning(self, words: Sequence[str]) -> list[str]:
        """The paths of text files in which one of the words stands literally, sorted. One git process for all."""


class Tree(Protocol):
    """One checked-out directory."""

    @property
    def path(self) -> Path: ...

    @property
    def start(self) -> str:
        """The commit it was checked out from."""

    def snapshot(self) -> str:
        """The git tree id of everything in it that is not ignored. Raises GitFailed when git cannot read the tree."""

    def restore(self, tree: str) -> None:
        """Bring tracked and untracked (not ignored) files back to this git tree (or commit)."""

    def forget_untracked(self) -> None:
        """From now on, untracked files that are here are not part of the work: the install step made them."""


class Workspace(Protocol):
    def pin_base(self, branch: str | None, commit: str | None = None) -> Base:
        """The tip of ``branch`` (None: the repository's default). Raises BadRepository with a sentence.

        ``commit`` is one that was pinned before: it stays, unless the branch has been rewritten without it.
        """

    def now(self, base: Base) -> Base:
        """Where the base's branch is at this moment. Raises BadRepository when it is gone."""

    def read(self, commit: str, path: str) -> bytes | None:
        """A file's content in a commit, None when there is no such regular file."""

    def paths(self, commit: str) -> list[str]:
        """Every path in a commit, sorted."""

    def files(self, tree: str) -> Files:
        """The files of a git tree or commit, for whoever has to look at many of them."""

    def start(self, branch: str, base: Base, approval: str) -> Start:
        """Where work on this branch starts for this approval (`Item.approval`).

        Raises MergeConflict when the existing branch cannot be merged with the base.
        """

    def tree(self, name: str, commit: str, *, branch: str = "") -> AbstractContextManager[Tree]:
        """A new tree checked out from ``commit``, removed on leaving. ``branch`` is the name its tools see."""

    def fork(self, name: str, tree: Tree, snapshot: str) -> AbstractContextManager[Tree]:
        """A tree of its own with the content of a snapshot of ``tree``, for one of several side by side writers."""

    def merge(self, start: str, ours: str, theirs: str) -> str:
        """Merge two git trees that both come from the git tree ``start``. Raises MergeConflict."""

    def changes(self, before: str, after: str) -> list[Change]:
        """What differs between two git trees or commits, sorted by path."""

    def diff(self, before: str, after: str, *, limit: int = 200_000) -> str:
        """The unified diff as text, cut at ``limit`` characters."""

    def commit(self, tree: str, parent: str, message: str, at: datetime) -> str:
        """Make a commit object on no branch, deterministic for the same arguments."""

    def keep(self, item_slug: str, start: str, tree: str) -> str:
        """Keep unfinished work as a patch file outside the run's directory and under ``refs/mason/wip/<slug>``.

        Returns where, for people.
        """

    def keep_images(self, item_slug: str, directory: Path) -> list[str]:
        """Keep the PNG files of a directory that a command wrote, outside the run's directory. Returns where each is.

        What is no PNG, a link, or larger than 10 MB is left out, and what comes after the hundredth.
        """

    def fetch_pull_request(self, number: int) -> str:
        """Fetch the head of a pull request, a fork's included; its commit. Raises GitFailed."""

    def push(self, commit: str, branch: str) -> None:
        """Push a commit to a branch of the remote (of the repository itself without one), never with force.

        The same call twice has one effect. Raises GitFailed when the branch cannot take the commit.
        """

    def lineage(self, commit: str, branch: str) -> list[CommitObject]:
        """The commits that ``commit`` adds to what the remote's base and ``branch`` have, parents first."""

    def entries(self, before: str, after: str) -> list[TreeEntry]:
        """What differs between two git trees or commits, as git stores it; sorted by path."""

    def blob(self, object_id: str) -> bytes:
        """The content of a blob."""

    def close(self) -> None:
        """Remove everything of this run."""
