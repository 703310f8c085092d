"""`/api/execution/runs`: what is read of runs. Texts are data as they were written: whoever shows them escapes them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from flask import Response
from pydantic import Field

from app.domain.api_keys import Scope
from app.domain.events import Level, Phase, TaskStatus
from app.domain.items import ItemStatus
from app.domain.results import CheckKind, Usage, Verdict
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
from app.errors import BadCursor, UnknownRun
from app.ports.run_views import RunViews
from app.web.api.execution import RunInPath
from app.web.api.framework import ApiBlueprint, Failure, InPlace, Model, answer, needs

MOST_RUNS = 100
MOST_LINES = 1000
FIRST_LINES = 200
"""Lines of the log that come with a run."""

_CURSOR = "`logsNext` or `next` of an earlier answer; without it, from the first line on."


@dataclass(frozen=True, kw_only=True, slots=True)
class RunReading:
    """What the routes stand on. ``views_for`` opens what has a run's rows (None: where runs are listed); it raises
    UnknownRun. ``page`` and ``workflow`` are addresses about a run, "" where there is none.
    """

    views_for: Callable[[UUID | None], AbstractContextManager[RunViews]]
    page: Callable[[UUID], str] = lambda _: ""
    workflow: Callable[[UUID], str] = lambda _: ""


class RunsQuery(InPlace):
    limit: int = Field(50, ge=1, le=MOST_RUNS)
    before: UUID | None = Field(None, description="`next` of an earlier answer; without it, from the newest on.")


class RunQuery(InPlace):
    item: UUID | None = Field(None, description="Only this item, with the whole of its diff and output.")


class LogsQuery(InPlace):
    after: str | None = Field(None, max_length=100, description=_CURSOR)
    limit: int = Field(FIRST_LINES, ge=1, le=MOST_LINES)
    item: UUID | None = Field(None, description="Only lines of this item.")


class RunAnswer(Model):
    """Counts are of items; ``repository`` is null for a local one."""

    id: UUID
    status: RunStatus
    repository: str | None
    base_branch: str
    base_commit: str
    item_count: int
    success_count: int
    failure_count: int
    error_message: str | None
    started_at: datetime | None
    completed_at: datetime | None


class RunsAnswer(Model):
    """Newest first; ``next`` is null at the end."""

    runs: list[RunAnswer]
    next: UUID | None


class UsageAnswer(Model):
    input_tokens: int
    output_tokens: int
    cost_usd: float
    turns: int
    tool_calls: int
    seconds: float


class TaskAnswer(Model):
    wave: int
    number: int
    description: str
    agent: str
    status: TaskStatus
    error_message: str | None
    started_at: datetime | None
    completed_at: datetime | None


class CheckAnswer(Model):
    """``output`` is the end of what it said; that and the findings are known once the item has ended."""

    kind: CheckKind
    status: CheckState
    command: str
    seconds: float
    reason: str
    output: str
    findings: list[str]


class IterationAnswer(Model):
    """``failed`` before it, ``stillFailing`` after it; ``changed`` is a diff."""

    number: int
    passed: bool
    failed: list[str]
    still_failing: list[str]
    tried: str
    changed: str
    created_at: datetime


class ItemAnswer(Model):
    """An item as this run had it. ``verdict`` is null until it has ended in this run, ``phase`` until it has begun."""

    id: UUID
    title: str
    type: str
    status: ItemStatus
    verdict: Verdict | None
    reason: str
    branch_name: str | None
    commit: str | None
    pull_request_url: str | None
    kept: str | None
    follow_up_id: UUID | None
    phase: Phase | None
    wave: int
    total_waves: int
    percentage: int
    current_task: str
    current_file: str
    tasks_completed: int
    tasks_total: int
    fix_iteration: int
    started_at: datetime | None
    updated_at: datetime | None
    completed_at: datetime | None
    tasks: list[TaskAnswer]
    checks: list[CheckAnswer]
    iterations: list[IterationAnswer]
    findings: list[str]
    diff: str
    usage: UsageAnswer


class LogLineAnswer(Model):
    id: UUID
    level: Level
    message: str
    item_id: UUID | None
    created_at: datetime


class LogsAnswer(Model):
    """``next`` is the cursor behind the last line, where later ones will be found too; ``more``: some are there now."""

    lines: list[LogLineAnswer]
    next: str | None
    more: bool


class LinksAnswer(Model):
    page: str | None
    workflow: str | None


class RunDetails(Model):
    """A run as it was at ``seenAt``, and the beginning of its log, which goes on at `/logs`."""

    run: RunAnswer
    items: list[ItemAnswer]
    usage: UsageAnswer
    links: LinksAnswer
    seen_at: datetime
    logs: list[LogLineAnswer]
    logs_next: str | None
    logs_more: bool


def run_routes(reading: RunReading) -> ApiBlueprint:
    api = ApiBlueprint("runs", tag="Runs", prefix="/api/execution/runs")

    @api.get("", responses={"200": RunsAnswer})
    @needs(Scope.READ)
    def listed(query: RunsQuery) -> Response:
        """The newest runs."""
        with reading.views_for(None) as views:
            lines = views.run_lines(limit=query.limit + 1, before=query.before)
        shown = lines[: query.limit]
        return answer(
            RunsAnswer(runs=[_run(line) for line in shown], next=shown[-1].id if len(lines) > len(shown) else None)
        )

    @api.get("/<id>", responses={"200": RunDetails, "404": Failure})
    @needs(Scope.READ)
    def one(path: RunInPath, query: RunQuery) -> Response:
        """A run: items, tasks, iterations, checks, usage, links, and the first lines of its log.

        The items share the room for diffs and outputs: what is cut short says so, and `item` gives the whole of one.
        """
        with reading.views_for(path.id) as views:
            view = views.run_view(path.id, item=query.item)
            if view is None:
                raise UnknownRun
            logs = views.log_page(path.id, after=None, limit=FIRST_LINES, item=query.item)
        links = LinksAnswer(page=reading.page(path.id) or None, workflow=reading.workflow(path.id) or None)
        return answer(_details(view, logs, links))

    @api.get("/<id>/logs", responses={"200": LogsAnswer, "404": Failure})
    @needs(Scope.READ)
    def logs(path: RunInPath, query: LogsQuery) -> Response:
        """Lines of a run's log, in the order in which they were written down: none is missed, and none comes twice."""
        with reading.views_for(path.id) as views:
            page = _log_page(views, path.id, query)
        return answer(LogsAnswer(lines=[_line(line) for line in page.lines], next=page.next, more=page.more))

    return api


def _log_page(views: RunViews, run_id: UUID, query: LogsQuery) -> LogPage:
    """Raises UnknownRun, before BadCursor: in no run a cursor is good."""
    try:
        page = views.log_page(run_id, after=query.after, limit=query.limit, item=query.item)
    except BadCursor:
        if views.run_version(run_id) is None:
            raise UnknownRun from None
        raise
    if page.next is None and views.run_version(run_id) is None:
        raise UnknownRun
    return page


def _run(line: RunLine) -> RunAnswer:
    return RunAnswer(
        id=line.id,
        status=line.status,
        repository=line.repository or None,
        base_branch=line.base_branch,
        base_commit=line.base_commit,
        item_count=line.items,
        success_count=line.succeeded,
        failure_count=line.failed,
        error_message=line.reason or None,
        started_at=line.started_at,
        completed_at=line.completed_at,
    )


def _details(view: RunView, logs: LogPage, links: LinksAnswer) -> RunDetails:
    return RunDetails(
        run=_run(view.run),
        items=[_item(item) for item in view.items],
        usage=_usage(view.usage),
        links=links,
        seen_at=view.seen_at,
        logs=[_line(line) for line in logs.lines],
        logs_next=logs.next,
        logs_more=logs.more,
    )


def _item(item: ItemView) -> ItemAnswer:
    return ItemAnswer(
        id=item.id,
        title=item.title,
        type=item.type,
        status=item.status,
        verdict=item.verdict,
        reason=item.reason,
        branch_name=item.branch or None,
        commit=item.commit or None,
        pull_request_url=item.pull_request_url or None,
        kept=item.kept or None,
        follow_up_id=item.follow_up,
        phase=item.phase,
        wave=item.wave,
        total_waves=item.total_waves,
        percentage=item.percentage,
        current_task=item.current_task,
        current_file=item.current_file,
        tasks_completed=item.tasks_completed,
        tasks_total=item.tasks_total,
        fix_iteration=item.fix_iteration,
        started_at=item.started_at,
        updated_at=item.updated_at,
        completed_at=item.completed_at,
        tasks=[_task(task) for task in item.tasks],
        checks=[_check(check) for check in item.checks],
        iterations=[_iteration(iteration) for iteration in item.iterations],
        findings=list(item.findings),
        diff=item.diff,
        usage=_usage(item.usage),
    )


def _task(task: TaskView) -> TaskAnswer:
    return TaskAnswer(
        wave=task.wave,
        number=task.number,
        description=task.description,
        agent=task.agent,
        status=task.status,
        error_message=task.error or None,
        started_at=task.started_at,
        completed_at=task.completed_at,
    )


def _check(check: CheckView) -> CheckAnswer:
    return CheckAnswer(
        kind=check.kind,
        status=check.status,
        command=check.command,
        seconds=check.seconds,
        reason=check.reason,
        output=check.output,
        findings=list(check.findings),
    )


def _iteration(iteration: IterationView) -> IterationAnswer:
    return IterationAnswer(
        number=iteration.number,
        passed=iteration.passed,
        failed=list(iteration.failed),
        still_failing=list(iteration.still_failing),
        tried=iteration.tried,
        changed=iteration.changed,
        created_at=iteration.created_at,
    )


def _usage(usage: Usage) -> UsageAnswer:
    return UsageAnswer(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cost_usd=usage.cost_usd,
        turns=usage.turns,
        tool_calls=usage.tool_calls,
        seconds=usage.seconds,
    )


def _line(line: LogLine) -> LogLineAnswer:
    return LogLineAnswer(id=line.id, level=line.level, message=line.message, item_id=line.item_id, created_at=line.at)
