"""The final summary, the re-evaluation summary, the plan and the JSON result.

The expected texts are the files in ``golden/``.
"""

from __future__ import annotations

import json
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from app.domain.results import CheckKind, CheckStatus, Outcome, Usage, Verdict
from app.domain.runs import ItemResult, RunResult
from app.reporting.summary import Preview, as_json, executed, markdown, plan_text, reevaluation
from tests.unit.reporting.builders import BASE, GREEN, PLAN, RED, RUN_ID, check, gate, item, iteration, result

GOLDEN = Path(__file__).parent / "golden"
HOSTILE = "Fix `x` | **now** <img src=x>\n# [link](http://x) \x1b[31m"


def completed(number: int = 1, title: str = "Add avatar upload", **values: object) -> ItemResult:
    outcome = Outcome(
        verdict=Verdict.COMPLETED,
        branch=f"mason/item-{number}",
        commit="f" * 40,
        gate=GREEN,
        tasks_done=8,
        **values,  # type: ignore[arg-type]
    )
    return ItemResult(item=item(number, title), outcome=outcome)


def ended(verdict: Verdict, number: int = 2, title: str = "Other", **values: object) -> ItemResult:
    return ItemResult(item=item(number, title), outcome=Outcome(verdict=verdict, **values))  # type: ignore[arg-type]


MIXED = result(
    completed(1, iterations=(iteration(1),)),
    completed(2, HOSTILE, pull_request="https://github.com/o/r/pull/7"),
    ended(
        Verdict.REJECTED,
        3,
        "Fix validation",
        reason="Validation failed after 2 fix iterations: typecheck",
        gate=RED,
        iterations=(iteration(1, passed=False), iteration(2, passed=False, tried="")),
        kept="/runs/fix-validation.patch",
        follow_up=UUID(int=77),
        tasks_done=3,
    ),
    ended(Verdict.DEFERRED, 4, "Add input validation", reason="Re-evaluation determined no real benefit: exists"),
    ended(Verdict.ALREADY_RESOLVED, 5, "Remove dead code", reason="The file is gone"),
    ended(Verdict.RELEASED, 6, "Speed up", reason="The base commit fails its own build", failed_base="a" * 40),
    ended(Verdict.CHANGED, 7, "Changed since"),
    left=(item(8, "Somebody else's"),),
)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("complete", markdown(result(completed(iterations=(iteration(1),))))),
        ("mixed", markdown(MIXED)),
        ("nothing", markdown(RunResult(run_id=None, base=None))),
        (
            "reevaluation",
            reevaluation(
                [
                    ("Improve caching strategy", "EXECUTE", "Found legitimate performance bottleneck"),
                    ("Add input validation", "SKIP", "Existing validation is sufficient"),
                ]
            ),
        ),
        (
            "plan",
            plan_text(
                [
                    Preview(item=item(), branch="mason/add-avatar-upload", plan=PLAN),
                    Preview(item=item(2, HOSTILE), branch="mason/fix-x", note="The item has no PRD"),
                ],
                BASE,
            ),
        ),
    ],
)
def test_summary__text_is_the_golden_one(name: str, text: str) -> None:
    assert text == (GOLDEN / f"{name}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("run", "status"),
    [
        (result(completed()), "✅ All Validations Passed"),
        (result(completed(), ended(Verdict.REJECTED)), "❌ 1 of 2 Items Failed"),
        (result(completed(), cancelled=True), "⚠️ Cancelled"),
        (result(ended(Verdict.RELEASED, failed_base="a")), "❌ The Base Commit Fails Its Own Checks"),
        (result(ended(Verdict.DEFERRED)), "✅ Nothing To Execute"),
    ],
)
def test_summary__status(run: RunResult, status: str) -> None:
    assert f"**Status**: {status}\n" in markdown(run)


@pytest.mark.parametrize(
    ("line", "checks"),
    [
        ("| TypeScript | ❌ Fail | 1 error |", [check(status=CheckStatus.FAIL, errors=1)]),
        (
            "| TypeScript | ❌ Fail | timed out after 60 s |",
            [check(status=CheckStatus.TIMEOUT, reason="timed out after 60 s")],
        ),
        ("| Build | ❌ Fail | error |", [check(CheckKind.BUILD, CheckStatus.ERROR)]),
        ("| Unit Tests | ✅ Pass | All passing |", [check(CheckKind.TEST, output="ok")]),
        ("| Unit Tests | ✅ Pass | 12/12 passing |", [check(CheckKind.TEST, output="3 passed\n  12 passing (2s)")]),
        ("| E2E Tests | ✅ Pass | 2/2 passing |", [check(CheckKind.E2E, output="2 passed")]),
        ("| Smoke Test | ⚠️ Fail | fail |", [check(CheckKind.SMOKE, CheckStatus.FAIL)]),
        ("| ESLint | ⏭️ Skipped | Not in this repository |", [check(CheckKind.LINT, CheckStatus.SKIPPED)]),
    ],
)
def test_summary__a_check_in_words(line: str, checks: list) -> None:  # type: ignore[type-arg]
    run = result(ended(Verdict.REJECTED, gate=gate(*checks)))
    assert line in markdown(run).splitlines()


def test_summary__counts_tests_over_all_items() -> None:
    assert "| Unit Tests | ✅ Pass | 90/90 passing |" in markdown(result(completed(1), completed(2)))


def test_summary__smoke_and_e2e_are_shown_only_where_they_ran() -> None:
    text = markdown(result(completed()))
    assert "E2E" not in text
    assert "Smoke" not in text


def test_executed__counts_what_was_worked_on_to_an_end() -> None:
    assert [r.outcome.verdict for r in executed(MIXED)] == [Verdict.COMPLETED, Verdict.COMPLETED, Verdict.REJECTED]


@given(st.text(st.characters(), max_size=60))
def test_summary__no_title_changes_its_structure(title: str) -> None:
    def structure(text: str) -> list[str]:
        return [token.type for token in MarkdownIt("commonmark").enable("table").parse(text)]

    def run(name: str) -> str:
        return markdown(
            result(
                completed(1, name, iterations=(iteration(1, tried=name or "x"),)),
                ended(Verdict.REJECTED, 2, name, reason=name, kept=f"/x/{name}"),
                ended(Verdict.DEFERRED, 3, name, reason=name),
            )
        )

    assert structure(run(title)) == structure(run("plain"))


def test_json__is_the_documented_shape() -> None:
    usage = Usage(input_tokens=10, output_tokens=2, cost_usd=0.1234567, turns=3, tool_calls=4, seconds=1.23456)
    run = result(
        completed(iterations=(iteration(1),), usage=usage),
        ended(Verdict.REJECTED, reason="no", gate=RED, kept="/k", follow_up=UUID(int=77)),
        left=(item(8, "Theirs"),),
    )
    data = json.loads(json.dumps(as_json(run)))
    spent = {
        "input_tokens": 10,
        "output_tokens": 2,
        "cost_usd": 0.123457,
        "turns": 3,
        "tool_calls": 4,
        "seconds": 1.235,
    }
    first, second = data.pop("items")
    assert data == {
        "run": str(RUN_ID),
        "base": {"commit": BASE.commit, "branch": "main"},
        "status": "failed",
        "left": [{"id": str(UUID(int=8)), "title": "Theirs"}],
        "usage": spent,
    }
    assert first.pop("checks")[0] == {
        "check": "typecheck",
        "status": "pass",
        "command": "",
        "seconds": 0.0,
        "errors": 0,
        "warnings": 0,
        "reason": "",
    }
    assert first == {
        "id": str(UUID(int=1)),
        "title": "Add avatar upload",
        "verdict": "completed",
        "reason": "",
        "branch": "mason/item-1",
        "commit": "f" * 40,
        "pull_request": None,
        "kept": None,
        "follow_up": None,
        "tasks_done": 8,
        "iterations": [
            {"number": 1, "failed_before": ["typecheck"], "tried": "Fixed 3 TypeScript errors", "passed": True}
        ],
        "usage": spent,
    }
    assert (second["checks"][0]["errors"], second["kept"], second["follow_up"]) == (3, "/k", str(UUID(int=77)))


def test_json__a_run_that_never_began() -> None:
    data = as_json(RunResult(run_id=None, base=None))
    assert (data["run"], data["base"], data["status"], data["items"]) == (None, None, "success", [])
