"""One suite for every adapter of ``app.ports.backlog.Backlog``; a new adapter is one more entry in ``ADAPTERS``."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.rows import dict_row

from app.backlog.postgres import postgres_backlog
from app.domain.claims import MAX_ATTEMPTS, Claim
from app.domain.events import Level, Phase, TaskStatus
from app.domain.items import Item, ItemStatus, approval_digest
from app.domain.plans import Subagent, Task
from app.domain.progress import Progress, first_progress
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
from app.ports.backlog import Backlog, Claimed, ItemEventRow, IterationRow, LogRow, TaskRow
from tests.conftest import PATIENCE

ADAPTERS: dict[str, Callable[[str], Backlog]] = {
    "postgres": lambda dsn: postgres_backlog(dsn, patience=PATIENCE),
}

BASE = Base(commit="c" * 40, branch="main")
REASONS = {Verdict.DEFERRED: "No PRD", Verdict.REJECTED: "It never passed", Verdict.CHANGED: "Approved text changed"}


@pytest.fixture(params=sorted(ADAPTERS))
def store(request: pytest.FixtureRequest, database: str) -> Iterator[Backlog]:
    adapter = ADAPTERS[request.param](database)
    yield adapter
    adapter.close()


@pytest.fixture
def sql(database: str) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    with psycopg.connect(database, autocommit=True, row_factory=dict_row) as connection:
        yield connection


class Given:
    """Rows as a dashboard would have made them."""

    def __init__(self, sql: psycopg.Connection[dict[str, Any]], store: Backlog) -> None:
        self.sql = sql
        self.store = store

    def item(self, title: str = "Add a header", status: str = "approved", **columns: Any) -> UUID:
        row = {
            "title": title,
            "problem": "It is missing",
            "solution": "Add it",
            "area": "frontend",
            "type": "feature",
            "complexity": 2,
            "impact_score": 5,
            "effort_score": 3,
            "status": status,
        } | columns
        names, places = ", ".join(row), ", ".join(["%s"] * len(row))
        query = f"insert into mason_pm_backlog_items ({names}) values ({places}) returning id"
        return self.one(query, *row.values())["id"]

    def repository(self, full_name: str) -> UUID:
        query = "insert into mason_github_repositories (github_full_name) values (%s) returning id"
        return self.one(query, full_name)["id"]

    def run(self, *items: UUID, repository: str | None = None) -> Run:
        run = Run(id=uuid4(), base=BASE, item_ids=items)
        self.store.open_run(run, repository=repository)
        return run

    def claimed(self, title: str = "Add a header", claimed_by: str = "tester", **columns: Any) -> Claimed:
        item = self.item(title, **columns)
        return self.claim(self.store.items([item])[0], claimed_by)

    def claim(self, item: Item, claimed_by: str = "tester") -> Claimed:
        run = self.run(item.id)
        claimed = self.store.claim(item, run_id=run.id, claimed_by=claimed_by, branch="mason/x")
        assert claimed is not None
        return claimed

    def one(self, query: str, *parameters: Any) -> dict[str, Any]:
        row = self.sql.execute(query, parameters).fetchone()
        assert row is not None
        return row

    def row(self, item: UUID) -> dict[str, Any]:
        return self.one("select * from mason_pm_backlog_items where id = %s", item)

    def progress(self, item: UUID) -> dict[str, Any] | None:
        return self.sql.execute("select * from mason_execution_progress where item_id = %s", (item,)).fetchone()

    def events(self, item: UUID) -> list[dict[str, Any]]:
        query = "select * from mason_item_events where item_id = %s order by created_at, event_type desc"
        return self.sql.execute(query, (item,)).fetchall()


@pytest.fixture
def given(sql: psycopg.Connection[dict[str, Any]], store: Backlog) -> Given:
    return Given(sql, store)


def gate(**statuses: CheckStatus) -> GateResult:
    return GateResult(checks=tuple(CheckResult(kind=CheckKind(k), status=s) for k, s in statuses.items()))


def outcome(verdict: Verdict, **fields: Any) -> Outcome:
    return Outcome(verdict=verdict, reason=REASONS.get(verdict, ""), **fields)


# -- which items -----------------------------------------------------------------------------------------------------


def test_approved_items__come_by_priority_and_then_by_age(store: Backlog, given: Given) -> None:
    low = given.item("low", impact_score=1)
    old = given.item("old", created_at=datetime(2020, 1, 1, tzinfo=UTC))
    young = given.item("young", created_at=datetime(2021, 1, 1, tzinfo=UTC))
    high = given.item("high", impact_score=10)
    given.item("not approved", status="new")
    assert [item.id for item in store.approved_items(repository=None)] == [high, old, young, low]


def test_approved_items__are_those_of_the_repository_at_hand(store: Backlog, given: Given) -> None:
    ours, theirs = given.repository("Acme/Shop"), given.repository("acme/other")
    mine = given.item("mine", repository_id=ours)
    given.item("not mine", repository_id=theirs)
    given.item("whose?")
    assert [item.id for item in store.approved_items(repository="acme/shop")] == [mine]
    assert store.approved_items(repository=None) == []


def test_approved_items__without_a_repository_count_while_at_most_one_is_connected(
    store: Backlog, given: Given
) -> None:
    orphan = given.item()
    assert [item.id for item in store.approved_items(repository=None)] == [orphan]
    given.repository("acme/shop")
    assert [item.id for item in store.approved_items(repository="acme/shop")] == [orphan]
    given.repository("acme/other")
    assert store.approved_items(repository="acme/shop") == []


def test_approved_items__a_repository_connected_by_two_people_is_one(store: Backlog, given: Given) -> None:
    first, second = given.repository("acme/shop"), given.repository("Acme/Shop")
    wanted = {given.item(repository_id=first), given.item(repository_id=second), given.item()}
    assert {item.id for item in store.approved_items(repository="acme/shop")} == wanted


def test_approved_items__hostile_rows_are_left_out_with_a_warning(
    store: Backlog, given: Given, caplog: pytest.LogCaptureFixture
) -> None:
    blank = given.item(title=" \n")
    good = given.item(title="'; drop table x; -- 😀\n\"", prd_content="x" * 2_000_000)
    with caplog.at_level(logging.WARNING):
        found = store.approved_items(repository="x'; --")
    assert [item.id for item in found] == [good]
    assert str(blank) in caplog.text


@pytest.mark.parametrize(
    ("change", "field", "value"),
    [
        ("alter column tags drop default, alter column tags type jsonb using '[\"a\", null, 3]'", "tags", ("a", "3")),
        ("alter column tags drop default, alter column tags type text using '[\"a\"]'", "tags", ("a",)),
        ("alter column tags drop default, alter column tags type text using 'plain'", "tags", ("plain",)),
        ("alter column tags drop default, alter column tags type jsonb using '{\"a\": 1}'", "tags", ()),
        ("alter column tags drop default, alter column tags type text using null", "tags", ()),
        ("alter column problem drop not null, alter column problem type text using null", "problem", ""),
        ("alter column complexity type text using 'very_high'", "title", "Add a header"),
        (
            "alter column execution_attempt drop not null, alter column execution_attempt type int using null",
            "attempt",
            0,
        ),
    ],
)
def test_items__columns_of_other_types_are_read(
    store: Backlog, given: Given, change: str, field: str, value: object
) -> None:
    item = given.item()
    given.sql.execute(
        "alter table mason_pm_backlog_items drop constraint if exists mason_pm_backlog_items_complexity_check"
    )
    given.sql.execute(f"alter table mason_pm_backlog_items {change}")
    (found,) = store.items([item])
    assert getattr(found, field) == value


def test_items__unknown_ids_are_left_out_and_the_order_is_kept(store: Backlog, given: Given) -> None:
    first, second = given.item(status="new"), given.item(status="completed")
    assert [item.id for item in store.items([second, uuid4(), first])] == [second, first]
    assert store.items([]) == []


def test_branch_owner__is_the_item_that_names_the_branch(store: Backlog, given: Given) -> None:
    item = given.item(branch_name="mason/header")
    assert store.branch_owner("mason/header") == item
    assert store.branch_owner("mason/\0 nothing") is None


# -- runs ------------------------------------------------------------------------------------------------------------


def test_open_run__writes_one_row_in_both_tables_however_often(store: Backlog, given: Given) -> None:
    repository = given.repository("acme/shop")
    item = given.item(repository_id=repository)
    run = Run(id=uuid4(), base=BASE, item_ids=(item,))
    store.open_run(run, repository="Acme/shop")
    store.open_run(run, repository="Acme/shop")
    remote = given.one("select * from mason_remote_execution_runs")
    assert (remote["id"], remote["status"], remote["item_ids"], remote["item_count"]) == (
        run.id,
        "in_progress",
        [item],
        1,
    )
    assert (remote["repository_id"], remote["base_branch"], remote["completed_at"]) == (repository, "main", None)
    own = given.one("select * from mason_pm_execution_runs")
    assert (own["id"], own["status"], own["item_count"]) == (run.id, "in_progress", 1)


def test_close_run__writes_how_it_ended(store: Backlog, given: Given) -> None:
    good, bad = given.claimed("good"), given.claimed("bad")
    run = given.run(good.item.id, bad.item.id)
    iteration = Iteration(number=1, failed_before=("lint",), tried="x", gate=None, validator=None, passed=False)
    passed = outcome(Verdict.COMPLETED, gate=gate(lint=CheckStatus.PASS), usage=Usage(cost_usd=0.5), tasks_done=2)
    failed = outcome(Verdict.REJECTED, gate=gate(lint=CheckStatus.FAIL), iterations=(iteration, iteration))
    results = (ItemResult(item=good.item, outcome=passed), ItemResult(item=bad.item, outcome=failed))
    store.close_run(RunResult(run_id=run.id, base=BASE, results=results))
    remote = given.one("select * from mason_remote_execution_runs where id = %s", run.id)
    assert (remote["status"], remote["success_count"], remote["failure_count"]) == ("failed", 1, 1)
    assert remote["total_fix_iterations"] == 2
    assert remote["validation_summary"]["checks"] == {"lint": {"pass": 1, "fail": 1}}
    assert [result["success"] for result in remote["item_results"]] == [True, False]
    assert remote["completed_at"] is not None
    own = given.one("select * from mason_pm_execution_runs where id = %s", run.id)
    assert (own["status"], own["total_fix_iterations"], own["tasks_completed"]) == ("failed", 2, 2)


def test_close_run__without_a_run_writes_nothing(store: Backlog, given: Given) -> None:
    store.close_run(RunResult(run_id=None, base=None))
    assert given.one("select count(*) as n from mason_remote_execution_runs")["n"] == 0


# -- claims ----------------------------------------------------------------------------------------------------------


def test_claim__takes_the_item_and_shows_it(store: Backlog, given: Given) -> None:
    claimed = given.claimed("Add a header", failure_reason="old", skip_reason="old", failed_base="old")
    row = given.row(claimed.item.id)
    assert (claimed.item.status, claimed.item.attempt, claimed.item.branch) == (ItemStatus.IN_PROGRESS, 1, "mason/x")
    assert (row["execution_run_id"], row["execution_attempt"], row["claimed_by"]) == (claimed.claim.run_id, 1, "tester")
    assert (row["failure_reason"], row["skip_reason"], row["failed_base"]) == (None, None, None)
    progress = given.progress(claimed.item.id)
    assert progress is not None
    assert (progress["run_id"], progress["execution_attempt"]) == (str(claimed.claim.run_id), 1)
    assert (progress["current_phase"], progress["checkpoint_total"], progress["checkpoint_index"]) == (
        "site_review",
        13,
        1,
    )
    assert [event["new_value"] for event in given.events(claimed.item.id)] == ["in_progress"]


def test_claim__opens_the_window_anew_over_rows_that_others_left(store: Backlog, given: Given) -> None:
    item = given.item()
    old = given.one(
        "insert into mason_execution_progress (item_id, current_phase, started_at, completed_at, current_task)"
        " values (%s, 'complete', '2020-01-01', '2020-01-01', 'old') returning id",
        item,
    )
    given.claim(store.items([item])[0])
    progress = given.progress(item)
    assert progress is not None
    assert progress["id"] != old["id"]
    assert progress["started_at"].year > 2020
    assert (progress["completed_at"], progress["current_phase"]) == (None, "site_review")


@pytest.mark.parametrize("status", ["new", "in_progress", "completed", "deferred", "rejected"])
def test_claim__only_an_approved_item_can_be_taken(store: Backlog, given: Given, status: str) -> None:
    item = store.items([given.item(status=status)])[0]
    run = given.run(item.id)
    assert store.claim(item, run_id=run.id, claimed_by="me", branch="mason/x") is None
    assert given.row(item.id)["status"] == status


def test_claim__of_an_item_read_before_another_attempt_fails(store: Backlog, given: Given) -> None:
    stale = store.items([given.item()])[0]
    given.sql.execute("update mason_pm_backlog_items set execution_attempt = 1")
    run = given.run(stale.id)
    assert store.claim(stale, run_id=run.id, claimed_by="me", branch="mason/x") is None


def test_claim__fills_a_digest_that_no_trigger_made(store: Backlog, given: Given) -> None:
    item = given.item(prd_content="# PRD")
    given.sql.execute("update mason_pm_backlog_items set approved_digest = null")
    claimed = given.claim(store.items([item])[0])
    assert claimed.item.approved_digest == claimed.item.content_digest


def test_claim__one_of_sixteen_wins(store: Backlog, given: Given) -> None:
    for _ in range(4):
        item = store.items([given.item()])[0]
        run = given.run(item.id)
        start = threading.Barrier(16)

        def take(number: int, item: Item = item, run: Run = run, start: threading.Barrier = start) -> Claimed | None:
            start.wait()
            return store.claim(item, run_id=run.id, claimed_by=f"runner {number % 4}", branch="mason/x")

        with ThreadPoolExecutor(16) as pool:
            winners = [claimed for claimed in pool.map(take, range(16)) if claimed]
        assert len(winners) == 1
        row = given.row(item.id)
        assert (row["execution_attempt"], row["claimed_by"]) == (1, winners[0].claim.claimed_by)


def test_heartbeat__renews_what_is_ours_and_names_it(store: Backlog, given: Given) -> None:
    ours, settled, theirs = given.claimed("a").claim, given.claimed("b").claim, given.claimed("c").claim
    given.sql.execute("update mason_pm_backlog_items set heartbeat_at = '2020-01-01'")
    assert store.settle(settled, outcome(Verdict.DEFERRED))
    stale = Claim(item_id=theirs.item_id, run_id=uuid4(), attempt=1, claimed_by="tester")
    assert store.heartbeat([ours, settled, stale]) == [ours]
    assert given.row(ours.item_id)["heartbeat_at"].year > 2020
    assert given.row(theirs.item_id)["heartbeat_at"].year == 2020
    assert store.heartbeat([]) == []


# -- the fence -------------------------------------------------------------------------------------------------------


def _write_everything(store: Backlog, claim: Claim, item: Item) -> list[object]:
    now = datetime.now(UTC)
    task = Task(id="1.1", subagent=Subagent.EXPLORE, description="late")
    iteration = Iteration(number=1, failed_before=(), tried="late", gate=None, validator=None, passed=False)
    store.save_progress([Progress(claim=claim, current_task="late", completed_at=now)])
    store.save_tasks([TaskRow(id=uuid4(), claim=claim, wave=1, number=1, task=task, status=TaskStatus.PENDING)])
    store.save_iterations([IterationRow(id=uuid4(), claim=claim, iteration=iteration, created_at=now)])
    return [
        store.settle(claim, outcome(Verdict.COMPLETED)),
        store.store_prd(claim, "late"),
        store.create_follow_up(claim, item, outcome(Verdict.REJECTED)),
        *store.heartbeat([claim]),
    ]


def _everything(given: Given) -> list[list[dict[str, Any]]]:
    tables = ("pm_backlog_items", "execution_progress", "pm_execution_tasks", "pm_validation_iterations", "item_events")
    return [given.sql.execute(f"select * from mason_{table} order by id").fetchall() for table in tables]


def test_fence__a_lost_claim_writes_nothing(store: Backlog, given: Given) -> None:
    claimed = given.claimed()
    for end in ("released", "lost", "claimed again"):
        if end == "released":
            assert store.settle(claimed.claim, outcome(Verdict.RELEASED))
        elif end == "lost":
            claimed = given.claim(store.items([claimed.item.id])[0])
            assert store.dead_claims(lambda _: True)
        else:
            given.claim(store.items([claimed.item.id])[0], "somebody else")
        before = _everything(given)
        assert _write_everything(store, claimed.claim, claimed.item) == [False, False, None]
        assert _everything(given) == before, end


@pytest.mark.parametrize("wrong", ["run", "attempt"])
def test_fence__is_the_pair_of_run_and_attempt(store: Backlog, given: Given, wrong: str) -> None:
    claimed = given.claimed()
    real = claimed.claim
    forged = Claim(
        item_id=real.item_id,
        run_id=uuid4() if wrong == "run" else real.run_id,
        attempt=real.attempt + (wrong == "attempt"),
        claimed_by=real.claimed_by,
    )
    before = _everything(given)
    assert _write_everything(store, forged, claimed.item) == [False, False, None]
    assert _everything(given) == before


# -- dead claims -----------------------------------------------------------------------------------------------------


def test_dead_claims__a_lease_that_ran_out_gives_the_item_back(store: Backlog, given: Given) -> None:
    claimed = given.claimed()
    assert store.dead_claims(lambda _: False) == []
    given.sql.execute("update mason_pm_backlog_items set heartbeat_at = now() - interval '181 seconds'")
    digest = given.row(claimed.item.id)["approved_digest"]
    (dead,) = store.dead_claims(lambda _: False)
    assert (dead.item_id, dead.run_id, dead.rejected) == (claimed.item.id, claimed.claim.run_id, False)
    row = given.row(claimed.item.id)
    assert (row["status"], row["execution_attempt"], row["claimed_by"]) == ("approved", 1, None)
    assert row["approved_digest"] == digest
    assert given.progress(claimed.item.id) is None
    assert [event["new_value"] for event in given.events(claimed.item.id)] == ["in_progress", "approved"]
    for table in ("mason_remote_execution_runs", "mason_pm_execution_runs"):
        assert given.one(f"select status, error_message from {table}") == {
            "status": "failed",
            "error_message": "The runner was lost.",
        }


def test_dead_claims__a_dead_process_is_free_at_once_and_the_living_keep_theirs(store: Backlog, given: Given) -> None:
    given.claimed("dead", claimed_by="process dead")
    living = given.claimed("living", claimed_by="process living")
    (taken,) = store.dead_claims(lambda claimed_by: claimed_by == "process dead")
    assert taken.title == "dead"
    assert store.heartbeat([living.claim]) == [living.claim]
    assert given.one("select count(*) as n from mason_remote_execution_runs where status = 'in_progress'")["n"] == 1


def test_dead_claims__a_claim_renewed_meanwhile_stays(store: Backlog, given: Given) -> None:
    claimed = given.claimed()
    given.sql.execute("update mason_pm_backlog_items set heartbeat_at = now() - interval '1 hour'")
    other = given.claimed("other")

    def renew_the_first(_: str) -> bool:
        assert store.heartbeat([claimed.claim]) == [claimed.claim]
        return True

    assert [dead.item_id for dead in store.dead_claims(renew_the_first)] == [other.item.id]


def test_dead_claims__the_third_lost_attempt_rejects_the_item(store: Backlog, given: Given) -> None:
    item = given.item()
    for attempt in range(1, MAX_ATTEMPTS + 1):
        assert given.claim(store.items([item])[0]).claim.attempt == attempt
        (dead,) = store.dead_claims(lambda _: True)
        assert dead.rejected is (attempt == MAX_ATTEMPTS)
    row = given.row(item)
    assert (row["status"], row["validation_passed"]) == ("rejected", False)
    assert "3 times" in row["failure_reason"]
    assert given.progress(item) is None


def test_dead_claims__what_is_not_masons_is_left_alone(store: Backlog, given: Given) -> None:
    item = given.item(status="in_progress")
    given.sql.execute(
        "insert into mason_remote_execution_runs (status, started_at) values ('in_progress', '2020-01-01')"
    )
    assert store.dead_claims(lambda _: True) == []
    assert given.row(item)["status"] == "in_progress"
    assert given.one("select status from mason_remote_execution_runs")["status"] == "in_progress"


def test_dead_claims__a_run_whose_runner_never_claimed_is_ended(store: Backlog, given: Given) -> None:
    run, fresh = given.run(), given.run()
    given.sql.execute("update mason_remote_execution_runs set started_at = '2020-01-01' where id = %s", (run.id,))
    store.dead_claims(lambda _: False)
    query = "select status from mason_pm_execution_runs where id = %s"
    assert given.one(query, run.id)["status"] == "failed"
    assert given.one(query, fresh.id)["status"] == "in_progress"


# -- settle ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verdict", "status", "attempt", "columns"),
    [
        (
            Verdict.COMPLETED,
            "completed",
            1,
            {"validation_passed": True, "validation_iterations": 1, "failure_reason": None},
        ),
        (Verdict.ALREADY_RESOLVED, "completed", 1, {"validation_passed": None, "skip_reason": None}),
        (Verdict.DEFERRED, "deferred", 1, {"skip_reason": "No PRD", "failure_reason": None}),
        (Verdict.REJECTED, "rejected", 1, {"failure_reason": "It never passed", "validation_passed": False}),
        (Verdict.RELEASED, "approved", 0, {"failed_base": "b" * 40, "failure_reason": None, "skip_reason": None}),
        (Verdict.CHANGED, "new", 1, {"skip_reason": "Approved text changed"}),
    ],
)
def test_settle__each_verdict_has_its_state(
    store: Backlog, given: Given, verdict: Verdict, status: str, attempt: int, columns: dict[str, Any]
) -> None:
    claimed = given.claimed()
    iteration = Iteration(number=1, failed_before=(), tried="", gate=None, validator=None, passed=True)
    done = outcome(verdict, iterations=(iteration,), failed_base="b" * 40)
    assert store.settle(claimed.claim, done)
    row = given.row(claimed.item.id)
    assert (row["status"], row["execution_attempt"]) == (status, attempt)
    assert {name: row[name] for name in columns} == columns
    assert (row["claimed_by"], row["heartbeat_at"]) == (None, None)
    moved = [event for event in given.events(claimed.item.id) if event["event_type"] == "status_changed"]
    assert [(event["old_value"], event["new_value"]) for event in moved][-1] == ("in_progress", status)
    assert (given.progress(claimed.item.id) is None) is (status not in ("completed", "rejected"))


def test_settle__a_completed_item_names_its_branch_and_pull_request(store: Backlog, given: Given) -> None:
    claimed = given.claimed()
    passed = gate(typecheck=CheckStatus.PASS, lint=CheckStatus.PASS, build=CheckStatus.SKIPPED, test=CheckStatus.PASS)
    done = outcome(Verdict.COMPLETED, gate=passed, branch="mason/y", pull_request="https://x/1")
    assert store.settle(claimed.claim, done)
    row = given.row(claimed.item.id)
    assert (row["branch_name"], row["pr_url"]) == ("mason/y", "https://x/1")
    progress = given.progress(claimed.item.id)
    assert progress is not None
    assert (progress["current_phase"], progress["checkpoint_index"]) == ("complete", 13)
    assert progress["completed_at"] is not None
    columns = [progress[f"validation_{name}"] for name in ("typescript", "eslint", "build", "tests")]
    assert columns == ["pass", "pass", "skipped", "pass"]


def test_settle__already_resolved_is_a_note_too(store: Backlog, given: Given) -> None:
    claimed = given.claimed()
    store.settle(claimed.claim, Outcome(verdict=Verdict.ALREADY_RESOLVED, reason="The header is there"))
    notes = [event["notes"] for event in given.events(claimed.item.id) if event["event_type"] == "note_added"]
    assert notes == ["Already resolved: The header is there"]


@pytest.mark.parametrize(
    ("last_gate", "expected"),
    [
        (None, ["fail", "fail", "fail", "fail"]),
        (gate(typecheck=CheckStatus.PASS, lint=CheckStatus.FAIL), ["pass", "fail", "pending", "pending"]),
        (gate(test=CheckStatus.TIMEOUT, lint=CheckStatus.SKIPPED), ["pending", "skipped", "pending", "fail"]),
        (gate(typecheck=CheckStatus.PASS, e2e=CheckStatus.FAIL), ["fail", "fail", "fail", "fail"]),
    ],
)
def test_settle__a_rejected_items_progress_shows_the_failure(
    store: Backlog, given: Given, last_gate: GateResult | None, expected: list[str]
) -> None:
    claimed = given.claimed()
    store.save_progress([Progress(claim=claimed.claim, phase=Phase.BUILDING, checkpoint=7)])
    assert store.settle(claimed.claim, outcome(Verdict.REJECTED, gate=last_gate))
    progress = given.progress(claimed.item.id)
    assert progress is not None
    assert [progress[f"validation_{name}"] for name in ("typescript", "eslint", "build", "tests")] == expected
    assert progress["current_task"] == "Failed: It never passed"
    assert progress["completed_at"] is not None
    assert (progress["current_phase"], progress["checkpoint_index"]) == ("building", 7)


def test_settle__shows_a_failure_even_where_the_dashboard_removed_the_row(store: Backlog, given: Given) -> None:
    claimed = given.claimed()
    given.sql.execute("delete from mason_execution_progress")
    assert store.settle(claimed.claim, outcome(Verdict.REJECTED))
    progress = given.progress(claimed.item.id)
    assert progress is not None
    assert progress["validation_tests"] == "fail"


@pytest.mark.parametrize("verdict", [v for v in Verdict if v is not Verdict.LOST])
def test_settle__the_same_call_again_is_true_and_changes_nothing(
    store: Backlog, given: Given, verdict: Verdict
) -> None:
    claimed = given.claimed()
    assert store.settle(claimed.claim, outcome(verdict))
    before = _everything(given)
    assert store.settle(claimed.claim, outcome(verdict))
    assert _everything(given) == before
    other = Verdict.DEFERRED if verdict is not Verdict.DEFERRED else Verdict.REJECTED
    assert not store.settle(claimed.claim, outcome(other))
    assert _everything(given) == before


def test_settle__what_is_lost_is_not_written(store: Backlog, given: Given) -> None:
    claimed = given.claimed()
    before = _everything(given)
    assert not store.settle(claimed.claim, outcome(Verdict.LOST))
    assert _everything(given) == before


def test_settle__hostile_text_is_stored(store: Backlog, given: Given) -> None:
    claimed = given.claimed()
    reason = "nul \0, half a pair \ud800, %s %(x)s '\" 😀"
    assert store.settle(claimed.claim, Outcome(verdict=Verdict.REJECTED, reason=reason))
    assert given.row(claimed.item.id)["failure_reason"] == "nul �, half a pair ?, %s %(x)s '\" 😀"


def test_settle__a_person_may_approve_again_and_the_attempts_start_anew(store: Backlog, given: Given) -> None:
    claimed = given.claimed()
    store.settle(claimed.claim, outcome(Verdict.REJECTED))
    given.sql.execute("update mason_pm_backlog_items set status = 'approved'")
    again = given.claim(store.items([claimed.item.id])[0])
    assert again.claim.attempt == 1
    assert given.row(claimed.item.id)["failure_reason"] is None


# -- PRD and follow-up -----------------------------------------------------------------------------------------------


def test_store_prd__is_approved_with_the_item(store: Backlog, given: Given) -> None:
    claimed = given.claimed()
    assert store.store_prd(claimed.claim, "# PRD é\0")
    assert store.store_prd(claimed.claim, "# PRD é\0")
    (item,) = store.items([claimed.item.id])
    assert item.prd == "# PRD é�"
    assert item.approved_digest == item.content_digest
    assert given.row(item.id)["prd_generated_at"] is not None
    assert [e["event_type"] for e in given.events(item.id)].count("prd_generated") == 1


def test_create_follow_up__copies_the_item_and_tells_what_was_tried(store: Backlog, given: Given) -> None:
    repository = given.repository("acme/shop")
    claimed = given.claimed("t" * 400, tags=["ui"], repository_id=repository, impact_score=9, complexity=4)
    iterations = tuple(
        Iteration(
            number=number,
            failed_before=("lint",),
            tried=f"attempt {number}",
            gate=gate(lint=CheckStatus.FAIL),
            validator=None,
            passed=False,
        )
        for number in (1, 2)
    )
    failed = outcome(Verdict.REJECTED, iterations=iterations, kept="refs/mason/wip/x")
    new = store.create_follow_up(claimed.claim, claimed.item, failed)
    assert new is not None
    row = given.row(new)
    assert (row["status"], row["tags"], row["repository_id"]) == ("new", ["ui", "needs-attention"], repository)
    assert (row["impact_score"], row["complexity"], row["type"], row["area"]) == (9, 4, "feature", "frontend")
    assert len(row["title"]) == 200
    assert "It never passed" in row["problem"] and "refs/mason/wip/x" in row["problem"]
    assert "attempt 1" in row["solution"] and "attempt 2" in row["solution"]
    assert (row["execution_run_id"], row["approved_digest"], row["branch_name"]) == (None, None, None)


def test_create_follow_up__is_one_before_and_after_settling(store: Backlog, given: Given) -> None:
    claimed = given.claimed()
    failed = outcome(Verdict.REJECTED)
    first = store.create_follow_up(claimed.claim, claimed.item, failed)
    store.settle(claimed.claim, failed)
    assert store.create_follow_up(claimed.claim, claimed.item, failed) == first
    assert given.one("select count(*) as n from mason_pm_backlog_items")["n"] == 2


def test_create_follow_up__is_one_for_an_approval_whichever_run_makes_it(store: Backlog, given: Given) -> None:
    failed = outcome(Verdict.REJECTED)
    lost = given.claimed()
    first = store.create_follow_up(lost.claim, lost.item, failed)
    store.dead_claims(lambda _: True)
    (item,) = store.items([lost.item.id])
    repeated = given.claim(item)
    assert store.create_follow_up(repeated.claim, repeated.item, failed) == first
    assert store.settle(repeated.claim, failed)
    given.sql.execute("update mason_pm_backlog_items set status = 'approved' where id = %s", (item.id,))
    (again,) = store.items([item.id])
    approved_again = given.claim(again)
    assert store.create_follow_up(approved_again.claim, approved_again.item, failed) not in (None, first)


# -- reports ---------------------------------------------------------------------------------------------------------


def test_save_progress__writes_many_rows_and_the_last_of_each(store: Backlog, given: Given) -> None:
    first, second = given.claimed("a").claim, given.claimed("b").claim
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    newest = Progress(
        claim=first,
        phase=Phase.INSPECTION,
        current_task="newer \0",
        checkpoint=9,
        checkpoints=((1, "Initialized execution", at),),
        validations={"validation_typescript": "running", "validation_eslint": "skipped"},
    )
    store.save_progress([Progress(claim=first, current_task="older"), newest, Progress(claim=second, wave=2)])
    row = given.progress(first.item_id)
    assert row is not None
    assert (row["current_phase"], row["current_task"], row["checkpoint_index"]) == ("inspection", "newer �", 9)
    assert row["checkpoints_completed"] == [
        {"id": 1, "name": "Initialized execution", "completed_at": "2026-01-02T03:04:05+00:00"}
    ]
    assert (row["validation_typescript"], row["validation_eslint"]) == ("running", "skipped")
    other = given.progress(second.item_id)
    assert other is not None
    assert other["current_wave"] == 2


def test_save_progress__comes_back_where_the_dashboard_removed_or_made_the_row(store: Backlog, given: Given) -> None:
    claim = given.claimed().claim
    given.sql.execute("delete from mason_execution_progress")
    store.save_progress([first_progress(claim)])
    assert given.progress(claim.item_id) is not None
    given.sql.execute("delete from mason_execution_progress")
    given.sql.execute("insert into mason_execution_progress (item_id) values (%s)", (claim.item_id,))
    store.save_progress([Progress(claim=claim, current_task="here")])
    row = given.progress(claim.item_id)
    assert row is not None
    assert (row["current_task"], row["run_id"]) == ("here", str(claim.run_id))


def test_save_progress__after_settling_only_the_last_word_counts(store: Backlog, given: Given) -> None:
    claim = given.claimed().claim
    store.settle(claim, outcome(Verdict.REJECTED))
    store.save_progress([Progress(claim=claim, current_task="late")])
    row = given.progress(claim.item_id)
    assert row is not None
    assert row["current_task"] == "Failed: It never passed"
    store.save_progress([Progress(claim=claim, current_task="Failed: in full", completed_at=datetime.now(UTC))])
    row = given.progress(claim.item_id)
    assert row is not None
    assert row["current_task"] == "Failed: in full"
    deferred = given.claimed().claim
    store.settle(deferred, outcome(Verdict.DEFERRED))
    store.save_progress([Progress(claim=deferred, completed_at=datetime.now(UTC))])
    assert given.progress(deferred.item_id) is None


def test_save_tasks__follow_a_task_to_its_end(store: Backlog, given: Given) -> None:
    claim = given.claimed().claim
    task, at = Task(id="1.2", subagent=Subagent.FRONTEND, description="Do \0 it"), datetime.now(UTC)
    row = {"id": uuid4(), "claim": claim, "wave": 1, "number": 2, "task": task}
    store.save_tasks(
        [TaskRow(**row, status=TaskStatus.PENDING), TaskRow(**row, status=TaskStatus.IN_PROGRESS, started_at=at)]
    )
    store.settle(claim, outcome(Verdict.REJECTED))
    store.save_tasks([TaskRow(**row, status=TaskStatus.FAILED, error="no", completed_at=at)])
    kept = given.one("select * from mason_pm_execution_tasks")
    assert (kept["wave_number"], kept["task_number"], kept["subagent_type"]) == (1, 2, "frontend-design")
    assert (kept["status"], kept["error_message"], kept["started_at"], kept["completed_at"]) == ("failed", "no", at, at)
    store.save_tasks([])


def test_save_iterations__each_is_written_once(store: Backlog, given: Given) -> None:
    claim = given.claimed().claim
    diagnostic = Diagnostic(path="a.ts", line=3, message="bad", code="TS1")
    failed = CheckResult(kind=CheckKind.TYPECHECK, status=CheckStatus.FAIL, diagnostics=(diagnostic,) * 50)
    checks = GateResult(checks=(failed, CheckResult(kind=CheckKind.LINT, status=CheckStatus.PASS)))
    iteration = Iteration(number=1, failed_before=("lint",), tried="eslint", gate=checks, validator=None, passed=False)
    row = IterationRow(id=uuid4(), claim=claim, iteration=iteration, created_at=datetime.now(UTC))
    store.save_iterations([row])
    store.save_iterations([row])
    kept = given.one("select * from mason_pm_validation_iterations")
    assert (kept["iteration_number"], kept["checks_passed"], kept["checks_failed"]) == (1, 1, 1)
    assert kept["failure_details"]["before"] == ["lint"]
    assert kept["failure_details"]["after"][0]["diagnostics"] == ["a.ts:3 error TS1 bad"] * 10


def test_append_logs__each_is_written_once_with_its_writers_time(store: Backlog, given: Given) -> None:
    run, at = given.run(), datetime(2026, 1, 2, tzinfo=UTC)
    metadata: dict[str, object] = {"nul\0": "\0", "path": uuid4(), "nan": float("nan"), "deep": [{"x": (1, None)}]}
    row = LogRow(id=uuid4(), run_id=run.id, level=Level.WARN, message="a\0b", metadata=metadata, created_at=at)
    store.append_logs([row] * 3)
    store.append_logs([row])
    kept = given.one("select * from mason_execution_logs")
    assert (kept["log_level"], kept["message"], kept["created_at"]) == ("warn", "a�b", at)
    assert kept["metadata"]["deep"] == [{"x": [1, None]}]


def test_note_events__of_items_that_exist_are_written_once(store: Backlog, given: Given) -> None:
    item, at = given.item(), datetime(2026, 1, 2, tzinfo=UTC)
    payload: dict[str, object] = {"new_value": "mason/x", "sha": "abc"}
    row = ItemEventRow(id=uuid4(), item_id=item, event_type="branch_created", payload=payload, created_at=at)
    gone = ItemEventRow(id=uuid4(), item_id=uuid4(), event_type="note_added", payload={}, created_at=at)
    store.note_events([row, gone])
    store.note_events([row])
    (kept,) = given.events(item)
    assert (kept["event_type"], kept["new_value"], kept["notes"]) == ("branch_created", "mason/x", '{"sha": "abc"}')


# -- readiness and outages -------------------------------------------------------------------------------------------


def test_require_ready__a_migrated_database_is(store: Backlog) -> None:
    store.require_ready()
    assert store.approved_items(repository=None) == []


def test_approval__is_stamped_by_the_database(store: Backlog, given: Given) -> None:
    item = given.item("Titel, mit é 😀", status="new", prd_content=None, execution_attempt=2)
    assert given.row(item)["approved_digest"] is None
    given.sql.execute("update mason_pm_backlog_items set status = 'approved'")
    row = given.row(item)
    assert row["approved_digest"] == approval_digest("Titel, mit é 😀", "It is missing", "Add it", "feature", None)
    assert (row["execution_attempt"], row["approved_at"] is not None) == (0, True)
    (read,) = store.items([item])
    assert read.content_digest == row["approved_digest"]
