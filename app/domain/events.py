"""Events: what a run tells its reporters. Reporting never decides anything (design, The story of an item)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

from app.domain.claims import Claim
from app.domain.items import Item
from app.domain.plans import Plan, Task
from app.domain.results import CheckKind, CheckResult, GateResult, Iteration, Outcome, ValidatorResult
from app.domain.runs import Run, RunResult


class Phase(StrEnum):
    """The five phases of ``mason_execution_progress.current_phase``."""

    SITE_REVIEW = "site_review"
    FOUNDATION = "foundation"
    BUILDING = "building"
    INSPECTION = "inspection"
    COMPLETE = "complete"


class Level(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"


class TaskStatus(StrEnum):
    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """``at`` is the writer's clock, UTC; log rows carry it (contracts §3)."""

    at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True, kw_only=True, slots=True)
class RunStarted(Event):
    run: Run
    items: tuple[Item, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFinished(Event):
    result: RunResult


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemEvent(Event):
    """An event of one claimed item; the claim is the fence under which its rows are written."""

    claim: Claim


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemStarted(ItemEvent):
    """Work on an item begins; it is the ``position``-th of ``total`` in the run, counted from 1."""

    item: Item
    branch: str
    position: int
    total: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointReached(ItemEvent):
    """One of the 13 checkpoints of contracts §1, entered in ``phase``. ``message`` is the human sentence."""

    checkpoint: int
    phase: Phase
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned(ItemEvent):
    plan: Plan


@dataclass(frozen=True, kw_only=True, slots=True)
class WaveStarted(ItemEvent):
    wave: int
    title: str


@dataclass(frozen=True, kw_only=True, slots=True)
class WaveFinished(ItemEvent):
    wave: int


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskChanged(ItemEvent):
    task: Task
    wave: int
    status: TaskStatus
    error: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentActivity(ItemEvent):
    """What the agent is doing at this moment, for ``current_task`` and ``current_file``."""

    message: str
    file: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckStarted(ItemEvent):
    kind: CheckKind


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckFinished(ItemEvent):
    """``recorded_only``: the check after a writing wave, which blocks nothing (contracts §2)."""

    result: CheckResult
    recorded_only: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Validated(ItemEvent):
    """``report`` is the same in the seed's JSON (step 7.5), for those who read the log rows."""

    result: ValidatorResult
    report: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class IterationStarted(ItemEvent):
    number: int
    limit: int


@dataclass(frozen=True, kw_only=True, slots=True)
class IterationFinished(ItemEvent):
    iteration: Iteration


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemSettled(ItemEvent):
    item: Item
    outcome: Outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class PullRequestJudged(Event):
    """What the checks said of a pull request's head, outside of any claim; ``item_id`` is None for a stranger's."""

    run_id: UUID
    item_id: UUID | None
    number: int
    commit: str
    gate: GateResult
    validator: ValidatorResult | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Noted(Event):
    """A sentence for the log, of an item or of the run as a whole."""

    message: str
    level: Level = Level.INFO
    run_id: UUID | None = None
    claim: Claim | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reevaluated(ItemEvent):
    """The verdict on an item with inconclusive evidence: ``EXECUTE`` or ``SKIP``."""

    title: str
    verdict: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PrdGenerated(ItemEvent):
    """The agent wrote a PRD and it is stored."""
