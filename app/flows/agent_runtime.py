"""The agent runtime, as its clients ask for it: who works, executions that are started and cancelled, workspaces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

from app.domain.executions import Execution, Worker
from app.errors import Busy, NotNow, NotThere
from app.ports.backlog import Backlog
from app.ports.executions import Executions, WorkspaceDirectories
from app.prompts import routing

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
class Asked:
    """What a client asks for. ``work_item`` is the id of an item, as it was written."""

    worker: str
    work_item: str
    prompt: str
    gate: bool = False


def start_execution(executions: Executions, backlog: Backlog, repository: str | None, asked: Asked) -> UUID:
    """Store an execution, which a worker begins with; its id. Raises NotThere for an unknown worker or work item, and
    Busy while too many have not ended.

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
    if not executions.record(execution):
        raise Busy("As many executions wait as Mason takes on.")
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
