"""A worker process for `test_worker_killed`: ``python worker_process.py <dsn> <concurrency>``.

Its flows count how often each dispatch was completed (``tries``) and by whom (``reason``), under its fence. A dispatch
with instructions waits in the middle of its job until the table ``gates`` names them.
"""

from __future__ import annotations

import os
import sys
import threading
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import psycopg

sys.path.insert(0, str(Path(__file__).parents[2]))

from app.database.connector import worker_connector
from app.database.queue import job_queue
from app.database.store import app_database
from app.domain.dispatches import DispatchState
from app.errors import FenceFell
from app.jobs.tasks import Flows
from app.jobs.worker import work
from app.signals import stop_on_signals


def main(dsn: str, concurrency: int) -> None:
    store, queue = app_database(dsn), job_queue(dsn)

    def note(run_id: UUID, what: str) -> None:
        with psycopg.connect(dsn, autocommit=True) as there:
            there.execute("insert into events values (%s, %s, %s)", (run_id, what, os.getpid()))

    def reconcile_run(run_id: UUID) -> float | None:
        with store.locked(f"run {run_id}") as fence:
            dispatch = store.dispatch(run_id)
            if dispatch is None or dispatch.state is DispatchState.ENDED:
                return None
            if dispatch.instructions:
                note(run_id, "begun")
                wait_for(dsn, dispatch.instructions)
            done = replace(dispatch, state=DispatchState.ENDED, tries=dispatch.tries + 1, reason=str(os.getpid()))
            try:
                store.save(fence, done)
            except FenceFell:
                note(run_id, "fell")
                raise
            return None

    flows = Flows(
        reconcile_backlog=lambda: None,
        reconcile_run=reconcile_run,
        answer_request=lambda _: None,
        reconcile_execution=lambda _: None,
        sweep=lambda: None,
    )
    with stop_on_signals() as stop:
        work(queue, lambda: worker_connector(dsn), flows, stop, concurrency=concurrency)
    store.close()
    queue.close()


def wait_for(dsn: str, gate: str) -> None:
    pause = threading.Event()
    while True:
        try:
            with psycopg.connect(dsn, autocommit=True) as there:
                while not there.execute("select 1 from gates where name = %s", (gate,)).fetchone():
                    pause.wait(0.02)
                return
        except psycopg.OperationalError:
            pause.wait(0.1)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
