"""Progress: one row folded from events, as the dashboard reads it."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain import events as ev
from app.domain.claims import Claim
from app.domain.items import Item, ItemStatus
from app.domain.plans import Plan, Subagent, Task, Wave
from app.domain.progress import CHECKPOINTS, COLUMN_OF_CHECK, Progress, advance, first_progress
from app.domain.results import (
    CheckKind,
    CheckResult,
    CheckStatus,
    GateResult,
    Iteration,
    Outcome,
    Verdict,
)

AT = datetime(2026, 1, 2, tzinfo=UTC)
CLAIM = Claim(item_id=UUID(int=1), run_id=UUID(int=2), attempt=1, claimed_by="test")
ITEM = Item(id=UUID(int=1), title="x", status=ItemStatus.IN_PROGRESS)
TASKS = tuple(Task(id=f"1.{n}", subagent=Subagent.GENERAL, description=f"Task {n}") for n in range(1, 5))
PLAN = Plan(waves=(Wave(number=1, title="", tasks=TASKS),))
FOUR = ("validation_typescript", "validation_eslint", "validation_build", "validation_tests")


def fold(*events: ev.Event) -> Progress:
    progress = first_progress(CLAIM)
    for event in events:
        progress = advance(progress, event)
    return progress


def reached(checkpoint: int, phase: ev.Phase = ev.Phase.SITE_REVIEW) -> ev.CheckpointReached:
    return ev.CheckpointReached(at=AT, claim=CLAIM, checkpoint=checkpoint, phase=phase, message="Going on")


def finished(kind: CheckKind, status: CheckStatus, *, recorded_only: bool = False) -> ev.CheckFinished:
    return ev.CheckFinished(
        at=AT, claim=CLAIM, result=CheckResult(kind=kind, status=status), recorded_only=recorded_only
    )


def settled(verdict: Verdict, *checks: CheckResult, reason: str = "") -> ev.ItemSettled:
    gate = GateResult(checks=checks) if checks else None
    return ev.ItemSettled(at=AT, claim=CLAIM, item=ITEM, outcome=Outcome(verdict=verdict, gate=gate, reason=reason))


def task(number: int, status: ev.TaskStatus) -> ev.TaskChanged:
    return ev.TaskChanged(at=AT, claim=CLAIM, task=TASKS[number], wave=1, status=status)


def test_progress__opens_in_site_review_with_nothing_completed() -> None:
    first = first_progress(CLAIM)
    assert (first.phase, first.checkpoints, first.completed_at) == (ev.Phase.SITE_REVIEW, (), None)
    assert set(first.validations.values()) == {"pending"}


def test_progress__a_checkpoint_completes_all_before_it() -> None:
    progress = fold(reached(3))
    assert progress.checkpoints == tuple((n, CHECKPOINTS[n], AT) for n in (1, 2, 3))
    assert progress.percentage == 23


def test_progress__a_number_beyond_the_last_checkpoint_is_the_last() -> None:
    assert fold(reached(99)).checkpoint == 13


def test_progress__a_task_that_runs_twice_is_done_once() -> None:
    done = task(0, ev.TaskStatus.COMPLETED)
    progress = fold(ev.Planned(claim=CLAIM, plan=PLAN), done, task(0, ev.TaskStatus.IN_PROGRESS), done)
    assert (progress.tasks_done, progress.tasks_total) == (1, 4)


def test_progress__a_check_that_could_not_run_has_failed_and_a_missing_one_is_skipped() -> None:
    progress = fold(
        finished(CheckKind.TYPECHECK, CheckStatus.TIMEOUT),
        finished(CheckKind.LINT, CheckStatus.ERROR),
        finished(CheckKind.BUILD, CheckStatus.SKIPPED),
        finished(CheckKind.TEST, CheckStatus.PASS),
    )
    assert [progress.validations[column] for column in FOUR] == ["fail", "fail", "skipped", "pass"]


def test_progress__a_recorded_check_leaves_the_columns_alone() -> None:
    progress = fold(finished(CheckKind.TEST, CheckStatus.FAIL, recorded_only=True))
    assert set(progress.validations.values()) == {"pending"}


def test_progress__completed_shows_as_a_success() -> None:
    checks = [CheckResult(kind=k, status=CheckStatus.PASS) for k in (CheckKind.TYPECHECK, CheckKind.TEST)]
    progress = fold(reached(8, ev.Phase.INSPECTION), settled(Verdict.COMPLETED, *checks))
    assert (progress.phase, progress.checkpoint, progress.percentage) == (ev.Phase.COMPLETE, 13, 100)
    assert progress.completed_at == AT
    assert [progress.validations[column] for column in FOUR] == ["pass", "skipped", "skipped", "pass"]


def test_progress__already_resolved_completes_without_any_check() -> None:
    progress = fold(settled(Verdict.ALREADY_RESOLVED))
    assert (progress.phase, progress.current_task) == (ev.Phase.COMPLETE, "Already resolved")
    assert set(progress.validations.values()) == {"skipped"}


def test_progress__a_failure_without_a_failed_check_fails_all_four() -> None:
    progress = fold(reached(5), settled(Verdict.REJECTED, reason="the agent gave up"))
    assert (progress.phase, progress.completed_at) == (ev.Phase.SITE_REVIEW, AT)
    assert progress.current_task == progress.checkpoint_message == "Failed: the agent gave up"
    assert [progress.validations[column] for column in FOUR] == ["fail"] * 4


def test_progress__a_failure_keeps_the_checks_that_failed() -> None:
    lint = CheckResult(kind=CheckKind.LINT, status=CheckStatus.FAIL)
    started = ev.CheckStarted(at=AT, claim=CLAIM, kind=CheckKind.TEST)
    progress = fold(started, settled(Verdict.REJECTED, lint, reason="lint"))
    assert [progress.validations[column] for column in FOUR] == ["pending", "fail", "pending", "pending"]


@pytest.mark.parametrize("verdict", [Verdict.COMPLETED, Verdict.REJECTED])
def test_progress__what_comes_after_the_end_changes_nothing(verdict: Verdict) -> None:
    end = fold(settled(verdict, reason="r"))
    assert advance(end, ev.AgentActivity(claim=CLAIM, message="late")) is end


events = st.one_of(
    st.builds(reached, st.integers(1, 13), st.sampled_from(ev.Phase)),
    st.just(ev.Planned(claim=CLAIM, plan=PLAN)),
    st.builds(ev.WaveStarted, claim=st.just(CLAIM), wave=st.integers(1, 5), title=st.text(max_size=5)),
    st.builds(ev.WaveFinished, claim=st.just(CLAIM), wave=st.integers(1, 5)),
    st.builds(task, st.integers(0, 3), st.sampled_from(ev.TaskStatus)),
    st.builds(ev.AgentActivity, claim=st.just(CLAIM), message=st.text(max_size=5)),
    st.builds(ev.CheckStarted, claim=st.just(CLAIM), kind=st.sampled_from(CheckKind)),
    st.builds(finished, st.sampled_from(CheckKind), st.sampled_from(CheckStatus), recorded_only=st.booleans()),
    st.builds(ev.IterationStarted, claim=st.just(CLAIM), number=st.integers(1, 5), limit=st.just(5)),
    st.builds(
        ev.IterationFinished,
        claim=st.just(CLAIM),
        iteration=st.just(Iteration(number=1, failed_before=(), tried="", gate=None, validator=None, passed=False)),
    ),
    st.builds(settled, st.sampled_from(Verdict), reason=st.text(max_size=5)),
)


@given(st.lists(events, max_size=40))
def test_progress__nothing_ever_falls_and_every_state_fits_the_columns(sequence: list[ev.Event]) -> None:
    progress = first_progress(CLAIM)
    phases = list(ev.Phase)
    for event in sequence:
        after = advance(progress, event)
        assert after.percentage >= progress.percentage
        assert after.checkpoint >= progress.checkpoint
        assert after.tasks_done >= progress.tasks_done
        assert phases.index(after.phase) >= phases.index(progress.phase)
        assert set(dict(enumerate(progress.checkpoints)).items()) <= set(dict(enumerate(after.checkpoints)).items())
        progress = after
    assert 0 <= progress.percentage <= 100
    assert progress.tasks_done <= progress.tasks_total
    assert [n for n, _, _ in progress.checkpoints] == list(range(1, len(progress.checkpoints) + 1))
    assert set(progress.validations) == set(COLUMN_OF_CHECK.values())
    assert set(progress.validations.values()) <= {"pending", "running", "pass", "fail", "skipped"}
    assert progress.wave_status in ("pending", "in_progress", "completed")
