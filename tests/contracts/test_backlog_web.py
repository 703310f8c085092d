"""What the web app asks of the backlog: what waits, people's decisions, cancelling, what was spent, how runs do.

The same adapters and rows as in `test_backlog`; lost answers, roles and old generations: `test_backlog_web_rows`.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from app.domain.claims import DISPATCHED, MAX_ATTEMPTS, Claim
from app.domain.items import ItemStatus
from app.domain.progress import first_progress
from app.domain.results import Outcome, Usage, Verdict
from app.domain.runs import RunResult, RunStatus
from app.flows.heartbeat import Leases
from app.flows.work import LOST
from app.ports.backlog import UNKNOWN_AGE, Backlog, ItemEventRow
from app.process import Stop
from tests.contracts import test_backlog as contract
from tests.contracts.test_backlog import BASE, Given
from tests.contracts.test_backlog_jobs import JOB, dispatched, planned, run_states

store, sql, given = contract.store, contract.sql, contract.given

COMMIT = "d" * 40


def spent(verdict: Verdict, dollars: float) -> Outcome:
    return Outcome(verdict=verdict, reason="Because", usage=Usage(cost_usd=dollars))


def costly(item: UUID, dollars: float) -> ItemEventRow:
    """What was spent on an item outside of its runs."""
    return ItemEventRow(
        id=uuid4(),
        item_id=item,
        event_type="note_added",
        payload={"notes": "Fixed"},
        created_at=datetime.now(UTC),
        cost_usd=dollars,
    )


# -- what waits ------------------------------------------------------------------------------------------------------


def test_waiting_items__come_by_priority_and_then_by_age(store: Backlog, given: Given) -> None:
    low = given.item("low", impact_score=1)
    old = given.item("old", created_at=datetime(2020, 1, 1, tzinfo=UTC))
    young = given.item("young", created_at=datetime(2021, 1, 1, tzinfo=UTC))
    high = given.item("high", impact_score=10)
    for status in ("new", "in_progress", "completed", "deferred", "rejected"):
        given.item(status, status=status)
    assert [one.item.id for one in store.waiting_items()] == [high, old, young, low]


def test_waiting_items__say_all_that_decides_about_them_but_their_prd(store: Backlog, given: Given) -> None:
    item = given.item(prd_content="# PRD", tags=["a"], complexity=4, failed_base=COMMIT, skip_reason="Later")
    (one,) = store.waiting_items()
    (whole,) = store.items([item])
    assert one.item == replace(whole, prd=None)
    assert (one.item.complexity, one.item.failed_base, one.item.skip_reason) == (4, COMMIT, "Later")


def test_waiting_items__name_the_repository_they_are_for(store: Backlog, given: Given) -> None:
    shop, site = given.repository("acme/shop"), given.repository("Acme/Site")
    given.item("shop", repository_id=shop)
    given.item("site", repository_id=site)
    given.item("nobody knows")
    assert {one.item.title: one.repository for one in store.waiting_items()} == {
        "shop": "acme/shop",
        "site": "Acme/Site",
    }


def test_waiting_items__without_a_repository_are_for_the_only_connected_one(store: Backlog, given: Given) -> None:
    given.item()
    assert [one.repository for one in store.waiting_items()] == [None]
    given.repository("acme/shop")
    assert [one.repository for one in store.waiting_items()] == ["acme/shop"]
    given.repository("Acme/Shop")  # connected by two people
    assert [str(one.repository).lower() for one in store.waiting_items()] == ["acme/shop"]
    given.repository("acme/site")
    assert store.waiting_items() == []


def test_waiting_items__of_a_repository_without_a_name_are_for_none(store: Backlog, given: Given) -> None:
    given.sql.execute("alter table mason_github_repositories alter column github_full_name drop not null")
    nameless = given.one("insert into mason_github_repositories (github_owner) values ('a') returning id")["id"]
    item = given.item(repository_id=nameless)
    assert store.waiting_items() == []
    assert store.item_of(None, item) is None


def test_waiting_items__tell_their_age(store: Backlog, given: Given) -> None:
    given.item()
    (fresh,) = store.waiting_items()
    assert 0 <= fresh.age < 60
    given.sql.execute("update mason_pm_backlog_items set approved_at = clock_timestamp() - interval '90 seconds'")
    (older,) = store.waiting_items()
    assert 90 <= older.age < 150


@pytest.mark.parametrize("written", ["null", "now() + interval '1 year'"])
def test_waiting_items__approved_at_no_time_are_old(store: Backlog, given: Given, written: str) -> None:
    given.item()
    given.sql.execute(f"update mason_pm_backlog_items set approved_at = {written}")
    assert [one.age for one in store.waiting_items()] == [UNKNOWN_AGE]


def test_waiting_items__one_that_cannot_be_read_keeps_nobody_from_the_others(store: Backlog, given: Given) -> None:
    for written in ("infinity", "-infinity"):
        hostile = given.item()
        given.sql.execute("update mason_pm_backlog_items set approved_at = %s where id = %s", (written, hostile))
    good = given.item()
    assert [one.item.id for one in store.waiting_items()] == [good]


# -- whose items -----------------------------------------------------------------------------------------------------


def test_item_of__is_for_its_own_repository_alone(store: Backlog, given: Given) -> None:
    shop, _ = given.repository("acme/shop"), given.repository("acme/site")
    item, nobodys = given.item(repository_id=shop, status="new"), given.item()
    found = store.item_of("ACME/Shop", item)
    assert found is not None
    assert (found.id, found.status) == (item, ItemStatus.NEW)
    assert [store.item_of(name, item) for name in ("acme/site", "acme/other", None)] == [None] * 3
    assert [store.item_of(name, nobodys) for name in ("acme/shop", "acme/site", None)] == [None] * 3
    assert store.item_of("acme/shop", uuid4()) is None


def test_item_of__without_a_repository_is_for_the_only_connected_one(store: Backlog, given: Given) -> None:
    item = given.item()
    for name in ("acme/shop", None):
        found = store.item_of(name, item)
        assert found is not None and found.id == item
    given.repository("acme/shop")
    assert store.item_of("acme/shop", item) is not None
    assert [store.item_of(name, item) for name in ("acme/site", None)] == [None, None]


def test_item_of_branch__is_the_newest_of_its_repository(store: Backlog, given: Given) -> None:
    shop, site = given.repository("acme/shop"), given.repository("acme/site")
    for year in (2020, 2022, 2021):
        at = datetime(year, 1, 1, tzinfo=UTC)
        given.item(str(year), repository_id=shop, branch_name="mason/x", created_at=at, status="completed")
    given.item("other", repository_id=site, branch_name="mason/x")
    given.item("another", repository_id=shop, branch_name="mason/y")
    found = store.item_of_branch("acme/shop", "mason/x")
    assert found is not None
    assert (found.title, found.branch) == ("2022", "mason/x")
    assert store.item_of_branch("acme/shop", "mason/z") is None
    assert store.item_of_branch("acme/other", "mason/x") is None


# -- a person's decisions --------------------------------------------------------------------------------------------

SETTLED: dict[str, Any] = {
    "failure_reason": "It never passed",
    "skip_reason": "Later",
    "failed_base": COMMIT,
    "validation_passed": False,
    "execution_attempt": 3,
}


def shown(given: Given, item: UUID) -> None:
    """A progress row, as an earlier attempt left it."""
    given.sql.execute("insert into mason_execution_progress (item_id) values (%s)", (item,))


@pytest.mark.parametrize("status", ["new", "deferred", "rejected"])
def test_approve__begins_anew(store: Backlog, given: Given, status: str) -> None:
    item = given.item(status=status, **SETTLED)
    shown(given, item)
    approved = store.approve(item)
    assert approved is not None
    assert (approved.id, approved.status, approved.attempt) == (item, ItemStatus.APPROVED, 0)
    assert (approved.failure_reason, approved.skip_reason, approved.failed_base) == (None, None, None)
    assert approved.approved_digest == approved.content_digest
    assert given.row(item)["validation_passed"] is None
    assert given.progress(item) is None
    assert [(event["old_value"], event["new_value"]) for event in given.events(item)] == [(status, "approved")]
    assert [one.item.id for one in store.waiting_items()] == [item]


def test_approve__of_an_approved_item_lifts_its_waiting_and_nothing_else(store: Backlog, given: Given) -> None:
    item = given.item(failed_base=COMMIT)
    before = store.items([item])[0]
    approved = store.approve(item)
    assert approved == replace(before, failed_base=None)
    unchanged = given.row(item)
    assert store.approve(item) == approved
    assert given.row(item) == unchanged
    assert given.events(item) == []


@pytest.mark.parametrize("status", ["in_progress", "completed"])
def test_decisions__about_what_is_under_way_or_done_change_nothing(store: Backlog, given: Given, status: str) -> None:
    item = given.item(status=status)
    shown(given, item)
    before = given.row(item)
    assert store.approve(item) is None
    assert store.defer(item, "Not now") is None
    assert given.row(item) == before
    assert given.progress(item) is not None
    assert given.events(item) == []


def test_decisions__about_an_unknown_item_are_none(store: Backlog, given: Given) -> None:
    assert store.approve(uuid4()) is None
    assert store.defer(uuid4(), "Not now") is None


@pytest.mark.parametrize("status", ["new", "approved", "rejected"])
def test_defer__puts_an_item_off(store: Backlog, given: Given, status: str) -> None:
    item = given.item(status=status, **SETTLED)
    shown(given, item)
    deferred = store.defer(item, "Not \0 this week 😀")
    assert deferred is not None
    assert (deferred.id, deferred.status) == (item, ItemStatus.DEFERRED)
    assert deferred.skip_reason == "Not \N{REPLACEMENT CHARACTER} this week 😀"
    assert (deferred.failure_reason, deferred.failed_base) == (None, None)
    assert given.progress(item) is None
    (event,) = given.events(item)
    assert (event["old_value"], event["new_value"], event["notes"]) == (status, "deferred", deferred.skip_reason)
    assert store.waiting_items() == []


def test_defer__twice_keeps_the_first_reason(store: Backlog, given: Given) -> None:
    item = given.item()
    assert store.defer(item, "First") is not None
    assert store.defer(item, "Second") is None
    assert given.row(item)["skip_reason"] == "First"


def test_decisions__and_a_claim_at_once_leave_one_winner(store: Backlog, given: Given) -> None:
    """Never a claim of a deferred item, nor a deferral of a claimed one."""
    for _ in range(10):
        (item,) = store.items([given.item()])
        run = given.run(item.id)
        with ThreadPoolExecutor(2) as pool:
            claiming = pool.submit(store.claim, item, run_id=run.id, claimed_by="me", branch="mason/x")
            deferring = pool.submit(store.defer, item.id, "Not now")
        claimed, deferred = claiming.result(), deferring.result()
        assert (claimed is None) != (deferred is None)
        assert given.row(item.id)["status"] == ("in_progress" if claimed else "deferred")


# -- cancelling, giving back -----------------------------------------------------------------------------------------


def test_cancel__ends_the_claim_of_whoever_holds_it_who_notices_at_the_next_heartbeat(
    store: Backlog, given: Given
) -> None:
    item = given.item()
    run = planned(given, item)
    dispatched(given, run, item)
    taken = store.take_over(item, run_id=run.id, claimed_by=JOB)
    assert taken is not None
    leases, stop = Leases(store), Stop()
    leases.hold(taken.claim, stop)
    leases.renew()
    assert not stop.is_set()

    (seen,) = store.claims()
    assert seen.claim == taken.claim
    assert store.settle(seen.claim, Outcome(verdict=Verdict.DEFERRED, reason="Cancelled by @ada"))

    leases.renew()
    assert (stop.is_set(), stop.reason) == (True, LOST)
    assert not store.settle(taken.claim, Outcome(verdict=Verdict.COMPLETED, branch="mason/x"))
    store.save_progress([first_progress(taken.claim)])
    (cancelled,) = store.items([item])
    assert (cancelled.status, cancelled.skip_reason) == (ItemStatus.DEFERRED, "Cancelled by @ada")
    assert given.progress(item) is None
    assert store.claims() == []


@pytest.mark.parametrize("wrong", ["run", "attempt"])
def test_cancel__of_a_claim_that_was_seen_before_somebody_elses_changes_nothing(
    store: Backlog, given: Given, wrong: str
) -> None:
    claim = given.claimed().claim
    seen = replace(claim, run_id=uuid4()) if wrong == "run" else replace(claim, attempt=claim.attempt + 1)
    assert not store.settle(seen, Outcome(verdict=Verdict.DEFERRED, reason="Cancelled by @ada"))
    assert store.heartbeat([claim]) == [claim]


def test_release__keeps_the_base_that_failed_and_gives_the_attempt_back(store: Backlog, given: Given) -> None:
    item = given.item()
    given.sql.execute("update mason_pm_backlog_items set execution_attempt = 1")
    claim = dispatched(given, planned(given, item), item).claim
    assert claim.attempt == 2
    assert store.settle(claim, Outcome(verdict=Verdict.RELEASED, reason="No runner took it", failed_base=COMMIT))
    (released,) = store.items([item])
    assert (released.status, released.attempt, released.run_id) == (ItemStatus.APPROVED, 1, None)
    assert released.failed_base == COMMIT
    assert [one.item.failed_base for one in store.waiting_items()] == [COMMIT]
    assert store.heartbeat([claim]) == []


def without_effect(given: Given, claim: Claim) -> None:
    """Nothing that a former holder writes arrives."""
    before = given.row(claim.item_id), given.progress(claim.item_id)
    assert given.store.heartbeat([claim]) == []
    assert not given.store.settle(claim, Outcome(verdict=Verdict.COMPLETED, branch="mason/stale"))
    assert not given.store.store_prd(claim, "stale")
    given.store.save_progress([replace(first_progress(claim), current_task="stale")])
    assert (given.row(claim.item_id), given.progress(claim.item_id)) == before


def test_fence__of_a_run_that_takes_an_item_again_is_another_one(store: Backlog, given: Given) -> None:
    """Its own copies, still alive, must not pass for the one that holds it now; nor do they cost attempts."""
    item = given.item()
    run = planned(given, item)
    former: list[Claim] = []
    for _ in range(MAX_ATTEMPTS + 1):
        claim = dispatched(given, run, item).claim
        assert claim not in former
        assert store.heartbeat([claim]) == [claim]
        progress = given.progress(item)
        assert progress is not None and progress["execution_attempt"] == claim.attempt
        for stale in former:
            without_effect(given, stale)
        former.append(claim)
        assert store.settle(claim, Outcome(verdict=Verdict.RELEASED, reason="Stopped"))
        assert store.items([item])[0].attempt == 0
    assert [event["new_value"] for event in given.events(item)].count("in_progress") == MAX_ATTEMPTS + 1
    assert given.claim(store.items([item])[0]).claim.attempt == 1  # another run begins where it was


def test_fence__of_a_run_whose_item_was_cancelled_and_approved_anew_is_another_one(
    store: Backlog, given: Given
) -> None:
    item = given.item()
    run = planned(given, item)
    cancelled = dispatched(given, run, item).claim
    assert store.settle(cancelled, Outcome(verdict=Verdict.DEFERRED, reason="Cancelled by @ada"))
    assert store.approve(item) is not None
    claim = dispatched(given, run, item).claim
    assert (claim.run_id, claim.attempt > cancelled.attempt) == (cancelled.run_id, True)
    without_effect(given, cancelled)
    assert store.heartbeat([claim]) == [claim]


def test_fence__is_used_once_however_runs_take_turns(store: Backlog, given: Given) -> None:
    item = given.item()
    runs = [planned(given, item), planned(given, item)]
    fences = set()
    for turn in range(6):
        claim = dispatched(given, runs[turn % 2], item).claim
        fences.add((claim.run_id, claim.attempt))
        assert store.settle(claim, Outcome(verdict=Verdict.RELEASED, reason="Stopped"))
    assert len(fences) == 6


def test_take_back__takes_the_claims_of_one_run_that_nobody_works_for(store: Backlog, given: Given) -> None:
    waiting, working, other = given.item(), given.item(), given.item()
    run, another = planned(given, waiting, working), planned(given, other)
    for item in (waiting, working):
        dispatched(given, run, item)
    elsewhere = dispatched(given, another, other).claim
    seen = [one for one in store.claims() if one.claim.run_id == run.id]
    taken = store.take_over(working, run_id=run.id, claimed_by=JOB)
    assert taken is not None
    assert [dead.item_id for dead in store.take_back(seen)] == [waiting]
    assert {one.claim.item_id: one.claim.claimed_by for one in store.claims()} == {
        working: JOB,
        other: DISPATCHED,
    }
    assert store.heartbeat([taken.claim, elsewhere]) == [taken.claim, elsewhere]


# -- what was spent --------------------------------------------------------------------------------------------------


def test_spent_since__counts_every_settled_attempt_of_a_repository(store: Backlog, given: Given) -> None:
    shop, site = given.repository("acme/shop"), given.repository("acme/site")
    first, second = given.item(repository_id=shop), given.item(repository_id=shop)
    other = given.item(repository_id=site)
    assert store.spent_since("acme/shop", 24) == 0
    for verdict, dollars in ((Verdict.RELEASED, 1.25), (Verdict.REJECTED, 2.5)):
        assert store.settle(given.claim(store.items([first])[0]).claim, spent(verdict, dollars))
    assert store.settle(given.claim(store.items([second])[0]).claim, spent(Verdict.ALREADY_RESOLVED, 0.125))
    assert store.settle(given.claim(store.items([other])[0]).claim, spent(Verdict.COMPLETED, 8))
    assert store.spent_since("ACME/shop", 24) == 3.875
    assert store.spent_since("acme/site", 24) == 8
    assert (store.spent_since("acme/other", 24), store.spent_since(None, 24)) == (0, 0)


def test_spent_since__is_by_the_time_of_settling_whatever_people_touch_later(store: Backlog, given: Given) -> None:
    assert store.settle(given.claimed().claim, spent(Verdict.REJECTED, 2))
    given.sql.execute("update mason_item_events set created_at = clock_timestamp() - interval '90 minutes'")
    given.sql.execute("update mason_pm_backlog_items set status = 'approved', execution_result = null")
    assert (store.spent_since(None, 2), store.spent_since(None, 1), store.spent_since(None, 1.6)) == (2, 0, 2)


def test_spent_since__of_items_without_a_repository_is_the_only_connected_ones(store: Backlog, given: Given) -> None:
    assert store.settle(given.claimed().claim, spent(Verdict.COMPLETED, 2))
    assert (store.spent_since(None, 1), store.spent_since("acme/shop", 1)) == (2, 2)
    given.repository("acme/shop")
    assert [store.spent_since(name, 1) for name in ("acme/shop", "acme/site", None)] == [2, 0, 0]


def test_spent_since__counts_what_events_say_was_spent_outside_of_runs(store: Backlog, given: Given) -> None:
    shop, site = given.repository("acme/shop"), given.repository("acme/site")
    item, other = given.item(repository_id=shop, status="completed"), given.item(repository_id=site)
    rows = [costly(item, 0.75), costly(item, 1.5), costly(other, 8), costly(item, 0.0), costly(uuid4(), 4)]
    for _ in range(2):
        store.note_events(rows)
    assert (store.spent_since("Acme/Shop", 24), store.spent_since("acme/site", 24)) == (2.25, 8)
    events = given.events(item)
    assert [event["cost_usd"] for event in events].count(None) == 1
    assert {(event["event_type"], event["notes"]) for event in events} == {("note_added", "Fixed")}
    assert given.row(item)["status"] == "completed"


def test_spent_since__of_events_is_by_the_databases_clock(store: Backlog, given: Given) -> None:
    item = given.item()
    for at in (datetime(2020, 1, 1, tzinfo=UTC), datetime(2120, 1, 1, tzinfo=UTC)):
        store.note_events([replace(costly(item, 1), created_at=at), replace(costly(item, 0.0), created_at=at)])
    assert store.spent_since(None, 1) == 2
    given.sql.execute("update mason_item_events set created_at = created_at - interval '90 minutes' where cost_usd > 0")
    assert store.spent_since(None, 1) == 0


@pytest.mark.parametrize(
    ("written", "counted"), [("NaN", 1e9), ("Infinity", 1e9), ("-Infinity", 0), (-5, 0), (None, 0)]
)
def test_spent_since__what_others_write_is_bounded(
    store: Backlog, given: Given, written: object, counted: float
) -> None:
    assert store.settle(given.claimed().claim, spent(Verdict.COMPLETED, 2))
    given.sql.execute("update mason_item_events set cost_usd = %s where cost_usd is not null", (written,))
    assert store.spent_since(None, 1) == counted


# -- runs ------------------------------------------------------------------------------------------------------------


def test_open_runs__are_masons_that_have_not_ended(store: Backlog, given: Given) -> None:
    first, second, ended = given.run(), planned(given), given.run()
    store.close_run(RunResult(run_id=ended.id, base=BASE))
    given.sql.execute("insert into mason_remote_execution_runs (status) values ('in_progress')")  # a dashboard's own
    assert store.open_runs() == [first.id, second.id]


def test_run__tells_whether_it_has_ended(store: Backlog, given: Given) -> None:
    run = planned(given)
    found = store.run(run.id)
    assert found is not None and found.status is RunStatus.IN_PROGRESS
    store.close_run(RunResult(run_id=run.id, base=BASE))
    assert store.run(run.id) == replace(run, status=RunStatus.SUCCESS)


@pytest.mark.parametrize("status", ["halted", None])
def test_run__in_a_state_that_mason_does_not_know_is_not_in_progress(
    store: Backlog, given: Given, status: str | None
) -> None:
    run = planned(given)
    given.sql.execute(
        "alter table mason_remote_execution_runs drop constraint mason_remote_execution_runs_status_check,"
        " alter column status drop not null"
    )
    given.sql.execute("update mason_remote_execution_runs set status = %s", (status,))
    found = store.run(run.id)
    assert found is not None and found.status is RunStatus.PENDING
    assert store.open_runs() == []


def test_items_of_run__come_in_its_order_as_they_are_now(store: Backlog, given: Given) -> None:
    done, gone, failed, waiting = (given.item(title) for title in ("done", "gone", "failed", "waiting"))
    run = planned(given, waiting, done, gone, failed)
    url = "https://github.invalid/acme/shop/pull/7"
    finished = Outcome(verdict=Verdict.COMPLETED, branch="mason/done", pull_request=url)
    assert store.settle(dispatched(given, run, done).claim, finished)
    assert store.settle(dispatched(given, run, failed).claim, Outcome(verdict=Verdict.REJECTED, reason="No"))
    given.sql.execute("delete from mason_pm_backlog_items where id = %s", (gone,))
    items = store.items_of_run(run.id)
    assert [item.title for item in items] == ["waiting", "done", "failed"]
    assert [item.status for item in items] == [ItemStatus.APPROVED, ItemStatus.COMPLETED, ItemStatus.REJECTED]
    assert (items[1].branch, items[1].pull_request_url) == ("mason/done", url)
    assert (items[2].failure_reason, items[2].skip_reason) == ("No", None)
    assert store.items_of_run(uuid4()) == []


@pytest.mark.parametrize("status", [RunStatus.CANCELLED, RunStatus.FAILED])
def test_close_run__of_which_no_item_was_ever_taken_says_why(store: Backlog, given: Given, status: RunStatus) -> None:
    item = given.item()
    run = planned(given, item)
    reason = "Its workflow could not be started"
    results = tuple(store.results(run))
    cancelled = status is RunStatus.CANCELLED
    store.close_run(RunResult(run_id=run.id, base=BASE, results=results, cancelled=cancelled, reason=reason))
    assert run_states(given, run) == [status] * 2
    for table in ("mason_remote_execution_runs", "mason_pm_execution_runs"):
        row = given.one(f"select error_message, completed_at from {table}")
        assert (row["error_message"], row["completed_at"] is not None) == (reason, True)
    assert store.items([item])[0].status is ItemStatus.APPROVED
    assert store.open_runs() == []
