"""How an outcome is written: the columns of an item, a run, and a follow-up item. Pure; shared by every adapter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal
from uuid import UUID, uuid5

from pydantic import BaseModel, Field, ValidationError

from app.backlog.documents import Document, clean, event_id, progress_document
from app.backlog.evidence import DIFF_KEPT, evidence_document
from app.domain.claims import Claim
from app.domain.events import ItemSettled
from app.domain.items import Item, ItemStatus
from app.domain.progress import advance, first_progress
from app.domain.results import CheckKind, CheckResult, CheckStatus, GateResult, Iteration, Outcome, Usage, Verdict
from app.domain.runs import ItemResult, RunResult, RunStatus

FOLLOW_UP_TAG = "needs-attention"

STATUS_OF_VERDICT: dict[Verdict, ItemStatus] = {
    Verdict.COMPLETED: ItemStatus.COMPLETED,
    Verdict.ALREADY_RESOLVED: ItemStatus.COMPLETED,
    Verdict.DEFERRED: ItemStatus.DEFERRED,
    Verdict.REJECTED: ItemStatus.REJECTED,
    Verdict.RELEASED: ItemStatus.APPROVED,
    Verdict.CHANGED: ItemStatus.NEW,
}
"""Where each verdict sends the item; ``lost`` sends it nowhere, it is somebody else's."""

_PASSED = {Verdict.COMPLETED: True, Verdict.REJECTED: False}
_TITLE_LIMIT = 200
_TRIED_LIMIT = 2000
_REASON_LIMIT = 4000


@dataclass(frozen=True, kw_only=True, slots=True)
class Settlement:
    """What settling writes: the item's columns, its events, its progress row (None: the row is deleted), and what it
    leaves to look at.
    """

    item: Document
    events: list[Document]
    progress: Document | None
    evidence: Document
    diff: str

    @property
    def event(self) -> UUID:
        """The id of the event that shows that this settlement was written."""
        return UUID(str(self.events[0]["id"]))


def settlement(claim: Claim, outcome: Outcome) -> Settlement:
    """The writes that end a claim (contracts §1, Item status and Going back)."""
    verdict = outcome.verdict
    status = STATUS_OF_VERDICT[verdict]
    return Settlement(
        item={
            "status": status,
            "failure_reason": (outcome.reason or "No reason was given.") if verdict is Verdict.REJECTED else None,
            "skip_reason": outcome.reason if verdict in (Verdict.DEFERRED, Verdict.CHANGED) else None,
            "failed_base": outcome.failed_base if verdict is Verdict.RELEASED else None,
            "passed": _PASSED.get(verdict),
            "iterations": len(outcome.iterations) if verdict in _PASSED else None,
            "branch": outcome.branch,
            "pull_request": outcome.pull_request,
            "result": result_document(claim.run_id, outcome),
        },
        events=_events(claim, outcome, status),
        progress=_last_progress(claim, outcome) if status in (ItemStatus.COMPLETED, ItemStatus.REJECTED) else None,
        evidence=evidence_document(outcome),
        diff=outcome.diff[:DIFF_KEPT],
    )


def _events(claim: Claim, outcome: Outcome, status: ItemStatus) -> list[Document]:
    moved: Document = {
        "id": event_id(claim, outcome.verdict),
        "event_type": "status_changed",
        "old_value": ItemStatus.IN_PROGRESS,
        "new_value": status,
        "notes": outcome.reason or None,
        "execution_run_id": claim.run_id,
        "execution_attempt": claim.attempt,
        "cost_usd": outcome.usage.cost_usd,
    }
    if outcome.verdict is not Verdict.ALREADY_RESOLVED:
        return [moved]
    note = f"Already resolved: {outcome.reason}" if outcome.reason else "Already resolved"
    return [moved, {"id": event_id(claim, "note"), "event_type": "note_added", "notes": note}]


def _last_progress(claim: Claim, outcome: Outcome) -> Document:
    item = Item(id=claim.item_id, title="", status=ItemStatus.IN_PROGRESS)
    return progress_document(advance(first_progress(claim), ItemSettled(claim=claim, item=item, outcome=outcome)))


def follow_up_id(item: Item) -> UUID:
    """The same id for the same approval of the same item.

    A run that was killed after it made the follow-up is repeated by another one, which must not make a second; a person
    who approves the item once more gets a new one.
    """
    return uuid5(item.id, f"follow-up {item.approved_at.isoformat() if item.approved_at else item.approved_digest}")


def follow_up(claim: Claim, item: Item, outcome: Outcome) -> Document:
    """The words of the item that asks a person to look (contracts §3); the rest is copied from the original's row."""
    title = f"Needs attention: {item.title}"
    problem = [f"Mason could not finish “{item.title}”: {outcome.reason or 'no reason was given'}"]
    if outcome.kept:
        problem.append(f"The unfinished work is kept: {outcome.kept}")
    problem.append(f"Item {claim.item_id}, run {claim.run_id}, attempt {claim.attempt}.")
    tried = [_attempt(iteration) for iteration in outcome.iterations] or ["No fix iteration was reached."]
    return {
        "id": follow_up_id(item),
        "title": title if len(title) <= _TITLE_LIMIT else title[: _TITLE_LIMIT - 1] + "…",
        "problem": "\n\n".join(problem),
        "solution": "\n\n".join([*tried, *_wish(item)]),
        "tags": list(dict.fromkeys((*item.tags, FOLLOW_UP_TAG))),
    }


def _wish(item: Item) -> list[str]:
    return [f"What was asked for: {item.solution}"] if item.solution else []


def _attempt(iteration: Iteration) -> str:
    failed = ", ".join(iteration.failed_before) or "nothing"
    tried = iteration.tried or "nothing that was recorded"
    end = (
        "passed" if iteration.passed else "still failing: " + (", ".join(_still_failing(iteration)) or "not evaluated")
    )
    return f"Iteration {iteration.number}. Failing before: {failed}. Tried: {tried[:_TRIED_LIMIT]}. After: {end}."


def _still_failing(iteration: Iteration) -> list[str]:
    checks = [str(check.kind) for check in iteration.gate.failures] if iteration.gate else []
    tiers = [str(tier.tier) for tier in iteration.validator.failures] if iteration.validator else []
    return checks + tiers


def run_columns(result: RunResult) -> Document:
    """The columns that closing a run writes."""
    failed = f"{len(result.failed)} of {len(result.results)} items failed."
    return {
        "status": result.status,
        "error": clean(result.reason) or (failed if result.status is RunStatus.FAILED else None),
        "items": len(result.results),
        "succeeded": len(result.succeeded),
        "failed": len(result.failed),
        "tasks": sum(r.outcome.tasks_done for r in result.results),
        "item_results": [_item_result(r) for r in result.results],
        "summary": _summary(result),
        "fix_iterations": result.fix_iterations,
    }


def _item_result(result: ItemResult) -> Document:
    outcome = result.outcome
    return {
        "item_id": result.item.id,
        "title": result.item.title,
        "success": outcome.succeeded,
        "verdict": outcome.verdict,
        "reason": outcome.reason,
        "branch": outcome.branch,
        "commit": outcome.commit,
        "pr_url": outcome.pull_request,
        "fix_iterations": len(outcome.iterations),
        "follow_up": outcome.follow_up,
        "cost_usd": outcome.usage.cost_usd,
    }


def result_document(run_id: UUID, outcome: Outcome) -> Document:
    """What an item keeps of its outcome, for whoever closes the run; bounded: no output, no diagnostics."""
    checks = outcome.gate.checks if outcome.gate else ()
    return {
        "run": run_id,
        "verdict": outcome.verdict,
        "reason": outcome.reason[:_REASON_LIMIT],
        "branch": outcome.branch,
        "commit": outcome.commit,
        "pull_request": outcome.pull_request,
        "kept": outcome.kept,
        "follow_up": outcome.follow_up,
        "failed_base": outcome.failed_base,
        "tasks_done": outcome.tasks_done,
        "checks": [
            {
                "kind": c.kind,
                "status": c.status,
                "command": c.command[:_REASON_LIMIT],
                "seconds": c.seconds,
                "reason": c.reason[:_REASON_LIMIT],
            }
            for c in checks
        ],
        "iterations": [
            {"number": i.number, "failed_before": i.failed_before, "tried": i.tried[:_TRIED_LIMIT], "passed": i.passed}
            for i in outcome.iterations
        ],
        "usage": asdict(outcome.usage),
    }


def item_result(item: Item, row: Mapping[str, Any], run_id: UUID) -> ItemResult:
    """How an item of a run ended, from its row; what the row does not say of this run counts as given back.

    A person's "no" has no reason (contracts §1, Item status): it is none of this run's failures.
    """
    try:
        kept = _StoredResult.model_validate(row.get("execution_result"))
    except ValidationError:
        kept = None
    if kept is None or kept.run != run_id:
        lost = item.status is ItemStatus.REJECTED and item.run_id is None and bool(row.get("failure_reason"))
        verdict = Verdict.REJECTED if lost else Verdict.RELEASED
        reason = "Its runner was lost too often" if lost else "It did not begin in this run, or its runner was lost"
        return ItemResult(item=item, outcome=Outcome(verdict=verdict, reason=reason))
    checks = tuple(CheckResult(**dict(check)) for check in kept.checks)
    iterations = tuple(Iteration(**dict(one), gate=None, validator=None) for one in kept.iterations)
    outcome = Outcome(
        verdict=kept.verdict,
        reason=kept.reason,
        branch=kept.branch,
        commit=kept.commit,
        pull_request=kept.pull_request,
        gate=GateResult(checks=checks) if checks else None,
        iterations=iterations,
        usage=Usage(**dict(kept.usage)),
        tasks_done=kept.tasks_done,
        kept=kept.kept,
        follow_up=kept.follow_up,
        failed_base=kept.failed_base,
    )
    return ItemResult(item=item, outcome=outcome)


_Count = Annotated[int, Field(ge=0, le=10**12)]
_Amount = Annotated[float, Field(ge=0, le=10**9)]
"""What the columns that they are added up in can hold, however many items there are."""


class _StoredCheck(BaseModel):
    kind: CheckKind
    status: CheckStatus
    command: str = ""
    seconds: _Amount = 0.0
    reason: str = ""


class _StoredIteration(BaseModel):
    number: Annotated[int, Field(ge=1, le=100)]
    failed_before: tuple[str, ...] = ()
    tried: str = ""
    passed: bool = False


class _StoredUsage(BaseModel):
    input_tokens: _Count = 0
    output_tokens: _Count = 0
    cost_usd: _Amount = 0.0
    turns: _Count = 0
    tool_calls: _Count = 0
    seconds: _Amount = 0.0


class _StoredResult(BaseModel):
    """What `result_document` wrote, read again as what it is: a row that others can write."""

    run: UUID
    verdict: Literal[
        Verdict.COMPLETED,
        Verdict.ALREADY_RESOLVED,
        Verdict.DEFERRED,
        Verdict.REJECTED,
        Verdict.RELEASED,
        Verdict.CHANGED,
    ]
    reason: str = ""
    branch: str | None = None
    commit: str | None = None
    pull_request: str | None = None
    kept: str | None = None
    follow_up: UUID | None = None
    failed_base: str | None = None
    tasks_done: Annotated[int, Field(ge=0, le=10**6)] = 0
    checks: Annotated[tuple[_StoredCheck, ...], Field(max_length=100)] = ()
    iterations: Annotated[tuple[_StoredIteration, ...], Field(max_length=100)] = ()
    usage: _StoredUsage = _StoredUsage()


def _summary(result: RunResult) -> Document:
    """How many items ended how, and how often each check of their last gates ended how."""
    verdicts = Counter(str(r.outcome.verdict) for r in result.results)
    checks: dict[str, Counter[str]] = {}
    for one in result.results:
        for check in one.outcome.gate.checks if one.outcome.gate else ():
            checks.setdefault(str(check.kind), Counter())[str(check.status)] += 1
    return {"items": dict(verdicts), "checks": {kind: dict(counts) for kind, counts in checks.items()}}
