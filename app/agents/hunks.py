"""Unified diffs as text: the paths they touch, and hunks found again in a file that changed around them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

FUZZ = 3
"""Lines of context at either end of a hunk that may differ."""

_HEADER = re.compile(r"@@ -(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@")
_PREFIXED = re.compile(r'(?:--- "?a/|\+\+\+ "?b/|diff --git "?a/)')
_NAMES = ("rename from ", "rename to ", "copy from ", "copy to ")


@dataclass(frozen=True, kw_only=True, slots=True)
class Hunk:
    """``start`` is the line in the old file, from 1; ``lines`` carry their mark (space, minus, plus, backslash)."""

    head: str
    start: int
    lines: tuple[str, ...]

    @property
    def old(self) -> list[str]:
        return [line[1:] for line in self.lines if line[:1] in (" ", "-")]

    @property
    def whole(self) -> bool:
        """Whether it has the number of lines that its head promises."""
        match = _HEADER.match(self.head)
        new = sum(line[:1] in (" ", "+") for line in self.lines)
        return match is not None and _counts(match) == (len(self.old), new)


@dataclass(frozen=True, kw_only=True, slots=True)
class FileDiff:
    """The part of a diff about one file: its header lines as written, and its hunks."""

    header: tuple[str, ...]
    hunks: tuple[Hunk, ...]

    @property
    def paths(self) -> tuple[str, ...]:
        """Every path that the header names, ``a/`` and ``b/`` taken off, in order, each once."""
        return tuple(dict.fromkeys(path for line in self.header for path in _header_paths(line)))

    @property
    def old_path(self) -> str | None:
        """The path of a file that is there before and after, None for a new, deleted or renamed one."""
        names = [line for line in self.header if line.startswith(("--- ", "+++ "))]
        paths = {_name(line[4:]) for line in names}
        return paths.pop() if len(names) == 2 and len(paths) == 1 else None


def parse(diff: str) -> list[FileDiff]:
    """The files of a unified diff. Lines that belong to none are left out."""
    found: list[FileDiff] = []
    header: list[str] = []
    hunks: list[Hunk] = []
    lines = iter(diff.split("\n"))
    for line in lines:
        if match := _HEADER.match(line):
            hunks.append(Hunk(head=line, start=int(match[1]), lines=tuple(_body(lines, match))))
            continue
        if header and (line.startswith("diff --git ") or (line.startswith("--- ") and hunks)):
            found.append(FileDiff(header=tuple(header), hunks=tuple(hunks)))
            header, hunks = [], []
        if line.startswith("\\") and hunks:
            hunks[-1] = replace(hunks[-1], lines=(*hunks[-1].lines, line))
        elif line.strip():
            header.append(line)
    return [*found, FileDiff(header=tuple(header), hunks=tuple(hunks))] if header else found


def _counts(match: re.Match[str]) -> tuple[int, int]:
    return int(match[2] or 1), int(match[4] or 1)


def _body(lines: Iterator[str], match: re.Match[str]) -> Iterator[str]:
    old, new = _counts(match)
    while old > 0 or new > 0:
        line = next(lines, None)
        if line is None:
            return
        mark = line[:1] or " "
        old -= mark in " -"
        new -= mark in " +"
        yield line or " "


def _header_paths(line: str) -> Iterator[str]:
    if line.startswith(_NAMES):
        yield _unquoted(line.split(" ", 2)[2])
    elif line.startswith(("--- ", "+++ ")):
        if name := _name(line[4:]):
            yield name
    elif line.startswith("diff --git "):
        names = line[len("diff --git ") :]
        middle = len(names) // 2
        for part in (names[:middle], names[middle + 1 :]) if names[middle : middle + 1] == " " else names.split(" "):
            if name := _name(part):
                yield name


def _name(text: str) -> str | None:
    name = _unquoted(text.partition("\t")[0].strip())
    if name == "/dev/null":
        return None
    return name.partition("/")[2] if name.startswith(("a/", "b/")) else name


def _unquoted(text: str) -> str:
    """Git's C-style quoting of unusual names."""
    if len(text) < 2 or not (text.startswith('"') and text.endswith('"')):
        return text
    raw = re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8) & 0xFF), text[1:-1].replace('\\"', '"'))
    return raw.encode("latin-1", "replace").decode("utf-8", "replace") if raw != text[1:-1] else raw


def has_prefixes(diff: str) -> bool:
    """Whether paths are written as git does, with ``a/`` and ``b/`` before them."""
    return any(_PREFIXED.match(line) for line in diff.split("\n"))


def reanchored(diff: str, read: Callable[[str], str | None]) -> str | None:
    """The same edits as a diff without context that fits the files as they are, or None when a place is not found.

    ``read`` gives a file's text, or None. Files that are new, deleted or renamed stay as they are. A place is found by
    all its context, or by what comes before the edit, or by what comes after it, nearest to where it was.
    """
    parts: list[str] = []
    for file in parse(diff):
        parts += file.header
        text = read(file.old_path) if file.old_path else None
        if text is None:
            parts += [line for hunk in file.hunks for line in (hunk.head, *hunk.lines)]
            continue
        if not all(hunk.whole for hunk in file.hunks):
            return None
        lines = text.split("\n")
        placed = list(_placed(file, [line.removesuffix("\r") for line in lines], lines))
        if len(placed) != len(file.hunks):
            return None
        parts += placed
    return "\n".join(parts) + "\n" if parts else None


def _placed(file: FileDiff, bare: list[str], lines: list[str]) -> Iterator[str]:
    shift = 0
    ending = "\r" if lines[0].endswith("\r") else ""
    at_least = 0
    for hunk in file.hunks:
        for variant in _variants(hunk):
            place = _find(variant, bare, at_least, hunk.start - 1 + variant.start)
            if place is not None:
                break
        else:
            return
        old = len(variant.old)
        added = sum(line[0] == "+" for line in variant.lines) - sum(line[0] == "-" for line in variant.lines)
        there = iter(lines[place : place + old])
        body = [line + ending if line[0] == "+" else line[0] + next(there) for line in variant.lines]
        first = place + 1 if old else place
        yield "\n".join([f"@@ -{first},{old} +{place + 1 + shift},{old + added} @@", *body])
        shift += added
        at_least = place + old


def _variants(hunk: Hunk) -> Iterator[Hunk]:
    """The hunk, then with the context after, before, or on both sides of its edits taken off, one line at a time.

    Their ``start`` is the number of lines taken off at the front. An edit that removes nothing needs one side whole.
    """
    lines = tuple(line for line in hunk.lines if not line.startswith("\\"))
    edits = [at for at, line in enumerate(lines) if line[0] in "+-"]
    if not edits:
        return
    before, after = min(edits[0], FUZZ), min(len(lines) - 1 - edits[-1], FUZZ)
    removes = any(line[0] == "-" for line in lines)
    pairs = {(0, 0): None}
    pairs |= dict.fromkeys((0, n) for n in range(1, after + 1) if removes or edits[0])
    pairs |= dict.fromkeys((n, 0) for n in range(1, before + 1) if removes or after)
    if removes:
        pairs |= dict.fromkeys((min(n, before), min(n, after)) for n in range(1, FUZZ + 1))
    for front, back in pairs:
        yield Hunk(head=hunk.head, start=front, lines=lines[front : len(lines) - back])


def _find(hunk: Hunk, lines: list[str], at_least: int, wanted: int) -> int | None:
    """The index nearest to ``wanted`` at which the hunk's old lines stand."""
    old = [line.removesuffix("\r") for line in hunk.old]
    if not old:
        return None
    places = (at for at in range(at_least, len(lines) - len(old) + 1) if lines[at] == old[0])
    fitting = [at for at in places if lines[at : at + len(old)] == old]
    return min(fitting, key=lambda at: abs(at - wanted), default=None)
