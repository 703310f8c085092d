"""The web app's questions over a wire that loses answers, by Supabase's roles, and on the tables of old generations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

from app.backlog import migrate
from app.backlog.migrate import Rls
from app.backlog.postgres import postgres_backlog
from app.backlog.store import SqlBacklog
from app.domain.claims import DISPATCHED
from app.domain.items import Item, ItemStatus
from app.domain.results import Outcome, Usage, Verdict
from app.domain.runs import Run, RunResult, RunStatus
from app.errors import DatabaseRefused
from tests.conftest import PATIENCE
from tests.contracts.generations import APPROVED, GENERATIONS
from tests.contracts.lossy import LossyWire
from tests.contracts.test_backlog import BASE, Given
from tests.contracts.test_backlog_jobs import dispatched, planned
from tests.contracts.test_backlog_jobs_rows import ITEM, statement
from tests.contracts.test_backlog_web import costly

COMPLEXITY = {"empty": 1, "oldest": 5, "middle": 3, "newest": 2, "pm_runs": 3, "remote_runs": 3}
"""Of the approved item that each generation has; the empty one gets one."""


@contextmanager
def opened(dsn: str) -> Iterator[SqlBacklog]:
    store = postgres_backlog(dsn, patience=PATIENCE)
    try:
        yield store
    finally:
        store.close()


@pytest.fixture
def wire(database: str) -> Iterator[LossyWire]:
    wire = LossyWire(database)
    yield wire
    wire.close()


@pytest.fixture
def given(wire: LossyWire, database: str) -> Iterator[Given]:
    """Rows made directly; its store is at the other end of the lossy wire."""
    far = postgres_backlog(wire.dsn, patience=30)
    with psycopg.connect(database, autocommit=True, row_factory=dict_row) as sql:
        yield Given(sql, far)
    far.close()


@pytest.mark.parametrize("what", ["approve", "defer"])
def test_lost_answer__a_decision_is_noted_once_and_still_known_as_ours(
    wire: LossyWire, given: Given, what: str
) -> None:
    item = given.item(status="rejected")
    wire.lose_answer_to(f'"mason_{what}"'.encode())
    decided = given.store.approve(item) if what == "approve" else given.store.defer(item, "Not now")
    assert wire.lost == 1
    assert decided is not None
    assert decided.status is (ItemStatus.APPROVED if what == "approve" else ItemStatus.DEFERRED)
    assert len(given.events(item)) == 1


def test_lost_answer__an_approval_is_known_as_ours_when_a_runner_was_faster(
    wire: LossyWire, given: Given, database: str
) -> None:
    """The item was taken before the approval could be asked for again."""
    item = given.item(status="new")
    given.sql.execute(
        "create function take() returns trigger language plpgsql as $$ begin"
        " update mason_pm_backlog_items set status = 'in_progress' where id = new.item_id; return null; end $$;"
        "create constraint trigger take after insert on mason_item_events deferrable initially deferred"
        " for each row execute function take()"
    )
    wire.lose_answer_to(b'"mason_approve"')
    approved = given.store.approve(item)
    assert wire.lost == 1
    assert approved is not None
    assert (approved.id, approved.status) == (item, ItemStatus.IN_PROGRESS)


def test_lost_answer__a_claim_in_a_run_that_had_the_item_before_is_still_ours(wire: LossyWire, given: Given) -> None:
    item = given.item()
    run = planned(given, item)
    former = dispatched(given, run, item).claim
    assert given.store.settle(former, Outcome(verdict=Verdict.RELEASED, reason="Stopped"))
    wire.lose_answer_to(b'"mason_claim"')
    claim = dispatched(given, run, item).claim
    assert wire.lost == 1
    assert claim.attempt == former.attempt + 1
    assert given.store.heartbeat([claim]) == [claim]
    assert given.store.heartbeat([former]) == []
    assert [event["new_value"] for event in given.events(item)].count("in_progress") == 2


def test_lost_answer__what_an_item_cost_is_counted_once(wire: LossyWire, given: Given) -> None:
    claim = given.claimed().claim
    wire.lose_answer_to(b'"mason_settle"')
    assert given.store.settle(claim, Outcome(verdict=Verdict.COMPLETED, usage=Usage(cost_usd=1.5)))
    assert wire.lost == 1
    assert given.store.spent_since(None, 1) == 1.5


def test_lost_answer__what_a_fix_cost_is_counted_once(wire: LossyWire, given: Given) -> None:
    item = given.item()
    wire.lose_answer_to(b'"mason_note_events"')
    given.store.note_events([costly(item, 0.5)])
    assert wire.lost == 1
    assert given.store.spent_since(None, 1) == 0.5
    assert len(given.events(item)) == 1


def whole_story(store: SqlBacklog, item_id: UUID) -> Item:
    """Every question of the web app, from an approval to the end of its run; the item as it waited."""
    store.require_ready()
    assert store.defer(item_id, "Not now") is not None
    assert store.approve(item_id) is not None
    (waiting,) = [one for one in store.waiting_items() if one.item.id == item_id]
    assert 0 <= waiting.age < 60
    assert store.item_of(waiting.repository, item_id) == store.items([item_id])[0]
    run = Run(id=uuid4(), base=BASE, item_ids=(item_id,), planned=True)
    store.open_run(run, repository=waiting.repository)
    assert store.open_runs() == [run.id]
    for turn in (1, 2):
        claimed = store.claim(waiting.item, run_id=run.id, claimed_by=DISPATCHED, branch="mason/x")
        assert claimed is not None and claimed.claim.attempt == turn
        (seen,) = store.claims()
        assert seen.claim == claimed.claim
        released = Outcome(verdict=Verdict.RELEASED, reason="Stopped", failed_base="d" * 40, usage=Usage(cost_usd=0.5))
        assert store.settle(seen.claim, released)
    assert store.spent_since(waiting.repository, 1) == 1
    store.note_events([costly(item_id, 0.25)])
    assert store.spent_since(waiting.repository, 1) == 1.25
    found = store.item_of_branch(waiting.repository, "mason/x")
    assert found is not None and (found.id, found.failed_base) == (item_id, "d" * 40)
    assert [item.id for item in store.items_of_run(run.id)] == [item_id]
    store.close_run(RunResult(run_id=run.id, base=BASE, cancelled=True, reason="Cancelled by @ada"))
    ended = store.run(run.id)
    assert ended is not None and ended.status is RunStatus.CANCELLED
    return waiting.item


@pytest.mark.parametrize("generation", sorted(GENERATIONS))
def test_generations__all_that_the_web_app_asks(make_database: Callable[[str], str], generation: str) -> None:
    dsn = make_database("template0")
    statement(dsn, GENERATIONS[generation])
    migrate.apply(dsn)
    statement(dsn, ITEM)
    with opened(dsn) as store:
        assert whole_story(store, APPROVED).complexity == COMPLEXITY[generation]


@pytest.mark.parametrize("generation", sorted(GENERATIONS))
def test_generations__what_an_earlier_mason_has_claimed_goes_on(
    make_database: Callable[[str], str], generation: str
) -> None:
    """A claim from before the migration is given back as it was, and its run gets a new fence for the next one."""
    dsn = make_database("template0")
    statement(dsn, GENERATIONS[generation])
    migrate.apply(dsn, [one for one in migrate.packaged() if one.name < "009"])
    statement(dsn, ITEM)
    run = uuid4()
    statement(
        dsn,
        "update mason_pm_backlog_items set status = 'in_progress', execution_attempt = 2, claimed_by = 'dispatch',"
        f" execution_run_id = '{run}', heartbeat_at = now() where id = '{APPROVED}'",
    )
    migrate.apply(dsn)
    with opened(dsn) as store:
        (seen,) = store.claims()
        assert store.settle(seen.claim, Outcome(verdict=Verdict.RELEASED, reason="Stopped"))
        (item,) = store.items([APPROVED])
        assert (item.status, item.attempt) == (ItemStatus.APPROVED, 1)
        store.open_run(Run(id=run, base=BASE, item_ids=(APPROVED,)), repository=None)
        again = store.claim(item, run_id=run, claimed_by=DISPATCHED, branch="mason/x")
        assert again is not None
        assert (again.claim.attempt, store.heartbeat([seen.claim])) == (3, [])


@pytest.mark.parametrize(
    ("role", "rls"),
    [("anon", Rls.DEFAULT), ("authenticated", Rls.STRICT), ("service_role", Rls.STRICT)],
)
def test_roles__that_may_use_the_backlog_can_ask_all_of_it(
    make_supabase: Callable[[], str], role: str, rls: Rls
) -> None:
    dsn = make_supabase()
    migrate.apply(dsn, rls=rls)
    statement(dsn, ITEM)
    with opened(make_conninfo(dsn, options=f"-c role={role}")) as store:
        whole_story(store, APPROVED)


def test_roles__anon_can_ask_nothing_of_it_where_access_is_strict(make_supabase: Callable[[], str]) -> None:
    dsn = make_supabase()
    migrate.apply(dsn, rls=Rls.STRICT)
    statement(dsn, ITEM)
    with opened(make_conninfo(dsn, options="-c role=anon")) as store:
        calls: list[Callable[[], object]] = [
            store.waiting_items,
            store.open_runs,
            lambda: store.item_of(None, APPROVED),
            lambda: store.item_of_branch(None, "mason/x"),
            lambda: store.items_of_run(uuid4()),
            lambda: store.approve(APPROVED),
            lambda: store.defer(APPROVED, "Not now"),
            lambda: store.spent_since(None, 1),
        ]
        for call in calls:
            with pytest.raises(DatabaseRefused):
                call()
