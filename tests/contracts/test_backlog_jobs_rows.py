"""Planned runs over a wire that loses answers, by Supabase's roles, and on the tables of every old generation."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
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
from app.domain.results import Verdict
from app.domain.runs import Base, Run, RunResult
from app.errors import DatabaseRefused
from app.ports.backlog import Backlog
from tests.conftest import PATIENCE
from tests.contracts.generations import APPROVED, GENERATIONS
from tests.contracts.lossy import LossyWire
from tests.contracts.test_backlog import BASE, Given
from tests.contracts.test_backlog_jobs import COPY, JOB, dispatched, everything, planned


def test_lost_answer__an_item_that_was_taken_over_is_still_ours(database: str) -> None:
    wire = LossyWire(database)
    far = postgres_backlog(wire.dsn, patience=30)
    try:
        with psycopg.connect(database, autocommit=True, row_factory=dict_row) as sql:
            given = Given(sql, far)
            item = given.item()
            run = planned(given, item)
            dispatched(given, run, item)
            wire.lose_answer_to(b'"mason_take_over"')
            taken = far.take_over(item, run_id=run.id, claimed_by=JOB)
            assert wire.lost == 1
            assert taken is not None
            assert far.heartbeat([taken.claim]) == [taken.claim]
            assert far.take_over(item, run_id=run.id, claimed_by=COPY) is None
    finally:
        far.close()
        wire.close()


def whole_story(store: Backlog, item_id: UUID) -> None:
    """Every call of a planned run, from its plan to its end."""
    store.require_ready()
    (item,) = store.items([item_id])
    run = Run(id=uuid4(), base=BASE, item_ids=(item_id,), planned=True)
    store.open_run(run, repository="acme/shop")
    assert store.run(run.id) == run
    assert store.claim(item, run_id=run.id, claimed_by=DISPATCHED, branch="mason/x")
    taken = store.take_over(item_id, run_id=run.id, claimed_by=JOB)
    assert taken is not None
    assert [seen.base_commit for seen in store.claims()] == [BASE.commit]
    assert store.dead_claims(lambda _: False) == []
    assert store.settle(taken.claim, everything())
    (result,) = store.results(run)
    assert result.outcome.verdict is Verdict.COMPLETED
    assert result.outcome.usage == everything().usage
    store.close_run(RunResult(run_id=run.id, base=BASE, results=(result,)))


def statement(dsn: str, query: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("set client_min_messages = error")
        connection.execute(query.encode())


ITEM = (
    "insert into mason_pm_backlog_items (id, title, problem, solution, area, type, complexity, impact_score,"
    f" effort_score, status) values ('{APPROVED}', 't', 'p', 's', 'backend', 'api', 1, 1, 1, 'approved')"
    " on conflict do nothing"
)


@pytest.fixture
def open_as(make_supabase: Callable[[], str]) -> Iterator[Callable[[str, Rls], SqlBacklog]]:
    """A store on a fresh Supabase, as one of its roles."""
    opened: list[SqlBacklog] = []

    def open_it(role: str, rls: Rls) -> SqlBacklog:
        dsn = make_supabase()
        migrate.apply(dsn, rls=rls)
        statement(dsn, ITEM)
        opened.append(postgres_backlog(make_conninfo(dsn, options=f"-c role={role}"), patience=PATIENCE))
        return opened[-1]

    yield open_it
    for each in opened:
        each.close()


@pytest.mark.parametrize(
    ("role", "rls"),
    [
        ("anon", Rls.DEFAULT),
        ("authenticated", Rls.DEFAULT),
        ("service_role", Rls.DEFAULT),
        ("authenticated", Rls.STRICT),
        ("service_role", Rls.STRICT),
    ],
)
def test_roles__that_may_use_the_backlog_can_use_all_of_it(
    open_as: Callable[[str, Rls], SqlBacklog], role: str, rls: Rls
) -> None:
    whole_story(open_as(role, rls), APPROVED)


def test_roles__anon_can_use_nothing_of_it_where_access_is_strict(open_as: Callable[[str, Rls], SqlBacklog]) -> None:
    store = open_as("anon", Rls.STRICT)
    run = Run(id=uuid4(), base=BASE, item_ids=(APPROVED,), planned=True)
    calls: list[Callable[[], object]] = [
        lambda: store.open_run(run, repository=None),
        lambda: store.run(run.id),
        lambda: store.results(run),
        lambda: store.take_over(APPROVED, run_id=run.id, claimed_by=JOB),
        store.claims,
        lambda: store.dead_claims(lambda _: True),
    ]
    for call in calls:
        with pytest.raises(DatabaseRefused):
            call()


@pytest.mark.parametrize("generation", sorted(GENERATIONS))
def test_generations__a_planned_run_from_its_plan_to_its_end(
    make_database: Callable[[str], str], generation: str
) -> None:
    dsn = make_database("template0")
    statement(dsn, GENERATIONS[generation])
    assert migrate.apply(dsn)
    assert migrate.apply(dsn) == []
    statement(dsn, ITEM)
    store = postgres_backlog(dsn, patience=PATIENCE)
    try:
        whole_story(store, APPROVED)
    finally:
        store.close()


@pytest.mark.parametrize("generation", sorted(GENERATIONS))
def test_generations__runs_and_claims_that_were_there_are_read(
    make_database: Callable[[str], str], generation: str
) -> None:
    """A database that an earlier Mason brought up to date, with a run of that Mason's in the middle."""
    dsn = make_database("template0")
    statement(dsn, GENERATIONS[generation])
    migrate.apply(dsn, [one for one in migrate.packaged() if one.name < "008"])
    statement(dsn, ITEM)
    run, repository = uuid4(), "acme/shop"
    asked = {"run": str(run), "items": [str(APPROVED)], "repository": repository, "base_branch": "main"}
    statement(dsn, f"select mason_open_run('{json.dumps(asked)}')")
    migrate.apply(dsn)
    store = postgres_backlog(dsn, patience=PATIENCE)
    try:
        found = store.run(run)
        assert found is not None
        assert (found.base, found.item_ids, found.planned) == (Base(commit="", branch="main"), (APPROVED,), False)
        assert [result.outcome.verdict for result in store.results(found)] == [Verdict.RELEASED]
    finally:
        store.close()


def test_rows__a_number_that_python_cannot_read_keeps_nobody_from_the_other_items(database: str) -> None:
    with psycopg.connect(database, autocommit=True, row_factory=dict_row) as sql:
        store = postgres_backlog(database, patience=5)
        try:
            given = Given(sql, store)
            hostile, other = given.item(), given.item()
            sql.execute(
                "update mason_pm_backlog_items set execution_result = ('{\"n\": 1' || repeat('0', 5000) || '}')::jsonb"
                " where id = %s",
                (hostile,),
            )
            assert {item.id for item in store.items([hostile, other])} == {hostile, other}
        finally:
            store.close()
