"""Executions of the agent runtime: their rows, their processes, and the directories they work in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Protocol
from uuid import UUID

from app.domain.executions import Execution, ExecutionResult, Workspace


@dataclass(frozen=True, kw_only=True, slots=True)
class Watch:
    """An execution as who looks after it needs it. ``silent``: its runner has not renewed it for a lease's time.
    ``since_end``: the time since it ended, None while it has not. ``occupied``: its workspace counts as in use.
    """

    execution: Execution
    silent: bool
    age: timedelta
    since_end: timedelta | None
    occupied: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Allotment:
    """What an execution may spend, in US dollars; None: as much as it likes. ``used``: what the others count as."""

    budget: float | None
    used: float


class Executions(Protocol):
    """The rows. Every move is one conditional update, so of two that exclude each other exactly one happens.

    All methods raise DatabaseUnreachable.
    """

    def record(self, execution: Execution) -> bool:
        """Store a pending execution and the job that looks after it, in one transaction. The same id twice is one.

        False while as many have not ended as are taken on.
        """

    def execution(self, execution_id: UUID) -> Execution | None: ...

    def watch(self, execution_id: UUID) -> Watch | None: ...

    def cancel(self, execution_id: UUID) -> Execution | None:
        """``pending`` or ``running`` → ``cancelled``, and the job that stops it; None when it is in neither."""

    def take(self, execution_id: UUID, claimed_by: str) -> Execution | None:
        """``pending`` → ``running``, for this process; None when it is not pending (any more)."""

    def renew(self, execution_id: UUID, claimed_by: str, *, spent: float = 0.0) -> bool:
        """Whether it is still this process's to run; its lease begins anew. ``spent`` is what it has cost so far, in US
        dollars, which is written in any case.
        """

    def finish(self, execution_id: UUID, claimed_by: str, result: ExecutionResult) -> bool:
        """``running`` → ``success`` or ``error``, by the process that has it; its workspace is free in any case.

        False when it was not its to end: it was cancelled, or counted as lost.
        """

    def fail(self, execution: Execution, error: str) -> bool:
        """To ``error`` from exactly the status and the process that it was seen with."""

    def spent_since(self, repository: str | None, hours: float) -> float:
        """US dollars that executions in a repository have cost, those that run and those that ended in the last hours.

        Each counts with the cost that its runner told at its end. Before that, while somebody works in its workspace,
        with what was allotted to it; one whose runner was lost with what that had last told to have spent. Measured
        money counts in full, which may be more than was allotted (by what the last calls of its model cost); of what
        an agent only claims no runner tells more than that.
        """

    def allot(
        self, execution: Execution, repository: str | None, *, hours: float, most: float | None, left: float | None
    ) -> Allotment | None:
        """Set aside what a running execution may spend: ``most``, and of ``left`` no more than what other executions in
        the repository have not used in the last ``hours``. One at a time; again for the same execution replaces it.

        None when it is not this process's to run (any more).
        """

    def enter(self, workspace: Workspace) -> bool:
        """Store the workspace of a running execution; False when that is running no more."""

    def leave(self, execution_id: UUID) -> None:
        """Nobody works in the execution's workspace any more: its lifetime begins."""

    def unsettled(self) -> Sequence[UUID]:
        """Executions that have not ended, or whose workspace is still occupied; oldest first."""

    def pending(self, most: int) -> Sequence[UUID]:
        """The oldest executions that nobody has begun."""

    def workspace(self, workspace_id: UUID) -> Workspace | None:
        """None for one that was removed, too."""

    def workspaces(self, *, due: bool = False) -> Sequence[Workspace]:
        """Those that are there, newest first; ``due``: whose lifetime is over."""

    def removed(self, workspace_id: UUID) -> bool:
        """Its directory is gone. False when it was said before."""

    def forget(self, days: int) -> None:
        """Remove the rows of what ended so many days ago and has no workspace any more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunnerState:
    """The process of an execution on this machine. ``exit_code`` None while it runs, and when it was killed."""

    alive: bool
    exit_code: int | None = None
    said: str = ""


class ExecutionProcesses(Protocol):
    """The processes that carry executions out, each on the machine whose worker started it."""

    def begin(self, execution_id: UUID) -> None:
        """Start its process, which takes the execution by itself. Raises Busy when there is no room for it now."""

    def state(self, execution_id: UUID) -> RunnerState | None:
        """None where none was started on this machine."""

    def stop(self, execution_id: UUID, *, at_once: bool) -> None:
        """Ask it to stop, or kill it with all that belongs to it. One that has ended is left alone."""


class WorkspaceDirectories(Protocol):
    """The directories of workspaces on this machine, by the workspace's id."""

    def place(self, workspace_id: UUID) -> Path: ...

    def seal(self, workspace_id: UUID) -> bool:
        """Nobody but Mason gets into it from now on; False when there is none here."""

    def remove(self, workspace_id: UUID) -> bool:
        """Remove it with everything in it. Whether nothing is left of it."""

    def older_than(self, age: timedelta) -> Sequence[UUID]:
        """Those in which nobody has begun or ended anything for so long."""
