"""What the check run of an item on its base commit says: at work, and at its end (pure)."""

from __future__ import annotations

from app.domain.check_runs import Button, CheckRun, Conclusion, Subject, item_check_name
from app.domain.events import Phase
from app.domain.progress import COLUMN_OF_CHECK, Progress
from app.domain.results import CheckKind, CheckResult, Outcome, Verdict
from app.reporting.check_texts import render
from app.reporting.head_checks import TITLES
from app.reporting.text import one_line

__all__ = ["ended", "item_check_name", "left_behind", "working"]

_PHASE = {
    Phase.SITE_REVIEW: "Reading the item and the code",
    Phase.FOUNDATION: "Planning",
    Phase.BUILDING: "Implementing",
    Phase.INSPECTION: "Checking",
    Phase.COMPLETE: "Done",
}
_CONCLUSION = {
    Verdict.COMPLETED: Conclusion.SUCCESS,
    Verdict.ALREADY_RESOLVED: Conclusion.SKIPPED,
    Verdict.DEFERRED: Conclusion.NEUTRAL,
    Verdict.REJECTED: Conclusion.NEUTRAL,
    Verdict.RELEASED: Conclusion.NEUTRAL,
    Verdict.CHANGED: Conclusion.NEUTRAL,
    Verdict.LOST: Conclusion.NEUTRAL,
}
"""Never ``failure``: on the base commit that would turn the default branch red (platform facts, Checks)."""

_TITLE = {
    Verdict.COMPLETED: "Completed",
    Verdict.ALREADY_RESOLVED: "Already resolved",
    Verdict.DEFERRED: "Deferred",
    Verdict.REJECTED: "Failed",
    Verdict.RELEASED: "Given back",
    Verdict.CHANGED: "Changed after its approval",
    Verdict.LOST: "Left to another runner",
}
_SENTENCE = {
    Verdict.COMPLETED: "The change passed every check.",
    Verdict.ALREADY_RESOLVED: "There is nothing left to do.",
    Verdict.DEFERRED: "The item is put off.",
    Verdict.REJECTED: "The item could not be finished.",
    Verdict.RELEASED: "The item is approved as before and will be taken up again.",
    Verdict.CHANGED: "The item waits for a new approval.",
    Verdict.LOST: "Another runner works on the item.",
}
_CANCELLED = "Cancelled"
"""How the reason of an item begins that somebody cancelled (contracts §1, Going back)."""


def working(name: str, commit: str, subject: Subject, branch: str, progress: Progress) -> CheckRun:
    """The check run of an item at work."""
    phase = _PHASE[progress.phase]
    where = f", wave {progress.wave}" if progress.wave else ""
    fix = f", fix iteration {progress.fix_iteration}" if progress.fix_iteration else ""
    return CheckRun(
        name=name,
        commit=commit,
        subject=subject,
        title=f"{phase}{where}{fix}",
        summary=render(
            "check_working.md",
            phase=phase,
            wave=progress.wave,
            waves=max(progress.total_waves - 1, 0),  # the dashboard counts the validation as a wave of its own
            fix_iteration=progress.fix_iteration,
            task=progress.current_task,
            checks=[(TITLES[kind], progress.validations[column]) for kind, column in COLUMN_OF_CHECK.items()],
            branch=branch,
        ),
        buttons=(Button.CANCEL,),
    )


def ended(name: str, commit: str, subject: Subject, outcome: Outcome) -> CheckRun:
    """The completed check run of an item."""
    cancelled = outcome.verdict in (Verdict.RELEASED, Verdict.DEFERRED) and outcome.reason.startswith(_CANCELLED)
    gate, validator = outcome.gate, outcome.validator
    failures = [f for tier in (validator.failures if validator else ()) for f in tier.findings]
    return CheckRun(
        name=name,
        commit=commit,
        subject=subject,
        title=_CANCELLED if cancelled else _title(outcome),
        summary=render(
            "check_settled.md",
            sentence=_SENTENCE[outcome.verdict],
            outcome=outcome,
            failed=[t.tier.value.replace("_", " ") for t in (validator.failures if validator else ())]
            + [TITLES[check.kind] for check in (gate.failures if gate else ())],
            checks=[(TITLES[check.kind], check) for check in _in_order(outcome)],
            findings=failures[:10],
        ),
        conclusion=Conclusion.CANCELLED if cancelled else _CONCLUSION[outcome.verdict],
        buttons=() if outcome.succeeded else (Button.RETRY,),
    )


def left_behind(name: str, commit: str, subject: Subject, reason: str) -> CheckRun:
    """The completed check run of work that nobody will bring to an end. ``reason`` is one sentence of Mason's own."""
    return CheckRun(
        name=name,
        commit=commit,
        subject=subject,
        title=one_line(reason, 120),
        summary=reason,
        conclusion=Conclusion.CANCELLED,
    )


def _title(outcome: Outcome) -> str:
    if outcome.pull_request_number:
        return f"{_TITLE[outcome.verdict]}: pull request {outcome.pull_request_number}"
    reason = f": {outcome.reason}" if outcome.reason and outcome.verdict is not Verdict.COMPLETED else ""
    return one_line(f"{_TITLE[outcome.verdict]}{reason}", 120)


def _in_order(outcome: Outcome) -> list[CheckResult]:
    order = list(CheckKind)
    return sorted(outcome.gate.checks, key=lambda check: order.index(check.kind)) if outcome.gate else []
