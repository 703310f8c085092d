"""Between Mason's records and the rows of the backlog tables, as JSON documents with the tables' column names.

What comes in is hostile until parsed; what goes out carries no character that Postgres cannot store. Shared by every
adapter.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

from app.domain.claims import Claim
from app.domain.items import Item, ItemStatus, NewItem
from app.domain.progress import CHECKPOINTS, Progress
from app.domain.results import Iteration
from app.ports.backlog import ItemEventRow, IterationRow, LogRow, TaskRow

Document = dict[str, Any]

log = logging.getLogger("mason")

_COMPLEXITIES = {"low": 1, "medium": 2, "high": 4, "very_high": 5} | {str(number): number for number in range(1, 6)}
"""What stands in ``complexity``: words in the oldest generation, numbers in all others (contracts §1)."""

_OUTPUT_SHOWN = 2000
"""Characters at the end of a failed check's output that are stored where no finding could be read from it."""

_CHANGED_KEPT = 10_000


def clean(text: str) -> str:
    """Text that Postgres can store: no NUL, no lone surrogate; U+FFFD stands in for them."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode("utf-8")


def jsonable(value: object) -> Any:  # noqa: ANN401 - JSON
    """A value as JSON that ``jsonb`` accepts, whatever strings and objects it holds."""
    match value:
        case str():
            return clean(value)
        case float() if not math.isfinite(value):  # JSON has no word for these
            return str(value)
        case None | bool() | int() | float():
            return value
        case Mapping():
            return {clean(str(key)): jsonable(part) for key, part in value.items()}
        case list() | tuple() | set() | frozenset():
            return [jsonable(part) for part in value]
        case datetime():
            return value.isoformat()
        case _:
            return clean(str(value))


def event_id(claim: Claim, what: str) -> UUID:
    """The same id for the same thing that happens to a claim, so that a repetition is seen."""
    return uuid5(claim.run_id, f"{claim.item_id} {claim.attempt} {what}")


def parse_items(documents: Iterable[Mapping[str, Any]]) -> list[Item]:
    """The items of rows; a row that cannot be used is left out and named in a warning."""
    items = []
    for document in documents:
        try:
            items.append(parse_item(document))
        except (KeyError, TypeError, ValueError) as problem:
            log.warning("backlog item %s is left out: %s", document.get("id"), problem)
    return items


def parse_item(row: Mapping[str, Any]) -> Item:
    """One row of ``mason_pm_backlog_items``. Raises ValueError, KeyError or TypeError when it is none."""
    title = _text(row["title"])
    if not title.strip():
        raise ValueError("it has no title")
    return Item(
        id=UUID(str(row["id"])),
        title=title,
        status=ItemStatus(row["status"]),
        problem=_text(row.get("problem")),
        solution=_text(row.get("solution")),
        type=_text(row.get("type")),
        area=_text(row.get("area")),
        priority_score=int(row.get("priority_score") or 0),
        prd=_optional(row.get("prd_content")),
        evidence_status=_optional(row.get("evidence_status")),
        evidence_summary=_optional(row.get("evidence_summary")),
        branch=_optional(row.get("branch_name")),
        approved_digest=_optional(row.get("approved_digest")),
        approved_at=_time(row.get("approved_at")),
        attempt=int(row.get("execution_attempt") or 0),
        run_id=UUID(str(row["execution_run_id"])) if row.get("execution_run_id") else None,
        failed_base=_optional(row.get("failed_base")),
        complexity=_COMPLEXITIES.get(_text(row.get("complexity"))),
        pull_request_url=_optional(row.get("pr_url")),
        failure_reason=_optional(row.get("failure_reason")),
        skip_reason=_optional(row.get("skip_reason")),
        tags=_tags(row.get("tags")),
    )


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _optional(value: object) -> str | None:
    return None if value is None else str(value)


def _time(value: object) -> datetime | None:
    """A time in ISO 8601, in whatever zone the database's session shows it, as UTC."""
    return None if value is None else datetime.fromisoformat(str(value)).astimezone(UTC)


def _tags(value: object) -> tuple[str, ...]:
    """Tags from ``text[]``, from JSON, or from text that holds JSON."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return (value,) if isinstance(value, str) and value else ()
    return tuple(str(tag) for tag in value if tag is not None) if isinstance(value, list) else ()


def new_item_document(item_id: UUID, item: NewItem) -> Document:
    """One row of ``mason_pm_backlog_items``, as a person wrote it."""
    return {
        "id": item_id,
        "title": item.title,
        "problem": item.problem,
        "solution": item.solution,
        "area": item.area,
        "type": item.type,
        "complexity": item.complexity,
        "impact_score": item.impact_score,
        "effort_score": item.effort_score,
        "status": item.status,
        "prd_content": item.prd,
        "evidence_status": item.evidence_status,
        "evidence_summary": item.evidence_summary,
    }


def progress_document(progress: Progress) -> Document:
    """One row of ``mason_execution_progress``, without the times that the database sets."""
    return {
        "item_id": progress.claim.item_id,
        "run_id": progress.claim.run_id,
        "execution_attempt": progress.claim.attempt,
        "current_phase": progress.phase,
        "current_wave": progress.wave,
        "total_waves": progress.total_waves,
        "wave_status": progress.wave_status,
        "current_task": progress.current_task,
        "current_file": progress.current_file,
        "tasks_completed": progress.tasks_done,
        "tasks_total": progress.tasks_total,
        "fix_iteration": progress.fix_iteration,
        "checkpoint_index": progress.checkpoint,
        "checkpoint_total": len(CHECKPOINTS),
        "checkpoint_message": progress.checkpoint_message,
        "checkpoints_completed": [
            {"id": number, "name": name, "completed_at": at} for number, name, at in progress.checkpoints
        ],
        "completed_at": progress.completed_at,
        **progress.validations,
    }


def task_document(row: TaskRow) -> Document:
    return {
        "id": row.id,
        "run_id": row.claim.run_id,
        "item_id": row.claim.item_id,
        "execution_attempt": row.claim.attempt,
        "wave_number": row.wave,
        "task_number": row.number,
        "description": row.task.description,
        "subagent_type": row.task.subagent,
        "status": row.status,
        "error_message": row.error or None,
        "started_at": row.started_at,
        "completed_at": row.completed_at,
    }


def iteration_document(row: IterationRow) -> Document:
    gate, validator = row.iteration.gate, row.iteration.validator
    failures = list(_failures(row.iteration))
    return {
        "id": row.id,
        "run_id": row.claim.run_id,
        "item_id": row.claim.item_id,
        "execution_attempt": row.claim.attempt,
        "iteration_number": row.iteration.number,
        "checks_passed": sum(c.status == "pass" for c in gate.checks) if gate else 0,
        "checks_failed": (len(gate.failures) if gate else 0) + (len(validator.failures) if validator else 0),
        "passed": row.iteration.passed,
        "tried": row.iteration.tried,
        "failure_details": {
            "before": row.iteration.failed_before,
            "after": failures,
            "changed": row.iteration.changed[:_CHANGED_KEPT],
        },
        "created_at": row.created_at,
    }


def _failures(iteration: Iteration) -> Iterable[Document]:
    """What still failed after an iteration, with at most ten findings each, or the end of the output without any."""
    for check in iteration.gate.failures if iteration.gate else ():
        yield {
            "check": check.kind,
            "status": check.status,
            "reason": check.reason,
            "diagnostics": [str(diagnostic) for diagnostic in check.diagnostics[:10]],
            "output": "" if check.diagnostics else check.output[-_OUTPUT_SHOWN:],
        }
    for tier in iteration.validator.failures if iteration.validator else ():
        yield {"tier": tier.tier, "findings": [f"{f.path}: {f.message}" for f in tier.findings[:10]]}


def log_document(row: LogRow) -> Document:
    return {
        "id": row.id,
        "execution_run_id": row.run_id,
        "log_level": row.level,
        "message": row.message,
        "metadata": row.metadata,
        "created_at": row.created_at,
    }


def event_document(row: ItemEventRow) -> Document:
    """An event. ``old_value``, ``new_value`` and ``notes`` of its payload have columns; the rest goes to the notes."""
    known = {name: row.payload[name] for name in ("old_value", "new_value", "notes") if name in row.payload}
    rest = {name: value for name, value in row.payload.items() if name not in known}
    if rest:
        known["notes"] = "\n".join(
            part for part in (_text(known.get("notes")), json.dumps(jsonable(rest), ensure_ascii=False)) if part
        )
    return {
        "id": row.id,
        "item_id": row.item_id,
        "event_type": row.event_type,
        "created_at": row.created_at,
        "cost_usd": row.cost_usd or None,
        **{name: _optional(value) for name, value in known.items()},
    }
