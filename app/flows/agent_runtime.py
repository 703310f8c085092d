"""The agent runtime, seen from the web app: executions are started, looked after and cancelled, workspaces swept.

Level-triggered: `reconcile_execution` may be called at any time, twice at once, or after a crash. The execution itself
is a process of its own (`app.flows.agent_execution`), which outlives the worker that started it.

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
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from app.domain.executions import LIFETIME, LONGEST_ERROR, Execution, ExecutionStatus, Worker, Workspace
from app.domain.jobs import ReconcileExecution
from app.domain.text import one_line
from app.errors import Busy, NotNow, NotThere, Unreachable
from app.ports.app_database import AppDatabase
from app.ports.backlog import Backlog
from app.ports.executions import ExecutionProcesses, Executions, Watch, WorkspaceDirectories
from app.ports.job_queue import JobQueue
from app.prompts import routing

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

AGENTS = ("claude", "command", "patch")

WORKERS: Mapping[str, Worker] = {
    worker.id: worker
    for worker in (
        *(Worker(id=name, agent=name) for name in AGENTS),
        *(Worker(id=name, template=name) for name in routing.DOMAINS),
    )
}
"""The profiles (contracts §4): the agents by their names, and the eight domains."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RuntimePorts:
    """The outside, as the wiring chose it. ``is_dead`` says of a ``claimed_by`` whether it is known to be gone."""

    executions: Executions
    processes: ExecutionProcesses
    directories: WorkspaceDirectories
    database: AppDatabase
    jobs: JobQueue
    is_dead: Callable[[str], bool]


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What a client asks for. ``work_item`` is the id of an item, as it was written."""

    worker: str
    work_item: str
    prompt: str
    gate: bool = False


def start_execution(executions: Executions, backlog: Backlog, repository: str | None, asked: Asked) -> UUID:
    """Store an execution, which a worker begins with; its id. Raises NotThere for an unknown worker or work item.

    ``repository`` is the one that executions work on. An id that is no UUID is the id of no item.
    """
    worker = WORKERS.get(asked.worker)
    if worker is None:
        raise NotThere(f"There is no worker {asked.worker[:100]!r}: it is one of {', '.join(WORKERS)}.")
    item = backlog.item_of(repository, item_id) if (item_id := _uuid(asked.work_item)) else None
    if item is None:
        raise NotThere(f"There is no work item {asked.work_item[:100]!r} here.")
    execution = Execution(
        id=uuid4(),
        worker_id=worker.id,
        work_item_id=item.id,
        template_id=worker.template or routing.domain_of(item.type),
        prompt=asked.prompt,
        gate=asked.gate,
        created_at=datetime.now(UTC),  # the database stamps it by its own clock
    )
    executions.record(execution)
    return execution.id


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def execution_of(executions: Executions, execution_id: UUID) -> Execution:
    """Raises NotThere."""
    execution = executions.execution(execution_id)
    if execution is None:
        raise NotThere(f"There is no execution {execution_id}.")
    return execution


def cancel_execution(executions: Executions, execution_id: UUID) -> Execution:
    """Cancel what has not ended; the execution as it is then. Raises NotThere, and NotNow for one that has ended.

    Of a cancel and an end that come together exactly one happens: both are conditional updates of the row.
    """
    if (cancelled := executions.cancel(execution_id)) is not None:
        return cancelled
    execution = execution_of(executions, execution_id)
    raise NotNow(f"Execution {execution_id} has ended already: {execution.status.value}.")


def delete_workspace(executions: Executions, directories: WorkspaceDirectories, workspace_id: UUID) -> None:
    """Remove a workspace's directory, then its row. Raises NotThere, and NotNow while somebody works in it.

    Raises Busy where something of it does not go. Twice at once is harmless: the second finds no directory, and then no
    row.
    """
    workspace = executions.workspace(workspace_id)
    if workspace is None:
        raise NotThere(f"There is no workspace {workspace_id}.")
    if workspace.completed_at is None:
        raise NotNow(f"Workspace {workspace_id} is in use: its execution has not ended, or is being stopped.")
    if not directories.remove(workspace_id):
        raise Busy(f"Workspace {workspace_id} could not be removed wholly.")
    if not executions.removed(workspace_id):
        raise NotThere(f"There is no workspace {workspace_id}.")


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
    if state is None and not watch.silent and not ports.is_dead(execution.claimed_by):
        return True  # it runs on another machine, and learns of it there
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
