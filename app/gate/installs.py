"""The cache of installs: what the install step made on a clean base commit, copied into trees with the same key."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from uuid import uuid4

from app import process, users
from app.gate.steps import InstallStep
from app.process import Finished, Stop
from app.removal import remove

_COPY_TIMEOUT = 600.0


class InstallCache:
    """Directories that an install step produced, by digest of everything that decides what it produces.

    ``root`` has to lie where no agent and no check writes. An entry is filled from a clean checkout of the base commit
    alone: a tree that an agent could write proves nothing about its node_modules, whatever its lock file says, and one
    poisoned entry would pass on to every later gate. Entries are copied, never hard-linked, so that writing to a copy
    cannot change an entry either.
    """

    def __init__(self, step: InstallStep, root: Path, environ: Mapping[str, str]) -> None:
        self._step = step
        self._root = root
        self._environ = {"PATH": environ.get("PATH", "")}

    def digest(self, tree: Path) -> str:
        """Over the step, the programs in reach, and the name, kind and content of each key file in the tree."""
        state = hashlib.sha256(repr((self._step.command, self._step.produces, self._environ)).encode())
        for name in sorted(set(self._step.key_files)):
            content = _content(tree, name)
            state.update(f"{len(name.encode())}:{name}{len(content)}:".encode() + content)
        return state.hexdigest()

    def fill(self, digest: str, tree: Path, stop: Stop) -> None:
        """Keep what a clean tree's install step produced, all of it or nothing, in one rename."""
        if not self._step.produces or (self._root / digest).is_dir():
            return
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = self._root / f".{uuid4().hex}"
        fresh.mkdir()
        try:
            if self._copy(tree, fresh, stop):
                fresh.rename(self._root / digest)
        except OSError:  # another gate was first: its entry is as good
            pass
        finally:
            remove(fresh, self._environ["PATH"])

    def use(self, digest: str, tree: Path, stop: Stop) -> bool:
        """Replace the tree's directories by the entry's; whether there was an entry and it is now in place."""
        entry = self._root / digest
        if not self._step.produces or not entry.is_dir():
            return False
        for name in self._step.produces:
            if not _inside(tree, tree / name):
                return False
            remove(tree / name, self._environ["PATH"])
        return self._copy(entry, tree, stop)

    def _copy(self, source: Path, target: Path, stop: Stop) -> bool:
        """Copy each product that exists as a real directory; whether all of that went well."""
        for name in self._step.produces:
            if (source / name).is_symlink() or not (source / name).is_dir():
                continue
            if not _inside(source, source / name) or self._holds_foreign(source, name, stop):
                return False
            # -a without --preserve=links: not even two names of one file in the source become one in the copy
            options = ("-R", "-P", "--preserve=mode,timestamps", "--reflink=auto")
            copy = ("cp", *options, "--", str(source / name), str(target / name))
            for words in (("mkdir", "-p", "--", str((target / name).parent)), copy):
                if not self._run(words, target, stop, user=users.owner(target)).ok:
                    remove(target / name, self._environ["PATH"])
                    return False
        return True

    def _holds_foreign(self, source: Path, name: str, stop: Stop) -> bool:
        """Whether the source's user has put a hard link to a file of somebody else's there, which we would read."""
        user = users.owner(source)
        if user is None:
            return False
        found = self._run(("find", f"./{name}", "!", "-uid", str(user), "-print", "-quit"), source, stop)
        return not found.ok or bool(found.stdout)

    def _run(self, words: Sequence[str], place: Path, stop: Stop, *, user: int | None = None) -> Finished:
        """Run a command of Mason's own; the files that it makes are the user's."""
        command = [*(users.with_access(user) if user else ()), *words]
        return process.run(command, cwd=place, env=self._environ, timeout=_COPY_TIMEOUT, stop=stop)


def _content(tree: Path, name: str) -> bytes:
    """A key file's content with a mark for its kind; a link or anything else that is no plain file has its own."""
    path = tree / name
    try:
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            return b"link:" + os.fsencode(path.readlink())
        return b"file:" + path.read_bytes() if stat.S_ISREG(mode) else b"other"
    except OSError:
        return b"missing"


def _inside(tree: Path, path: Path) -> bool:
    """Whether no directory on the way to ``path`` is a link that leads out of the tree."""
    return path.parent.resolve().is_relative_to(tree.resolve())
