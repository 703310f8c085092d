"""What a rule is, and the simplest way to write one: a regular expression over one view of a file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

from app.domain.results import Severity
from app.validator.rules.source import Source
from app.validator.rules.syntax import Lines

ALL = frozenset({"*"})
"""Every domain."""

NONE: frozenset[str] = frozenset()

MOST_SIGHTINGS = 10_000
"""Of one rule in one file; a file with more of them is not a person's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sighting:
    """One place that a rule does not like. ``line`` counts from 1.

    Two sightings of a rule with the same ``key`` are the same thing, wherever they stand; without one, all of a rule's
    sightings in a file are alike and only their number counts. A key is never shown.
    """

    line: int
    key: str = ""


Look = Callable[[Source], Iterable[Sighting]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """``look`` finds it in a file in one of ``languages`` (None: any text file).

    It is an error for items of the domains ``errors``, a warning for those of ``warns``, and not looked for in others.
    ``applies`` narrows the files by their path. In tests it counts only with ``in_tests``.
    """

    name: str
    look: Look
    message: str
    recommendation: str
    languages: frozenset[str] | None
    errors: frozenset[str] = NONE
    warns: frozenset[str] = NONE
    in_tests: bool = False
    applies: Callable[[str], bool] = field(default=lambda _: True)

    def severity(self, domain: str) -> Severity | None:
        """None where the rule does not apply to a domain's items."""
        names = {domain, *ALL}
        if names & self.errors:
            return Severity.ERROR
        return Severity.WARNING if names & self.warns else None

    def sightings(self, source: Source) -> Iterator[Sighting]:
        """At most `MOST_SIGHTINGS`."""
        return islice(self.look(source), MOST_SIGHTINGS)


def pattern(
    *expressions: str, view: Literal["code", "uncommented", "text"] = "code", flags: re.RegexFlag = re.NOFLAG
) -> Look:
    """Looks for a regular expression, in the file without its comments and strings if not told otherwise.

    The expression has to be linear: bounded repetitions, none inside another.
    """
    compiled = re.compile("|".join(f"(?:{expression})" for expression in expressions), flags)

    def look(source: Source) -> Iterator[Sighting]:
        text: str = getattr(source, view)
        lines: Lines | None = None
        for match in compiled.finditer(text):
            lines = lines or Lines(text)
            yield Sighting(line=lines.at(match.start()))

    return look
