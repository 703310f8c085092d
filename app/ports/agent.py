"""The coding agent: it edits files and answers questions, and decides nothing (design, first paragraph)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from app.domain.items import Item
from app.domain.results import Usage
from app.process import Stop


class Role(StrEnum):
    EXPLORE = "explore"
    RE_EVALUATE = "re-evaluate"
    VERIFY = "verify"
    IMPLEMENT = "implement"
    REVIEW = "review"
    PATTERNS = "pattern-review"
    FIX = "fix"
    WRITE_PRD = "write-prd"


class Failure(StrEnum):
    """Whose fault a failed call is, which decides what becomes of the item."""

    AGENT = "agent"
    """Its own, or the task's: the item fails."""

    UNAVAILABLE = "unavailable"
    """The model's API kept failing: the item waits for better days."""

    BUDGET = "budget"
    """The item's or the run's money is spent."""


READ_ONLY_ROLES = frozenset({Role.EXPLORE, Role.RE_EVALUATE, Role.VERIFY, Role.REVIEW, Role.PATTERNS, Role.WRITE_PRD})


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentRequest:
    """One call of the agent.

    ``worktree`` is the directory it may read and, unless ``read_only``, change. ``schema`` is the JSON schema that a
    structured answer must fit, None when only text or edits are wanted. ``time_limit`` in seconds. ``budget_usd`` is
    the most that the item may cost, all of its calls together; None for no limit. ``task_id`` (role implement) and
    ``iteration`` (role fix, from 1) address the work. ``session`` is an earlier call's, to be gone on with.
    """

    role: Role
    item: Item
    prompt: str
    worktree: Path
    time_limit: float
    schema: Mapping[str, object] | None = None
    budget_usd: float | None = None
    task_id: str | None = None
    iteration: int | None = None
    session: str | None = None

    @property
    def read_only(self) -> bool:
        return self.role in READ_ONLY_ROLES


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentResult:
    """What came back. ``error`` is a sentence when the call failed; then ``answer`` and ``text`` prove nothing, and
    ``failure`` says whose fault it was.
    """

    text: str = ""
    answer: Mapping[str, object] | None = None
    usage: Usage = field(default_factory=Usage)
    session: str | None = None
    error: str = ""
    failure: Failure = Failure.AGENT


class OnActivity(Protocol):
    """Hears short human sentences while an agent works, with the file (relative to the tree) that each is about."""

    def __call__(self, message: str, file: str = "") -> None: ...


class Agent(Protocol):
    @property
    def name(self) -> str: ...

    def require_ready(self) -> None:
        """Raises UsageError for a configuration that no call can succeed with: no program, no key."""

    def run(self, request: AgentRequest, stop: Stop, on_activity: OnActivity) -> AgentResult:
        """Do one call and come back with everything it started dead. Raises nothing for what the agent does.

        Raises UsageError only for a configuration that no call can succeed with (program missing, key refused).
        """
