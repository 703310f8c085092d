"""Every prompt an agent gets: a Markdown template, rendered strictly from domain records."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.domain.items import Item
from app.domain.plans import PrdContext, Task
from app.domain.results import MAX_FIX_ITERATIONS, CheckResult, Iteration, TierStatus, ValidatorResult
from app.prompts.data import bounded, code, fenced, line, visible
from app.prompts.guidance import guidance
from app.prompts.routing import domain_of

MAX_DIAGNOSTICS = 50
"""Diagnostics of one check that an agent is shown."""

MAX_NOTES = 40
NOTE_LIMIT = 4_000
NOTES_LIMIT = 24_000
"""What is told of earlier tasks: so many reports, characters of each, characters of all."""

MAX_HISTORY = 5
MAX_NOTED = 20
MAX_NEIGHBOURS = 12

PRD_SHOWN = 100_000
"""Characters of a PRD that an implementing agent is shown."""


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


def re_evaluate(item: Item, again: str = "") -> str:
    """Ask whether an item with inconclusive evidence is worth doing (seed, step 2.5).

    Here as below, ``again`` says what was wrong with the last answer, when the same is asked once more.
    """
    return _render("re_evaluate", item=item, again=again)


def verify(briefing: Briefing, again: str = "") -> str:
    """Ask whether the problem still exists (seed, step 2.6)."""
    return _render("verify", briefing=briefing, again=again)


def explore(briefing: Briefing, task: Task, notes: Sequence[TaskNote] = ()) -> str:
    """A reading task: what it finds is told to the tasks after it."""
    return _render("explore", briefing=briefing, task=task, **_memory(notes, task))


def implement(briefing: Briefing, task: Task, notes: Sequence[TaskNote] = ()) -> str:
    """A writing task (seed, step 6)."""
    prd = briefing.item.prd or ""
    whole = len(prd) <= PRD_SHOWN  # then nothing of it has to be said twice
    values = {"briefing": briefing, "task": task, "prd": prd, "limit": PRD_SHOWN, "elsewhere": prd if whole else ""}
    return _render("implement", **values, **_memory(notes, task))


def review(briefing: Briefing, task: Task, diff: str, again: str = "") -> str:
    """A review of all changes so far, given as a unified diff."""
    return _render("review", briefing=briefing, task=task, diff=diff, again=again)


def pattern_review(briefing: Briefing, diff: str, neighbours: Sequence[tuple[str, str]], again: str = "") -> str:
    """Tier 2 of the validator: whether a unified diff follows the code around it (seed, step 7.5).

    ``neighbours`` are files beside the changed ones, as (path, text).
    """
    beside = neighbours[:MAX_NEIGHBOURS]
    return _render("pattern_review", item=briefing.item, diff=diff, neighbours=beside, again=again)


def fix(briefing: Briefing, failures: Failures, again: str = "") -> str:
    """One fix iteration (seed, step 9)."""
    tiers = failures.validator.tiers if failures.validator else ()
    return _render(
        "fix",
        briefing=briefing,
        failures=failures,
        failed_tiers=[tier for tier in tiers if tier.status is TierStatus.FAIL],
        noted=[f for tier in tiers if tier.status is TierStatus.WARN for f in tier.findings][:MAX_NOTED],
        history=failures.history[-MAX_HISTORY:],
        guidance=partial(guidance, domain_of(briefing.item.type or "")),
        max_diagnostics=MAX_DIAGNOSTICS,
        again=again,
    )


def request(briefing: Briefing, instructions: str, again: str = "") -> str:
    """What a person asks for on a pull request (`/mason fix …`)."""
    return _render("request", briefing=briefing, instructions=instructions, again=again)


def execute(briefing: Briefing, asked: str, *, gate: bool) -> str:
    """What a client of the agent runtime asks for, on an item; ``gate``: the checks run afterwards."""
    return _render("execute", briefing=briefing, asked=asked, prd=briefing.item.prd or "", gate=gate, limit=PRD_SHOWN)


def write_prd(item: Item, problem: str = "") -> str:
    """Ask for a PRD with the waves that planning reads. ``problem``: what was wrong with the last one, if one was."""
    return _render("write_prd", item=item, again=problem)


def remembered(notes: Sequence[TaskNote], task: Task) -> tuple[TaskNote, ...]:
    """What of the earlier tasks' reports is told to ``task``: at most NOTES_LIMIT characters, NOTE_LIMIT of each.

    Where that is too little, the ones kept have most words of the task's description in them, or are new: both count
    the same. Pure; the order stays.
    """
    short = [replace(note, text=bounded(visible(note.text), NOTE_LIMIT)) for note in notes[-MAX_NOTES:]]
    wanted = _words(task.description)
    weights = {
        index: len(wanted & _words(note.text)) / max(len(wanted), 1) + (index + 1) / len(short)
        for index, note in enumerate(short)
    }
    kept: list[int] = []
    room = NOTES_LIMIT
    for index in sorted(weights, key=lambda each: weights[each], reverse=True):
        if len(short[index].text) <= room:
            kept.append(index)
            room -= len(short[index].text)
    return tuple(short[index] for index in sorted(kept))


def _words(text: str) -> set[str]:
    return set(re.findall(r"[\w-]{4,}", text[:NOTE_LIMIT].lower()))


def _memory(notes: Sequence[TaskNote], task: Task) -> dict[str, object]:
    kept = remembered(notes, task)
    return {"notes": kept, "left_out": len(notes) - len(kept)}


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
    environment.filters.update(code=code, fenced=fenced, line=line)
    return environment
