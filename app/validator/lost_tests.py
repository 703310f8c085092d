"""Tests that a change takes away: cases by their names, whole files, and assertions by their number.

A case that another changed file has gained under the same name was moved. A case that was renamed was not taken away:
its file has as many as before.
"""

from __future__ import annotations

import hashlib
import posixpath
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from app.domain.results import Finding, Severity
from app.log import printable
from app.validator.added import Pair
from app.validator.rules.test_cases import assertion_count, case_names, recognises
from app.validator.scope import is_test

_NAMED = 5

_TESTS_ANYWHERE = (".rs", ".java", ".kt", ".cs", ".swift")
"""Where a mark tells a test, so that its file may have any name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TestedFile:
    """A changed file with its test cases by name before and after, and its assertions. ``digest`` is of its content."""

    path: str
    before: Counter[str]
    after: Counter[str]
    assertions_before: int
    assertions_after: int
    deleted: bool
    digest: str


def tested_file(pair: Pair) -> TestedFile | None:
    """None for a file that holds no tests."""
    if not is_test(pair.path) and not pair.path.endswith(_TESTS_ANYWHERE):
        return None
    known = pair.after or pair.before
    if not known or pair.unread:
        # Longer than what can be read: every case that was there is gone as far as anybody can tell.
        known = pair.before
    if not known:
        return None
    return TestedFile(
        path=pair.path,
        before=Counter(case_names(pair.before)),
        after=Counter(case_names(pair.after, pair.before)),
        assertions_before=assertion_count(pair.before) if pair.before else 0,
        assertions_after=assertion_count(pair.after) if pair.after else 0,
        deleted=pair.after is None,
        digest=hashlib.sha256(known.data).hexdigest(),
    )


def lost_tests(files: Sequence[TestedFile], named: frozenset[str]) -> list[Finding]:
    """What is gone; an error unless the PRD names the file. Fewer assertions are a warning."""
    gained: Counter[str] = Counter()
    for file in files:
        gained += file.after - file.before
    contents = Counter(file.digest for file in files if not file.deleted)
    findings = []
    for file in files:
        missing = file.before - file.after
        moved = missing & gained if file.deleted or _fewer(file) else Counter()
        gained -= moved
        lost = min(_fewer(file) - moved.total(), (missing - moved).total())
        severity = Severity.WARNING if file.path in named else Severity.ERROR
        if lost > 0:
            findings.append(_lost(file, lost, missing - moved, severity))
        elif file.deleted and _is_unknown_test(file.path) and not contents[file.digest]:
            findings.append(_deleted(file, severity))
        elif not file.deleted and _fewer(file) == 0 and file.assertions_after < file.assertions_before:
            findings.append(_fewer_assertions(file))
    return findings


def _fewer(file: TestedFile) -> int:
    return max(0, file.before.total() - file.after.total())


def _is_unknown_test(path: str) -> bool:
    """A test by its own name (not a directory's) whose cases nobody can tell."""
    return is_test(posixpath.basename(path)) and not recognises(path)


def _lost(file: TestedFile, lost: int, names: Counter[str], severity: Severity) -> Finding:
    shown = ", ".join(repr(printable(name)[:80]) for name in sorted(names)[:_NAMED])
    what = "the file was deleted" if file.deleted else "the file has fewer than before"
    count = f"{lost} test cases are gone" if lost > 1 else "a test case is gone"
    among = "" if lost == len(names) <= _NAMED else "among "
    return Finding(
        path=file.path,
        message=f"{file.path}: {count}, {what}: {among}{shown}",
        severity=severity,
        recommendation=f"bring the tests of {file.path} back, and make them pass",
    )


def _deleted(file: TestedFile, severity: Severity) -> Finding:
    return Finding(
        path=file.path,
        message=f"{file.path}: a test file was deleted",
        severity=severity,
        recommendation=f"bring {file.path} back",
    )


def _fewer_assertions(file: TestedFile) -> Finding:
    return Finding(
        path=file.path,
        message=f"{file.path} asserts less: {file.assertions_before} assertions before, {file.assertions_after} now",
        severity=Severity.WARNING,
        recommendation="keep what a test asserts, or assert something better in its place",
    )
