"""Plans: what a PRD says about an item, and the waves of tasks that carry it out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Subagent(StrEnum):
    """The values of ``mason_pm_execution_tasks.subagent_type``; any other name in a PRD is ``general-purpose``."""

    EXPLORE = "Explore"
    GENERAL = "general-purpose"
    BASH = "Bash"
    REVIEWER = "code-reviewer"
    FRONTEND = "frontend-design"
    PLAN = "Plan"


WRITERS = frozenset({Subagent.GENERAL, Subagent.FRONTEND})


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """One task of a wave. ``id`` is unique in the plan and of the form ``<wave>.<task>``."""

    id: str
    subagent: Subagent
    description: str

    @property
    def writes(self) -> bool:
        """Writing tasks are critical; reading tasks fail forward (contracts §2)."""
        return self.subagent in WRITERS


@dataclass(frozen=True, kw_only=True, slots=True)
class Wave:
    """Tasks that may run side by side, after the waves in ``blocked_by``."""

    number: int
    title: str
    tasks: tuple[Task, ...]
    blocked_by: tuple[int, ...] = ()
    parallel: bool = True

    @property
    def writes(self) -> bool:
        return any(task.writes for task in self.tasks)


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Waves in the order in which they run. ``warnings`` name the PRD's lines that could not be used."""

    waves: tuple[Wave, ...]
    is_default: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def tasks(self) -> tuple[Task, ...]:
        return tuple(task for wave in self.waves for task in wave.tasks)


@dataclass(frozen=True, kw_only=True, slots=True)
class Criterion:
    """A success criterion and whether its box is checked."""

    text: str
    checked: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class PrdContext:
    """What the prompts and the validator need from a PRD.

    ``target`` is ``path`` or ``path:line``. ``files`` are repository paths that the PRD names, in order of appearance,
    each once. ``amendment`` is what a MODIFIED verification added. ``by_agent``: an agent wrote the PRD, so that it
    says where the change lies, and allows nothing that is protected.
    """

    target: str | None = None
    problem: str = ""
    solution: str = ""
    evidence: str = ""
    criteria: tuple[Criterion, ...] = ()
    files: tuple[str, ...] = ()
    amendment: str = ""
    by_agent: bool = False
