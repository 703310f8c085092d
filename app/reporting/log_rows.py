"""The words of the log: one event, one row of ``mason_execution_logs`` (wording: seed, execute-approved)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.domain import events as ev
from app.domain.events import Level, Phase, TaskStatus
from app.domain.items import Item
from app.domain.results import (
    REQUIRED_CHECKS,
    CheckKind,
    CheckResult,
    CheckStatus,
    Iteration,
    Outcome,
    Severity,
    Verdict,
)

CHECK_NAME: dict[CheckKind, str] = {
    CheckKind.TYPECHECK: "typescript",
    CheckKind.LINT: "eslint",
    CheckKind.BUILD: "build",
    CheckKind.TEST: "tests",
    CheckKind.E2E: "e2e",
    CheckKind.FRONTEND: "frontend",
    CheckKind.BACKEND: "backend",
    CheckKind.SMOKE: "smoke_test",
}
"""What machines call a check (contracts §3), in whatever language it is."""

CHECK_TITLE: dict[CheckKind, str] = {
    CheckKind.TYPECHECK: "TypeScript",
    CheckKind.LINT: "ESLint",
    CheckKind.BUILD: "Build",
    CheckKind.TEST: "Unit Tests",
    CheckKind.E2E: "E2E Tests",
    CheckKind.FRONTEND: "Pages",
    CheckKind.BACKEND: "Backend Probe",
    CheckKind.SMOKE: "Smoke Test",
}
"""What the seed's tables call it."""

_SUBJECT = {
    CheckKind.TYPECHECK: "TypeScript check",
    CheckKind.LINT: "ESLint check",
    CheckKind.BUILD: "Build check",
    CheckKind.TEST: "Tests",
    CheckKind.E2E: "E2E tests",
    CheckKind.FRONTEND: "Pages",
    CheckKind.BACKEND: "Backend probe",
    CheckKind.SMOKE: "Smoke test",
}
_PASSED = {
    CheckKind.TYPECHECK: "TypeScript check passed",
    CheckKind.LINT: "ESLint check passed",
    CheckKind.BUILD: "Build completed successfully",
    CheckKind.TEST: "All tests passed",
    CheckKind.E2E: "E2E tests passed",
    CheckKind.FRONTEND: "All pages opened without an error",
    CheckKind.BACKEND: "Backend probe passed",
    CheckKind.SMOKE: "Smoke test passed",
}
_ERROR_NOUN = {CheckKind.TYPECHECK: "type errors", CheckKind.LINT: "lint errors", CheckKind.BUILD: "build errors"}

_DIAGNOSTICS = 10
"""Findings of a failed check that its row carries: as many as an iteration's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LogText:
    """One line of the log before it has an id. ``metadata`` is a JSON object."""

    message: str
    level: Level = Level.INFO
    metadata: Mapping[str, object] = field(default_factory=dict)


def log_text(event: ev.Event, phase: Phase = Phase.SITE_REVIEW) -> LogText | None:
    """What the log says of an event, None when nothing. ``phase`` is the one that the event's item is in."""
    match event:
        case ev.RunStarted():
            count = len(event.items)
            return LogText(
                message=f"Found {count} approved item{'' if count == 1 else 's'}",
                metadata={"items_count": count, "base": event.run.base.commit, "branch": event.run.base.branch},
            )
        case ev.RunFinished(result=result):
            done, total = len(result.succeeded), len(result.results)
            return LogText(
                message=f"Run finished: {done} of {total} items succeeded",
                level=Level.ERROR if result.failed else Level.INFO,
                metadata={"status": result.status.value, "total_fix_iterations": result.fix_iterations},
            )
        case ev.Noted(claim=claim):
            about = {"item_id": str(claim.item_id)} if claim else {}
            return LogText(message=event.message, level=event.level, metadata={**about, **event.metadata})
        case ev.ItemEvent():
            said = _of_item(event, phase)
            return said and LogText(
                message=said.message,
                level=said.level,
                metadata={"item_id": str(event.claim.item_id), **said.metadata},
            )
    return None


def _of_item(event: ev.ItemEvent, phase: Phase) -> LogText | None:
    match event:
        case ev.ItemStarted():
            return LogText(message=f"Starting execution for: {event.item.title}", metadata={"branch": event.branch})
        case ev.CheckpointReached():
            metadata: dict[str, object] = {"phase": event.phase.value, "checkpoint": event.checkpoint}
            return LogText(message=event.message, level=Level.DEBUG, metadata=metadata)
        case ev.Reevaluated():
            return _reevaluated(event)
        case ev.PrdGenerated():
            return LogText(message="Generated a PRD")
        case ev.Planned(plan=plan):
            kind = "Default plan" if plan.is_default else "Plan"
            message = f"{kind}: {len(plan.tasks)} tasks in {len(plan.waves)} waves"
            return LogText(message=message, metadata={"tasks": len(plan.tasks), "waves": len(plan.waves)})
        case ev.WaveStarted():
            title = f": {event.title}" if event.title else ""
            return LogText(message=f"Wave {event.wave}{title}", metadata={"wave": event.wave, "phase": phase.value})
        case ev.WaveFinished():
            return LogText(message=f"Wave {event.wave} complete", metadata={"wave": event.wave})
        case ev.TaskChanged():
            return _task(event)
        case ev.AgentActivity():
            where = {"file": event.file} if event.file else {}
            return LogText(message=event.message, level=Level.DEBUG, metadata=where)
        case _:
            return _of_validation(event)


def _of_validation(event: ev.ItemEvent) -> LogText | None:
    match event:
        case ev.CheckStarted(kind=CheckKind.SMOKE):
            return LogText(message="Running smoke test", metadata={"check": "smoke_test", "status": "running"})
        case ev.CheckStarted(kind=kind):
            subject = _SUBJECT[kind].replace("Build", "build").replace("Tests", "tests")
            where = {"phase": Phase.INSPECTION.value, "check": CHECK_NAME[kind]}
            return LogText(message=f"Validation: Running {subject}", metadata=where)
        case ev.CheckFinished():
            return _check(event.result, recorded_only=event.recorded_only)
        case ev.Validated():
            return _validated(event)
        case ev.IterationStarted():
            metadata = {"iteration": event.number, "max": event.limit}
            return LogText(message=f"Starting fix iteration {event.number}", metadata=metadata)
        case ev.IterationFinished():
            return _iteration(event.iteration)
        case ev.ItemSettled():
            return _settled(event.item, event.outcome)
    return None


def _reevaluated(event: ev.Reevaluated) -> LogText:
    if event.verdict == "SKIP":
        return LogText(message=f"Skipped inconclusive item: {event.title}", metadata={"skip_reason": event.reason})
    return LogText(message=f"Re-evaluated: {event.title}", metadata={"verdict": event.verdict, "reason": event.reason})


def _task(event: ev.TaskChanged) -> LogText:
    task, metadata = event.task, {"wave": event.wave, "task": event.task.id, "status": event.status.value}
    if event.status is TaskStatus.FAILED:
        level = Level.ERROR if task.writes else Level.WARN
        return LogText(message=f"Task {task.id} failed: {event.error}", level=level, metadata=metadata)
    message = f"Task {task.id} {event.status.value.replace('_', ' ')}: {task.description}"
    return LogText(message=message, level=Level.DEBUG, metadata=metadata)


def _check(result: CheckResult, *, recorded_only: bool) -> LogText:
    metadata: dict[str, object] = {"check": CHECK_NAME[result.kind], "status": "fail"}
    if recorded_only:
        metadata["recorded_only"] = True
    match result.status:
        case CheckStatus.PASS:
            return LogText(message=_PASSED[result.kind], metadata=metadata | {"status": "pass"})
        case CheckStatus.SKIPPED:
            message = f"{_SUBJECT[result.kind]} skipped" + (f": {result.reason}" if result.reason else "")
            return LogText(message=message, metadata=metadata | {"status": "skipped"})
    level = Level.WARN if recorded_only or not result.blocks else Level.ERROR
    if result.kind is CheckKind.SMOKE:
        return LogText(message="Smoke test failed - app may have runtime errors", level=level, metadata=metadata)
    errors = sum(d.severity is Severity.ERROR for d in result.diagnostics)
    if errors:
        metadata["error_count"] = errors
    if result.diagnostics:
        metadata["diagnostics"] = [str(diagnostic) for diagnostic in result.diagnostics[:_DIAGNOSTICS]]
    noun = _ERROR_NOUN.get(result.kind, "failures")
    why = result.reason or (f"{errors} {noun[:-1] if errors == 1 else noun} found" if errors else "")
    message = f"{_SUBJECT[result.kind]} failed" + (f": {why}" if why else "")
    return LogText(message=message, level=level, metadata=metadata)


def _validated(event: ev.Validated) -> LogText:
    findings = [finding for tier in event.result.tiers for finding in tier.findings]
    metadata = event.report
    if failures := event.result.failures:
        name = failures[0].tier.value.replace("_", " ").capitalize()
        return LogText(message=f"{name} failed", level=Level.ERROR, metadata=metadata)
    if findings:
        message = f"Implementation validator passed with {len(findings)} warnings"
        return LogText(message=message, level=Level.WARN, metadata=metadata)
    return LogText(message="Implementation validator passed", metadata=metadata)


def _iteration(iteration: Iteration) -> LogText:
    if iteration.passed:
        return LogText(message="All validations passed", metadata={"iteration": iteration.number, "status": "pass"})
    failed = {check.kind for check in iteration.gate.failures} if iteration.gate else set()
    always = (*REQUIRED_CHECKS, CheckKind.E2E)
    flags = {f"{CHECK_NAME[kind]}_failed": kind in failed for kind in CheckKind if kind in always or kind in failed}
    tiers = [tier.tier.value for tier in iteration.validator.failures] if iteration.validator else []
    metadata = {"iteration": iteration.number, **flags, "tiers_failed": tiers, "tried": iteration.tried}
    return LogText(message="Validation still fails after the fix attempt", level=Level.WARN, metadata=metadata)


def _settled(item: Item, outcome: Outcome) -> LogText:
    match outcome.verdict:
        case Verdict.COMPLETED:
            metadata = {"status": "completed", "branch": outcome.branch, "pr_url": outcome.pull_request}
            return LogText(message=f"Execution complete: {item.title}", metadata=metadata)
        case Verdict.ALREADY_RESOLVED:
            return LogText(message=f"Already resolved: {item.title}", metadata={"status": "completed"})
        case Verdict.DEFERRED:
            metadata = {"status": "deferred", "skip_reason": outcome.reason}
            return LogText(message=f"Deferred: {item.title}", metadata=metadata)
        case Verdict.REJECTED:
            metadata = {"status": "rejected", "reason": outcome.reason, "kept": outcome.kept}
            message = f"Execution failed permanently: {outcome.reason}"
            return LogText(message=message, level=Level.ERROR, metadata=metadata)
        case Verdict.RELEASED:
            word, status = "Given back", "approved"
        case Verdict.CHANGED:
            word, status = "Changed after its approval", "new"
        case Verdict.LOST:
            word, status = "Left to another runner", "lost"
    metadata = {"status": status, "reason": outcome.reason}
    return LogText(message=f"{word}: {item.title}", level=Level.WARN, metadata=metadata)
