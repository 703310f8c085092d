"""The worker, put together: the flows that its jobs call."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from uuid import UUID

from app.database.connector import worker_connector
from app.dispatch.local import LocalProcesses
from app.flows.approval_to_run import reconcile_backlog
from app.flows.comment_to_command import answer_request
from app.flows.own_projects import forget_ended, reconcile_any_run
from app.flows.reconcile_execution import reconcile_execution, sweep_executions
from app.flows.sweep import sweep
from app.jobs.tasks import Flows
from app.jobs.worker import Rhythm, work
from app.json_log import bound
from app.process import Stop
from app.settings import Settings
from app.wiring.app_parts import AppParts, open_app
from app.wiring.databases import app_dsn
from app.wiring.executions import Runtime, open_runtime

SWEEP = 60.0
"""Seconds between looks at everything, where webhooks tell of most."""

_STOP_RUNS = 10.0
"""Seconds that local runs have to give their items back when the worker stops."""

GRACE = 12.0
"""Seconds that jobs have to end when the worker stops; with those of the local runs, less than the supervisor's."""


def sweep_seconds(settings: Settings) -> float:
    return settings.sweep or SWEEP


def work_for(settings: Settings, repository: Path, stop: Stop) -> None:
    """A worker until the stop."""
    with closing(
        open_app(settings, repository, patience=settings.database_patience, connections=2 * settings.jobs + 4)
    ) as parts:
        runtime = open_runtime(parts)
        try:
            parts.ports.backlog.require_ready()
            work(
                parts.queue,
                lambda: worker_connector(app_dsn(settings)),
                flows_of(parts, runtime),
                stop,
                concurrency=settings.jobs,
                rhythm=Rhythm(sweep=sweep_seconds(settings), grace=GRACE),
                redact=parts.redactor.text,
            )
        finally:
            stop_processes(parts, runtime)


def stop_processes(parts: AppParts, runtime: Runtime) -> None:
    """Local runs and executions side by side, within the same time."""
    groups = [runtime.processes, *([there] if isinstance(there := parts.place.dispatcher, LocalProcesses) else [])]
    with ThreadPoolExecutor(len(groups)) as pool:
        list(pool.map(lambda group: group.stop_all(_STOP_RUNS), groups))


def flows_of(parts: AppParts, runtime: Runtime) -> Flows:
    """What each job calls."""
    ports = parts.ports

    def about_run(run_id: UUID) -> float | None:
        with bound(run=str(run_id)):
            return reconcile_any_run(ports, parts.own, run_id)

    def about_request(key: str) -> None:
        with bound(request=key):
            answer_request(ports, key)

    def about_execution(execution_id: UUID) -> float | None:
        with bound(execution=str(execution_id)):
            return reconcile_execution(runtime.ports, execution_id)

    def look_at_everything() -> None:
        sweep_executions(runtime.ports)
        forget_ended(ports, parts.sealed)
        sweep(ports)

    return Flows(
        reconcile_backlog=lambda: reconcile_backlog(ports),
        reconcile_run=about_run,
        answer_request=about_request,
        reconcile_execution=about_execution,
        sweep=look_at_everything,
    )
