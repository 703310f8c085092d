"""Executions of the agent runtime: one agent, one work item, one prompt, in a workspace of its own.

From `seeds/agent-runtime-api.md`: a *worker* is an agent's profile, a *work item* is an item of the backlog. The item's
own status is not touched: what an execution makes is looked at by who asked for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from app.domain.results import Usage

LEASE = timedelta(minutes=3)
"""An execution whose runner has not renewed it for this long is lost."""

LIFETIME = timedelta(days=1)
"""For how long a workspace stays once nobody works in it."""

MOST_OPEN = 500
"""Executions that have not ended; no more are taken on."""

MOST_FILES = 2_000
MOST_LINES = 500
LONGEST_LINE = 500
LONGEST_SUMMARY = 10_000
LONGEST_DIFF = 200_000
LONGEST_ERROR = 1_000
"""What is kept of an execution: changed files, lines of its log, characters of a line, of the summary, of the diff, of
the sentence that says why it failed.
"""


class ExecutionStatus(StrEnum):
    """``pending`` → ``running`` → ``success`` or ``error``; out of the first two also ``error`` and ``cancelled``."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCESS = "success"
    ERROR = "error"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self not in (ExecutionStatus.PENDING, ExecutionStatus.RUNNING)


@dataclass(frozen=True, kw_only=True, slots=True)
class Worker:
    """A profile. ``agent`` None: the one that the repository's policy, or the installation, names. ``template`` is the
    domain whose instructions it works by; None: that of the item's type.
    """

    id: str
    agent: str | None = None
    template: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ExecutionOutput:
    """What came of it, each part bounded. ``diff`` is unified; ``tests_run`` and ``tests_passed`` are the gate's."""

    summary: str = ""
    files_changed: tuple[str, ...] = ()
    tests_run: bool = False
    tests_passed: bool = False
    logs: tuple[str, ...] = ()
    diff: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Execution:
    """One row. ``gate``: the checks are asked for. ``claimed_by`` is the process that has it, "" until one has.

    Times are of the app database's clock. ``error`` is one sentence, "" without one.
    """

    id: UUID
    worker_id: str
    work_item_id: UUID
    template_id: str
    prompt: str
    gate: bool = False
    status: ExecutionStatus = ExecutionStatus.PENDING
    error: str = ""
    output: ExecutionOutput = field(default_factory=ExecutionOutput)
    usage: Usage = field(default_factory=Usage)
    claimed_by: str = ""
    created_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None

    @property
    def milliseconds(self) -> int:
        """From its start to its end, 0 until then."""
        if self.started_at is None or self.completed_at is None:
            return 0
        return max(round((self.completed_at - self.started_at) / timedelta(milliseconds=1)), 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class ExecutionResult:
    """How an execution ended, as its runner says it. ``error`` "" means success."""

    error: str = ""
    output: ExecutionOutput = field(default_factory=ExecutionOutput)
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, kw_only=True, slots=True)
class Workspace:
    """The directory of an execution, which is removed at ``cleanup_at``. ``path`` is where the agent works, or worked.

    ``repository`` is "owner/name", None for a local one without a name. ``completed_at`` None: somebody works in it.
    """

    id: UUID
    execution_id: UUID
    worker_id: str
    work_item_id: UUID
    repository: str | None
    path: str
    branch: str
    created_at: datetime
    completed_at: datetime | None
    cleanup_at: datetime
