"""Removing directories that hostile commands have written: any depth, any name, any permission."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from app.process import run

_TIME_LIMIT = 600.0


def remove(path: Path, search_path: str) -> bool:
    """Remove a file or a directory with everything in it; links are not followed. Whether nothing is left of it.

    ``rm``, found on ``search_path``, copes with trees deeper than any path may be long and than Python's recursion.
    Directories that their owner may not write are opened first, but only when they stood in the way.
    """
    environment = {"PATH": search_path, "LC_ALL": "C"}
    remove_it = ["rm", "-rf", "--", str(path)]
    done = run(remove_it, cwd=Path("/"), env=environment, timeout=_TIME_LIMIT)
    if not done.ok and path.is_dir() and not path.is_symlink():
        run(["chmod", "-R", "u+rwx", "--", str(path)], cwd=Path("/"), env=environment, timeout=_TIME_LIMIT)
        done = run(remove_it, cwd=Path("/"), env=environment, timeout=_TIME_LIMIT)
    return done.ok


def remove_leftovers(runs_dir: Path, is_dead: Callable[[Path], bool], search_path: str) -> list[Path]:
    """Remove the directories in ``runs_dir`` whose run is dead, as a killed process leaves them. Returns them."""
    if not runs_dir.is_dir():
        return []
    directories = sorted(entry for entry in runs_dir.iterdir() if entry.is_dir() and not entry.is_symlink())
    return [entry for entry in directories if is_dead(entry) and remove(entry, search_path)]
