"""One suite for every adapter of ``app.ports.run_views.RunViews``: what people are shown of runs.

The same adapters and rows as in `test_backlog`; roles and old generations: `test_run_views_rows`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from app.backlog.evidence import DIFF_KEPT, OUTPUT_KEPT
from app.backlog.store import SqlBacklog
from app.domain.claims import MAX_ATTEMPTS
from app.domain.events import Level, Phase, TaskStatus
from app.domain.items import ItemStatus
from app.domain.plans import Subagent, Task
from app.domain.progress import first_progress
from app.domain.results import (
    CheckKind,
    CheckResult,
    CheckStatus,
    Diagnostic,
    Finding,
    GateResult,
    Iteration,
    Outcome,
    Severity,
    Tier,
    TierResult,
    TierStatus,
    Usage,
    ValidatorResult,
    Verdict,
)
from app.domain.run_views import ItemView, LogLine, RunView
from app.domain.runs import ItemResult, Run, RunResult, RunStatus
from app.errors import BadCursor
from app.ports.backlog import Claimed, ItemEventRow, IterationRow, LogRow, TaskRow
from tests.contracts import test_backlog as contract
from tests.contracts.test_backlog import BASE, Given

store, sql, given = contract.store, contract.sql, contract.given

AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
DIFF = "diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-a\n+<b>\n"


def opened(given: Given, *items: UUID, repository: str | None = None) -> Run:
    run = Run(id=uuid4(), base=BASE, item_ids=items)
    given.store.open_run(run, repository=repository)
    return run


def claimed(given: Given, run: Run, item: UUID, claimed_by: str = "tester") -> Claimed:
    taken = given.store.claim(given.store.items([item])[0], run_id=run.id, claimed_by=claimed_by, branch="mason/x")
    assert taken is not None
    return taken


def viewed(store: SqlBacklog, run: Run, item: UUID | None = None) -> RunView:
    view = store.run_view(run.id, item=item)
    assert view is not None
    return view


def only(store: SqlBacklog, run: Run) -> ItemView:
    (item,) = viewed(store, run).items
    return item


def failed_outcome(**fields: Any) -> Outcome:
    checks = (
        CheckResult(
            kind=CheckKind.TEST,
            status=CheckStatus.FAIL,
            command="pytest -q",
            seconds=1.25,
            output="one\n<script>alert(1)</script>\n",
            diagnostics=(Diagnostic(path="a.py", line=3, message="no"),),
            reason="exit code 1",
        ),
        CheckResult(kind=CheckKind.LINT, status=CheckStatus.TIMEOUT),
        CheckResult(kind=CheckKind.BUILD, status=CheckStatus.SKIPPED),
    )
    tier = TierResult(
        tier=Tier.SCOPE,
        status=TierStatus.WARN,
        findings=(Finding(path="b.py", message="not asked for", severity=Severity.WARNING),),
    )
    known: dict[str, Any] = {
        "verdict": Verdict.REJECTED,
        "reason": "It never passed",
        "gate": GateResult(checks=checks),
        "validator": ValidatorResult(tiers=(tier,)),
        "usage": Usage(input_tokens=10, output_tokens=20, cost_usd=0.5, turns=3, tool_calls=4, seconds=5.5),
        "kept": "refs/mason/wip/x",
        "diff": DIFF,
    }
    return Outcome(**known | fields)


def log_rows(run: Run, count: int, start: int = 0, item: UUID | None = None) -> list[LogRow]:
    return [
        LogRow(
            id=uuid4(),
            run_id=run.id,
            level=Level.INFO,
            message=str(number),
            metadata={"item_id": str(item)} if item else {},
            created_at=AT,
        )
        for number in range(start, start + count)
    ]


def messages(lines: tuple[LogLine, ...]) -> list[str]:
    return [line.message for line in lines]


def read_all(store: SqlBacklog, run: Run, limit: int, **about: Any) -> list[str]:
    """Everything that a reader gets who follows the cursor to the end."""
    found: list[str] = []
    page = store.log_page(run.id, after=None, limit=limit, **about)
    found += messages(page.lines)
    while page.more:
        page = store.log_page(run.id, after=page.next, limit=limit, **about)
        found += messages(page.lines)
    return found


# -- a run -----------------------------------------------------------------------------------------------------------


def test_run_view__of_an_unknown_run_is_none(store: SqlBacklog) -> None:
    assert store.run_view(uuid4()) is None
    assert store.run_version(uuid4()) is None


def test_run_view__shows_an_item_while_it_is_worked_at(store: SqlBacklog, given: Given) -> None:
    repository = given.repository("acme/shop")
    first, second = given.item("<b>First</b>", repository_id=repository), given.item("second")
    run = opened(given, second, first, repository="acme/shop")
    claim = claimed(given, run, first).claim
    progress = replace(
        first_progress(claim),
        phase=Phase.BUILDING,
        wave=2,
        total_waves=3,
        tasks_done=1,
        tasks_total=2,
        current_task="Editing",
        current_file="a.py",
        fix_iteration=1,
        checkpoint=7,
        validations={**first_progress(claim).validations, "validation_eslint": "running"},
    )
    store.save_progress([progress])
    view = viewed(store, run)
    assert (view.run.id, view.run.status, view.run.repository) == (run.id, RunStatus.IN_PROGRESS, "acme/shop")
    assert (view.run.base_branch, view.run.base_commit, view.run.items) == ("main", BASE.commit, 2)
    assert not view.ended
    waiting, item = view.items
    assert (waiting.id, waiting.status, waiting.phase, waiting.reason) == (second, ItemStatus.APPROVED, None, "")
    assert (item.id, item.title, item.type) == (first, "<b>First</b>", "feature")
    assert (item.status, item.verdict, item.branch) == (ItemStatus.IN_PROGRESS, None, "mason/x")
    assert (item.phase, item.wave, item.total_waves, item.fix_iteration) == (Phase.BUILDING, 2, 3, 1)
    assert (item.current_task, item.current_file) == ("Editing", "a.py")
    assert (item.tasks_completed, item.tasks_total, item.percentage) == (1, 2, 53)
    assert {check.kind: check.status for check in item.checks} == {
        CheckKind.TYPECHECK: "pending",
        CheckKind.LINT: "running",
        CheckKind.BUILD: "pending",
        CheckKind.TEST: "pending",
    }
    assert item.started_at is not None
    assert item.started_at <= view.seen_at
    assert item.completed_at is None


def test_run_view__of_items_claimed_together_each_starts_when_its_work_does(store: SqlBacklog, given: Given) -> None:
    run = opened(given, given.item(), given.item("second"))
    for item in run.item_ids:
        claimed(given, run, item)
    assert [(item.status, item.started_at, item.phase) for item in viewed(store, run).items] == [
        (ItemStatus.IN_PROGRESS, None, None)
    ] * 2
    began = viewed(store, run).seen_at + timedelta(minutes=5)
    for earlier in (AT, began):  # an earlier run's, and this one's
        event = ItemEventRow(
            id=uuid4(), item_id=run.item_ids[0], event_type="branch_created", payload={}, created_at=earlier
        )
        store.note_events([event])
    first, second = viewed(store, run).items
    assert (first.started_at, first.phase) == (began, Phase.SITE_REVIEW)
    assert (second.started_at, second.phase) == (None, None)


def test_run_view__shows_what_an_item_left(store: SqlBacklog, given: Given) -> None:
    run = opened(given, given.item())
    claim = claimed(given, run, run.item_ids[0]).claim
    assert store.settle(claim, failed_outcome(follow_up=UUID(int=5)))
    item = only(store, run)
    assert (item.status, item.verdict, item.reason) == (ItemStatus.REJECTED, Verdict.REJECTED, "It never passed")
    assert (item.kept, item.diff, item.follow_up) == ("refs/mason/wip/x", DIFF, UUID(int=5))
    assert item.findings == ("scope: b.py: not asked for",)
    test, lint, build = item.checks
    assert (test.kind, test.status, test.command, test.seconds) == (CheckKind.TEST, "fail", "pytest -q", 1.25)
    assert (test.reason, test.output) == ("exit code 1", "one\n<script>alert(1)</script>\n")
    assert test.findings == ("a.py:3 error no",)
    assert (lint.status, lint.reason, build.status) == ("fail", "It took too long", "skipped")
    assert item.usage == viewed(store, run).usage == failed_outcome().usage
    assert item.started_at is not None
    assert item.completed_at is not None
    assert item.started_at <= item.completed_at


def test_run_view__shows_a_success(store: SqlBacklog, given: Given) -> None:
    run = opened(given, given.item())
    url = "https://github.com/acme/shop/pull/7"
    outcome = Outcome(verdict=Verdict.COMPLETED, branch="mason/x", commit="d" * 40, pull_request=url, diff=DIFF)
    taken = claimed(given, run, run.item_ids[0])
    assert store.settle(taken.claim, outcome)
    store.close_run(RunResult(run_id=run.id, base=BASE, results=(ItemResult(item=taken.item, outcome=outcome),)))
    view = viewed(store, run)
    (item,) = view.items
    assert view.ended
    assert (view.run.status, view.run.succeeded, view.run.failed) == (RunStatus.SUCCESS, 1, 0)
    assert (item.status, item.phase, item.percentage) == (ItemStatus.COMPLETED, Phase.COMPLETE, 100)
    assert (item.branch, item.commit, item.pull_request_url) == ("mason/x", "d" * 40, url)


def test_run_view__shows_tasks_and_iterations(store: SqlBacklog, given: Given) -> None:
    run = opened(given, given.item("a"), given.item("b"))
    claim = claimed(given, run, run.item_ids[1]).claim
    task = Task(id="1.1", subagent=Subagent.EXPLORE, description="Look <i>")
    row = TaskRow(id=uuid4(), claim=claim, wave=1, number=2, task=task, status=TaskStatus.FAILED, error="no")
    store.save_tasks([replace(row, started_at=AT, completed_at=AT + timedelta(seconds=2))])
    store.save_tasks([replace(row, id=uuid4(), number=1, status=TaskStatus.PENDING, error="")])
    check = CheckResult(kind=CheckKind.TEST, status=CheckStatus.FAIL)
    one = Iteration(
        number=1,
        failed_before=("lint", "test"),
        tried="this",
        gate=GateResult(checks=(check,)),
        validator=None,
        passed=False,
        changed="-a\n+b\n",
    )
    store.save_iterations([IterationRow(id=uuid4(), claim=claim, iteration=one, created_at=AT)])
    empty, item = viewed(store, run).items
    assert (empty.tasks, empty.iterations) == ((), ())
    pending, failed = item.tasks
    assert (pending.number, pending.status, pending.started_at) == (1, TaskStatus.PENDING, None)
    assert (failed.wave, failed.number, failed.description, failed.agent) == (1, 2, "Look <i>", "Explore")
    assert (failed.status, failed.error) == (TaskStatus.FAILED, "no")
    assert (failed.started_at, failed.completed_at) == (AT, AT + timedelta(seconds=2))
    assert (item.tasks_completed, item.tasks_total) == (1, 2)
    (iteration,) = item.iterations
    assert (iteration.number, iteration.passed, iteration.failed) == (1, False, ("lint", "test"))
    assert (iteration.tried, iteration.changed, iteration.still_failing) == ("this", "-a\n+b\n", ("test",))
    assert iteration.created_at == AT


def test_run_view__of_one_item_has_that_one_alone(store: SqlBacklog, given: Given) -> None:
    run = opened(given, given.item("a"), given.item("b"))
    view = viewed(store, run, run.item_ids[1])
    assert [item.title for item in view.items] == ["b"]
    assert view.run.items == 2
    assert viewed(store, run, uuid4()).items == ()


def test_run_view__an_item_that_went_on_is_shown_as_this_run_had_it(store: SqlBacklog, given: Given) -> None:
    item = given.item()
    first = opened(given, item)
    assert store.settle(claimed(given, first, item).claim, failed_outcome(verdict=Verdict.RELEASED, reason="Away"))
    second = opened(given, item)
    claimed(given, second, item)
    was, now = only(store, first), only(store, second)
    assert (was.status, was.verdict, was.reason) == (ItemStatus.APPROVED, Verdict.RELEASED, "Away")
    assert (was.diff, was.current_task, was.usage) == (DIFF, "", failed_outcome().usage)
    assert (now.status, now.verdict, now.diff) == (ItemStatus.IN_PROGRESS, None, "")


def test_run_view__an_item_that_another_run_has_is_not_this_runs_any_more(store: SqlBacklog, given: Given) -> None:
    item = given.item()
    first = opened(given, item)
    claimed(given, opened(given, item), item)
    was = only(store, first)
    assert (was.status, was.phase, was.branch) == (ItemStatus.APPROVED, None, "")
    assert was.reason == "It is not in this run any more: another run has it"


def test_run_view__an_item_that_is_tried_again_in_the_same_run_is_shown_as_it_is(
    store: SqlBacklog, given: Given
) -> None:
    item = given.item()
    run = opened(given, item)
    assert store.settle(claimed(given, run, item).claim, Outcome(verdict=Verdict.RELEASED, reason="Away"))
    assert only(store, run).verdict is Verdict.RELEASED
    claim = claimed(given, run, item).claim
    assert (only(store, run).status, only(store, run).verdict) == (ItemStatus.IN_PROGRESS, None)
    assert store.settle(claim, failed_outcome())
    assert only(store, run).verdict is Verdict.REJECTED


def test_run_view__a_verdict_stays_when_a_person_approves_the_item_again(store: SqlBacklog, given: Given) -> None:
    item = given.item()
    run = opened(given, item)
    assert store.settle(claimed(given, run, item).claim, failed_outcome())
    assert store.approve(item) is not None
    assert (only(store, run).status, only(store, run).verdict) == (ItemStatus.REJECTED, Verdict.REJECTED)


def test_run_view__a_lost_runner_is_told(store: SqlBacklog, given: Given) -> None:
    back, gone = given.item("back"), given.item("gone")
    query = "update mason_pm_backlog_items set execution_attempt = %s where id = %s"
    given.sql.execute(query, (MAX_ATTEMPTS - 1, gone))
    run = opened(given, back, gone)
    for item in (back, gone):
        claimed(given, run, item, claimed_by="dead")
    assert len(store.dead_claims(lambda claimed_by: claimed_by == "dead")) == 2
    view = viewed(store, run)
    assert view.run.reason == "The runner was lost."
    assert view.ended
    assert [item.status for item in view.items] == [ItemStatus.APPROVED, ItemStatus.REJECTED]
    assert view.items[0].reason == "It did not begin in this run, or its runner was lost"
    assert "lost" in view.items[1].reason


def test_run_view__an_outcome_from_before_the_evidence_is_read_from_its_item(store: SqlBacklog, given: Given) -> None:
    item = given.item()
    run = opened(given, item)
    assert store.settle(claimed(given, run, item).claim, failed_outcome())
    given.sql.execute("delete from mason_pm_execution_results")
    shown = only(store, run)
    assert (shown.verdict, shown.diff, shown.usage.turns) == (Verdict.REJECTED, "", 3)
    assert [check.output for check in shown.checks] == ["", "", ""]


def test_run_view__what_an_item_leaves_is_bounded(store: SqlBacklog, given: Given) -> None:
    long = "x" * 1_000_000
    findings = tuple(Finding(path=long, message=long) for _ in range(1000))
    diagnostics = tuple(Diagnostic(path=long, line=1, message=long) for _ in range(100))
    check = CheckResult(
        kind=CheckKind.TEST, status=CheckStatus.FAIL, output=long + "end", reason=long, diagnostics=diagnostics
    )
    tier = TierResult(tier=Tier.SCOPE, status=TierStatus.FAIL, findings=findings)
    outcome = failed_outcome(
        gate=GateResult(checks=(check,)), validator=ValidatorResult(tiers=(tier,)), diff=long, reason=long
    )
    run = opened(given, given.item())
    assert store.settle(claimed(given, run, run.item_ids[0]).claim, outcome)
    item = only(store, run)
    assert (len(item.diff), len(item.checks[0].output)) == (DIFF_KEPT, OUTPUT_KEPT)
    assert item.checks[0].output.endswith("end")
    assert len(repr(item)) < 500_000


def test_run_view__many_items_share_the_room_and_say_what_is_left_out(store: SqlBacklog, given: Given) -> None:
    items = [given.item(str(number)) for number in range(50)]
    run = opened(given, *items)
    check = CheckResult(kind=CheckKind.TEST, status=CheckStatus.FAIL, output="o" * OUTPUT_KEPT)
    outcome = failed_outcome(diff="d" * DIFF_KEPT, gate=GateResult(checks=(check,)))
    for item in items[:2]:
        assert store.settle(claimed(given, run, item).claim, outcome)
    shown = viewed(store, run).items[1]
    assert shown.diff.endswith("\n… 192,000 more characters of the diff are left out here …\n")
    assert shown.checks[0].output.startswith("… 7,000 characters left out …\no")
    (whole,) = viewed(store, run, items[1]).items
    assert whole.diff == "d" * DIFF_KEPT
    assert whole.checks[0].output == "o" * OUTPUT_KEPT


HOSTILE: dict[str, str] = {
    "result": "update mason_pm_execution_results set result = '[1]'",
    "no verdict": 'update mason_pm_execution_results set result = \'{"verdict": {"a": 1}}\'',
    "checks": 'update mason_pm_execution_results set result = result || \'{"checks": [1, {}, {"kind": []}, null]}\'',
    "usage": 'update mason_pm_execution_results set result = result || \'{"usage": {"cost_usd": "free"}}\'',
    "a large number": "update mason_pm_execution_results set result = jsonb_set(result, '{usage,turns}',"
    " ('1' || repeat('0', 5000))::jsonb)",
    "depths": "update mason_pm_execution_results set result = (repeat('[', 3000) || repeat(']', 3000))::jsonb,"
    " evidence = (repeat('[', 3000) || repeat(']', 3000))::jsonb",
    "evidence": 'update mason_pm_execution_results set evidence = \'{"checks": 5, "findings": {"a": 1}}\'',
    "evidence's checks": "update mason_pm_execution_results set evidence ="
    ' \'{"checks": [{"kind": ["test"], "output": 1, "findings": [null, 1, {}]}]}\'',
    "times": "update mason_pm_execution_results set started_at = 'infinity', created_at = '0001-01-01 BC'",
    "progress": "update mason_execution_progress set checkpoints_completed = '\"a\"', checkpoint_total = -1,"
    " started_at = '-infinity', current_task = repeat('x', 1000000), tasks_total = -5",
    "no progress": "update mason_execution_progress set current_phase = null, current_wave = null, started_at = null",
    "title": "update mason_pm_backlog_items set title = repeat('<', 1000000), type = 'feature'",
    "run": "update mason_remote_execution_runs set started_at = 'infinity', item_count = -1, error_message = '\u2028'",
    "iterations": "update mason_pm_validation_iterations set failure_details = '[1]', created_at = null",
    "other iterations": "update mason_pm_validation_iterations set failure_details ="
    ' \'{"before": {"a": 1}, "after": [1, {"check": []}], "changed": 7}\'',
    "tasks": "update mason_pm_execution_tasks set wave_number = -1, description = repeat('<', 100000),"
    " started_at = '294276-12-31'",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_run_view__hostile_rows_do_not_break_it(store: SqlBacklog, given: Given, name: str) -> None:
    run = opened(given, given.item("a"), given.item("b"))
    claims = [claimed(given, run, item).claim for item in run.item_ids]
    task = Task(id="1.1", subagent=Subagent.EXPLORE, description="Look")
    one = Iteration(number=1, failed_before=("lint",), tried="this", gate=None, validator=None, passed=False)
    store.save_tasks(
        [TaskRow(id=uuid4(), claim=c, wave=1, number=1, task=task, status=TaskStatus.PENDING) for c in claims]
    )
    store.save_iterations([IterationRow(id=uuid4(), claim=c, iteration=one, created_at=AT) for c in claims])
    assert store.settle(claims[0], failed_outcome())
    given.sql.execute(HOSTILE[name].encode())
    view = viewed(store, run)
    assert [item.id for item in view.items] == list(run.item_ids)
    assert [len(item.tasks) for item in view.items] == [1, 1]
    assert [len(item.iterations) for item in view.items] == [1, 1]
    assert len(repr(view)) < 100_000
    assert [line.id for line in store.run_lines(limit=5)] == [run.id]
    json.dumps([item.percentage for item in view.items])
    assert all(0 <= item.percentage <= 100 for item in view.items)


def test_run_view__documents_that_are_too_long_are_cut_where_they_lie(store: SqlBacklog, given: Given) -> None:
    run = opened(given, given.item())
    claim = claimed(given, run, run.item_ids[0]).claim
    one = Iteration(number=1, failed_before=("lint",), tried="this", gate=None, validator=None, passed=False)
    store.save_iterations([IterationRow(id=uuid4(), claim=claim, iteration=one, created_at=AT)])
    assert store.settle(claim, failed_outcome())
    long = "jsonb_build_object('x', repeat('x', 5000000))"
    given.sql.execute(f"update mason_pm_execution_results set result = {long}, evidence = {long}".encode())
    given.sql.execute(f"update mason_pm_validation_iterations set failure_details = {long}".encode())
    asked = "select length(mason_run_view(jsonb_build_object('run', %s::uuid, 'room', 100))::text) as length"
    answer = given.sql.execute(asked, (run.id,)).fetchone()
    assert answer
    assert answer["length"] < 5_000_000
    assert only(store, run).verdict is None


# -- versions --------------------------------------------------------------------------------------------------------


def test_run_version__is_the_same_while_nothing_happens(store: SqlBacklog, given: Given) -> None:
    run = opened(given, given.item())
    assert store.run_version(run.id) == store.run_version(run.id)
    before = store.run_version(run.id)
    other = opened(given, given.item())
    claimed(given, other, other.item_ids[0])
    store.append_logs(log_rows(other, 1))
    assert store.run_version(run.id) == before


def test_run_version__is_another_one_after_each_change(store: SqlBacklog, given: Given) -> None:
    run = opened(given, given.item())
    versions = [store.run_version(run.id)]

    def changed(what: Callable[[], object]) -> None:
        what()
        versions.append(store.run_version(run.id))

    taken = claimed(given, run, run.item_ids[0])
    claim = taken.claim
    versions.append(store.run_version(run.id))
    task = Task(id="1.1", subagent=Subagent.EXPLORE, description="Look")
    row = TaskRow(id=uuid4(), claim=claim, wave=1, number=1, task=task, status=TaskStatus.PENDING)
    one = Iteration(number=1, failed_before=("lint",), tried="this", gate=None, validator=None, passed=False)
    changed(lambda: store.save_progress([replace(first_progress(claim), current_task="Reading")]))
    changed(lambda: store.save_tasks([row]))
    changed(lambda: store.save_tasks([replace(row, status=TaskStatus.SKIPPED)]))
    changed(lambda: store.save_iterations([IterationRow(id=uuid4(), claim=claim, iteration=one, created_at=AT)]))
    changed(lambda: store.append_logs(log_rows(run, 1)))
    changed(lambda: store.settle(claim, failed_outcome()))
    results = (ItemResult(item=taken.item, outcome=failed_outcome()),)
    changed(lambda: store.close_run(RunResult(run_id=run.id, base=BASE, results=results)))
    changed(lambda: given.sql.execute("update mason_pm_backlog_items set title = 'Another title'"))
    assert len(set(versions)) == len(versions) == 10


# -- runs ------------------------------------------------------------------------------------------------------------


def test_run_lines__come_newest_first_and_page_by_page(store: SqlBacklog, given: Given) -> None:
    runs = [opened(given, given.item()).id for _ in range(5)]
    given.sql.execute("update mason_remote_execution_runs set started_at = '2026-01-01'")  # ties are broken
    given.sql.execute("update mason_remote_execution_runs set started_at = null where id = %s", (runs[2],))
    given.sql.execute("update mason_remote_execution_runs set started_at = 'infinity' where id = %s", (runs[3],))
    found: list[UUID] = []
    before: UUID | None = None
    while lines := store.run_lines(limit=2, before=before):
        found += [line.id for line in lines]
        before = found[-1]
    assert sorted(found) == sorted(runs)
    assert (found[0], found[-1]) == (runs[3], runs[2])


def test_run_lines__count_what_has_ended_while_the_run_goes_on(store: SqlBacklog, given: Given) -> None:
    run = opened(given, given.item("a"), given.item("b"), given.item("c"))
    first, second, _ = (claimed(given, run, item).claim for item in run.item_ids)
    assert store.settle(first, Outcome(verdict=Verdict.ALREADY_RESOLVED))
    assert store.settle(second, failed_outcome())
    (line,) = store.run_lines(limit=10)
    assert (line.items, line.succeeded, line.failed, line.completed_at) == (3, 1, 1, None)


def test_run_lines__behind_an_unknown_run_are_refused(store: SqlBacklog) -> None:
    with pytest.raises(BadCursor):
        store.run_lines(limit=2, before=uuid4())


# -- the log ---------------------------------------------------------------------------------------------------------


def test_log_page__comes_in_order_and_says_whether_there_is_more(store: SqlBacklog, given: Given) -> None:
    run, other = opened(given, given.item()), opened(given, given.item())
    store.append_logs([*log_rows(other, 3, start=100), *log_rows(run, 5)])
    first = store.log_page(run.id, after=None, limit=3)
    assert (messages(first.lines), first.more) == (["0", "1", "2"], True)
    rest = store.log_page(run.id, after=first.next, limit=3)
    assert (messages(rest.lines), rest.more) == (["3", "4"], False)
    nothing = store.log_page(run.id, after=rest.next, limit=3)
    assert (nothing.lines, nothing.next, nothing.more) == ((), rest.next, False)
    store.append_logs(log_rows(run, 1, start=5))
    assert messages(store.log_page(run.id, after=rest.next, limit=3).lines) == ["5"]


def test_log_page__says_what_a_line_is(store: SqlBacklog, given: Given) -> None:
    item = given.item()
    run = opened(given, item)
    (row,) = log_rows(run, 1, item=item)
    store.append_logs([replace(row, level=Level.WARN, message="<img src=x>\n\U0001f600")])
    (line,) = store.log_page(run.id, after=None, limit=1).lines
    said = LogLine(id=row.id, level=Level.WARN, message="<img src=x>\n\U0001f600", item_id=item, at=AT)
    assert line == said


def test_log_page__of_an_empty_log(store: SqlBacklog, given: Given) -> None:
    run = opened(given, given.item())
    for page in (store.log_page(run.id, after=None, limit=3), store.last_log_page(run.id, limit=3)):
        assert (page.lines, page.next, page.more) == ((), None, False)
    assert store.log_page(uuid4(), after=None, limit=3).lines == ()


def test_log_page__lines_that_come_late_are_found_behind_the_cursor(store: SqlBacklog, given: Given) -> None:
    """Rows carry their writer's time: another machine's clock, or a spool that is written back hours later."""
    run = opened(given, given.item())
    store.append_logs(log_rows(run, 2))
    end = store.log_page(run.id, after=None, limit=10).next
    (late,) = log_rows(run, 1, start=2)
    store.append_logs([replace(late, created_at=AT - timedelta(hours=3))])
    assert messages(store.log_page(run.id, after=end, limit=10).lines) == ["2"]


def test_log_page__every_line_is_read_once_while_many_write(store: SqlBacklog, given: Given) -> None:
    run = opened(given, given.item())
    writers, batches, size = 4, 10, 7
    found: list[str] = []
    done = threading.Event()

    def write(writer: int) -> None:
        for batch in range(batches):
            store.append_logs(log_rows(run, size, start=(writer * batches + batch) * size))

    def follow() -> None:
        cursor: str | None = None
        while True:
            last_look = done.is_set()
            page = store.log_page(run.id, after=cursor, limit=5)
            found.extend(messages(page.lines))
            cursor = page.next
            if last_look and not page.more:
                return

    with ThreadPoolExecutor(writers + 1) as pool:
        reader = pool.submit(follow)
        for one in [pool.submit(write, writer) for writer in range(writers)]:
            one.result()
        done.set()
        reader.result()
    assert sorted(map(int, found)) == list(range(writers * batches * size))


def test_log_page__lines_from_before_the_numbers_come_first_and_by_their_time(store: SqlBacklog, given: Given) -> None:
    run = opened(given, given.item())
    insert = "insert into mason_execution_logs (execution_run_id, message, created_at) values (%s, %s, %s)"
    for message, at in [("2", AT), ("3", AT + timedelta(microseconds=1)), ("0", None), ("1", AT - timedelta(days=1))]:
        given.sql.execute(insert, (run.id, message, at))
    given.sql.execute(insert, (run.id, "9", "infinity"))
    store.append_logs(log_rows(run, 3, start=10))
    expected = ["0", "1", "2", "3", "9", "10", "11", "12"]
    for limit in (1, 2, 3, 100):
        assert read_all(store, run, limit) == expected


def test_append_logs__goes_on_where_somebody_else_wrote_the_last_number(store: SqlBacklog, given: Given) -> None:
    run = opened(given, given.item())
    store.append_logs(log_rows(run, 2))
    insert = "insert into mason_execution_logs (execution_run_id, message, line) values (%s, 'last', %s)"
    given.sql.execute(insert, (run.id, 2**63 - 1))
    store.append_logs(log_rows(run, 2, start=2))
    assert read_all(store, run, 10) == ["0", "1", "2", "3", "last"]


def test_log_page__of_one_item(store: SqlBacklog, given: Given) -> None:
    item, other = given.item(), given.item()
    run = opened(given, item, other)
    for number in range(4):
        store.append_logs(log_rows(run, 2, start=10 * number, item=item) + log_rows(run, 3, start=100, item=other))
    expected = ["0", "1", "10", "11", "20", "21", "30", "31"]
    for limit in (1, 3, 8, 100):
        assert read_all(store, run, limit, item=item) == expected
    assert read_all(store, run, 3, item=uuid4()) == []
    last = store.last_log_page(run.id, limit=3, item=item)
    assert messages(last.lines) == ["21", "30", "31"]
    store.append_logs(log_rows(run, 1, start=40, item=other) + log_rows(run, 1, start=41, item=item))
    assert messages(store.log_page(run.id, after=last.next, limit=5, item=item).lines) == ["41"]


def test_last_log_page__is_the_newest_and_goes_on_from_there(store: SqlBacklog, given: Given) -> None:
    run = opened(given, given.item())
    store.append_logs(log_rows(run, 10))
    page = store.last_log_page(run.id, limit=3)
    assert (messages(page.lines), page.more) == (["7", "8", "9"], False)
    store.append_logs(log_rows(run, 2, start=10))
    assert messages(store.log_page(run.id, after=page.next, limit=5).lines) == ["10", "11"]


def test_log_page__a_repeated_batch_is_one(store: SqlBacklog, given: Given) -> None:
    run = opened(given, given.item())
    rows = log_rows(run, 3)
    store.append_logs(rows[:2])
    store.append_logs(rows)
    assert read_all(store, run, 2) == ["0", "1", "2"]


def test_log_page__a_cursor_that_no_page_gave_is_refused(store: SqlBacklog, given: Given) -> None:
    run, other = opened(given, given.item()), opened(given, given.item())
    store.append_logs([*log_rows(run, 1), *log_rows(other, 1)])
    elsewhere = store.log_page(other.id, after=None, limit=1).next
    assert elsewhere is not None
    hostile = ["", "0", str(uuid4()), elsewhere, elsewhere.upper() + " ", "{" + elsewhere + "}", "'; drop table x; --"]
    for cursor in [*hostile, "\0", "\ud800", "x" * 100_000]:
        with pytest.raises(BadCursor):
            store.log_page(run.id, after=cursor, limit=1)


def test_log_page__hostile_lines_do_not_break_it(store: SqlBacklog, given: Given) -> None:
    run = opened(given, given.item())
    insert = (
        "insert into mason_execution_logs (execution_run_id, message, created_at, metadata, log_level)"
        " values (%s, repeat('<', 1000000), '294276-12-31', '[1]', null),"
        " (%s, '', '4713-01-01 BC', '{\"item_id\": {}}', 'warn')"
    )
    given.sql.execute(insert, (run.id, run.id))
    old, new = store.log_page(run.id, after=None, limit=10).lines
    assert (old.level, old.item_id, old.message) == (Level.WARN, None, "")
    assert (new.level, new.item_id, len(new.message)) == (Level.INFO, None, 4000)
    assert [len(page) for page in read_all(store, run, 1)] == [0, 4000]
