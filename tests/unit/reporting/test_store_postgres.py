"""The store reporter on a real database: what the dashboard finds when an item has ended."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg.rows import dict_row

from app.backlog.store import SqlBacklog
from app.domain import events as ev
from app.domain.results import CheckKind, Outcome, Verdict
from app.domain.runs import Base, Run
from app.reporting.store import StoreReporter
from tests.unit.reporting.builders import GREEN, PLAN, check, iteration

HOSTILE = "nul \x00, lone \ud800 surrogate, 'quote', emoji 🚀"


@pytest.mark.parametrize(
    ("outcome", "shown"),
    [
        (
            Outcome(verdict=Verdict.COMPLETED, gate=GREEN, branch="mason/a"),
            {"current_phase": "complete", "checkpoint_index": 13, "validation_eslint": "pass", "tasks_completed": 1},
        ),
        (
            Outcome(verdict=Verdict.REJECTED, reason="It never passed", kept="/x.patch"),
            {"current_phase": "inspection", "checkpoint_index": 9, "current_task": "Failed: It never passed"},
        ),
        (Outcome(verdict=Verdict.DEFERRED, reason="Later"), None),
    ],
)
def test_store__a_story_in_postgres(backlog: SqlBacklog, database: str, outcome: Outcome, shown: Any) -> None:
    with psycopg.connect(database, autocommit=True, row_factory=dict_row) as sql:
        sql.execute(
            "insert into mason_pm_backlog_items"
            " (title, problem, solution, area, type, complexity, impact_score, effort_score, status)"
            " values ('Add a header', 'p', 's', 'frontend', 'feature', 2, 5, 3, 'approved')"
        )
        (item,) = backlog.approved_items(repository=None)
        run = Run(id=uuid4(), base=Base(commit="c" * 40, branch="main"), item_ids=(item.id,))
        backlog.open_run(run, repository=None)
        claimed = backlog.claim(item, run_id=run.id, claimed_by="tester", branch="mason/a")
        assert claimed is not None
        claim, task = claimed.claim, PLAN.tasks[0]
        reporter = StoreReporter(backlog)
        for event in (
            ev.RunStarted(run=run, items=(item,)),
            ev.ItemStarted(claim=claim, item=item, branch="mason/a", position=1, total=1),
            ev.Planned(claim=claim, plan=PLAN),
            ev.TaskChanged(claim=claim, task=task, wave=1, status=ev.TaskStatus.COMPLETED),
            ev.AgentActivity(claim=claim, message=HOSTILE, file=HOSTILE),
            ev.Noted(claim=claim, message=HOSTILE, metadata={"more": [HOSTILE]}),
            ev.CheckStarted(claim=claim, kind=CheckKind.TYPECHECK),
            ev.CheckFinished(claim=claim, result=check()),
            ev.IterationFinished(claim=claim, iteration=iteration(tried=HOSTILE)),
            ev.ItemSettled(claim=claim, item=item, outcome=outcome),
        ):
            reporter.report(event)
        assert backlog.settle(claim, outcome)
        reporter.report(ev.AgentActivity(claim=claim, message="too late"))
        reporter.close()

        (progress,) = sql.execute("select * from mason_execution_progress").fetchall() or [None]
        assert (progress and {name: progress[name] for name in shown}) == shown
        counts = sql.execute(
            "select (select count(*) from mason_pm_execution_tasks) tasks,"
            " (select count(*) from mason_pm_validation_iterations) iterations,"
            " (select count(*) from mason_execution_logs where log_level = 'debug') debug,"
            " (select count(*) from mason_execution_logs where message like 'nul%') hostile"
        ).fetchone()
        assert counts == {"tasks": 3, "iterations": 1, "debug": 3, "hostile": 2}
        kinds = sql.execute("select event_type from mason_item_events order by 1").fetchall()
        note = ["note_added"] if outcome.kept else []
        assert [k["event_type"] for k in kinds] == ["branch_created", *note, "status_changed", "status_changed"]
