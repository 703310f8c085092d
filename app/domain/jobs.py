"""Jobs: what the web app leaves to its workers. Each is a hint to look at something; doing one twice is harmless."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, kw_only=True, slots=True)
class ReconcileBacklog:
    """Look which approved items nobody has claimed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReconcileRun:
    """Look how one dispatch is doing."""

    run_id: UUID


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerRequest:
    """Do what a person asked for. ``number`` and ``repository`` say where: one request of a place at a time."""

    key: str
    repository: str
    number: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ReconcileExecution:
    """Look how one execution of the agent runtime is doing."""

    execution_id: UUID


@dataclass(frozen=True, kw_only=True, slots=True)
class Sweep:
    """Look at everything that is not finished."""


Job = ReconcileBacklog | ReconcileRun | AnswerRequest | ReconcileExecution | Sweep
