"""Every prompt an agent gets: a Markdown template, rendered strictly from domain records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.domain.items import Item
from app.domain.plans import PrdContext, Task
from app.domain.results import MAX_FIX_ITERATIONS, CheckResult, Iteration, ValidatorResult
from app.prompts.data import fenced, line

MAX_DIAGNOSTICS = 50
"""Diagnostics of one check that an agent is shown."""

MAX_NOTES = 40


@dataclass(frozen=True, kw_only=True, slots=True)
class Briefing:
    """What every prompt about an item starts from. ``instructions`` are the domain's (see ``routing``)."""

    item: Item
    context: PrdContext
    instructions: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskNote:
    """What an earlier task reported."""

    task: Task
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Failures:
    """What a fix iteration has to repair: the blocking checks in their order, the validator's verdict, what was tried.

    ``iteration`` counts from 1 to ``limit``.
    """

    iteration: int
    checks: Sequence[CheckResult] = ()
    validator: ValidatorResult | None = None
    history: Sequence[Iteration] = ()
    limit: int = MAX_FIX_ITERATIONS


def re_evaluate(item: Item) -> str:
    """Ask whether an item with inconclusive evidence is worth doing (seed, step 2.5)."""
    return _render("re_evaluate", item=item)


def verify(briefing: Briefing) -> str:
    """Ask whether the problem still exists (seed, step 2.6)."""
    return _render("verify", briefing=briefing)


def explore(briefing: Briefing, task: Task, notes: Sequence[TaskNote] = ()) -> str:
    """A reading task: what it finds is told to the tasks after it."""
    return _render("explore", briefing=briefing, task=task, notes=notes[-MAX_NOTES:])


def implement(briefing: Briefing, task: Task, notes: Sequence[TaskNote] = ()) -> str:
    """A writing task (seed, step 6)."""
    return _render("implement", briefing=briefing, task=task, notes=notes[-MAX_NOTES:])


def review(briefing: Briefing, task: Task, diff: str) -> str:
    """A review of all changes so far, given as a unified diff."""
    return _render("review", briefing=briefing, task=task, diff=diff)


def fix(briefing: Briefing, failures: Failures) -> str:
    """One fix iteration (seed, step 9)."""
    return _render("fix", briefing=briefing, failures=failures, max_diagnostics=MAX_DIAGNOSTICS)


def request(briefing: Briefing, instructions: str) -> str:
    """What a person asks for on a pull request (`/mason fix …`)."""
    return _render("request", briefing=briefing, instructions=instructions)


def write_prd(item: Item) -> str:
    """Ask for a PRD with the waves that planning reads."""
    return _render("write_prd", item=item)


def _render(template: str, **values: object) -> str:
    return _environment().get_template(f"{template}.md").render(values).strip() + "\n"


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent, encoding="utf-8"),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - Markdown for a language model, no HTML
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(fenced=fenced, line=line)
    return environment
