"""What jobs of their own ask of the backlog: a run that was planned, taking over, results to collect.

The same adapters and rows as in `test_backlog`; lost answers, roles and old generations: `test_backlog_jobs_rows`.
"""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest

from app.backlog.outcomes import result_document, run_columns
from app.domain.claims import DISPATCHED, MAX_ATTEMPTS, SeenClaim
from app.domain.items import ItemStatus
from app.domain.results import (
    CheckKind,
    CheckResult,
    CheckStatus,
    Diagnostic,
    GateResult,
    Iteration,
    Outcome,
    Usage,
    Verdict,
)
from app.domain.runs import Base, ItemResult, Run, RunResult
from app.ports.backlog import Backlog, Claimed
from tests.contracts import test_backlog as contract
from tests.contracts.test_backlog import BASE, Given, outcome

store, sql, given = contract.store, contract.sql, contract.given

JOB = "job 7 1 item aaaa"
COPY = "job 7 1 item bbbb"


def planned(given: Given, *items: UUID) -> Run:
    run = Run(id=uuid4(), base=BASE, item_ids=items, planned=True)
    given.store.open_run(run, repository=None)
    return run


def dispatched(given: Given, run: Run, item: UUID) -> Claimed:
    """The item as the web app claims it for a run."""
    claimed = given.store.claim(given.store.items([item])[0], run_id=run.id, claimed_by=DISPATCHED, branch="mason/x")
    assert claimed is not None
    return claimed


def only_result(given: Given, run: Run) -> ItemResult:
    (result,) = given.store.results(run)
    return result


def let_leases_end(given: Given) -> None:
    given.sql.execute("update mason_pm_backlog_items set heartbeat_at = now() - interval '181 seconds'")


def everything() -> Outcome:
    """An outcome in which every field says something."""
    checks = (
        CheckResult(
            kind=CheckKind.TEST,
            status=CheckStatus.FAIL,
            command="pytest -q '\"😀'",
            seconds=1.25,
            output="long " * 1000,
            diagnostics=(Diagnostic(path="a.py", line=1, message="no"),),
            reason="exit code 1",
        ),
        CheckResult(kind=CheckKind.LINT, status=CheckStatus.SKIPPED),
    )
    iterations = (
        Iteration(number=1, failed_before=("test", "lint"), tried="this", gate=None, validator=None, passed=False),
        Iteration(number=2, failed_before=("test",), tried="that", gate=None, validator=None, passed=True),
    )
    return Outcome(
        verdict=Verdict.COMPLETED,
        reason="a\nreason “with” \\ everything",
        branch="mason/x",
        commit="d" * 40,
        pull_request="https://github.com/acme/shop/pull/7",
        gate=GateResult(checks=checks, tree="e" * 40, seconds=3.0),
        iterations=iterations,
        usage=Usage(input_tokens=10, output_tokens=20, cost_usd=0.125, turns=3, tool_calls=4, seconds=5.5),
        tasks_done=6,
        kept="refs/mason/wip/x",
        follow_up=uuid4(),
        failed_base="f" * 40,
    )


# -- a run as it was opened ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_planned", [True, False])
def test_run__comes_back_as_it_was_opened(store: Backlog, given: Given, is_planned: bool) -> None:
    items = (given.item("a"), given.item("b"))
    run = Run(id=uuid4(), base=BASE, item_ids=items, planned=is_planned)
    store.open_run(run, repository=None)
    assert store.run(run.id) == run


def test_run__opened_twice_keeps_its_first_commit(store: Backlog, given: Given) -> None:
    run = planned(given, given.item())
    moved = Run(id=run.id, base=Base(commit="d" * 40, branch="other"), item_ids=(), planned=False)
    store.open_run(moved, repository=None)
    assert store.run(run.id) == run


def test_run__nobody_opened_is_none(store: Backlog) -> None:
    assert store.run(uuid4()) is None


def test_run__with_a_row_in_one_table_only_is_none_of_masons(store: Backlog, given: Given) -> None:
    old = given.one("insert into mason_pm_execution_runs (item_count, status) values (0, 'in_progress') returning id")
    assert store.run(old["id"]) is None


def test_run__of_an_older_mason_has_no_commit(store: Backlog, given: Given) -> None:
    run = given.run(given.item())
    given.sql.execute("update mason_pm_execution_runs set base_commit = null")
    given.sql.execute("update mason_remote_execution_runs set item_ids = null, base_branch = default")
    found = store.run(run.id)
    assert found is not None
    assert (found.base.commit, found.item_ids, found.planned) == ("", (), False)
    assert store.results(found) == []


def test_open_run__by_an_older_mason_that_does_not_say_whether_it_is_planned(given: Given) -> None:
    run = uuid4()
    asked = json.dumps({"run": str(run), "items": [], "repository": None, "base_branch": "main"})
    given.sql.execute("select mason_open_run(%s)", (asked,))
    found = given.store.run(run)
    assert found is not None
    assert (found.planned, found.base) == (False, Base(commit="", branch="main"))


# -- taking over -----------------------------------------------------------------------------------------------------


def test_take_over__makes_a_dispatched_item_its_jobs(store: Backlog, given: Given) -> None:
    item = given.item()
    run = planned(given, item)
    before = dispatched(given, run, item)
    given.sql.execute("update mason_pm_backlog_items set heartbeat_at = '2020-01-01'")
    taken = store.take_over(item, run_id=run.id, claimed_by=JOB)
    assert taken is not None
    assert (taken.claim.run_id, taken.claim.attempt, taken.claim.claimed_by) == (run.id, before.claim.attempt, JOB)
    assert (taken.item.status, taken.item.branch) == (ItemStatus.IN_PROGRESS, "mason/x")
    row = given.row(item)
    assert row["claimed_by"] == JOB
    assert row["heartbeat_at"].year > 2020
    assert store.heartbeat([taken.claim]) == [taken.claim]
    assert [event["new_value"] for event in given.events(item)] == ["in_progress"]


def test_take_over__a_second_copy_of_the_job_finds_the_item_taken(store: Backlog, given: Given) -> None:
    item = given.item()
    run = planned(given, item)
    dispatched(given, run, item)
    assert store.take_over(item, run_id=run.id, claimed_by=JOB)
    before = given.row(item)
    assert store.take_over(item, run_id=run.id, claimed_by=COPY) is None
    assert given.row(item) == before


def test_take_over__one_of_many_copies_wins(store: Backlog, given: Given) -> None:
    item = given.item()
    run = planned(given, item)
    dispatched(given, run, item)
    start = threading.Barrier(8)

    def take(number: int) -> Claimed | None:
        start.wait()
        return store.take_over(item, run_id=run.id, claimed_by=f"job 7 1 item {number}")

    with ThreadPoolExecutor(8) as pool:
        (winner,) = [taken for taken in pool.map(take, range(8)) if taken]
    assert given.row(item)["claimed_by"] == winner.claim.claimed_by


@pytest.mark.parametrize("state", ["approved", "settled", "claimed by a process", "of another run", "unknown"])
def test_take_over__only_an_item_that_waits_for_this_run(store: Backlog, given: Given, state: str) -> None:
    item = given.item()
    run = planned(given, item)
    wanted = item
    if state == "settled":
        assert store.settle(dispatched(given, run, item).claim, outcome(Verdict.DEFERRED))
    elif state == "claimed by a process":
        given.claim(store.items([item])[0], "process here 1 2 3")
    elif state == "of another run":
        dispatched(given, planned(given, item), item)
    elif state == "unknown":
        wanted = uuid4()
    before = given.row(item)
    assert store.take_over(wanted, run_id=run.id, claimed_by=JOB) is None
    assert given.row(item) == before


# -- results ---------------------------------------------------------------------------------------------------------


def test_results__a_settled_outcome_comes_back_without_what_checks_said(store: Backlog, given: Given) -> None:
    item = given.item()
    run = planned(given, item)
    given_outcome = everything()
    assert store.settle(dispatched(given, run, item).claim, given_outcome)
    result = only_result(given, run)
    assert (result.item.id, result.item.status) == (item, ItemStatus.COMPLETED)
    kept = result.outcome
    for name in ("verdict", "reason", "branch", "commit", "pull_request", "kept", "follow_up", "failed_base"):
        assert getattr(kept, name) == getattr(given_outcome, name), name
    assert (kept.usage, kept.tasks_done, kept.iterations) == (given_outcome.usage, 6, given_outcome.iterations)
    assert kept.gate is not None and given_outcome.gate is not None
    for had, has in zip(given_outcome.gate.checks, kept.gate.checks, strict=True):
        assert (has.kind, has.status, has.command, has.seconds, has.reason) == (
            had.kind,
            had.status,
            had.command,
            had.seconds,
            had.reason,
        )
        assert (has.output, has.diagnostics) == ("", ())


def test_results__are_as_if_the_run_had_ended_in_one_process(store: Backlog, given: Given) -> None:
    item = given.item()
    run = planned(given, item)
    claimed = dispatched(given, run, item)
    assert store.settle(claimed.claim, everything())
    first = RunResult(run_id=run.id, base=BASE, results=(ItemResult(item=claimed.item, outcome=everything()),))
    collected = RunResult(run_id=run.id, base=BASE, results=tuple(store.results(run)))
    expected, found = run_columns(first), run_columns(collected)
    for document in (*expected["item_results"], *found["item_results"]):
        document.pop("follow_up")  # a new one each time
    assert found == expected


@pytest.mark.parametrize(
    ("verdict", "status"),
    [
        (Verdict.COMPLETED, ItemStatus.COMPLETED),
        (Verdict.ALREADY_RESOLVED, ItemStatus.COMPLETED),
        (Verdict.REJECTED, ItemStatus.REJECTED),
        (Verdict.DEFERRED, ItemStatus.DEFERRED),
        (Verdict.RELEASED, ItemStatus.APPROVED),
        (Verdict.CHANGED, ItemStatus.NEW),
    ],
)
def test_results__of_every_end(store: Backlog, given: Given, verdict: Verdict, status: ItemStatus) -> None:
    item = given.item()
    run = planned(given, item)
    assert store.settle(dispatched(given, run, item).claim, Outcome(verdict=verdict, reason="Because"))
    result = only_result(given, run)
    assert (result.item.status, result.outcome.verdict, result.outcome.reason) == (status, verdict, "Because")


def test_results__come_in_the_runs_order_without_items_that_are_gone(store: Backlog, given: Given) -> None:
    first, gone, last = given.item("first", impact_score=1), given.item("gone"), given.item("last", impact_score=9)
    run = planned(given, first, gone, last)
    given.sql.execute("delete from mason_pm_backlog_items where id = %s", (gone,))
    assert [result.item.id for result in store.results(run)] == [first, last]


def test_results__an_item_that_never_began_was_given_back(store: Backlog, given: Given) -> None:
    run = planned(given, given.item())
    assert only_result(given, run).outcome.verdict is Verdict.RELEASED
    assert "did not begin" in only_result(given, run).outcome.reason


def test_results__an_item_that_is_still_at_work_was_not_ended_by_this_run(store: Backlog, given: Given) -> None:
    item = given.item()
    run = planned(given, item)
    dispatched(given, run, item)
    result = only_result(given, run)
    assert (result.item.status, result.outcome.verdict) == (ItemStatus.IN_PROGRESS, Verdict.RELEASED)


def test_results__a_lost_item_was_given_back_and_the_third_time_rejected(store: Backlog, given: Given) -> None:
    item = given.item()
    for attempt in range(1, MAX_ATTEMPTS + 1):
        run = planned(given, item)
        dispatched(given, run, item)
        let_leases_end(given)
        store.dead_claims(lambda _: False)
        last = attempt == MAX_ATTEMPTS
        found = only_result(given, run).outcome
        assert found.verdict is (Verdict.REJECTED if last else Verdict.RELEASED)
        assert "lost" in found.reason


def test_results__what_was_released_and_then_lost_is_lost(store: Backlog, given: Given) -> None:
    """A job's copy gives the item back, a second job of the same run takes it, and is killed."""
    item = given.item()
    given.sql.execute("update mason_pm_backlog_items set execution_attempt = %s", (MAX_ATTEMPTS - 1,))
    run = planned(given, item)
    assert store.settle(dispatched(given, run, item).claim, Outcome(verdict=Verdict.RELEASED, reason="Cancelled"))
    dispatched(given, run, item)
    let_leases_end(given)
    (dead,) = store.dead_claims(lambda _: False)
    assert dead.rejected
    assert only_result(given, run).outcome.verdict is Verdict.REJECTED


def test_results__an_item_that_a_person_rejected_before_its_job_began_did_not_fail(
    store: Backlog, given: Given
) -> None:
    item = given.item()
    run = planned(given, item)
    given.sql.execute("update mason_pm_backlog_items set status = 'rejected'")
    assert only_result(given, run).outcome.verdict is Verdict.RELEASED


def test_results__of_an_earlier_run_count_for_that_run_alone(store: Backlog, given: Given) -> None:
    item = given.item()
    earlier, later = planned(given, item), planned(given, item)
    assert store.settle(dispatched(given, earlier, item).claim, Outcome(verdict=Verdict.REJECTED, reason="No"))
    given.sql.execute("update mason_pm_backlog_items set status = 'approved'")
    assert only_result(given, earlier).outcome.verdict is Verdict.REJECTED
    assert only_result(given, later).outcome.verdict is Verdict.RELEASED
    assert store.settle(dispatched(given, later, item).claim, everything())
    assert only_result(given, later).outcome.verdict is Verdict.COMPLETED
    assert only_result(given, earlier).outcome.verdict is Verdict.RELEASED


HOSTILE: dict[str, Any] = {
    "null": None,
    "text": "completed",
    "list": [{"verdict": "completed"}],
    "number": 42,
    "nothing": {},
    "no run": {"verdict": "completed"},
    "no uuid": {"run": "'; drop table x; --", "verdict": "completed"},
    "no verdict": {"verdict": "won"},
    "usage": {"verdict": "completed", "usage": {"cost_usd": "free"}},
    "usage of another shape": {"verdict": "completed", "usage": [1, 2]},
    "kind": {"verdict": "completed", "checks": [{"kind": "magic", "status": "pass"}]},
    "checks": {"verdict": "completed", "checks": "all"},
    "iterations": {"verdict": "completed", "iterations": {"number": 1}},
    "reason": {"verdict": "completed", "reason": {"a": 1}},
    "tasks": {"verdict": "completed", "tasks_done": 10**30},
    "less than nothing": {"verdict": "completed", "tasks_done": -1},
    "cost": {"verdict": "completed", "usage": {"cost_usd": 10**400}},
    "dear": {"verdict": "completed", "usage": {"cost_usd": 1e300}},
    "too many": {"verdict": "completed", "iterations": [{"number": 1}] * 1000},
    "somebody else's": {"verdict": "lost"},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_results__hostile_json_is_no_result_and_keeps_no_run_from_its_end(
    store: Backlog, given: Given, name: str
) -> None:
    item, good = given.item(), given.item()
    run = planned(given, item, good)
    assert store.settle(dispatched(given, run, good).claim, everything())
    assert store.settle(dispatched(given, run, item).claim, everything())
    written = HOSTILE[name]
    if isinstance(written, dict) and name not in ("no run", "nothing"):
        written = {"run": str(run.id)} | written
    given.sql.execute(
        "update mason_pm_backlog_items set execution_result = %s::jsonb where id = %s", (json.dumps(written), item)
    )
    hostile, kept = store.results(run)
    assert (hostile.outcome.verdict, kept.outcome.verdict) == (Verdict.RELEASED, Verdict.COMPLETED)
    store.close_run(RunResult(run_id=run.id, base=BASE, results=(hostile, kept)))
    assert given.one("select success_count from mason_remote_execution_runs")["success_count"] == 1


def test_results__an_unknown_word_more_is_no_obstacle(store: Backlog, given: Given) -> None:
    """A newer Mason may keep more."""
    item = given.item()
    run = planned(given, item)
    assert store.settle(dispatched(given, run, item).claim, everything())
    given.sql.execute("update mason_pm_backlog_items set execution_result = execution_result || '{\"new\": 1}'")
    assert only_result(given, run).outcome.verdict is Verdict.COMPLETED


def test_settle__what_is_kept_of_an_outcome_is_bounded(store: Backlog, given: Given) -> None:
    long = "x" * 1_000_000
    check = CheckResult(kind=CheckKind.TEST, status=CheckStatus.FAIL, command=long, output=long, reason=long)
    tried = Iteration(number=1, failed_before=("test",), tried=long, gate=None, validator=None, passed=False)
    failed = Outcome(
        verdict=Verdict.REJECTED, reason=long, gate=GateResult(checks=(check,) * 6), iterations=(tried,) * 5
    )
    assert len(json.dumps(result_document(uuid4(), failed), default=str)) < 100_000


# -- dead claims of jobs ---------------------------------------------------------------------------------------------


def test_claims__name_the_commit_that_their_run_started_from(store: Backlog, given: Given) -> None:
    item = given.item()
    run = planned(given, item)
    claim = dispatched(given, run, item).claim
    assert store.claims() == [SeenClaim(claim=claim, expired=False, base_commit=BASE.commit)]
    let_leases_end(given)
    assert [seen.expired for seen in store.claims()] == [True]


def test_claims__of_a_run_without_rows_have_no_commit(store: Backlog, given: Given) -> None:
    item = given.claimed().item.id
    run = given.one("insert into mason_pm_execution_runs (item_count, status) values (1, 'pending') returning id")["id"]
    given.sql.execute("update mason_pm_backlog_items set execution_run_id = %s where id = %s", (run, item))
    assert [seen.base_commit for seen in store.claims()] == [None]


def test_dead_claims__are_told_before_anything_changes(store: Backlog, given: Given) -> None:
    dead, alive = given.claimed("dead", claimed_by="dead"), given.claimed("alive", claimed_by="alive")
    told: list[tuple[list[UUID], str]] = []

    def on_found(found: Any) -> None:
        told.append(([seen.claim.item_id for seen in found], given.row(dead.item.id)["status"]))

    (taken,) = store.dead_claims(lambda claimed_by: claimed_by == "dead", on_found)
    assert told == [([dead.item.id], "in_progress")]
    assert taken.item_id == dead.item.id
    assert given.row(alive.item.id)["status"] == "in_progress"


def test_dead_claims__stay_when_telling_of_them_fails(store: Backlog, given: Given) -> None:
    dead = given.claimed(claimed_by="dead")

    def on_found(found: Any) -> None:
        raise RuntimeError("killed here")

    with pytest.raises(RuntimeError):
        store.dead_claims(lambda _: True, on_found)
    assert given.row(dead.item.id)["status"] == "in_progress"
    assert len(store.dead_claims(lambda _: True)) == 1


def run_states(given: Given, run: Run) -> list[str]:
    tables = ("mason_remote_execution_runs", "mason_pm_execution_runs")
    return [given.one(f"select status from {table} where id = %s", run.id)["status"] for table in tables]


def age(given: Given, run: Run, interval: str) -> None:
    for table in ("mason_remote_execution_runs", "mason_pm_execution_runs"):
        given.sql.execute(
            f"update {table} set started_at = clock_timestamp() - interval '{interval}' where id = %s", (run.id,)
        )


def test_dead_claims__leave_a_planned_run_open_for_its_last_job(store: Backlog, given: Given) -> None:
    item = given.item()
    waiting, run, ordinary = planned(given), planned(given, item), given.run()
    for one in (waiting, run, ordinary):
        age(given, one, "23 hours")
    dispatched(given, run, item)
    let_leases_end(given)
    assert len(store.dead_claims(lambda _: False)) == 1
    assert (run_states(given, waiting), run_states(given, run)) == (["in_progress"] * 2, ["in_progress"] * 2)
    assert run_states(given, ordinary) == ["failed"] * 2


def test_dead_claims__a_planned_run_of_yesterday_waits_for_nobody(store: Backlog, given: Given) -> None:
    at_work = given.item()
    old, busy = planned(given, given.item()), planned(given, at_work)
    dispatched(given, busy, at_work)
    for one in (old, busy):
        age(given, one, "25 hours")
    assert store.dead_claims(lambda _: False) == []
    assert (run_states(given, old), run_states(given, busy)) == (["failed"] * 2, ["in_progress"] * 2)
