"""Looking after executions: every state of row and process, over real rows and real directories."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from app.database.executions import stored_executions
from app.database.queue import job_queue
from app.database.schema import prepare
from app.database.store import app_database
from app.domain.executions import LIFETIME, Execution, ExecutionResult, ExecutionStatus, Workspace
from app.errors import Busy
from app.flows.reconcile_execution import (
    LOOK_AGAIN,
    STARTS,
    STOPS,
    RuntimePorts,
    reconcile_execution,
    sweep_executions,
)
from app.ports.executions import RunnerState
from app.workspace.directories import Directories

RUNNER = "process host/boot 1 2 3"


class Scripted:
    """Processes that do what a test says: ``states`` is what is seen of each, ``done`` what was asked for."""

    def __init__(self) -> None:
        self.states: dict[UUID, RunnerState] = {}
        self.done: list[str] = []
        self.full = False

    def begin(self, execution_id: UUID) -> None:
        if self.full:
            raise Busy
        self.done.append("begin")

    def state(self, execution_id: UUID) -> RunnerState | None:
        return self.states.get(execution_id)

    def stop(self, execution_id: UUID, *, at_once: bool) -> None:
        self.done.append("kill" if at_once else "stop")
        if at_once:
            self.states[execution_id] = RunnerState(alive=False)


class World:
    def __init__(self, ports: RuntimePorts, processes: Scripted, root: Path, sql: psycopg.Connection[Any]) -> None:
        self.ports, self.processes, self.root, self.sql = ports, processes, root, sql
        self.dead: set[str] = set()

    def pending(self) -> UUID:
        execution = Execution(
            id=uuid4(),
            worker_id="patch",
            work_item_id=uuid4(),
            template_id="general",
            prompt="x",
            created_at=datetime.now(UTC),
        )
        self.ports.executions.record(execution)
        self.sql.execute("delete from procrastinate_jobs")
        return execution.id

    def running(self, *, alive: bool | None = True, entered: bool = True) -> UUID:
        """One that a runner has taken; ``alive`` None: it is on another machine."""
        execution = self.pending()
        assert self.ports.executions.take(execution, RUNNER)
        if alive is not None:
            self.processes.states[execution] = RunnerState(alive=alive)
        if entered:
            self.enter(execution)
        return execution

    def enter(self, execution: UUID, *, made: bool = True) -> UUID:
        workspace, now = uuid4(), datetime.now(UTC)
        if made:
            self.ports.directories.place(workspace).mkdir(parents=True)
        stored = Workspace(
            id=workspace,
            execution_id=execution,
            worker_id="patch",
            work_item_id=uuid4(),
            repository=None,
            path=str(self.ports.directories.place(workspace)),
            branch="b",
            created_at=now,
            completed_at=None,
            cleanup_at=now,
        )
        assert self.ports.executions.enter(stored)
        return workspace

    def look(self, execution: UUID) -> tuple[float | None, ExecutionStatus, str]:
        again = reconcile_execution(self.ports, execution)
        seen = self.ports.executions.execution(execution)
        assert seen
        return again, seen.status, seen.error

    def later(self, execution: UUID, by: timedelta) -> None:
        """So much time has gone by since anything happened to it."""
        columns = ("created_at", "heartbeat_at", "completed_at")
        changes = ", ".join(f"{name} = {name} - %(by)s" for name in columns)
        self.sql.execute(f"update executions set {changes} where id = %(id)s".encode(), {"by": by, "id": execution})

    def free(self) -> bool:
        return all(workspace.completed_at for workspace in self.ports.executions.workspaces())

    def jobs(self) -> set[str]:
        rows = self.sql.execute("select queueing_lock from procrastinate_jobs where status = 'todo'").fetchall()
        return {row[0] for row in rows}


@pytest.fixture
def world(tmp_path: Path, empty_database: str) -> Iterator[World]:
    prepare(empty_database)
    processes = Scripted()
    with ExitStack() as stack:
        sql = stack.enter_context(psycopg.connect(empty_database, autocommit=True))
        sql.execute("set search_path to mason_app")
        made: list[World] = []
        ports = RuntimePorts(
            executions=stack.enter_context(closing(stored_executions(empty_database))),
            processes=processes,
            directories=Directories(tmp_path / "workspaces", "work", "/usr/bin:/bin"),
            database=stack.enter_context(closing(app_database(empty_database))),
            jobs=stack.enter_context(closing(job_queue(empty_database))),
            is_dead=lambda claimed_by: claimed_by in made[0].dead,
        )
        made.append(World(ports, processes, tmp_path / "workspaces", sql))
        yield made[0]


def test_reconcile__an_unknown_execution_is_done(world: World) -> None:
    assert reconcile_execution(world.ports, uuid4()) is None


def test_reconcile__somebody_else_is_at_it(world: World) -> None:
    execution = world.pending()
    with world.ports.database.locked(f"execution {execution}"), pytest.raises(Busy):
        reconcile_execution(replace(world.ports), execution)


def test_pending__is_begun_once(world: World) -> None:
    execution = world.pending()
    assert world.look(execution) == (LOOK_AGAIN, ExecutionStatus.PENDING, "")
    world.processes.states[execution] = RunnerState(alive=True)
    assert world.look(execution) == (LOOK_AGAIN, ExecutionStatus.PENDING, "")
    assert world.processes.done == ["begin"]


def test_pending__waits_for_room_and_is_told_when_there_is_some(world: World) -> None:
    first, second = world.running(), world.pending()
    world.processes.full = True
    assert world.look(second) == (None, ExecutionStatus.PENDING, ""), "nobody asks again and again"
    assert world.ports.executions.finish(first, RUNNER, ExecutionResult())
    world.processes.states[first] = RunnerState(alive=False, exit_code=0)
    assert world.look(first)[0] is None
    assert world.jobs() == {f"reconcile_execution {second}"}


def test_pending__a_process_that_ended_at_once_says_why(world: World) -> None:
    execution = world.pending()
    said = "mason: MASON_USERS is set, but only root can run commands as other users"
    world.processes.states[execution] = RunnerState(alive=False, exit_code=2, said=said)
    expected = "It could not begin: MASON_USERS is set, but only root can run commands as other users"
    assert world.look(execution)[1:] == (ExecutionStatus.ERROR, expected)
    assert world.look(execution)[0] is None
    assert world.processes.done == []


def test_pending__a_killed_process_is_an_error_too(world: World) -> None:
    execution = world.pending()
    world.processes.states[execution] = RunnerState(alive=False)
    assert world.look(execution)[1:] == (ExecutionStatus.ERROR, "It could not begin: its process ended at once")


def test_pending__a_process_without_its_database_is_begun_again_for_a_while(world: World) -> None:
    execution = world.pending()
    world.processes.states[execution] = RunnerState(alive=False, exit_code=3, said="mason: no answer")
    assert world.look(execution) == (LOOK_AGAIN, ExecutionStatus.PENDING, "")
    assert world.processes.done == ["begin"]
    world.later(execution, STARTS)
    assert world.look(execution)[1:] == (ExecutionStatus.ERROR, "It could not begin: no answer")


def test_running__goes_on(world: World) -> None:
    execution = world.running()
    assert world.look(execution) == (LOOK_AGAIN, ExecutionStatus.RUNNING, "")
    assert world.processes.done == []


def test_running__on_another_machine_goes_on_while_it_is_heard_of(world: World) -> None:
    execution = world.running(alive=None)
    assert world.look(execution)[:2] == (LOOK_AGAIN, ExecutionStatus.RUNNING)
    world.later(execution, timedelta(minutes=4))
    assert world.look(execution) == (None, ExecutionStatus.ERROR, "Its runner was lost.")
    assert world.free()


def test_running__is_not_lost_while_its_process_is_seen(world: World) -> None:
    execution = world.running()
    world.later(execution, timedelta(hours=1))  # the database was away
    assert world.look(execution)[:2] == (LOOK_AGAIN, ExecutionStatus.RUNNING)


@pytest.mark.parametrize("state", [None, RunnerState(alive=False), RunnerState(alive=True)])
def test_running__a_dead_runner_is_lost_at_once(world: World, state: RunnerState | None) -> None:
    execution = world.running(alive=None)
    if state:
        world.processes.states[execution] = state
    (workspace,) = world.ports.executions.workspaces()
    world.dead.add(RUNNER)
    assert world.look(execution) == (None, ExecutionStatus.ERROR, "Its runner was lost.")
    assert world.processes.done == ["kill"], "what its commands have left"
    assert world.free()
    assert (world.root / str(workspace.id)).stat().st_mode & 0o777 == 0o700
    assert world.look(execution)[0] is None


def test_running__a_lost_runner_that_had_made_no_directory_leaves_no_workspace(world: World) -> None:
    execution = world.running(entered=False)
    world.enter(execution, made=False)
    world.dead.add(RUNNER)
    world.look(execution)
    assert world.ports.executions.workspaces() == []


def test_cancelled__is_asked_to_stop_and_then_killed(world: World) -> None:
    execution = world.running()
    assert world.ports.executions.cancel(execution)
    assert world.jobs() == {f"reconcile_execution {execution}"}
    assert world.look(execution)[0] == LOOK_AGAIN
    assert world.processes.done == ["stop"]
    world.later(execution, STOPS)
    assert world.look(execution)[0] == LOOK_AGAIN
    assert world.processes.done == ["stop", "kill"]
    assert world.look(execution)[0] == LOOK_AGAIN, "its runner may live without the shell around it"
    assert not world.free()
    world.dead.add(RUNNER)
    assert world.look(execution) == (None, ExecutionStatus.CANCELLED, "")
    assert world.free()


def test_cancelled__on_another_machine_frees_its_workspace_by_itself(world: World) -> None:
    execution = world.running(alive=None)
    world.ports.executions.cancel(execution)
    assert world.look(execution)[0] == LOOK_AGAIN
    assert not world.free()
    world.later(execution, timedelta(minutes=4))
    assert world.look(execution)[0] is None
    assert world.free(), "it was never heard of again"


def test_cancelled__before_it_began_leaves_nothing(world: World) -> None:
    execution = world.pending()
    world.ports.executions.cancel(execution)
    assert world.look(execution) == (None, ExecutionStatus.CANCELLED, "")
    assert world.processes.done == []


def test_enter__a_cancelled_execution_gets_no_workspace(world: World) -> None:
    execution = world.running(entered=False)
    world.ports.executions.cancel(execution)
    with pytest.raises(AssertionError):
        world.enter(execution)
    assert world.ports.executions.workspaces() == []


def test_sweep__has_everything_unsettled_looked_at(world: World) -> None:
    pending, running = world.pending(), world.running()
    stopping, ended = world.running(), world.running()
    world.ports.executions.cancel(stopping)
    assert world.ports.executions.finish(ended, RUNNER, ExecutionResult())
    world.sql.execute("delete from procrastinate_jobs")
    sweep_executions(world.ports)
    assert world.jobs() == {f"reconcile_execution {one}" for one in (pending, running, stopping)}


def test_sweep__what_is_due_goes_with_directory_and_row(world: World) -> None:
    due, used, kept = world.running(), world.running(), world.running()
    names = {workspace.execution_id: str(workspace.id) for workspace in world.ports.executions.workspaces()}
    for one in (due, kept):
        assert world.ports.executions.finish(one, RUNNER, ExecutionResult())
    query = "update workspaces set cleanup_at = now() where execution_id = any (%s)"
    world.sql.execute(query, [[due, used]])
    sweep_executions(world.ports)
    assert {path.name for path in world.root.iterdir()} == {names[used], names[kept]}
    assert {workspace.execution_id for workspace in world.ports.executions.workspaces()} == {used, kept}


def test_sweep__a_row_whose_directory_is_gone_goes_when_it_is_due(world: World) -> None:
    execution = world.running(entered=False)
    world.enter(execution, made=False)
    assert world.ports.executions.finish(execution, RUNNER, ExecutionResult())
    world.sql.execute("update workspaces set cleanup_at = now()")
    sweep_executions(world.ports)
    assert world.ports.executions.workspaces() == []


def test_sweep__an_old_directory_without_a_row_goes(world: World) -> None:
    ours = world.running()
    (workspace,) = world.ports.executions.workspaces()
    stray, fresh, other = world.root / str(uuid4()), world.root / str(uuid4()), world.root / "something"
    long_ago = datetime.now(UTC).timestamp() - LIFETIME.total_seconds() - 60
    for path in (stray, fresh, other):
        path.mkdir()
    for path in (stray, other, world.root / str(workspace.id)):
        os.utime(path, (long_ago, long_ago))
    sweep_executions(world.ports)
    assert {path.name for path in world.root.iterdir()} == {fresh.name, other.name, str(workspace.id)}
    assert world.look(ours)[1] is ExecutionStatus.RUNNING
