"""What a change adds: of all that the rules see in its files, what was not there before.

A rule looks at a file before and after. What it sees as often as before is not new, whether it was moved, indented or
wrapped; nor is what another file of the same change has lost. Of several that are alike, those on new lines are named.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from app.ports.workspace import Change, ChangeKind, FileKind
from app.validator.rules.rule import Rule, Sighting
from app.validator.rules.source import Source
from app.validator.scope import is_test
from app.validator.subject import Subject

MOST_BYTES = 10_000_000
"""Of changed files, before and after together, that anybody looks into. No item changes more."""

_AT_ONCE = 20
"""Files that are read with one git process."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """A changed file before and after; None where it did not exist or is no file that can be read.

    ``unread``: it is a file after the change, and nobody looked into it.
    """

    path: str
    before: Source | None
    after: Source | None
    unread: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class New:
    """What a change adds to one file in the eyes of one rule: its lines, in order."""

    path: str
    rule: Rule
    lines: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Mark:
    """A sighting with the text of its line. ``fresh``: no line like it on the other side."""

    line: int
    key: str
    text: str
    fresh: bool

    @property
    def identity(self) -> str:
        """What it is known by in another file."""
        return f"{self.key} {self.text}"


def pairs(subject: Subject) -> Iterator[Pair]:
    """The changed files in the order of the changes; a few are in memory at a time.

    Links and submodules are left out. A file that became one is a file that is gone.
    """
    changes = [change for change in subject.changes if _is_file(change) or change.kind is ChangeKind.MODIFIED]
    left = MOST_BYTES
    for first in range(0, len(changes), _AT_ONCE):
        some = changes[first : first + _AT_ONCE]
        before = subject.before.read([c.path for c in some if c.kind is not ChangeKind.ADDED]) if left > 0 else {}
        there = [c.path for c in some if c.kind is not ChangeKind.DELETED and _is_file(c)]
        after = subject.after.read(there) if left > 0 else {}
        for change in some:
            pair = _pair(change, before.pop(change.path, None), after.pop(change.path, None), left)
            left -= sum(len(side.data) for side in (pair.before, pair.after) if side)
            yield pair


def _is_file(change: Change) -> bool:
    return change.file not in (FileKind.SYMLINK, FileKind.SUBMODULE)


def _pair(change: Change, before: bytes | None, after: bytes | None, left: int) -> Pair:
    if left <= 0:
        before = after = None
    return Pair(
        path=change.path,
        before=None if before is None else Source(change.path, before),
        after=None if after is None else Source(change.path, after),
        unread=after is None and change.kind is not ChangeKind.DELETED and _is_file(change),
    )


def added(changed: Iterable[Pair], rules: Sequence[Rule]) -> list[New]:
    """What every rule sees more often after the change than before, by file and rule."""
    found: list[tuple[str, Rule, list[_Mark]]] = []
    lost: Counter[tuple[str, str]] = Counter()
    for pair in changed:
        for rule in rules:
            if not _applies(rule, pair):
                continue
            fresh, gone = _difference(rule, pair)
            lost.update((rule.name, mark.identity) for mark in gone)
            if fresh:
                found.append((pair.path, rule, fresh))
    return [new for candidate in found if (new := _not_moved(*candidate, lost))]


def _applies(rule: Rule, pair: Pair) -> bool:
    side = pair.after or pair.before
    if not side or not side.is_text or not rule.applies(pair.path):
        return False
    return (rule.languages is None or side.language in rule.languages) and (rule.in_tests or not is_test(pair.path))


def _difference(rule: Rule, pair: Pair) -> tuple[list[_Mark], list[_Mark]]:
    """The sightings that are new, and those that are gone."""
    before = _sightings(rule, pair.before)
    after = _sightings(rule, pair.after)
    counts = Counter(s.key for s in after)
    counts.subtract(s.key for s in before)
    new = _surplus(after, pair.after, pair.before, counts)
    gone = _surplus(before, pair.before, pair.after, Counter({key: -count for key, count in counts.items()}))
    return new, gone


def _sightings(rule: Rule, source: Source | None) -> list[Sighting]:
    return list(rule.sightings(source)) if source and source.is_text else []


def _surplus(sightings: list[Sighting], here: Source | None, there: Source | None, most: Counter[str]) -> list[_Mark]:
    """So many of each key as there are more here than there, those on lines that are only here first."""
    if not here or not any(most[s.key] > 0 for s in sightings):
        return []
    only_here = _lines_only_in(here, there)
    by_key: dict[str, list[_Mark]] = defaultdict(list)
    for s in sightings:
        if most[s.key] > 0:
            text = here.line(s.line).strip()[:300]
            by_key[s.key].append(_Mark(line=s.line, key=s.key, text=text, fresh=s.line in only_here))
    ranked = ((key, sorted(marks, key=lambda mark: not mark.fresh)) for key, marks in by_key.items())
    return [mark for key, marks in ranked for mark in marks[: most[key]]]


def _lines_only_in(here: Source, there: Source | None) -> frozenset[int]:
    """The numbers of the lines that ``there`` does not have, or not as often; indentation does not count."""
    known = Counter(line.strip() for line in there.lines) if there else Counter()
    new = []
    for number, line in enumerate(here.lines, 1):
        text = line.strip()
        if known[text] > 0:
            known[text] -= 1
        else:
            new.append(number)
    return frozenset(new)


def _not_moved(path: str, rule: Rule, marks: list[_Mark], lost: Counter[tuple[str, str]]) -> New | None:
    lines = []
    for mark in marks:
        place = (rule.name, mark.identity)
        if lost[place] > 0:
            lost[place] -= 1
        else:
            lines.append(mark.line)
    return New(path=path, rule=rule, lines=tuple(sorted(set(lines)))) if lines else None
