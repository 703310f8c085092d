"""One checked-out tree, read as what it is: the work of a stranger."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from app import users
from app.errors import GitFailed
from app.removal import remove
from app.workspace.git import Git, raw
from app.workspace.gitdir import Identity, Storage, make_git_dir
from app.workspace.hazards import CACHES, Standing, remove_special_files, unholdable

LARGEST_FILE = 100 << 20
"""Bytes of a new or changed file: what GitHub takes."""

SUBMODULE_MODE = "160000"
_STORED_MODE = int(SUBMODULE_MODE, 8).to_bytes(4, "big")  # as every version of the index stores it
_LARGE_INDEX = 200_000  # bytes: about 2,000 files
_ROUNDS = 4  # removing one oddity can bring another to light, inside a repository that had a .git


@dataclass(kw_only=True, slots=True)
class GitTree:
    """A plain directory that is read through a git directory and an index elsewhere (implements `Tree`).

    The ``.git`` in it is for the tools alone and never read here. Submodules stay as they are in ``start``: their
    directories are empty, and what is put there is not part of the work. ``indexed`` is the git tree that the index
    holds, empty while that is unknown: a tree in which nothing changed is read by one process.
    ``refreshed`` is the time (ns) of the index that was last refreshed. ``user`` is whom the directory and everything
    in it belongs to; None: ourselves, and then nobody looks.
    """

    git: Git
    path: Path
    start: str
    branch: str
    user: int | None = None
    forgotten: frozenset[str] = field(default=frozenset())
    indexed: str = field(default="", init=False)
    refreshed: int = field(default=0, init=False)

    def check_out(self, content: str) -> None:
        """Write the files of a git tree or commit into the new, empty directory. Raises GitFailed."""
        self.git.run("read-tree", "--reset", "-u", content, user=self.user)

    def furnish(self, storage: Storage, objects: Path, refs: Mapping[str, str], identity: Identity) -> None:
        """Give the tools their ``.git``: on the tree's branch at its start, with the base's history and tags."""
        head = f"refs/heads/{self.branch}"
        make_git_dir(
            self.path / ".git",
            storage=storage,
            identity=identity,
            borrow=(objects,),
            head=head,
            refs={**refs, head: self.start},
        )
        if self.git.index:
            shutil.copyfile(self.git.index, self.path / ".git/index")
        users.give_all(self.path / ".git", self.user)
        self._shield_submodules()

    def snapshot(self) -> str:
        """The git tree id of everything in the tree that is not ignored, forgotten or a tool's cache.

        Repositories inside the tree lose their ``.git`` and count as plain files; special files, and names that git
        cannot hold, are removed. Raises GitFailed when git cannot read the tree (a file without permission, say), or
        for a new or changed file of more than 100 MiB: a sparse one costs an agent nothing, and git hours.
        """
        return self._take_in(discard_huge=False)

    def _take_in(self, *, discard_huge: bool) -> str:
        self._ensure_directory()
        remove_special_files(self.path)
        touched = self._touched()
        if self.indexed and not touched:
            return self.indexed
        self.indexed = ""  # until the index has taken everything in
        standing = Standing(self.path)
        here = [path for path in touched if standing.holds(path)]
        gone = [path for path in touched if not standing.holds(path)]
        for path in [path for path in here if self._is_huge(path)]:
            if not discard_huge:
                raise GitFailed(f"{path!r} is larger than {LARGEST_FILE >> 20} MiB, which no forge takes")
            self._discard(path, here, gone)
        for path in [path for path in here if self._is_foreign(path)]:
            self._discard(path, here, gone)
        if gone:
            self.git.run("update-index", "-z", "--force-remove", "--stdin", stdin=_lines(gone))
        if here:
            self.git.run("update-index", "-z", "--add", "--remove", "--replace", "--stdin", stdin=_lines(here))
        self.indexed = self.git.output("write-tree")
        return self.indexed

    def restore(self, tree: str) -> None:
        """Bring tracked and untracked (not ignored) files back to this git tree or commit. Raises GitFailed."""
        if self._take_in(discard_huge=True) == tree:
            return
        # The index knows now what stands here, so that git only touches what differs.
        self.indexed = ""
        self.git.run("read-tree", "--reset", "-u", tree, user=self.user)
        self._shield_submodules()

    def _is_huge(self, path: str) -> bool:
        try:
            return (self.path / path).lstat().st_size > LARGEST_FILE
        except OSError:
            return False

    def _is_foreign(self, path: str) -> bool:
        """Whether this is a hard link to a file of somebody else's, which git would read for the tree's user."""
        return self.user is not None and (self.path / path).lstat().st_uid != self.user

    def _discard(self, path: str, here: list[str], gone: list[str]) -> None:
        (self.path / path).unlink()
        here.remove(path)
        gone.append(path)

    def forget_untracked(self) -> None:
        """From now on, untracked files that are here are not part of the work: the install step made them."""
        self._ensure_directory()
        remove_special_files(self.path)
        self.forgotten |= {path for tag, path in self._listed() if tag == "?"}

    def _touched(self) -> list[str]:
        """The paths that differ from the index, once nothing is left that git would stumble over."""
        for _ in range(_ROUNDS):
            listed = self._listed()
            odd = self._odd_places(listed)
            if not odd:
                return [path for _, path in listed if not path.endswith("/")]
            for place in odd:
                remove(self.path / place, self.git.path)
        raise GitFailed(f"names that git cannot hold could not be removed, {min(odd)!r} say")

    def _odd_places(self, listed: list[tuple[str, str]]) -> set[str]:
        """Names that git cannot hold, and every ``.git`` of a repository inside the tree (listed as ``dir/``)."""
        odd: set[str] = set()
        for tag, path in listed:
            if tag == "?" and path.endswith("/"):
                odd.update(_dot_gits(self.path, path))
            elif tag == "?" and (place := unholdable(path)):
                odd.add(place)
        return odd

    def _listed(self) -> list[tuple[str, str]]:
        """Changed (C), deleted (R) and untracked (?) paths that are not forgotten, as (tag, path)."""
        self._refresh()
        excluded = [argument for name in CACHES for argument in ("-x", name)]
        listing = self.git.records("ls-files", "-z", "-t", "-m", "-d", "-o", "--exclude-standard", *excluded)
        found = ((line[0], line[2:]) for line in listing)
        return [(tag, path) for tag, path in found if tag != "?" or path not in self.forgotten]

    def _refresh(self) -> None:
        """Have git note which files of a large tree are unchanged.

        Otherwise it reads each file that is as young as the index, by the second, again and again.
        """
        if self.git.index is None:
            return
        index = self.git.index.stat()
        too_soon = int(time.time()) <= int(index.st_mtime)  # the new index would be as young
        if index.st_size >= _LARGE_INDEX and index.st_mtime_ns != self.refreshed and not too_soon:
            self.git.run("update-index", "-q", "--refresh", allowed=(0, 1))
            self.refreshed = self.git.index.stat().st_mtime_ns

    def _shield_submodules(self) -> None:
        """Have git leave submodules alone: it must never look into a directory that poses as one."""
        if self.git.index is None or _STORED_MODE not in self.git.index.read_bytes():
            return  # the usual case costs no process
        staged = self.git.records("ls-files", "-z", "--stage")
        paths = [line.partition("\t")[2] for line in staged if line.startswith(SUBMODULE_MODE)]
        if paths:
            self.git.run("update-index", "-z", "--skip-worktree", "--stdin", stdin=_lines(paths))

    def _ensure_directory(self) -> None:
        """A tree that was deleted, or replaced by a link to elsewhere, is an empty tree."""
        if self.path.is_symlink() or not self.path.is_dir():
            remove(self.path, self.git.path)
            make_tree_directory(self.path, self.user)


def make_tree_directory(path: Path, user: int | None) -> None:
    """The directory of a tree, the user's alone where it has one."""
    path.mkdir(mode=0o777 if user is None else 0o700, parents=True)
    users.give(path, user)


def _dot_gits(root: Path, nested: str) -> list[str]:
    """Every ``.git`` in and below a repository inside the tree, relative to ``root``; links are not followed."""
    found: list[str] = []
    waiting = [nested.rstrip("/")]
    while waiting:
        directory = waiting.pop()
        with contextlib.suppress(OSError), os.scandir(root / directory) as entries:
            for entry in entries:
                place = f"{directory}/{entry.name}"
                if entry.name == ".git":
                    found.append(place)
                elif entry.is_dir(follow_symlinks=False):
                    waiting.append(place)
    return found


def _lines(paths: list[str]) -> bytes:
    return b"".join(raw(path) + b"\0" for path in paths)
