"""The paths of one state of a repository, and its configuration files by name."""

from __future__ import annotations

import posixpath
from collections.abc import Callable

from app.ports.workspace import Files

MOST_CONFIGURATIONS = 2000
"""More package.json, tsconfig.json and the like are fixtures of some tool; the ones nearest to the root are read."""

_FOREIGN = frozenset({"node_modules", "site-packages", ".venv", "venv"})
_AT_ONCE = 200


class Lookup:
    """``known`` maps each path to itself: the one copy of it that everybody keeps."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self.known = {path: path for path in files.paths()}

    def texts(self, wanted: Callable[[str], bool]) -> dict[str, str]:
        """The text of the files whose name is wanted, other people's packages left out."""
        paths = [path for path in self.known if wanted(posixpath.basename(path)) and not is_foreign(path)]
        paths = sorted(paths, key=lambda path: (path.count("/"), path))[:MOST_CONFIGURATIONS]
        found: dict[str, str] = {}
        for start in range(0, len(paths), _AT_ONCE):
            batch = self._files.read(paths[start : start + _AT_ONCE])
            found.update({path: data.decode("utf-8", "replace") for path, data in batch.items()})
        return found


def is_foreign(path: str) -> bool:
    """Whether it lies in an installed package."""
    return not _FOREIGN.isdisjoint(path.split("/"))
