"""Which new file is a deleted one under another name. Git stores no renames, and a moved file is no new import."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping

_MOST_FILES, _MOST_LINES = 100, 500
_ALIKE = 0.5
"""The part of their lines that two files share when one is the other, moved."""


def moved(deleted: Mapping[str, bytes], added: Mapping[str, bytes]) -> dict[str, str]:
    """Old path → new path, the most alike first, each path once. Of very many files only the first are compared."""
    old = {path: _lines(deleted[path]) for path in sorted(deleted)[:_MOST_FILES]}
    new = {path: _lines(added[path]) for path in sorted(added)[:_MOST_FILES]}
    pairs = []
    for before, ours in old.items():
        for after, theirs in new.items():
            alike = len(ours & theirs) / max(len(ours | theirs), 1)
            if alike >= _ALIKE and posixpath.splitext(before)[1][:2] == posixpath.splitext(after)[1][:2]:
                pairs.append((-alike, posixpath.basename(before) != posixpath.basename(after), before, after))
    found: dict[str, str] = {}
    for _, _, before, after in sorted(pairs):
        if before not in found and after not in found.values():
            found[before] = after
    return found


def _lines(data: bytes) -> frozenset[bytes]:
    return frozenset(line.strip() for line in data.split(b"\n", _MOST_LINES)[:_MOST_LINES] if len(line) > 3)
