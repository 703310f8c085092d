"""Runs: one start of Mason over some items, from one pinned base commit."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from app.domain.items import Item
from app.domain.results import Outcome, Usage, Verdict


class RunStatus(StrEnum):
    """The CHECKed values of ``mason_remote_execution_runs.status``."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    SUCCESS = "success"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, kw_only=True, slots=True)
class Base:
    """The pinned commit that every item of a run starts from, and the branch it was the tip of."""

    commit: str
    branch: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """``planned``: its items are taken by jobs of their own, and the last job closes it. ``status`` is the rows'.
    ``branch_name`` is what who started it calls it there; items have branches of their own.
    """

    id: UUID
    base: Base
    item_ids: tuple[UUID, ...]
    planned: bool = False
    status: RunStatus = RunStatus.IN_PROGRESS
    branch_name: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemResult:
    """One item of a run and how it ended."""

    item: Item
    outcome: Outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class RunResult:
    """How a run ended. ``left`` are items that another runner had already claimed. ``reason`` says why the run itself
    failed, whatever became of its items; empty where it did not.
    """

    run_id: UUID | None
    base: Base | None
    results: tuple[ItemResult, ...] = ()
    left: tuple[Item, ...] = field(default=())
    cancelled: bool = False
    reason: str = ""

    @property
    def failed(self) -> tuple[ItemResult, ...]:
        return tuple(r for r in self.results if r.outcome.verdict is Verdict.REJECTED)

    @property
    def base_failed(self) -> bool:
        """Items were given back because the base commit fails its own checks."""
        return any(r.outcome.failed_base for r in self.results)

    @property
    def unfinished(self) -> bool:
        """Items were given back although they had cost money."""
        return any(r.outcome.unfinished for r in self.results)

    @property
    def succeeded(self) -> tuple[ItemResult, ...]:
        return tuple(r for r in self.results if r.outcome.succeeded)

    @property
    def usage(self) -> Usage:
        return sum((r.outcome.usage for r in self.results), Usage())

    @property
    def fix_iterations(self) -> int:
        return sum(len(r.outcome.iterations) for r in self.results)

    @property
    def status(self) -> RunStatus:
        if self.cancelled:
            return RunStatus.CANCELLED
        wrong = self.failed or self.base_failed or self.unfinished or self.reason
        return RunStatus.FAILED if wrong else RunStatus.SUCCESS
