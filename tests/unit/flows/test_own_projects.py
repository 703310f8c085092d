"""Runs on the project that their request brought: its rows there, nothing here, and nothing kept after the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from uuid import UUID, uuid4

import psycopg
import pytest

from app.backlog.postgres import postgres_backlog
from app.backlog.store import SqlBacklog
from app.domain.credentials import Credentials
from app.domain.dispatches import Dispatch, DispatchState, Work
from app.domain.items import ItemStatus, NewItem
from app.domain.results import Outcome, Verdict
from app.errors import DatabaseRefused, NotMigrated
from app.flows.own_projects import forget_ended, keep, reconcile_any_run
from app.ports.backlog import Backlog
from tests.unit.flows.execution_kit import KEY, PROJECT, Execution
from tests.unit.flows.web_world import NAME, WebWorld
from tests.unit.web.api_kit import error_of

OWN = {"supabaseUrl": PROJECT, "supabaseKey": KEY}


@pytest.fixture
def theirs(execution: Execution) -> Iterator[SqlBacklog]:
    """The request's own backlog, with the repository connected."""
    with psycopg.connect(execution.theirs, autocommit=True) as there:
        there.execute("insert into mason_github_repositories (github_full_name) values (%s)", [NAME])
    with closing(postgres_backlog(execution.theirs, patience=5)) as backlog:
        yield backlog


def add(theirs: SqlBacklog) -> UUID:
    item = NewItem(title=f"Thing {uuid4().hex[:6]}", problem="p", solution="s", prd="x")
    return theirs.add_item(item, repository=NAME)


def status(theirs: SqlBacklog, item: UUID) -> str:
    (found,) = theirs.items([item])
    return found.status.value


def reconcile(execution: Execution, run: UUID) -> float | None:
    return reconcile_any_run(execution.world.ports, execution.own, run)


def test_own__runs_there_and_leaves_nothing_behind(world: WebWorld, execution: Execution, theirs: SqlBacklog) -> None:
    item = add(theirs)
    run = execution.started(item, **OWN)
    assert list(execution.sealed.names("run ")) == [f"run {run}"]
    assert status(theirs, item) == "in_progress"
    assert not world.rows.execute("select from mason_remote_execution_runs").fetchall()
    assert world.dispatch().project == PROJECT
    assert KEY not in str(world.app_rows.execute("select * from mason_app.dispatches").fetchall())
    reconcile(execution, run)
    taken = theirs.take_over(item, run_id=run, claimed_by="job 1 1 run a")
    assert taken
    theirs.settle(taken.claim, Outcome(verdict=Verdict.COMPLETED))
    world.workflow_run(world.dispatch()).finish("success")
    assert reconcile(execution, run) is None
    assert status(theirs, item) == "completed"
    assert world.dispatch().outcome == "success"
    assert not execution.sealed.names("run ")
    assert set(execution.connected) == {Credentials(url=PROJECT, key=KEY)}


def test_own__items_of_the_configured_backlog_are_unknown_there(
    world: WebWorld, execution: Execution, theirs: SqlBacklog
) -> None:
    item = world.add_item()
    assert f"{item}: there is no such item" in error_of(execution.start(item, **OWN))[1]
    assert world.statuses([item]) == ["approved"]
    assert not execution.sealed.names("run ")


def test_own__the_same_request_is_one_run_and_another_projects_is_another(
    world: WebWorld, execution: Execution, theirs: SqlBacklog
) -> None:
    item = add(theirs)
    run = execution.started(item, **OWN)
    assert execution.started(item, **OWN) == run
    assert error_of(execution.start(item))[0] == 409  # here, there is no such item


def test_own__cancel_defers_there(world: WebWorld, execution: Execution, theirs: SqlBacklog) -> None:
    item = add(theirs)
    run = execution.started(item, **OWN)
    assert execution.cancel(run).status_code == 200
    assert status(theirs, item) == "deferred"
    assert reconcile(execution, run) is None
    assert not execution.sealed.names("run ")


@pytest.mark.parametrize("problem", [DatabaseRefused("The key is wrong."), NotMigrated()])
def test_own__a_project_that_lets_nobody_in_is_told(world: WebWorld, execution: Execution, problem: Exception) -> None:
    execution.own = replace(execution.own, connect=lambda _: refusing(problem))
    code, sentence = error_of(execution.start(uuid4(), **OWN))
    assert code == (409 if isinstance(problem, NotMigrated) else 400)
    assert sentence == str(problem)
    assert not world.dispatches and not execution.sealed.names("run ")


@contextmanager
def refusing(problem: Exception) -> Iterator[Backlog]:
    class Refusing:
        def __getattr__(self, _: str) -> None:
            raise problem

    yield Refusing()  # type: ignore[misc]


def test_own__a_key_that_was_taken_away_ends_the_run_after_an_hour(
    world: WebWorld, execution: Execution, theirs: SqlBacklog
) -> None:
    item = add(theirs)
    run = execution.started(item, **OWN)
    reconcile(execution, run)
    execution.own = replace(execution.own, connect=lambda _: refusing(DatabaseRefused("The key is wrong.")))
    with pytest.raises(DatabaseRefused):
        reconcile(execution, run)
    world.edit_dispatch(run, created_at=world.ago(minutes=61))
    with pytest.raises(DatabaseRefused):  # its runner goes on, and has the key that it was given
        reconcile(execution, run)
    world.workflow_run(world.dispatch()).finish("success")
    assert reconcile(execution, run) is None
    assert (world.dispatch().outcome, world.dispatch().reason) == ("failed", "The key is wrong.")
    assert not execution.sealed.names("run ")


def test_own__credentials_that_are_gone_end_the_run_and_nothing_falls_back(
    world: WebWorld, execution: Execution, theirs: SqlBacklog
) -> None:
    item = add(theirs)
    run = execution.started(item, **OWN)
    execution.sealed.remove(f"run {run}")
    assert reconcile(execution, run) is None
    assert (world.dispatch().outcome, world.dispatch().state) == ("failed", DispatchState.ENDED)
    assert not world.there.workflow_runs


def test_sweep__removes_what_no_unfinished_run_needs(world: WebWorld, execution: Execution, theirs: SqlBacklog) -> None:
    run = execution.started(add(theirs), **OWN)
    ended, orphan = uuid4(), uuid4()
    world.ports.database.record(
        Dispatch(id=ended, work=Work.RUN, repository=NAME, state=DispatchState.ENDED, created_at=world.ago(hours=1))
    )
    for one in (ended, orphan):
        keep(execution.own, one, Credentials(url=PROJECT, key=KEY))
    forget_ended(world.ports, execution.sealed)  # a request may be about to record its dispatch
    assert len(execution.sealed.names("run ")) == 3
    world.app_rows.execute("update mason_app.sealed set put_at = put_at - interval '10 minutes'")
    forget_ended(world.ports, execution.sealed)
    assert list(execution.sealed.names("run ")) == [f"run {run}"]


def test_own__a_waiting_items_lease_is_renewed(world: WebWorld, execution: Execution, theirs: SqlBacklog) -> None:
    item = add(theirs)
    run = execution.started(item, **OWN)
    with psycopg.connect(execution.theirs, autocommit=True) as there:
        there.execute("update mason_pm_backlog_items set heartbeat_at = now() - interval '4 minutes'")
    assert [seen.expired for seen in theirs.claims()] == [True]
    reconcile(execution, run)
    assert [seen.expired for seen in theirs.claims()] == [False]
    assert theirs.items([item])[0].status is ItemStatus.IN_PROGRESS
