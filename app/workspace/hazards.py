"""What in a tree git cannot hold, or could hang on: special files, and names that mean ``.git`` somewhere."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from pathlib import Path

CACHES = ("node_modules", ".venv", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache")
"""What tools leave behind; never part of the work while untracked, ignored by the repository or not."""

# Code points that HFS+ leaves out when it compares names.
_UNSEEN = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")


def remove_special_files(root: Path) -> None:
    """Remove FIFOs, sockets and devices: git cannot hold them, and hangs on a FIFO named ``.gitignore``.

    Symbolic links are not followed; the caches of tools, where git does not look, are passed over.
    """
    waiting = [str(root)]
    while waiting:
        with contextlib.suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name not in CACHES:
                        waiting.append(entry.path)
                elif not (entry.is_file(follow_symlinks=False) or entry.is_symlink()):
                    Path(entry.path).unlink()


def unholdable(path: str) -> str | None:
    """The part of a path, up to and with the first component that git takes for ``.git`` on some system, or None."""
    parts = path.split("/")
    for number, part in enumerate(parts, 1):
        if any(_is_dot_git(piece) for piece in part.split("\\")):
            return "/".join(parts[:number])
    return None


def _is_dot_git(name: str) -> bool:
    """``.git`` in any case, with code points that HFS+ does not see, or as NTFS writes it (``git~1``, ``.git. ``)."""
    plain = _UNSEEN.sub("", name).lower()
    return plain.partition(":")[0].rstrip(". ") in (".git", "git~1")


def is_bad_link(path: str) -> bool:
    """Whether this would be a symbolic link named ``.gitmodules``, which git refuses."""
    plain = _UNSEEN.sub("", path.rpartition("/")[2]).lower().partition(":")[0].rstrip(". ")
    return plain == ".gitmodules" or re.match(r"gitmod~\d|gi7eba~\d", plain) is not None


class Standing:
    """Which paths stand in a tree as files or links, reached through real directories only."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._directories: dict[str, bool] = {"": True}

    def holds(self, path: str) -> bool:
        """Whether git can read this path as a file or a link of the tree itself."""
        parent, _, name = path.rpartition("/")
        if not self._is_directory(parent):
            return False
        mode = self._mode(path)
        return stat.S_ISREG(mode) or (stat.S_ISLNK(mode) and not is_bad_link(name))

    def _is_directory(self, path: str) -> bool:
        known, parent = self._directories, ""
        for part in path.split("/") if path not in known else ():
            here = f"{parent}/{part}" if parent else part
            if here not in known:
                known[here] = known[parent] and stat.S_ISDIR(self._mode(here))
            parent = here
        return known[path]

    def _mode(self, path: str) -> int:
        try:
            return (self._root / path).lstat().st_mode
        except OSError:
            return 0
