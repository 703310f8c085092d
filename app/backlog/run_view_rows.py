"""The rows that a run is shown by, as the records that are shown. A row that cannot be used is left out. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, get_args
from uuid import UUID

from app.backlog import lenient
from app.backlog.evidence import FINDING_KEPT, FINDINGS_KEPT, OUTPUT_KEPT
from app.backlog.outcomes import STATUS_OF_VERDICT
from app.domain.events import Level, Phase, TaskStatus
from app.domain.items import ItemStatus
from app.domain.progress import CHECKPOINTS, COLUMN_OF_CHECK
from app.domain.results import CheckKind, CheckStatus, Usage, Verdict
from app.domain.run_views import (
    CheckState,
    CheckView,
    ItemView,
    IterationView,
    LogLine,
    LogPage,
    RunLine,
    RunView,
    TaskView,
)
from app.domain.runs import RunStatus

ROOM = 400_000
"""Characters that the items of one view share for their diffs."""

_OUTPUT_SHARE = 8
"""An item's checks may each show this part of what its diff may."""

_REASON = 4000
_LONG_AGO = datetime.fromtimestamp(0, UTC)

_ELSEWHERE = "It is not in this run any more: another run has it"
_NEVER = "It did not begin in this run, or its runner was lost"

_STATES: dict[str, CheckState] = {state: state for state in get_args(CheckState)}

_UNREASONED = {CheckStatus.TIMEOUT: "It took too long", CheckStatus.ERROR: "It could not run"}

Row = Mapping[str, Any]


def run_line(row: Row) -> RunLine | None:
    run_id = lenient.uuid(row.get("id"))
    if run_id is None:
        return None
    return RunLine(
        id=run_id,
        status=lenient.choice(RunStatus, row.get("status")) or RunStatus.PENDING,
        repository=lenient.text(row.get("repository")),
        base_branch=lenient.text(row.get("base_branch")),
        base_commit=lenient.text(row.get("base_commit")),
        items=lenient.number(row.get("items")),
        succeeded=lenient.number(row.get("succeeded")),
        failed=lenient.number(row.get("failed")),
        reason=lenient.text(row.get("reason"), _REASON),
        started_at=lenient.time(row.get("started_at")),
        completed_at=lenient.time(row.get("completed_at")),
    )


def run_view(row: Row) -> RunView | None:
    """What `mason_run_view` answers with."""
    run = run_line(lenient.row(row.get("run")))
    if run is None:
        return None
    tasks, iterations = _by_item(row.get("tasks"), 10_000), _by_item(row.get("iterations"), 2000)
    room = lenient.number(row.get("room"))
    items = []
    for one in lenient.rows(row.get("items"), 1000):
        item_id = lenient.uuid(one.get("id"))
        if item_id is not None:
            items.append(_Item(one, run, room).view(item_id, tasks[item_id], iterations[item_id]))
    return RunView(run=run, items=tuple(items), seen_at=lenient.time(row.get("seen_at")) or datetime.now(UTC))


def _by_item(rows: object, most: int) -> defaultdict[UUID, list[Row]]:
    found: defaultdict[UUID, list[Row]] = defaultdict(list)
    for row in lenient.rows(rows, most):
        if item_id := lenient.uuid(row.get("item_id")):
            found[item_id].append(row)
    return found


class _Item:
    """One item's row, read for a run: what the run left of it, unless the run is at it right now."""

    def __init__(self, row: Row, run: RunLine, room: int) -> None:
        self.row = row
        self.run = run
        self.room = room
        self.holder = lenient.uuid(row.get("run"))
        self.status = lenient.choice(ItemStatus, row.get("status")) or ItemStatus.NEW
        self.live = self.status is ItemStatus.IN_PROGRESS and self.holder == run.id
        self.result: Row = {} if self.live else lenient.document(row.get("result"))
        verdict = lenient.choice(Verdict, self.result.get("verdict"))
        self.verdict = verdict if verdict in STATUS_OF_VERDICT else None
        self.evidence: Row = lenient.document(row.get("evidence")) if self.verdict else {}
        self.progress: Row = lenient.row(row.get("progress"))

    def view(self, item_id: UUID, tasks: Sequence[Row], iterations: Sequence[Row]) -> ItemView:
        status, reason = self._how()
        shown_tasks = tuple(_task(task) for task in tasks)
        progress, result, row = self.progress, self.result, self.row
        phase = lenient.choice(Phase, progress.get("current_phase"))
        waits = self.live and not tasks and phase is Phase.SITE_REVIEW and not row.get("began_at")
        return ItemView(
            id=item_id,
            title=lenient.text(row.get("title")),
            type=lenient.text(row.get("type"), 100),
            status=status,
            verdict=self.verdict,
            reason=reason,
            branch=lenient.text(row.get("branch") if self.live else result.get("branch")),
            commit=lenient.text(result.get("commit"), 100),
            pull_request_url=lenient.text(result.get("pull_request"), 2000),
            kept=lenient.text(result.get("kept"), _REASON),
            follow_up=lenient.uuid(result.get("follow_up")),
            phase=None if waits else phase or (Phase.COMPLETE if self._done() else None),
            wave=lenient.number(progress.get("current_wave"), 1000),
            total_waves=lenient.number(progress.get("total_waves"), 1000),
            percentage=100 if self._done() else _percentage(progress),
            current_task=lenient.text(progress.get("current_task"), _REASON) if self.live else "",
            current_file=lenient.text(progress.get("current_file")) if self.live else "",
            tasks_completed=sum(task.completed_at is not None for task in shown_tasks)
            or lenient.number(progress.get("tasks_completed"), 10_000),
            tasks_total=len(shown_tasks) or lenient.number(progress.get("tasks_total"), 10_000),
            fix_iteration=lenient.number(progress.get("fix_iteration"), 100) or len(iterations),
            started_at=self._start(waits=waits),
            updated_at=lenient.time(progress.get("updated_at")) or lenient.time(row.get("updated_at")),
            completed_at=None
            if self.live
            else lenient.time(progress.get("completed_at")) or lenient.time(row.get("ended_at")),
            tasks=shown_tasks,
            checks=tuple(self._checks()),
            iterations=tuple(_iteration(one) for one in iterations),
            findings=lenient.texts(self.evidence.get("findings"), FINDINGS_KEPT, FINDING_KEPT),
            diff=self._diff(),
            usage=_usage(lenient.row(result.get("usage"))),
        )

    def _start(self, *, waits: bool) -> datetime | None:
        """When its work began. All items of a run are claimed at once, and then wait for their turns."""
        claimed = lenient.time(self.progress.get("started_at")) or lenient.time(self.row.get("started_at"))
        return None if waits else lenient.time(self.row.get("began_at")) or claimed

    def _done(self) -> bool:
        return self.verdict in (Verdict.COMPLETED, Verdict.ALREADY_RESOLVED)

    def _how(self) -> tuple[ItemStatus, str]:
        """The status that this run gave the item, and why."""
        if self.live:
            return ItemStatus.IN_PROGRESS, ""
        if self.verdict:
            return STATUS_OF_VERDICT[self.verdict], lenient.text(self.result.get("reason"), _REASON)
        if self.holder not in (None, self.run.id):
            return ItemStatus.APPROVED, _ELSEWHERE
        if self.status is ItemStatus.APPROVED and self.run.completed_at:
            return self.status, _NEVER
        reason = self.row.get("failure_reason" if self.status is ItemStatus.REJECTED else "skip_reason")
        return self.status, lenient.text(reason, _REASON)

    def _checks(self) -> list[CheckView]:
        if self.verdict is None:
            return _running_checks(self.progress)
        more = {str(one.get("kind")): one for one in reversed(lenient.rows(self.evidence.get("checks"), 100))}
        ended = []
        for check in lenient.rows(self.result.get("checks"), 100):
            kind = lenient.choice(CheckKind, check.get("kind"))
            status = lenient.choice(CheckStatus, check.get("status"))
            if kind and status:
                ended.append(self._ended_check(kind, status, check, lenient.row(more.get(kind.value))))
        return ended

    def _ended_check(self, kind: CheckKind, status: CheckStatus, check: Row, more: Row) -> CheckView:
        room = min(OUTPUT_KEPT, self.room // _OUTPUT_SHARE)
        output = str(more.get("output") or "")
        return CheckView(
            kind=kind,
            status=_STATES.get(status.value, "fail"),
            command=lenient.text(check.get("command"), _REASON),
            seconds=lenient.amount(check.get("seconds"), 10**6),
            reason=lenient.text(check.get("reason"), _REASON) or _UNREASONED.get(status, ""),
            output=output
            if len(output) <= room
            else f"… {len(output) - room:,} characters left out …\n{output[-room:]}",
            findings=lenient.texts(more.get("findings"), FINDINGS_KEPT, FINDING_KEPT),
        )

    def _diff(self) -> str:
        if self.verdict is None:
            return ""
        shown, whole = str(self.row.get("diff") or ""), lenient.number(self.row.get("diff_length"))
        rest = whole - len(shown)
        return f"{shown}\n… {rest:,} more characters of the diff are left out here …\n" if rest > 0 else shown


def _percentage(progress: Row) -> int:
    """What the dashboard shows (contracts §1)."""
    done = max(lenient.number(progress.get("checkpoints"), 100), lenient.number(progress.get("checkpoint_index"), 100))
    return min(100 * done // (lenient.number(progress.get("checkpoint_total"), 100) or len(CHECKPOINTS)), 100)


def _running_checks(progress: Row) -> list[CheckView]:
    """As far as the progress row tells. The smoke test shows only where there is one."""
    if not progress:
        return []
    found = {kind: _STATES.get(str(progress.get(column)), "pending") for kind, column in COLUMN_OF_CHECK.items()}
    return [
        CheckView(kind=kind, status=status)
        for kind, status in found.items()
        if kind is not CheckKind.SMOKE or status in ("running", "pass", "fail")
    ]


def _task(row: Row) -> TaskView:
    return TaskView(
        wave=lenient.number(row.get("wave_number"), 1000),
        number=lenient.number(row.get("task_number"), 10_000),
        description=lenient.text(row.get("description")),
        agent=lenient.text(row.get("subagent_type"), 100),
        status=lenient.choice(TaskStatus, row.get("status")) or TaskStatus.PENDING,
        error=lenient.text(row.get("error_message"), 2000),
        started_at=lenient.time(row.get("started_at")),
        completed_at=lenient.time(row.get("completed_at")),
    )


def _iteration(row: Row) -> IterationView:
    details = lenient.document(row.get("failure_details"))
    after = lenient.rows(details.get("after"), 100)
    return IterationView(
        number=lenient.number(row.get("iteration_number"), 100),
        passed=row.get("passed") is True,
        failed=lenient.texts(details.get("before"), 20, 100),
        still_failing=tuple(lenient.text(one.get("check") or one.get("tier"), 100) for one in after[:20]),
        tried=lenient.text(row.get("tried"), 2000),
        changed=lenient.text(details.get("changed"), 10_000),
        created_at=lenient.time(row.get("created_at")) or _LONG_AGO,
    )


def _usage(row: Row) -> Usage:
    return Usage(
        input_tokens=lenient.number(row.get("input_tokens")),
        output_tokens=lenient.number(row.get("output_tokens")),
        cost_usd=lenient.amount(row.get("cost_usd"), 10**9),
        turns=lenient.number(row.get("turns")),
        tool_calls=lenient.number(row.get("tool_calls")),
        seconds=lenient.amount(row.get("seconds"), 10**9),
    )


def log_page(row: Row) -> LogPage:
    """What `mason_log_lines` answers with."""
    lines = (_log_line(line) for line in lenient.rows(row.get("lines"), 10_000))
    last = lenient.uuid(row.get("next"))
    return LogPage(
        lines=tuple(line for line in lines if line), next=str(last) if last else None, more=row.get("more") is True
    )


def _log_line(row: Row) -> LogLine | None:
    line_id = lenient.uuid(row.get("id"))
    if line_id is None:
        return None
    return LogLine(
        id=line_id,
        level=lenient.choice(Level, row.get("log_level")) or Level.INFO,
        message=lenient.text(row.get("message"), _REASON),
        item_id=lenient.uuid(row.get("item_id")),
        at=lenient.time(row.get("created_at")) or _LONG_AGO,
    )
