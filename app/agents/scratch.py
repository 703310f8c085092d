"""Diffs applied to copies of the files they name, then carried back to the tree: all of them or none.

Git works in an empty directory with no repository around it, so nothing in the tree (attributes, filters, hooks,
a ``.git``) has a say, and nothing there changes before everything was looked at.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from app import users
from app.agents.hunks import has_prefixes, parse, reanchored
from app.process import Stop, base_environment, run

_GIT = ("git", "-c", "core.protectHFS=true", "-c", "core.protectNTFS=true", "-c", "core.autocrlf=false", "apply")
_SECONDS = 60.0


class DoesNotApply(Exception):
    """A diff cannot be applied; the message is the rest of a sentence about it."""


@contextlib.contextmanager
def scratch(tree: Path, environ: Mapping[str, str], stop: Stop, place: Path | None = None) -> Iterator[Scratch]:
    """A scratch directory for the tree in ``place`` (None: where the system keeps such), removed on leaving."""
    with tempfile.TemporaryDirectory(prefix="mason-patch-", dir=place) as directory:
        yield Scratch(tree, Path(directory).resolve(), environ, stop)


class Scratch:
    """Copies of some files of a tree."""

    def __init__(self, tree: Path, directory: Path, environ: Mapping[str, str], stop: Stop) -> None:
        self._tree = tree
        self._user = users.owner(tree)
        self._directory = directory
        self._stop = stop
        self._copied: set[str] = set()
        self._environment = base_environment(
            environ,
            {
                "GIT_CEILING_DIRECTORIES": str(directory.parent),
                "GIT_CONFIG_NOSYSTEM": "1",
                "GIT_CONFIG_GLOBAL": os.devnull,
                "GIT_ATTR_NOSYSTEM": "1",
                "LC_ALL": "C",
            },
        )

    def apply(self, diff: str) -> None:
        """Apply one diff to the copies: as it is, else with less context. One that is in already changes nothing.

        Raises DoesNotApply; the copies are then as before.
        """
        self._copy(self._paths(diff))
        problem = self._git(diff)
        if problem is None or self._git(diff, "--reverse", "--check") is None or self._git(diff, "-C1") is None:
            return
        moved = reanchored(diff, self._read)
        if moved is None or self._git(moved, "--unidiff-zero") is not None:
            raise DoesNotApply(f"does not apply: {problem}")

    def revert(self, diff: str) -> bool:
        """Take one diff back from the copies; whether it was in, exactly."""
        try:
            self._copy(self._paths(diff))
        except DoesNotApply:
            return False
        return self._git(diff, "--reverse") is None

    def carry_back(self) -> None:
        """Make the tree's files what the copies are. Raises DoesNotApply, before any change, for a link out of it."""
        names = {str(path.relative_to(self._directory)) for path in _files(self._directory)}
        if unnamed := names - self._copied:
            raise DoesNotApply(f"changes a file that its header does not name: {min(unnamed)[:200]}")
        for name in sorted(names):
            _refuse_way_out(name, self._directory / name)
        for name in sorted(self._copied - names):
            self._remove(self._tree / name)
        for name in sorted(names):
            target = self._tree / name
            if name in self._copied and _same(self._directory / name, target):
                continue
            missing = [parent for parent in target.parents if not parent.exists()]
            target.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                target.unlink()
            shutil.copy2(self._directory / name, target, follow_symlinks=False)
            for made in (*missing, target):
                users.give(made, self._user)

    def _remove(self, path: Path) -> None:
        if not _mode(path):
            return
        path.unlink()
        for parent in path.relative_to(self._tree).parents[:-1]:
            try:
                (self._tree / parent).rmdir()
            except OSError:
                return

    def _paths(self, diff: str) -> list[str]:
        if "\nBinary files " in f"\n{diff}":
            raise DoesNotApply("is binary and carries no data")
        files = parse(diff)
        if not any(file.hunks or file.paths for file in files):
            raise DoesNotApply("is empty")
        paths = [path for file in files for path in file.paths]
        for path in paths:
            parts = PurePosixPath(path).parts
            if not parts or path.startswith("/") or ".." in parts or "\0" in path:
                raise DoesNotApply(f"leaves the repository: {path[:200]}")
            if any(part.lower().rstrip(" .") in (".git", "git~1") for part in parts):
                raise DoesNotApply(f"touches .git: {path[:200]}")
        return paths

    def _copy(self, paths: Iterable[str]) -> None:
        for path in paths:
            if path in self._copied:
                continue
            source = self._tree / path
            for parent in PurePosixPath(path).parents:
                if (self._tree / parent).is_symlink() and parent != PurePosixPath():
                    raise DoesNotApply(f"goes through a symbolic link: {path[:200]}")
            mode = _mode(source)
            self._copied.add(path)
            if mode and self._user not in (None, source.lstat().st_uid):
                raise DoesNotApply(f"changes a file of somebody else's: {path[:200]}")
            if stat.S_ISREG(mode) or stat.S_ISLNK(mode):
                copy = self._directory / path
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, copy, follow_symlinks=False)
            elif mode:
                raise DoesNotApply(f"changes something that is no file: {path[:200]}")

    def _read(self, path: str) -> str | None:
        try:
            file = self._directory / path
            return None if file.is_symlink() else file.read_bytes().decode("utf-8", "surrogateescape")
        except OSError:
            return None

    def _git(self, diff: str, *options: str) -> str | None:
        """Run ``git apply``; None, or what it said was wrong."""
        done = run(
            [*_GIT, "--whitespace=nowarn", "-p1" if has_prefixes(diff) else "-p0", *options, "-"],
            cwd=self._directory,
            env=self._environment,
            timeout=_SECONDS,
            stop=self._stop,
            stdin=f"{diff}\n".encode("utf-8", "surrogateescape"),  # binary data ends with an empty line
        )
        if done.ok:
            return None
        return _complaint(done.stderr) or ("git is missing" if done.missing else "git did not finish")


def _complaint(stderr: bytes) -> str:
    lines = stderr.decode("utf-8", "replace").splitlines()
    said: Sequence[str] = [line.removeprefix("error: ").removeprefix("fatal: ") for line in lines if line.strip()]
    return said[0][:300] if said else ""


def _files(directory: Path) -> Iterator[Path]:
    for root, directories, names in os.walk(directory):
        yield from (Path(root) / name for name in names)
        yield from (Path(root) / name for name in directories if (Path(root) / name).is_symlink())


def _mode(path: Path) -> int:
    try:
        return path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except OSError as problem:  # a name too long, a loop of links
        raise DoesNotApply(f"names a path that cannot be used: {problem.strerror}") from problem


def _refuse_way_out(name: str, path: Path) -> None:
    """A symbolic link may point at another path of the tree, and neither out of it nor into ``.git``."""
    if not path.is_symlink():
        return
    target = os.readlink(path)  # noqa: PTH115 - its text as it stands
    inside = os.path.normpath(os.path.join(os.path.dirname(name), target))  # noqa: PTH118, PTH120 - text, no file
    detour = ".." in itertools.dropwhile(lambda part: part == "..", target.split("/"))  # "link/.." is where link leads
    if target.startswith("/") or detour or inside.split("/")[0].lower() in ("..", ".git"):
        raise DoesNotApply(f"makes a symbolic link that leaves the repository: {name[:200]}")


def _same(one: Path, other: Path) -> bool:
    mine, theirs = one.lstat(), _mode(other)
    if mine.st_mode != theirs or stat.S_ISLNK(theirs):
        return stat.S_ISLNK(theirs) and stat.S_ISLNK(mine.st_mode) and one.readlink() == other.readlink()
    return one.read_bytes() == other.read_bytes()
