"""Tier 5, side effects: does the change weaken what would find its faults?

Tests that are deleted, emptied or skipped, checks that are told to look away, and the configuration of checks. Each is
an error until the PRD names what it concerns: the test file, the configuration file, or the suppression by its mark.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from app.domain.plans import PrdContext
from app.domain.results import Finding, Severity, Tier, TierResult
from app.ports.workspace import Change
from app.validator.added import New, Pair, added, pairs
from app.validator.dead_tests import dead_tests
from app.validator.domain import finding, where
from app.validator.findings import tier_result
from app.validator.lost_tests import TestedFile, lost_tests, tested_file
from app.validator.package_scripts import EVERYTHING, unasked
from app.validator.rules.check_config import changed_sections, has_check_sections, is_check_configuration
from app.validator.rules.weakening import CANNOT_FAIL, SKIP_RULES, SUPPRESSION_RULES
from app.validator.scope import named_paths
from app.validator.subject import Subject

_REMOVES = re.compile(r"\b(?:delet|remov|drop|obsolete|merg|replac|rewrit|no longer)")


def check_side_effects(subject: Subject, *, broken: Sequence[Finding] = ()) -> TierResult:
    """Judge what the change does to the tests and checks.

    ``broken`` are the findings about exports that are gone and still used. At most 50 findings.
    """
    named = named_paths(subject.context)
    sections: list[Finding] = []
    tests: list[TestedFile] = []
    marks = added(_looked_into(subject, named, sections, tests), (*SUPPRESSION_RULES, *SKIP_RULES, CANNOT_FAIL))
    findings = [
        *broken,
        *_configuration(subject.changes, named),
        *sections,
        *_lost(subject, tests, named),
        *(_mark(new, named, _words(subject.context)) for new in marks),
    ]
    return tier_result(Tier.SIDE_EFFECTS, findings)


def _looked_into(
    subject: Subject, named: frozenset[str], sections: list[Finding], tests: list[TestedFile]
) -> Iterator[Pair]:
    """The changed files, each in memory once for everybody who looks into it."""
    for pair in pairs(subject):
        sections += _sections(pair, named, _words(subject.context))
        if test := tested_file(pair):
            tests.append(test)
        yield pair


def _lost(subject: Subject, tests: list[TestedFile], named: frozenset[str]) -> list[Finding]:
    """What is gone; a warning where it went together with what it tested.

    Nearly every PRD names the test file that it wants a test in: only one that speaks of removing lets tests go.
    """
    lost = lost_tests(tests, named if _REMOVES.search(_words(subject.context)) else frozenset())
    dead = dead_tests(subject, tests) if any(one.severity is Severity.ERROR for one in lost) else frozenset()
    return [replace(one, severity=Severity.WARNING) if one.path in dead else one for one in lost]


def _configuration(changes: Sequence[Change], named: frozenset[str]) -> list[Finding]:
    return [
        Finding(
            path=change.path,
            message=f"{change.path} decides what the checks find, and was {change.kind.value}",
            severity=_unless(change.path in named),
            recommendation=f"leave {change.path} as it was, unless the PRD names it",
        )
        for change in changes
        if is_check_configuration(change.path)
    ]


def _sections(pair: Pair, named: frozenset[str], words: str) -> list[Finding]:
    if not has_check_sections(pair.path):
        return []
    unread = bool(pair.unread and pair.before)
    names = [EVERYTHING] if unread else changed_sections(pair.path, pair.before, pair.after)
    is_package = posixpath.basename(pair.path) == "package.json"
    forced = [EVERYTHING] if unread else unasked(pair.before, pair.after, words) if is_package else []
    names = list(dict.fromkeys([*names, *forced]))
    if not names:
        return []
    return [
        Finding(
            path=pair.path,
            message=f"{pair.path} says what the checks are, and this was changed in it: {', '.join(names[:10])}",
            severity=_unless(pair.path in named and not forced),
            recommendation=f"leave the checks in {pair.path} as they were, unless the PRD asks for just that",
        )
    ]


def _mark(new: New, named: frozenset[str], words: str) -> Finding:
    """A skipped test may be in a file that the PRD names, a suppression has to be asked for by its own name."""
    if new.rule is CANNOT_FAIL:
        return finding(new, "")
    allowed = new.path in named if new.rule in SKIP_RULES else new.rule.name.lower() in words
    return Finding(
        path=new.path,
        message=f"{new.path}{where(new.lines)}: {new.rule.message}",
        severity=_unless(allowed),
        recommendation=new.rule.recommendation,
    )


def _words(context: PrdContext) -> str:
    criteria = (criterion.text for criterion in context.criteria)
    return " ".join((context.problem, context.solution, context.amendment, *criteria)).lower()


def _unless(allowed: bool) -> Severity:
    return Severity.WARNING if allowed else Severity.ERROR
