"""The body of a pull request: Mason's section, and its place among what people wrote (pure)."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import UUID

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.domain.results import CheckKind, CheckResult, CheckStatus, GateResult, Iteration, TierStatus
from app.domain.results import TierResult as Tier
from app.forge.github import text
from app.ports.forge import Publication
from app.ports.workspace import Change, ChangeKind

BODY_LIMIT = 65_536
"""Characters of a pull request's body that GitHub takes."""

_BEGIN = "<!-- mason:begin"
_SECTION = re.compile(rf"{_BEGIN}\b(?P<ids>[^\n>]*)-->(?:(?!{_BEGIN}\b).)*?<!-- mason:end -->", re.DOTALL)

_RESULTS = {
    CheckStatus.PASS: "✅ passed",
    CheckStatus.FAIL: "❌ failed",
    CheckStatus.SKIPPED: "⏭️ skipped: the repository has no such check",
    CheckStatus.TIMEOUT: "❌ timed out",
    CheckStatus.ERROR: "❌ could not run",
}
_TIERS = {
    TierStatus.PASS: "✅ passed",
    TierStatus.WARN: "⚠️ warnings",
    TierStatus.FAIL: "❌ failed",
    TierStatus.NOT_RUN: "⏭️ not run",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """How much a section says: rows of a table, characters of a text and of a cell."""

    rows: int
    text: int
    cell: int


SIZES = (Size(rows=50, text=4000, cell=300), Size(rows=20, text=800, cell=100), Size(rows=5, text=200, cell=40))
"""Tried in turn until the body fits."""


def section(publication: Publication, tip: str, size: Size = SIZES[0]) -> str:
    """Mason's section, from marker to marker. ``tip`` is the published commit."""
    item, outcome = publication.item, publication.outcome
    context = publication.context
    environment = Environment(  # noqa: S701 - Markdown; every value from outside goes through a filter of `text`
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"prose": text.prose, "cell": text.cell, "code": text.code}
    return environment.get_template("pull_request.md").render(
        run=publication.run_id,
        item=item.id,
        problem=item.problem or context.problem,
        solution=item.solution or context.solution,
        note=publication.note,
        files=[_file(change) for change in publication.changes],
        gated=outcome.commit or tip,
        tip=tip,
        checks=[_check(result) for result in (outcome.gate or GateResult(checks=())).checks],
        tiers=[_tier(tier) for tier in (outcome.validator.tiers if outcome.validator else ())],
        iterations=[_iteration(iteration) for iteration in outcome.iterations],
        criteria=[asdict(criterion) for criterion in context.criteria],
        cost=str(outcome.usage),
        size=size,
    )


def merged(body: str, publication: Publication, tip: str) -> str | None:
    """``body`` with Mason's section up to date; every character outside of it stays.

    The section goes between the first pair of markers, or to the end where there is none. None when GitHub would not
    take the result however short the section is, or when there is no room for one.
    """
    for size in SIZES:
        text_now = _replaced(body, section(publication, tip, size))
        if len(text_now) <= BODY_LIMIT:
            return text_now
    return None


def _replaced(body: str, new: str) -> str:
    found = _SECTION.search(body)
    if found:
        return body[: found.start()] + new + body[found.end() :]
    return f"{body}\n\n{new}" if body else new


def item_of(body: str) -> UUID | None:
    """The item that Mason's section names, None without one."""
    found = _SECTION.search(body)
    named = re.search(r"\bitem=([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\s", found["ids"]) if found else None
    return UUID(named[1]) if named else None


def mentions(body: str, commit: str) -> bool:
    """Whether Mason's section is about this commit."""
    found = _SECTION.search(body)
    return bool(found and commit in found[0])


def _file(change: Change) -> dict[str, object]:
    what = {ChangeKind.ADDED: " (new)", ChangeKind.DELETED: " (deleted)"}.get(change.kind, "")
    counts = ("–", "–") if change.binary else (change.added_lines, change.removed_lines)
    return {"path": change.path, "what": what, "added": counts[0], "removed": counts[1]}


def _check(result: CheckResult) -> dict[str, str]:
    warning = result.kind is CheckKind.SMOKE and result.status not in (CheckStatus.PASS, CheckStatus.SKIPPED)
    return {
        "name": result.kind.value,
        "result": _RESULTS[result.status] + (" (a warning)" if warning else ""),
        "command": result.command,
        "duration": f"{result.seconds:.1f} s" if result.seconds else "–",
    }


def _tier(tier: Tier) -> dict[str, str]:
    findings = "; ".join(f"{finding.path}: {finding.message}" for finding in tier.findings[:5])
    more = f"; and {len(tier.findings) - 5} more" if len(tier.findings) > 5 else ""
    return {"name": tier.tier.value.replace("_", " "), "result": _TIERS[tier.status], "findings": findings + more}


def _iteration(iteration: Iteration) -> dict[str, object]:
    return {
        "number": iteration.number,
        "failed": ", ".join(iteration.failed_before),
        "tried": iteration.tried,
        "result": "✅ passed" if iteration.passed else "❌ failed",
    }
