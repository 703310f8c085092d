"""Structured answers, honest and hostile."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.prompts.answers import (
    MAX_ISSUES,
    PRD_LIMIT,
    TEXT_LIMIT,
    FixReport,
    PatternReview,
    ReEvaluation,
    Review,
    Verification,
    Violation,
    WrittenPrd,
    parse_fix_report,
    parse_pattern_review,
    parse_prd,
    parse_re_evaluation,
    parse_review,
    parse_verification,
    schema,
)

PARSERS = (
    parse_re_evaluation,
    parse_verification,
    parse_review,
    parse_pattern_review,
    parse_fix_report,
    parse_prd,
)


def test_answers__are_read() -> None:
    assert parse_re_evaluation({"decision": "SKIP", "reason": "no"}) == ReEvaluation(decision="SKIP", reason="no")
    assert parse_verification({"decision": "modified", "details": "x", "more": 1}) == Verification(
        decision="MODIFIED", details="x"
    )
    assert parse_review({"decision": "Reject", "issues": ["a.py:1 is wrong"]}) == Review(
        decision="reject", issues=("a.py:1 is wrong",)
    )
    assert parse_fix_report({"decision": "needs_human", "reason": None}) == FixReport(decision="needs-human")
    assert parse_prd({"prd": " # Title\n"}) == "# Title"


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {},
        {"decision": "MAYBE"},
        {"decision": None},
        {"decision": ["SKIP"]},
        {"decision": True},
        {"decision": "SKIP" * 100_000},
        {"prd": ""},
        {"prd": " \n"},
        {"prd": {"text": "x"}},
        {"reason": "no decision"},
    ],
)
def test_answers__that_cannot_be_used_are_none(answer: Mapping[str, object] | None) -> None:
    assert [parse(answer) for parse in PARSERS] == [None] * len(PARSERS)


def test_answers__wrong_types_beside_a_decision_are_none() -> None:
    assert parse_re_evaluation({"decision": "SKIP", "reason": {"deep": 1}}) is None
    assert parse_review({"decision": "approve", "issues": "all of it"}) is None
    assert parse_review({"decision": "approve", "issues": [1]}) is None


def test_answers__are_bounded() -> None:
    skip = parse_re_evaluation({"decision": "SKIP", "reason": "\0x" * 1_000_000})
    assert skip is not None
    assert skip.reason == "x" * TEXT_LIMIT
    review = parse_review({"decision": "reject", "issues": ["y" * 10_000] * 10_000})
    assert review is not None
    assert [len(issue) for issue in review.issues] == [TEXT_LIMIT] * MAX_ISSUES
    assert len(parse_prd({"prd": "z" * 2_000_000}) or "") == PRD_LIMIT


def test_schema__names_what_is_required() -> None:
    found = schema(Verification)
    assert found["type"] == "object"
    assert found["required"] == ["decision"]
    assert found["properties"]["decision"]["enum"] == ["PROCEED", "SKIP", "MODIFIED"]
    assert schema(WrittenPrd)["required"] == ["prd"]


GOOD = {"path": "a.ts", "line": 3, "message": "not as b.ts does it", "severity": "error"}


def test_pattern_review__is_read() -> None:
    review = parse_pattern_review({"violations": [GOOD | {"recommendation": "use b"}], "summary": "one"})
    violation = Violation(path="a.ts", line=3, message="not as b.ts does it", severity="error", recommendation="use b")
    assert review == PatternReview(violations=(violation,), summary="one")
    assert parse_pattern_review({"violations": []}) == PatternReview(violations=())


def test_pattern_review__drops_entries_that_cannot_be_read() -> None:
    bad: list[object] = [
        None, 1, "a.ts is wrong", [], {}, {"path": "a.ts"}, GOOD | {"path": ""}, GOOD | {"message": " "},
        GOOD | {"severity": "fatal"}, GOOD | {"line": -1}, GOOD | {"line": "here"}, GOOD | {"line": 10**30},
        GOOD | {"path": ["a"]}, GOOD | {"recommendation": {}},
    ]  # fmt: skip
    warning = {"path": "a.ts", "message": "m", "severity": "Warning"}
    review = parse_pattern_review({"violations": [*bad, warning, GOOD, GOOD | {"line": "7"}]})
    assert review is not None
    assert [(v.severity, v.line) for v in review.violations] == [("error", 3), ("error", 7), ("warning", 0)]


@pytest.mark.parametrize("violations", [None, "none", {"a": 1}, 0, ["a.ts is wrong"], [{}]])
def test_pattern_review__without_a_readable_list_is_none(violations: object) -> None:
    assert parse_pattern_review({"violations": violations}) is None


def test_pattern_review__is_bounded_and_keeps_the_errors() -> None:
    warnings = [GOOD | {"severity": "warning", "path": "p" * 10_000, "message": "m" * 10_000}] * 200
    review = parse_pattern_review({"violations": [*warnings, GOOD, *warnings * 1_000], "summary": "s" * 10_000})
    assert review is not None
    assert len(review.violations) == MAX_ISSUES
    assert review.violations[0].severity == "error"
    assert len(review.violations[1].message) == len(review.summary) == TEXT_LIMIT


def test_schema__of_a_pattern_review_is_whole() -> None:
    found = schema(PatternReview)
    assert found["required"] == ["violations"]
    assert found["properties"]["violations"]["items"] == {"$ref": "#/$defs/Violation"}
    entry = found["$defs"]["Violation"]
    assert set(entry["required"]) == {"path", "message", "severity"}
    assert entry["properties"]["severity"]["enum"] == ["error", "warning"]


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
KEYS = st.sampled_from(["decision", "reason", "details", "issues", "prd", "violations", "summary", "other"])


@given(st.dictionaries(KEYS, JSON | st.sampled_from(["SKIP", "approve", "fixed"]), max_size=6))
def test_answers__of_any_shape_never_raise(answer: dict[str, object]) -> None:
    for parse in PARSERS:
        parse(answer)
