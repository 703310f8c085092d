"""The coding agent: it edits files and answers questions, and decides nothing (design, first paragraph)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    FIX = "fix"
    WRITE_PRD = "write-prd"


READ_ONLY_ROLES = frozenset({Role.EXPLORE, Role.RE_EVALUATE, Role.VERIFY, Role.REVIEW, Role.WRITE_PRD})


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentRequest:
    """One call of the agent.

    ``worktree`` is the directory it may read and, unless ``read_only``, change. ``schema`` is the JSON schema that a
    structured answer must fit, None when only text or edits are wanted. ``time_limit`` in seconds, ``budget_usd`` None
    for no limit. ``task_id`` (role implement) and ``iteration`` (role fix, from 1) address the work.
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
    """What came back. ``error`` is a sentence when the call failed; then ``answer`` and ``text`` prove nothing."""

    text: str = ""
    answer: Mapping[str, object] | None = None
    usage: Usage = field(default_factory=Usage)
    session: str | None = None
    error: str = ""


class Agent(Protocol):
    @property
    def name(self) -> str: ...

    def run(self, request: AgentRequest, stop: Stop, on_activity: Callable[[str], None]) -> AgentResult:
        """Do one call and come back with everything it started dead. Raises nothing for what the agent does.

        Raises UsageError only for a configuration that no call can succeed with (program missing, key missing).
        ``on_activity`` gets short human sentences while it works.
        """
