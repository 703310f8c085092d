"""Tests that are still there by name, and that nobody runs any more."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.domain.results import Severity
from app.ports.workspace import ChangeKind, FileKind
from app.validator.side_effects import check_side_effects
from app.validator.subject import Subject
from tests.unit.validator.file_sets import subject

CASES = (
    "class TestF:\n    def test_a(self):\n        assert f() == 1\n\n    def test_b(self):\n        assert f() == 2\n"
)


def became(kind: FileKind, judged: Subject) -> Subject:
    changes = [
        replace(change, file=kind, target="elsewhere") if change.kind is ChangeKind.MODIFIED else change
        for change in judged.changes
    ]
    return replace(judged, changes=changes)


def messages(judged: Subject) -> list[str]:
    return [f.message for f in check_side_effects(judged).findings if f.severity is Severity.ERROR]


@pytest.mark.parametrize("kind", [FileKind.SYMLINK, FileKind.SUBMODULE])
def test_lost_tests__a_test_file_that_became_a_link_is_deleted(kind: FileKind) -> None:
    judged = became(kind, subject({"tests/test_f.py": CASES}, {"tests/test_f.py": "empty.py"}))
    assert messages(judged) == [
        "tests/test_f.py: 2 test cases are gone, the file was deleted: 'test_a', 'test_b'",
    ]


def test_lost_tests__a_link_to_where_the_tests_moved_loses_none() -> None:
    judged = subject({"tests/test_f.py": CASES}, {"tests/test_f.py": "unit/test_f.py", "tests/unit/test_f.py": CASES})
    assert messages(became(FileKind.SYMLINK, judged)) == []


def test_lost_tests__a_link_that_changed_is_no_test() -> None:
    judged = subject({"tests/test_f.py": "a.py"}, {"tests/test_f.py": "b.py"})
    before = replace(judged.before, texts={})  # a link has no content
    assert messages(became(FileKind.SYMLINK, replace(judged, before=before))) == []


def renamed(name: str, rest: str = "") -> list[str]:
    after = CASES.replace("TestF", name) + rest
    return messages(subject({"tests/test_f.py": CASES}, {"tests/test_f.py": after}))


@pytest.mark.parametrize("name", ["CasesF", "CasesF(object)", "_TestF"])
def test_lost_tests__a_class_that_is_no_longer_collected_loses_its_cases(name: str) -> None:
    assert renamed(name) == [
        "tests/test_f.py: 2 test cases are gone, the file has fewer than before: 'test_a', 'test_b'"
    ]


@pytest.mark.parametrize("name", ["TestG", "CasesF(TestCase)", "CasesF(unittest.TestCase)"])
def test_lost_tests__a_class_that_is_still_collected_loses_none(name: str) -> None:
    assert renamed(name) == []


def test_lost_tests__a_base_of_another_class_loses_none() -> None:
    assert renamed("CasesF", "\n\nclass TestReal(CasesF):\n    pass\n") == []


def test_lost_tests__a_class_that_the_repository_collects_by_its_own_rules_keeps_its_cases() -> None:
    before = CASES.replace("TestF", "ShouldF")
    assert messages(subject({"tests/test_f.py": before}, {"tests/test_f.py": before.replace("== 2", "== 3")})) == []
    assert len(messages(subject({"tests/test_f.py": before}, {"tests/test_f.py": "import f\n"}))) == 1
