"""The check run reporter: every item's check run comes to its end, whatever dies, and never as a failure."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from itertools import accumulate
from uuid import UUID

import pytest

from app.domain import events as ev
from app.domain.check_runs import Button, CheckRun, Conclusion, Subject
from app.domain.results import CheckKind, CheckStatus, Verdict
from app.errors import ForgeRefused, ForgeUnreachable, MissingPermission
from app.reporting.check_runs import CheckRunReporter, pause
from app.reporting.item_checks import item_check_name
from tests.unit.reporting.builders import BASE, GREEN, PLAN, RED, RUN_ID, check, claim, gate, item, run_started, settled
from tests.unit.reporting.builders import started as item_started
from tests.unit.reporting.check_run_memory import CheckRunMemory

HEAD = "fedcba9876543210fedcba9876543210fedcba98"
OTHER_RUN = UUID(int=7)
NAME = item_check_name(item())
DONE = {
    "gate": GREEN,
    "commit": HEAD,
    "branch": "mason/item-1",
    "pull_request": "https://github.com/o/r/pull/12",
    "pull_request_number": 12,
}


@pytest.fixture
def memory() -> CheckRunMemory:
    return CheckRunMemory()


@pytest.fixture
def reporter(memory: CheckRunMemory) -> Iterator[CheckRunReporter]:
    made = CheckRunReporter(lambda: memory, spacing=0)
    made.report(run_started(item(), item(2)))
    yield made
    made.close()


def subject(number: int = 1, run: UUID = RUN_ID, pull_request: int = 0) -> Subject:
    return Subject(run_id=run, item_id=UUID(int=number), pull_request=pull_request)


def in_progress(name: str = NAME, run: UUID = OTHER_RUN, number: int = 1, commit: str = BASE.commit) -> CheckRun:
    return CheckRun(name=name, commit=commit, subject=subject(number, run), title="", summary="")


def step(memory: CheckRunMemory, reporter: CheckRunReporter, *events: ev.Event) -> CheckRun:
    """Report, and the state that was written for it."""
    writes = len(memory.writes)
    for event in events:
        reporter.report(event)
    memory.wait(writes + 1)
    return memory.writes[-1]


def test_check_run__follows_phase_wave_and_fix_iteration(memory: CheckRunMemory, reporter: CheckRunReporter) -> None:
    begun = step(memory, reporter, item_started())
    assert (begun.name, begun.commit, begun.conclusion, begun.buttons) == (NAME, BASE.commit, None, (Button.CANCEL,))
    reached = ev.CheckpointReached(claim=claim(), checkpoint=6, phase=ev.Phase.FOUNDATION, message="Analysis complete")
    assert step(memory, reporter, ev.Planned(claim=claim(), plan=PLAN), reached).title == "Planning"
    building = ev.CheckpointReached(claim=claim(), checkpoint=7, phase=ev.Phase.BUILDING, message="Implementing")
    step(memory, reporter, building)
    for wave in (1, 2, 3):
        at_work = step(memory, reporter, ev.WaveStarted(claim=claim(), wave=wave, title="Feature"))
        assert at_work.title == f"Implementing, wave {wave}"
        assert f"wave {wave} of 2" in at_work.summary
    reporter.report(ev.AgentActivity(claim=claim(), message="Reading a.ts"))
    checking = step(memory, reporter, ev.CheckStarted(claim=claim(), kind=CheckKind.LINT))
    assert "| Lint | running |" in checking.summary
    fixing = step(memory, reporter, ev.IterationStarted(claim=claim(), number=1, limit=5))
    assert fixing.title == "Checking, wave 3, fix iteration 1"
    reporter.report(settled(Verdict.COMPLETED, **DONE))
    assert memory.dispensable == len(memory.writes) - 6 - 1 == 7
    assert memory.open == []


def test_pause__six_updates_fit_into_an_hour() -> None:
    ends = list(accumulate(pause(updates) for updates in range(8)))
    assert ends[:3] == [30, 90, 210]
    assert sum(end <= 3600 for end in ends) == 6


def test_check_run__quick_changes_are_never_written_one_by_one(memory: CheckRunMemory) -> None:
    reporter = CheckRunReporter(lambda: memory)
    reporter.report(run_started(item()))
    step(memory, reporter, item_started())
    for wave in range(1, 50):
        reporter.report(ev.WaveStarted(claim=claim(), wave=wave, title=""))
    reporter.report(settled(Verdict.DEFERRED, reason="No PRD"))
    reporter.close()
    assert len(memory.writes) == 2


def test_check_run__evidence_on_the_head(memory: CheckRunMemory, reporter: CheckRunReporter) -> None:
    step(memory, reporter, item_started())
    reporter.report(settled(Verdict.COMPLETED, **DONE))
    on_head = [check for check in memory.runs.values() if check.commit == HEAD]
    assert [check.name for check in on_head] == [
        "mason / validator",
        "mason / typecheck",
        "mason / lint",
        "mason / build",
        "mason / tests",
    ]
    assert {check.subject for check in on_head} == {subject(pull_request=12)}
    assert all(check.buttons == (Button.RETRY, Button.FIX, Button.CANCEL) for check in on_head)
    last = memory.writes[-1]
    assert (last.name, last.conclusion, last.title) == (NAME, Conclusion.SUCCESS, "Completed: pull request 12")
    assert "<https://github.com/o/r/pull/12>" in last.summary


@pytest.mark.parametrize(
    ("verdict", "reason", "conclusion"),
    [
        (Verdict.ALREADY_RESOLVED, "Fixed long ago", Conclusion.SKIPPED),
        (Verdict.DEFERRED, "No PRD", Conclusion.NEUTRAL),
        (Verdict.DEFERRED, "Cancelled by @somebody", Conclusion.CANCELLED),
        (Verdict.REJECTED, "Validation failed", Conclusion.NEUTRAL),
        (Verdict.CHANGED, "The item was changed", Conclusion.NEUTRAL),
        (Verdict.RELEASED, "GitHub did not answer", Conclusion.NEUTRAL),
        (Verdict.RELEASED, "Cancelled", Conclusion.CANCELLED),
        (Verdict.LOST, "lost", Conclusion.NEUTRAL),
    ],
)
def test_check_run__ends_without_failure(
    verdict: Verdict, reason: str, conclusion: Conclusion, memory: CheckRunMemory, reporter: CheckRunReporter
) -> None:
    step(memory, reporter, item_started())
    reporter.report(settled(verdict, reason=reason, gate=RED, commit=HEAD))
    assert [check.conclusion for check in memory.runs.values()] == [conclusion]


def test_check_run__a_rejected_item_says_what_failed_and_where_its_work_is(
    memory: CheckRunMemory, reporter: CheckRunReporter
) -> None:
    step(memory, reporter, item_started())
    reporter.report(
        settled(
            Verdict.REJECTED, reason="It @all <b>failed</b>", gate=RED, kept="refs/mason/wip/x", follow_up=OTHER_RUN
        )
    )
    summary = memory.named(NAME).summary
    for part in ("Failed: Typecheck", "`refs/mason/wip/x`", str(OTHER_RUN), "| Lint | pass |", r"\<b\>failed\</b\>"):
        assert part in summary
    assert "@all" not in summary
    assert memory.named(NAME).buttons == (Button.RETRY,)


def test_check_run__what_a_killed_runner_left_open_is_ended_first(
    memory: CheckRunMemory, reporter: CheckRunReporter
) -> None:
    lost = memory.start(in_progress())
    others = [memory.start(in_progress("mason / other", number=2)), memory.start(in_progress(run=RUN_ID, number=5))]
    memory.writes.clear()
    reporter.report(item_started())
    memory.wait(2)
    assert memory.runs[lost].conclusion is Conclusion.CANCELLED
    assert memory.writes[0].subject == subject(run=OTHER_RUN)
    assert [memory.runs[number].conclusion for number in others] == [None, None]
    assert memory.writes[1].subject == subject()


def test_check_run__close_ends_what_is_open(memory: CheckRunMemory) -> None:
    reporter = CheckRunReporter(lambda: memory)
    reporter.report(run_started(item(), item(2)))
    reporter.report(item_started())
    reporter.report(item_started(2))
    memory.wait(2)
    reporter.report(settled(Verdict.DEFERRED))
    reporter.close()
    reporter.close()
    assert memory.open == []
    assert memory.writes[-1].conclusion is Conclusion.CANCELLED
    assert memory.writes[-1].subject == subject(2)
    assert len(memory.writes) == 4


def test_check_run__an_end_that_could_not_be_written_is_tried_again_at_close(
    memory: CheckRunMemory, caplog: pytest.LogCaptureFixture
) -> None:
    reporter = CheckRunReporter(lambda: memory)
    reporter.report(run_started(item()))
    step(memory, reporter, item_started())
    memory.problems = [ForgeUnreachable(), ForgeRefused("no lint for you")]
    reporter.report(settled(Verdict.COMPLETED, **DONE))
    assert len(memory.open) == 1
    memory.fails = "mason / lint"
    reporter.close()
    assert memory.open == []
    assert memory.named(NAME).conclusion is Conclusion.SUCCESS
    assert [r.levelno for r in caplog.records] == [logging.WARNING] * 2


def test_check_run__a_start_whose_answer_was_lost_is_not_left_open(memory: CheckRunMemory) -> None:
    tried = threading.Event()

    class Losing(CheckRunMemory):
        def start(self, check: CheckRun) -> int:
            number = super().start(check)
            if not tried.is_set():
                tried.set()
                raise ForgeUnreachable
            return number

    losing = Losing()
    reporter = CheckRunReporter(lambda: losing)
    reporter.report(run_started(item()))
    reporter.report(item_started())
    assert tried.wait(20)
    reporter.close()
    assert len(losing.runs) == 1
    assert losing.open == []


def test_check_run__an_item_that_never_began_has_none(memory: CheckRunMemory, reporter: CheckRunReporter) -> None:
    reporter.report(settled(Verdict.RELEASED, reason="The base fails"))
    reporter.flush()
    reporter.close()
    assert memory.writes == []


def test_check_run__without_permission_there_is_one_warning_and_nothing_more(
    memory: CheckRunMemory, caplog: pytest.LogCaptureFixture
) -> None:
    memory.problems = [MissingPermission("checks: write is missing")]
    reporter = CheckRunReporter(lambda: memory, spacing=0)
    reporter.report(run_started(item()))
    reporter.report(item_started())
    assert memory.asked.wait(20)
    reporter.report(ev.WaveStarted(claim=claim(), wave=1, title=""))
    reporter.report(settled(Verdict.COMPLETED, **DONE))
    reporter.close()
    assert (memory.writes, memory.looks) == ([], 1)
    assert [r.getMessage() for r in caplog.records] == ["There will be no check runs: checks: write is missing"]


def test_check_run__close_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    free = threading.Event()

    class Hanging(CheckRunMemory):
        def write(self, check_id: int, check: CheckRun, *, dispensable: bool = False) -> None:
            free.wait(20)

    hanging = Hanging()
    reporter = CheckRunReporter(lambda: hanging, patience=0.05)
    reporter.report(run_started(item()))
    step(hanging, reporter, item_started())
    reporter.close()
    free.set()
    assert "could not be completed in 0 s" in caplog.text


def test_check_run__what_an_earlier_runner_wrote_on_its_commit_stands(
    memory: CheckRunMemory, reporter: CheckRunReporter
) -> None:
    earlier = CheckRun(
        name="mason / tests",
        commit=HEAD,
        subject=subject(run=OTHER_RUN, pull_request=12),
        title="Passed",
        summary="",
        conclusion=Conclusion.SUCCESS,
    )
    memory.start(earlier)
    step(memory, reporter, item_started())
    reporter.report(settled(Verdict.COMPLETED, **{**DONE, "gate": None}))
    assert memory.named("mason / tests") == earlier
    assert memory.named("mason / lint").conclusion is Conclusion.NEUTRAL


def test_check_run__items_side_by_side_each_reach_their_end(memory: CheckRunMemory, reporter: CheckRunReporter) -> None:
    def one(number: int) -> None:
        reporter.report(item_started(number))
        for wave in (1, 2, 3):
            reporter.report(ev.WaveStarted(claim=claim(number), wave=wave, title=""))
        reporter.report(settled(Verdict.COMPLETED, number, **{**DONE, "commit": f"{number:040}"}))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert memory.open == []
    assert len(memory.runs) == 8 * 6


def test_check_run__one_that_belongs_to_another_app_does_not_keep_the_item_from_its_own(
    memory: CheckRunMemory, reporter: CheckRunReporter, caplog: pytest.LogCaptureFixture
) -> None:
    memory.start(in_progress("mason / old name"))
    lost = memory.start(in_progress())
    memory.problems, memory.fails = [ForgeRefused("Invalid app_id")], "mason / old name"
    reporter.report(item_started())
    memory.wait(4)
    assert memory.runs[lost].conclusion is Conclusion.CANCELLED
    assert memory.writes[-1].subject == subject()
    assert "Invalid app_id" in caplog.text


def test_check_run__smoke_and_e2e_only_when_the_gate_had_them(
    memory: CheckRunMemory, reporter: CheckRunReporter
) -> None:
    step(memory, reporter, item_started())
    full = gate(*GREEN.checks, check(CheckKind.E2E), check(CheckKind.SMOKE, CheckStatus.FAIL, reason="no page"))
    reporter.report(settled(Verdict.COMPLETED, **{**DONE, "gate": full}))
    assert memory.named("mason / e2e").conclusion is Conclusion.SUCCESS
    assert memory.named("mason / smoke").conclusion is Conclusion.NEUTRAL
