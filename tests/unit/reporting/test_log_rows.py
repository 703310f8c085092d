"""The words of the log."""

from __future__ import annotations

import json

import pytest

from app.domain import events as ev
from app.domain.results import (
    CheckKind,
    CheckStatus,
    Finding,
    Severity,
    Tier,
    TierResult,
    TierStatus,
    ValidatorResult,
    Verdict,
)
from app.reporting.log_rows import log_text
from tests.unit.reporting.builders import PLAN, check, claim, item, iteration, result, run_started, settled, started

TASK, WRITING = PLAN.tasks[0], PLAN.tasks[2]


def checked(kind: CheckKind, status: CheckStatus, **values: object) -> ev.CheckFinished:
    return ev.CheckFinished(claim=claim(), result=check(kind, status, **values))  # type: ignore[arg-type]


def validated(*tiers: TierResult) -> ev.Validated:
    return ev.Validated(claim=claim(), result=ValidatorResult(tiers=tiers))


def tier(status: TierStatus, *severities: Severity) -> TierResult:
    findings = tuple(Finding(path="a", message="out of scope", severity=severity) for severity in severities)
    return TierResult(tier=Tier.SCOPE, status=status, findings=findings)


def changed(task: object, status: ev.TaskStatus) -> ev.TaskChanged:
    return ev.TaskChanged(claim=claim(), task=task, wave=1, status=status, error="it broke")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("event", "level", "message"),
    [
        (run_started(item(), item(2)), "info", "Found 2 approved items"),
        (started(), "info", "Starting execution for: Add avatar upload"),
        (ev.WaveStarted(claim=claim(), wave=1, title="Exploring"), "info", "Wave 1: Exploring"),
        (ev.WaveStarted(claim=claim(), wave=2, title=""), "info", "Wave 2"),
        (ev.WaveFinished(claim=claim(), wave=1), "info", "Wave 1 complete"),
        (ev.Planned(claim=claim(), plan=PLAN), "info", "Plan: 3 tasks in 2 waves"),
        (ev.PrdGenerated(claim=claim()), "info", "Generated a PRD"),
        (
            ev.Reevaluated(claim=claim(), title="X", verdict="SKIP", reason="r"),
            "info",
            "Skipped inconclusive item: X",
        ),
        (ev.Reevaluated(claim=claim(), title="X", verdict="EXECUTE", reason="r"), "info", "Re-evaluated: X"),
        (changed(TASK, ev.TaskStatus.IN_PROGRESS), "debug", "Task 1.1 in progress: Understand existing patterns"),
        (changed(TASK, ev.TaskStatus.FAILED), "warn", "Task 1.1 failed: it broke"),
        (changed(WRITING, ev.TaskStatus.FAILED), "error", "Task 2.1 failed: it broke"),
        (ev.CheckStarted(claim=claim(), kind=CheckKind.TYPECHECK), "info", "Validation: Running TypeScript check"),
        (ev.CheckStarted(claim=claim(), kind=CheckKind.TEST), "info", "Validation: Running tests"),
        (ev.CheckStarted(claim=claim(), kind=CheckKind.E2E), "info", "Validation: Running E2E tests"),
        (ev.CheckStarted(claim=claim(), kind=CheckKind.SMOKE), "info", "Running smoke test"),
        (checked(CheckKind.LINT, CheckStatus.PASS), "info", "ESLint check passed"),
        (checked(CheckKind.BUILD, CheckStatus.PASS), "info", "Build completed successfully"),
        (checked(CheckKind.TEST, CheckStatus.PASS), "info", "All tests passed"),
        (checked(CheckKind.SMOKE, CheckStatus.PASS), "info", "Smoke test passed"),
        (checked(CheckKind.LINT, CheckStatus.FAIL, errors=1), "error", "ESLint check failed: 1 lint error found"),
        (checked(CheckKind.TEST, CheckStatus.FAIL), "error", "Tests failed"),
        (checked(CheckKind.TEST, CheckStatus.TIMEOUT, reason="over 60 s"), "error", "Tests failed: over 60 s"),
        (checked(CheckKind.BUILD, CheckStatus.SKIPPED), "info", "Build check skipped"),
        (
            checked(CheckKind.SMOKE, CheckStatus.FAIL),
            "warn",
            "Smoke test failed - app may have runtime errors",
        ),
        (validated(tier(TierStatus.PASS)), "info", "Implementation validator passed"),
        (validated(tier(TierStatus.WARN, Severity.WARNING)), "warn", "Implementation validator passed with 1 warnings"),
        (validated(tier(TierStatus.FAIL, Severity.ERROR)), "error", "Scope verification failed"),
        (ev.IterationFinished(claim=claim(), iteration=iteration()), "info", "All validations passed"),
        (
            ev.IterationFinished(claim=claim(), iteration=iteration(passed=False)),
            "warn",
            "Validation still fails after the fix attempt",
        ),
        (settled(Verdict.COMPLETED), "info", "Execution complete: Add avatar upload"),
        (settled(Verdict.REJECTED, reason="why"), "error", "Execution failed permanently: why"),
        (settled(Verdict.ALREADY_RESOLVED), "info", "Already resolved: Add avatar upload"),
        (settled(Verdict.DEFERRED), "info", "Deferred: Add avatar upload"),
        (settled(Verdict.RELEASED), "warn", "Given back: Add avatar upload"),
        (settled(Verdict.CHANGED), "warn", "Changed after its approval: Add avatar upload"),
        (settled(Verdict.LOST), "warn", "Left to another runner: Add avatar upload"),
        (ev.RunFinished(result=result()), "info", "Run finished: 0 of 0 items succeeded"),
    ],
)
def test_log_text__says_it_in_the_seeds_words(event: ev.Event, level: str, message: str) -> None:
    text = log_text(event)
    assert text is not None
    assert (text.level.value, text.message) == (level, message)
    json.dumps(dict(text.metadata))


def test_log_text__failed_checks_of_an_iteration_are_flags() -> None:
    text = log_text(ev.IterationFinished(claim=claim(), iteration=iteration(passed=False)))
    assert text is not None
    assert {k: v for k, v in text.metadata.items() if k.endswith("_failed")} == {
        "typescript_failed": True,
        "eslint_failed": False,
        "build_failed": False,
        "tests_failed": False,
        "e2e_failed": False,
        "tiers_failed": [],
    }


def test_log_text__a_recorded_check_is_no_error() -> None:
    failed = ev.CheckFinished(claim=claim(), result=check(status=CheckStatus.FAIL), recorded_only=True)
    text = log_text(failed)
    assert text is not None
    assert (text.level, text.metadata["recorded_only"]) == (ev.Level.WARN, True)


def test_log_text__a_wave_carries_its_phase() -> None:
    text = log_text(ev.WaveStarted(claim=claim(), wave=2, title=""), ev.Phase.BUILDING)
    assert text is not None
    assert text.metadata["phase"] == "building"


def test_log_text__an_event_of_no_kind_says_nothing() -> None:
    assert log_text(ev.Event()) is None


def test_log_text__a_failed_check_carries_its_first_findings() -> None:
    text = log_text(checked(CheckKind.LINT, CheckStatus.FAIL, errors=12))
    assert text
    assert text.metadata["error_count"] == 12
    assert text.metadata["diagnostics"] == [f"a.ts:{line} error bad" for line in range(1, 11)]
