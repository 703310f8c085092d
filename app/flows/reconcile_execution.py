"""Looking after executions of the agent runtime, and after the workspaces that they leave.

Level-triggered: it may be called at any time, twice at once, or after a crash. The execution itself is a process of its
own (`app.flows.agent_execution`), which outlives the worker that started it.

| its row | its process | what is done |
|---|---|---|
| pending | none here, or it ended without the database | started |
| pending | ended otherwise | error, with its last words |
| running | alive, or silent for less than a lease | nothing |
| running | gone | error, its workspace is free |
| ended | alive | asked to stop; killed after a grace |
| ended | gone | its workspace is free |
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from app.domain.executions import LIFETIME, LONGEST_ERROR, Execution, ExecutionStatus, Workspace
from app.domain.jobs import ReconcileExecution
from app.domain.text import one_line
from app.errors import Busy, Unreachable
from app.ports.app_database import AppDatabase
from app.ports.executions import ExecutionProcesses, Executions, Watch, WorkspaceDirectories
from app.ports.job_queue import JobQueue

log = logging.getLogger("mason")

LOOK_AGAIN = 2.0
"""Seconds from one look at an execution to the next."""

STOPS = timedelta(seconds=15)
"""For how long a process may go on that was asked to stop."""

NEXT = 4
"""Waiting executions that are looked at when another has ended, oldest first."""

STARTS = timedelta(minutes=10)
"""For how long an execution is started anew whose process did not reach the database."""

DAYS_KEPT = 90
"""For how long an execution that has ended can be asked for."""

_AWAY = Unreachable.exit_code


@dataclass(frozen=True, kw_only=True, slots=True)
class RuntimePorts:
    """The outside, as the wiring chose it. ``is_dead`` says of a ``claimed_by`` whether it is known to be gone."""

    executions: Executions
    processes: ExecutionProcesses
    directories: WorkspaceDirectories
    database: AppDatabase
    jobs: JobQueue
    is_dead: Callable[[str], bool]


def reconcile_execution(ports: RuntimePorts, execution_id: UUID) -> float | None:
    """Take one execution a step further. Seconds after which to look again, None once nothing is left to do.

    Raises Busy when somebody else is at it, and what the ports raise: the next call goes on from there.
    """
    with ports.database.locked(f"execution {execution_id}"):
        watch = ports.executions.watch(execution_id)
        if watch is None:
            return None
        match watch.execution.status:
            case ExecutionStatus.PENDING:
                going = begins(ports, watch)
            case ExecutionStatus.RUNNING:
                going = goes_on(ports, watch)
            case _:
                going = is_stopping(ports, watch)
                if not going:
                    make_room(ports)
        return LOOK_AGAIN if going else None


def begins(ports: RuntimePorts, watch: Watch) -> bool:
    """Start its process, unless that is on its way; one that ended without taking it had a reason. False where there is
    no room for it: it is looked at when another has ended, and by the sweep.
    """
    execution = watch.execution
    state = ports.processes.state(execution.id)
    if state is not None and state.alive:
        return True
    if state is not None and (state.exit_code != _AWAY or watch.age > STARTS):
        why = one_line(state.said.removeprefix("mason: "), LONGEST_ERROR - 100) or "its process ended at once"
        ports.executions.fail(execution, f"It could not begin: {why}")  # unless it has begun meanwhile
        return True
    try:
        ports.processes.begin(execution.id)
    except Busy:
        return False
    return True


def make_room(ports: RuntimePorts) -> None:
    """Whoever waits for the place of one that is gone."""
    for execution_id in ports.executions.pending(NEXT):
        ports.jobs.defer(ReconcileExecution(execution_id=execution_id))


def goes_on(ports: RuntimePorts, watch: Watch) -> bool:
    """Whether its runner lives. One that is lost leaves an error, and its workspace to who wants to look."""
    execution = watch.execution
    dead = ports.is_dead(execution.claimed_by)
    state = ports.processes.state(execution.id)
    if not dead and (not watch.silent or (state is not None and state.alive)):
        return True
    if ports.executions.fail(execution, "Its runner was lost."):
        log.warning("The runner of execution %s was lost", execution.id)
    ports.processes.stop(execution.id, at_once=True)  # what its commands have left
    set_free(ports, execution)
    make_room(ports)
    return False


def is_stopping(ports: RuntimePorts, watch: Watch) -> bool:
    """Whether something of an ended execution still runs. It is asked to stop at every look, and then killed."""
    execution = watch.execution
    state = ports.processes.state(execution.id)
    late = watch.since_end is not None and watch.since_end > STOPS
    if state is not None and state.alive:
        ports.processes.stop(execution.id, at_once=late)
        return True
    if not watch.occupied:
        return False
    if not watch.silent and not ports.is_dead(execution.claimed_by):
        return True  # it runs on another machine, or has lost the shell around it, and learns of its end by itself
    ports.processes.stop(execution.id, at_once=True)
    set_free(ports, execution)
    return False


def set_free(ports: RuntimePorts, execution: Execution) -> None:
    """Nobody works in its workspace any more, and nobody else gets in. One that was never made is gone at once."""
    ports.executions.leave(execution.id)
    for workspace in ports.executions.workspaces():
        if workspace.execution_id != execution.id:
            continue
        if not ports.directories.seal(workspace.id) and ports.is_dead(execution.claimed_by):
            ports.executions.removed(workspace.id)


def sweep_executions(ports: RuntimePorts) -> None:
    """Have everything unsettled looked at, and remove the workspaces whose time is over, with row or without."""
    for execution_id in ports.executions.unsettled():
        ports.jobs.defer(ReconcileExecution(execution_id=execution_id))
    for workspace in ports.executions.workspaces(due=True):
        clear(ports, workspace)
    known = {workspace.id for workspace in ports.executions.workspaces()}
    for workspace_id in ports.directories.older_than(LIFETIME):
        if workspace_id not in known:
            log.warning("The directory of workspace %s has no row: it is removed", workspace_id)
            ports.directories.remove(workspace_id)
    ports.executions.forget(DAYS_KEPT)


def clear(ports: RuntimePorts, workspace: Workspace) -> None:
    """The directory, then the row; where the directory does not go, the row stays for the next sweep."""
    if ports.directories.remove(workspace.id):
        ports.executions.removed(workspace.id)
    else:
        log.warning("Workspace %s could not be removed wholly", workspace.id)
