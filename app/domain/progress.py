"""Progress: the state of one item's progress row, folded from events (contracts §1, what the dashboard reads)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from app.domain import events as ev
from app.domain.claims import Claim
from app.domain.results import CheckKind, CheckResult, CheckStatus, GateResult, Verdict

CHECKPOINTS: dict[int, str] = {
    1: "Initialized execution",
    2: "Loading configuration",
    3: "Fetching approved items",
    4: "Loaded PRD content",
    5: "Analyzing codebase",
    6: "Analysis complete",
    7: "Implementing changes",
    8: "Implementation complete",
    9: "Running TypeScript check",
    10: "Running ESLint check",
    11: "Running build check",
    12: "Running tests",
    13: "Execution complete",
}

CHECKPOINT_OF_CHECK: dict[CheckKind, int] = {
    CheckKind.TYPECHECK: 9,
    CheckKind.LINT: 10,
    CheckKind.BUILD: 11,
    CheckKind.TEST: 12,
}

COLUMN_OF_CHECK: dict[CheckKind, str] = {
    CheckKind.TYPECHECK: "validation_typescript",
    CheckKind.LINT: "validation_eslint",
    CheckKind.BUILD: "validation_build",
    CheckKind.TEST: "validation_tests",
    CheckKind.SMOKE: "validation_smoke_test",
}

_COLUMN_VALUE: dict[CheckStatus, str] = {
    CheckStatus.PASS: "pass",
    CheckStatus.FAIL: "fail",
    CheckStatus.TIMEOUT: "fail",
    CheckStatus.ERROR: "fail",
    CheckStatus.SKIPPED: "skipped",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """One row of ``mason_execution_progress``. ``validations`` maps the five columns to their CHECKed values."""

    claim: Claim
    phase: ev.Phase = ev.Phase.SITE_REVIEW
    wave: int = 0
    total_waves: int = 4
    wave_status: str = "pending"
    tasks_done: int = 0
    tasks_total: int = 0
    current_task: str = ""
    current_file: str = ""
    fix_iteration: int = 0
    validations: Mapping[str, str] = field(default_factory=lambda: dict.fromkeys(COLUMN_OF_CHECK.values(), "pending"))
    checkpoint: int = 1
    checkpoint_message: str = "Starting execution..."
    checkpoints: tuple[tuple[int, str, datetime], ...] = ()
    done_tasks: frozenset[str] = frozenset()
    completed_at: datetime | None = None

    @property
    def percentage(self) -> int:
        """What the dashboard shows: a share of the 13 checkpoints, 0 to 100."""
        return 100 * max(len(self.checkpoints), self.checkpoint) // len(CHECKPOINTS)


def first_progress(claim: Claim) -> Progress:
    """The row that opens the dashboard's window: phase ``site_review``, nothing completed."""
    return Progress(claim=claim)


def advance(progress: Progress, event: ev.Event) -> Progress:  # noqa: C901 - one case an event, nothing nested
    """The state after one event. Checkpoints and percentages never fall; unknown events change nothing.

    A settled item's row is final: what is still said about it afterwards changes nothing either.
    """
    if progress.completed_at:
        return progress
    match event:
        case ev.CheckpointReached():
            return _reach(progress, event.checkpoint, event.phase, event.message, event.at)
        case ev.Planned(plan=plan):
            return _counted(replace(progress, total_waves=max(len(plan.waves), 1) + 1, tasks_total=len(plan.tasks)))
        case ev.WaveStarted():
            return replace(
                progress, wave=event.wave, wave_status="in_progress", current_task=event.title or f"Wave {event.wave}"
            )
        case ev.WaveFinished():
            return replace(progress, wave_status="completed")
        case ev.TaskChanged(status=ev.TaskStatus.IN_PROGRESS):
            return replace(progress, current_task=event.task.description)
        case ev.TaskChanged(status=ev.TaskStatus.COMPLETED | ev.TaskStatus.FAILED | ev.TaskStatus.SKIPPED):
            return _counted(replace(progress, done_tasks=progress.done_tasks | {event.task.id}))
        case ev.AgentActivity():
            return replace(progress, current_task=event.message, current_file=event.file)
        case ev.CheckStarted(kind=kind):
            return _check_started(progress, kind, event.at)
        case ev.CheckFinished(recorded_only=False, result=result):
            return _with_checks(progress, (result,))
        case ev.IterationStarted():
            sentence = f"Fix iteration {event.number}/{event.limit}..."
            return replace(progress, fix_iteration=event.number, current_task=sentence, checkpoint_message=sentence)
        case ev.ItemSettled():
            return _settled(progress, event)
        case _:
            return progress


def _counted(progress: Progress) -> Progress:
    """A task that was run again after a conflict is done once."""
    return replace(progress, tasks_done=min(len(progress.done_tasks), progress.tasks_total))


def _reach(progress: Progress, checkpoint: int, phase: ev.Phase, message: str, at: datetime) -> Progress:
    checkpoint = min(checkpoint, len(CHECKPOINTS))
    known = {number for number, _, _ in progress.checkpoints}
    done = [(n, CHECKPOINTS[n], at) for n in range(1, checkpoint + 1) if n not in known]
    phases = list(ev.Phase)
    return replace(
        progress,
        phase=max(progress.phase, phase, key=phases.index),
        checkpoint=max(progress.checkpoint, checkpoint),
        checkpoint_message=message,
        current_task=message,
        checkpoints=progress.checkpoints + tuple(done),
    )


def _check_started(progress: Progress, kind: CheckKind, at: datetime) -> Progress:
    if kind in CHECKPOINT_OF_CHECK:
        number = CHECKPOINT_OF_CHECK[kind]
        if number > progress.checkpoint:
            progress = _reach(progress, number, ev.Phase.INSPECTION, CHECKPOINTS[number], at)
    column = COLUMN_OF_CHECK.get(kind)
    return replace(progress, validations={**progress.validations, column: "running"}) if column else progress


def _with_checks(progress: Progress, checks: tuple[CheckResult, ...]) -> Progress:
    values = dict(progress.validations)
    for check in checks:
        if check.kind in COLUMN_OF_CHECK:
            values[COLUMN_OF_CHECK[check.kind]] = _COLUMN_VALUE[check.status]
    return replace(progress, validations=values)


def _settled(progress: Progress, event: ev.ItemSettled) -> Progress:
    outcome = event.outcome
    if outcome.gate:
        progress = _with_checks(progress, outcome.gate.checks)
    if outcome.succeeded:
        return _succeeded(progress, outcome.verdict, outcome.gate, event.at)
    if outcome.verdict is Verdict.REJECTED:
        return _failed(progress, outcome.reason, event.at)
    return progress


def _succeeded(progress: Progress, verdict: Verdict, gate: GateResult | None, at: datetime) -> Progress:
    sentence = "Already resolved" if verdict is Verdict.ALREADY_RESOLVED else "Build complete!"
    progress = _reach(progress, 13, ev.Phase.COMPLETE, sentence, at)
    values = {c: "skipped" if v in ("pending", "running") else v for c, v in progress.validations.items()}
    if gate is None:
        values = {column: value if value == "pass" else "skipped" for column, value in values.items()}
    return replace(progress, validations=values, wave_status="completed", completed_at=at)


def _failed(progress: Progress, reason: str, at: datetime) -> Progress:
    """A failure shows only when some ``validation_*`` is ``fail``: if none of the four did, all four say so."""
    four = [c for k, c in COLUMN_OF_CHECK.items() if k is not CheckKind.SMOKE]
    values = {c: "pending" if v == "running" else v for c, v in progress.validations.items()}
    if not any(values[c] == "fail" for c in four):
        values |= dict.fromkeys(four, "fail")
    sentence = f"Failed: {reason}"
    return replace(progress, validations=values, current_task=sentence, checkpoint_message=sentence, completed_at=at)
