"""Tier 5: dead code goes together with its tests, and nothing else does."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from app.domain.plans import PrdContext
from app.domain.results import Severity
from app.validator.side_effects import check_side_effects
from tests.unit.validator.file_sets import subject

ERROR, WARNING = Severity.ERROR, Severity.WARNING
PY_TEST = (
    "from app.sums import add, take\n\n\ndef test_add():\n    assert add(1)\n\n\ndef test_take():\n    assert take(1)\n"
)
PY_LEFT = "from app.sums import take\n\n\ndef test_take():\n    assert take(1)\n"
PY = "def add(a):\n    return a\n\n\ndef take(a):\n    return a\n"
PY_AFTER = "def take(a):\n    return a\n"
TS_TEST = (
    "import { add, take } from '../src/sums'\nit('adds', () => { expect(add(1)).toBe(1) })\n"
    "it('takes', () => { expect(take(1)).toBe(1) })\n"
)
TS_LEFT = "import { take } from '../src/sums'\nit('takes', () => { expect(take(1)).toBe(1) })\n"
TS = "export const add = (a) => a\nexport const take = (a) => a\n"
TS_AFTER = "export const take = (a) => a\n"
GO_TEST = "package a\nfunc TestAdd(t *testing.T) { Add(1) }\nfunc TestTake(t *testing.T) { Take(1) }\n"
GO_LEFT = "package a\nfunc TestTake(t *testing.T) { Take(1) }\n"
GO = "package a\nfunc Add(a int) int { return a }\nfunc Take(a int) int { return a }\n"
GO_AFTER = "package a\nfunc Take(a int) int { return a }\n"


def severities(before: Mapping[str, str], after: Mapping[str, str | None], *files: str) -> list[Severity]:
    judged = check_side_effects(subject(before, after, context=PrdContext(files=files)))
    return [finding.severity for finding in judged.findings]


@pytest.mark.parametrize(
    ("code", "test", "before", "tested"),
    [
        ("app/sums.py", "tests/test_sums.py", PY, PY_TEST),
        ("src/sums.ts", "tests/sums.test.ts", TS, TS_TEST),
        ("a/sums.go", "a/sums_test.go", GO, GO_TEST),
        ("src/sums.lua", "tests/sums_test.lua", "x", "y"),
    ],
)
def test_dead_tests__a_test_file_goes_with_its_subject(code: str, test: str, before: str, tested: str) -> None:
    files = {code: before, test: tested}
    assert severities(files, {code: None, test: None}, code) == [WARNING]
    assert severities(files, {code: None, test: None}, "other.py") == [ERROR]
    assert severities(files, {test: None}, code) == [ERROR]


@pytest.mark.parametrize(
    ("code", "test", "before", "after", "tested", "left"),
    [
        ("app/sums.py", "tests/test_all.py", PY, PY_AFTER, PY_TEST, PY_LEFT),
        (
            "app/sums.py",
            "tests/test_all.py",
            PY,
            PY_AFTER,
            PY_TEST.replace("from app.sums import add, take", "from app import sums").replace("t add", "t sums.add"),
            PY_LEFT,
        ),
        ("src/sums.ts", "tests/all.test.ts", TS, TS_AFTER, TS_TEST, TS_LEFT),
        ("a/sums.go", "a/all_test.go", GO, GO_AFTER, GO_TEST, GO_LEFT),
    ],
)
def test_dead_tests__a_case_goes_with_what_it_used(
    code: str, test: str, before: str, after: str, tested: str, left: str
) -> None:
    files = {code: before, test: tested}
    assert severities(files, {code: after, test: left}, code) == [WARNING]
    assert severities(files, {code: before + "\n", test: left}, code) == [ERROR]
    assert severities(files, {code: after, test: left}, "other.py") == [ERROR]
    assert ERROR in severities(files, {code: after, test: ""}, code)


def test_dead_tests__an_export_that_moved_takes_no_test_along() -> None:
    after = {"app/sums.py": PY_AFTER, "app/adds.py": "def add(a):\n    return a\n", "tests/test_all.py": PY_LEFT}
    assert severities({"app/sums.py": PY, "tests/test_all.py": PY_TEST}, after, "app/sums.py") == [ERROR]


def test_dead_tests__a_namesake_that_was_not_tested_takes_no_test_along() -> None:
    before = {"app/sums.py": PY, "tests/test_sums.py": PY_TEST, "old/sums.py": "x = 1\n"}
    assert severities(before, {"old/sums.py": None, "tests/test_sums.py": None}, "old/sums.py") == [ERROR]
