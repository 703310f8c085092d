"""What people are shown of a run: its rows, read together at one moment (the REST API and the run page).

Every text comes from rows that others can write: it is bounded when it is read, and escaped where it is shown.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID

from app.domain.events import Level, Phase, TaskStatus
from app.domain.items import ItemStatus
from app.domain.results import CheckKind, Usage, Verdict
from app.domain.runs import RunStatus

CheckState = Literal["pending", "running", "pass", "fail", "skipped"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskView:
    """One task of a wave. ``agent`` is its subagent's name; ``error`` is empty unless it failed."""

    wave: int
    number: int
    description: str
    agent: str
    status: TaskStatus
    error: str = ""
    started_at: datetime | None = None
    completed_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckView:
    """One check. What is known only once its item has ended (``command``, ``seconds``, ``output``, the end of it, and
    ``findings``, a line each) is empty before.
    """

    kind: CheckKind
    status: CheckState
    command: str = ""
    seconds: float = 0.0
    reason: str = ""
    output: str = ""
    findings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class IterationView:
    """One fix iteration: what failed before it, what the agent said it tried, ``changed``, a bounded diff, and what
    was still failing afterwards.
    """

    number: int
    passed: bool
    failed: tuple[str, ...]
    tried: str
    changed: str
    created_at: datetime
    still_failing: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemView:
    """One item of a run, as far as this run had it. ``percentage`` is what the dashboard shows, 0 to 100.

    ``phase`` is None before it began, ``verdict`` until it has ended. ``diff`` is the bounded unified diff of its
    change, ``kept`` says where the work of a failed one lies; ``reason`` why it was rejected, put off or given back, or
    that it is not in this run any more. ``findings`` are the validator's, a line each. ``follow_up`` is the item that
    asks a person to look.
    """

    id: UUID
    title: str
    type: str
    status: ItemStatus
    verdict: Verdict | None = None
    reason: str = ""
    branch: str = ""
    commit: str = ""
    pull_request_url: str = ""
    kept: str = ""
    follow_up: UUID | None = None
    phase: Phase | None = None
    wave: int = 0
    total_waves: int = 0
    percentage: int = 0
    current_task: str = ""
    current_file: str = ""
    tasks_completed: int = 0
    tasks_total: int = 0
    fix_iteration: int = 0
    started_at: datetime | None = None
    updated_at: datetime | None = None
    completed_at: datetime | None = None
    tasks: tuple[TaskView, ...] = ()
    checks: tuple[CheckView, ...] = ()
    iterations: tuple[IterationView, ...] = ()
    findings: tuple[str, ...] = ()
    diff: str = ""
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, kw_only=True, slots=True)
class RunLine:
    """One run in a list. Counts are of items; ``repository`` is "owner/name", empty for a local one."""

    id: UUID
    status: RunStatus
    repository: str = ""
    base_branch: str = ""
    base_commit: str = ""
    items: int = 0
    succeeded: int = 0
    failed: int = 0
    reason: str = ""
    started_at: datetime | None = None
    completed_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RunView:
    """A whole run without its log. ``seen_at`` is the database's clock when it was read."""

    run: RunLine
    items: tuple[ItemView, ...]
    seen_at: datetime

    @property
    def usage(self) -> Usage:
        return sum((item.usage for item in self.items), Usage())

    @property
    def ended(self) -> bool:
        return self.run.completed_at is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class LogLine:
    """One row of the log; ``item_id`` is None for what is said of the run as a whole."""

    id: UUID
    level: Level
    message: str
    item_id: UUID | None
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class LogPage:
    """Some lines, in the order in which they were written down: no line ever comes before one that was read already.

    ``next`` is the cursor behind the last of them, behind which later lines will be found too; it is the cursor that
    was asked with where no line came, None where the log is empty. ``more``: there are lines behind it by now.
    """

    lines: tuple[LogLine, ...]
    next: str | None
    more: bool = False
