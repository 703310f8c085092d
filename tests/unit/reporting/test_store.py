"""The store reporter: which rows, when, and what happens while the database is away."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from app.domain import events as ev
from app.domain.plans import Subagent, Task
from app.domain.results import CheckKind, CheckStatus, Verdict
from app.errors import DatabaseRefused, DatabaseUnreachable
from app.reporting import outbox
from app.reporting.store import FULL, StoreReporter, task_id
from tests.unit.reporting.builders import (
    AT,
    PLAN,
    RUN_ID,
    RecordingBacklog,
    check,
    claim,
    item,
    iteration,
    result,
    run_started,
    settled,
    started,
)

NEVER = 3600.0
WAIT = 30


@contextmanager
def store(backlog: RecordingBacklog, interval: float = NEVER) -> Iterator[StoreReporter]:
    reporter = StoreReporter(backlog, interval=interval)  # type: ignore[arg-type]
    try:
        yield reporter
    finally:
        reporter.close()


def report(backlog: RecordingBacklog, *events: ev.Event) -> RecordingBacklog:
    with store(backlog) as reporter:
        for event in events:
            reporter.report(event)
    return backlog


def reached(checkpoint: int, phase: ev.Phase, number: int = 1) -> ev.CheckpointReached:
    return ev.CheckpointReached(at=AT, claim=claim(number), checkpoint=checkpoint, phase=phase, message="Going on")


def changed(task: Task, status: ev.TaskStatus, error: str = "") -> ev.TaskChanged:
    return ev.TaskChanged(at=AT, claim=claim(), task=task, wave=1, status=status, error=error)


def test_store__the_claim_writes_the_first_progress_row_not_the_reporter() -> None:
    backlog = report(RecordingBacklog(), run_started(item()), started())
    assert backlog.progress == []


def test_store__only_the_newest_state_of_a_row_is_written() -> None:
    backlog = report(
        RecordingBacklog(),
        started(),
        reached(3, ev.Phase.SITE_REVIEW),
        ev.AgentActivity(claim=claim(), message="Reading"),
    )
    (row,) = backlog.progress
    assert (row.checkpoint, row.current_task) == (3, "Reading")


def test_store__log_rows_are_in_the_seeds_words() -> None:
    backlog = report(
        RecordingBacklog(),
        started(),
        ev.CheckFinished(claim=claim(), result=check()),
        ev.CheckFinished(claim=claim(), result=check(status=CheckStatus.FAIL, errors=3)),
        ev.IterationStarted(claim=claim(), number=1, limit=5),
    )
    item_id = {"item_id": str(claim().item_id)}
    assert [(row.level.value, row.message, row.metadata) for row in backlog.logs] == [
        ("info", "Starting execution for: Add avatar upload", {**item_id, "branch": "mason/item-1"}),
        ("info", "TypeScript check passed", {**item_id, "check": "typescript", "status": "pass"}),
        (
            "error",
            "TypeScript check failed: 3 type errors found",
            {
                **item_id,
                "check": "typescript",
                "status": "fail",
                "error_count": 3,
                "diagnostics": ["a.ts:1 error bad", "a.ts:2 error bad", "a.ts:3 error bad"],
            },
        ),
        ("info", "Starting fix iteration 1", {**item_id, "iteration": 1, "max": 5}),
    ]
    assert {row.run_id for row in backlog.logs} == {RUN_ID}
    assert backlog.logs[0].created_at == AT


def test_store__tasks_are_pending_first_and_keep_their_ids() -> None:
    first, second = PLAN.waves[0].tasks
    backlog = RecordingBacklog()
    with store(backlog) as reporter:
        reporter.report(ev.Planned(claim=claim(), plan=PLAN))
        reporter.flush()
        assert [(t.wave, t.number, t.status.value) for t in backlog.tasks] == [
            (1, 1, "pending"),
            (1, 2, "pending"),
            (2, 1, "pending"),
        ]
        reporter.report(changed(first, ev.TaskStatus.IN_PROGRESS))
        reporter.report(changed(first, ev.TaskStatus.COMPLETED))
        reporter.report(changed(second, ev.TaskStatus.FAILED, "no\x00 luck"))
    done, failed = backlog.tasks[3:]
    assert (done.id, done.status, done.started_at, done.completed_at) == (
        backlog.tasks[0].id,
        ev.TaskStatus.COMPLETED,
        AT,
        AT,
    )
    assert (failed.id, failed.error) == (task_id(claim(), second), "no\ufffd luck")


def test_store__a_task_that_runs_again_is_open_again() -> None:
    task = PLAN.waves[0].tasks[0]
    backlog = report(
        RecordingBacklog(), changed(task, ev.TaskStatus.COMPLETED), changed(task, ev.TaskStatus.IN_PROGRESS)
    )
    (row,) = backlog.tasks
    assert (row.status, row.completed_at) == (ev.TaskStatus.IN_PROGRESS, None)


def test_store__a_task_nobody_planned_gets_its_number_from_its_id() -> None:
    task = Task(id="4.12", subagent=Subagent.BASH, description="Check")
    odd = Task(id="four", subagent=Subagent.BASH, description="Check")
    backlog = report(
        RecordingBacklog(), changed(task, ev.TaskStatus.IN_PROGRESS), changed(odd, ev.TaskStatus.IN_PROGRESS)
    )
    assert [row.number for row in backlog.tasks] == [12, 0]


def test_store__iterations_and_item_events() -> None:
    backlog = report(
        RecordingBacklog(),
        started(),
        ev.IterationFinished(at=AT, claim=claim(), iteration=iteration(1, passed=False)),
        ev.IterationFinished(at=AT, claim=claim(), iteration=iteration(2)),
        settled(Verdict.COMPLETED, pull_request="https://x/1", branch="mason/a"),
    )
    assert [row.iteration.number for row in backlog.iterations] == [1, 2]
    assert [(row.event_type, row.payload) for row in backlog.events] == [
        ("branch_created", {"new_value": "mason/item-1"}),
        ("pr_created", {"new_value": "https://x/1"}),
    ]


def test_store__where_the_work_of_a_failed_item_lies_is_noted() -> None:
    backlog = report(RecordingBacklog(), settled(Verdict.REJECTED, reason="Validation failed", kept="/w/a.patch"))
    assert [(row.event_type, row.payload) for row in backlog.events] == [
        ("note_added", {"notes": "The unfinished work is kept: /w/a.patch"})
    ]


def test_store__the_same_events_give_the_same_ids() -> None:
    events = [
        started(),
        ev.Planned(claim=claim(), plan=PLAN),
        ev.IterationFinished(claim=claim(), iteration=iteration()),
    ]
    one, two = report(RecordingBacklog(), *events), report(RecordingBacklog(), *events)
    assert [r.id for r in one.tasks + one.iterations + one.events] == [
        r.id for r in two.tasks + two.iterations + two.events
    ]


def test_store__a_settled_item_is_in_the_database_before_the_report_comes_back() -> None:
    backlog = RecordingBacklog()
    with store(backlog) as reporter:
        reporter.report(ev.Planned(claim=claim(), plan=PLAN))
        reporter.report(ev.IterationFinished(claim=claim(), iteration=iteration()))
        reporter.report(settled(Verdict.REJECTED, reason="no"))
        assert len(backlog.tasks) == 3
        assert len(backlog.iterations) == 1
        assert backlog.logs[-1].message == "Execution failed permanently: no"


@pytest.mark.parametrize("verdict", Verdict)
def test_store__the_state_before_the_end_is_written_and_nothing_after_it(verdict: Verdict) -> None:
    backlog = RecordingBacklog()
    with store(backlog) as reporter:
        reporter.report(started())
        reporter.report(reached(7, ev.Phase.SITE_REVIEW))
        reporter.report(settled(verdict))
        reporter.report(ev.AgentActivity(claim=claim(), message="still here"))
        reporter.report(reached(9, ev.Phase.INSPECTION))
    assert [(row.checkpoint, row.completed_at) for row in backlog.progress] == [(7, None)]


def test_store__a_state_that_came_too_late_for_the_database_is_given_up() -> None:
    backlog = RecordingBacklog()
    backlog.problem = DatabaseUnreachable("away")
    with store(backlog) as reporter:
        reporter.report(reached(7, ev.Phase.SITE_REVIEW))
        reporter.report(settled(Verdict.REJECTED, reason="no"))
        backlog.problem = None
    assert backlog.progress == []
    assert sorted(row.message for row in backlog.logs) == ["Execution failed permanently: no", "Going on"]


def test_store__the_next_attempt_starts_anew() -> None:
    backlog = RecordingBacklog()
    with store(backlog) as reporter:
        reporter.report(settled(Verdict.RELEASED))
        again = claim(attempt=2)
        reporter.report(ev.CheckpointReached(claim=again, checkpoint=4, phase=ev.Phase.SITE_REVIEW, message="x"))
    assert [row.claim for row in backlog.progress] == [again]


def test_store__a_change_of_phase_is_written_at_once() -> None:
    backlog = RecordingBacklog()
    with store(backlog) as reporter:
        reporter.report(reached(6, ev.Phase.FOUNDATION))
        assert backlog.wrote.wait(WAIT)


def test_store__every_phase_is_written_in_its_order_however_quick_it_was() -> None:
    backlog = RecordingBacklog()
    backlog.problem = DatabaseUnreachable("away")
    with store(backlog) as reporter:
        for number in (1, 2):
            reporter.report(reached(6, ev.Phase.FOUNDATION, number))
            reporter.report(reached(7, ev.Phase.BUILDING, number))
            reporter.report(reached(8, ev.Phase.BUILDING, number))
        reporter.report(reached(9, ev.Phase.INSPECTION))
        backlog.problem = None
    by_item = {n: [row for row in backlog.progress if row.claim == claim(n)] for n in (1, 2)}
    assert [(row.phase.value, row.checkpoint) for row in by_item[1]] == [
        ("foundation", 6),
        ("building", 8),
        ("inspection", 9),
    ]
    assert [row.checkpoint for row in by_item[2]] == [6, 8]


def test_store__many_rows_are_written_at_once() -> None:
    backlog = RecordingBacklog()
    with store(backlog) as reporter:
        for _ in range(FULL):
            reporter.report(ev.Noted(message="x", run_id=RUN_ID))
        assert backlog.wrote.wait(WAIT)


def test_store__a_few_rows_are_written_in_time() -> None:
    backlog = RecordingBacklog()
    with store(backlog, interval=0.01) as reporter:
        reporter.report(ev.Noted(message="x", run_id=RUN_ID))
        assert backlog.wrote.wait(WAIT)


def test_store__nothing_to_write_asks_the_database_nothing() -> None:
    backlog = RecordingBacklog()
    with store(backlog) as reporter:
        reporter.flush()
    assert backlog.calls == 0


def test_store__rows_wait_for_an_unreachable_database(caplog: pytest.LogCaptureFixture) -> None:
    backlog = RecordingBacklog()
    backlog.problem = DatabaseUnreachable("connection refused")
    with store(backlog) as reporter, caplog.at_level(logging.WARNING):
        reporter.report(started())
        reporter.report(ev.Planned(claim=claim(), plan=PLAN))
        reporter.flush()
        reporter.flush()
        assert (backlog.tasks, backlog.logs) == ([], [])
        assert len(caplog.records) == 1
        backlog.problem = None
        reporter.flush()
    assert len(backlog.tasks) == 3
    assert len({row.id for row in backlog.logs}) == len(backlog.logs) == 2


def test_store__what_never_got_there_is_said_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    backlog = RecordingBacklog()
    backlog.problem = DatabaseUnreachable("connection refused")
    with caplog.at_level(logging.WARNING):
        report(backlog, ev.Noted(message="x", run_id=RUN_ID))
    assert caplog.records[-1].getMessage() == "1 rows of progress and log could not be written to the database"


def test_store__only_old_debug_rows_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "DEBUG_LIMIT", 3)
    backlog = RecordingBacklog()
    backlog.problem = DatabaseUnreachable("away")
    with store(backlog) as reporter:
        for number in range(10):
            for level in (ev.Level.DEBUG, ev.Level.INFO):
                reporter.report(ev.Noted(message=str(number), level=level, run_id=RUN_ID))
        backlog.problem = None
        reporter.flush()
    of_level = {level: [r.message for r in backlog.logs if r.level is level] for level in ev.Level}
    assert of_level[ev.Level.DEBUG] == ["7", "8", "9"]
    assert len(of_level[ev.Level.INFO]) == 10


def test_store__refused_rows_are_left_out_and_the_rest_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    backlog = RecordingBacklog()
    backlog.problem = DatabaseRefused("permission denied")
    with store(backlog) as reporter, caplog.at_level(logging.WARNING):
        reporter.report(ev.Noted(message="refused", run_id=RUN_ID))
        reporter.flush()
        reporter.report(ev.Noted(message="refused too", run_id=RUN_ID))
        reporter.flush()
        backlog.problem = None
        reporter.report(ev.Noted(message="taken", run_id=RUN_ID))
    assert [row.message for row in backlog.logs] == ["taken"]
    assert len(caplog.records) == 1


def test_store__a_bug_in_the_background_reaches_the_reporting_thread() -> None:
    backlog = RecordingBacklog()
    backlog.problem = RuntimeError("bug")
    reporter = StoreReporter(backlog, interval=NEVER)  # type: ignore[arg-type]
    reporter.report(reached(6, ev.Phase.FOUNDATION))
    reporter._thread.join(WAIT)
    with pytest.raises(RuntimeError, match="bug"):
        reporter.report(started())
    backlog.problem = None
    reporter.close()


def test_store__a_state_that_comes_while_its_row_is_written_is_written_next() -> None:
    writing, go_on = threading.Event(), threading.Event()

    class Slow(RecordingBacklog):
        def save_progress(self, rows):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
            writing.set()
            assert go_on.wait(WAIT)
            super().save_progress(rows)

    backlog = Slow()
    with store(backlog) as reporter:
        reporter.report(reached(4, ev.Phase.FOUNDATION))
        assert writing.wait(WAIT)
        reporter.report(reached(5, ev.Phase.FOUNDATION))
        go_on.set()
    assert [row.checkpoint for row in backlog.progress] == [4, 5]


def test_store__events_from_many_threads_all_arrive() -> None:
    backlog = RecordingBacklog()
    with store(backlog, interval=0.001) as reporter:

        def work(number: int) -> None:
            reporter.report(started(number))
            for _ in range(100):
                reporter.report(ev.CheckFinished(claim=claim(number), result=check(CheckKind.LINT)))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT)
    assert len({row.id for row in backlog.logs}) == len(backlog.logs) == 4 * 101


def test_store__an_event_without_a_run_has_no_row() -> None:
    assert report(RecordingBacklog(), ev.Noted(message="before any run")).logs == []


def test_store__the_runs_own_rows() -> None:
    backlog = report(RecordingBacklog(), run_started(item()), ev.RunFinished(result=result()))
    assert [row.message for row in backlog.logs] == ["Found 1 approved item", "Run finished: 0 of 0 items succeeded"]
