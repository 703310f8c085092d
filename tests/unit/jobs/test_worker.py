"""The worker in this process: jobs reach their flows, lost ones come back, and a stop is a stop."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from app.backlog.embedded import EmbeddedPostgres
from app.database.connector import worker_connector
from app.database.queue import PostgresQueue, job_queue
from app.database.schema import prepare
from app.domain.jobs import ReconcileBacklog, ReconcileRun, Sweep
from app.errors import Busy
from app.jobs.tasks import Flows
from app.jobs.worker import Rhythm, work
from app.process import Stop
from tests.contracts import test_app_database as contract
from tests.contracts.test_app_database import asked

app_dsn, queue = contract.app_dsn, contract.queue

LIMIT = 30.0


def nothing(*_: object) -> None:
    return None


def flows(**given: Callable[..., float | None]) -> Flows:
    names = ("reconcile_backlog", "reconcile_run", "answer_request", "reconcile_execution", "sweep")
    plain: dict[str, Any] = dict.fromkeys(names, nothing)
    return Flows(**{**plain, **given})


@contextmanager
def working(queue: PostgresQueue, dsn: str, does: Flows, **options: Any) -> Iterator[Stop]:
    stop = Stop()
    thread = threading.Thread(
        target=lambda: work(queue, lambda: worker_connector(dsn), does, stop, **options), name="worker"
    )
    thread.start()
    try:
        yield stop
    finally:
        stop.set("The test is over")
        thread.join(LIMIT)
        assert not thread.is_alive()


def until(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(int(LIMIT / 0.02)):
        if condition():
            return
        pause.wait(0.02)
    raise AssertionError("it never happened")


def test_flows__each_job_reaches_its_own(queue: PostgresQueue, app_dsn: str) -> None:
    seen: list[object] = []
    run_id = uuid4()
    does = flows(
        reconcile_backlog=lambda: seen.append("backlog"),
        reconcile_run=seen.append,
        answer_request=seen.append,
        sweep=lambda: seen.append("sweep"),
    )
    queue.defer(ReconcileBacklog())
    queue.defer(ReconcileRun(run_id=run_id))
    queue.hear(asked())
    with working(queue, app_dsn, does):
        until(lambda: {"backlog", run_id, "comment 1 abc", "sweep"} <= set(seen))
        until(lambda: (queue.queue_state().doing, queue.queue_state().waiting) == (0, 1))  # the next sweep


def test_sweep__comes_again(queue: PostgresQueue, app_dsn: str) -> None:
    swept = threading.Semaphore(0)
    with working(queue, app_dsn, flows(sweep=swept.release), rhythm=Rhythm(sweep=0.1)):
        for _ in range(3):
            assert swept.acquire(timeout=LIMIT)


def test_look_again__is_done_again_until_it_is_done(queue: PostgresQueue, app_dsn: str) -> None:
    calls: list[UUID] = []

    def run(run_id: UUID) -> float | None:
        calls.append(run_id)
        return 0.05 if len(calls) < 3 else None

    queue.defer(ReconcileRun(run_id=UUID(int=1)))
    with working(queue, app_dsn, flows(reconcile_run=run)):
        until(lambda: len(calls) == 3 and queue.queue_state().doing == 0)


def test_failure__is_tried_again(queue: PostgresQueue, app_dsn: str) -> None:
    calls: list[UUID] = []

    def run(run_id: UUID) -> None:
        calls.append(run_id)
        if len(calls) == 1:
            raise ValueError("once")
        if len(calls) == 2:
            raise Busy

    queue.defer(ReconcileRun(run_id=UUID(int=1)))
    with working(queue, app_dsn, flows(reconcile_run=run)):
        until(lambda: len(calls) == 3 and queue.queue_state().doing == 0)
    assert queue.parked() == []


def test_unknown__neither_name_nor_arguments_poison_the_queue(queue: PostgresQueue, app_dsn: str) -> None:
    done = threading.Event()
    with psycopg.connect(app_dsn) as there:
        there.execute("set search_path to mason_app")
        for task, args in (("of_tomorrow", "{}"), ("reconcile_run", '{"run_id": "x"}'), ("sweep", '{"new": 1}')):
            there.execute(
                "insert into procrastinate_jobs (queue_name, task_name, args) values ('mason', %s, %s)", (task, args)
            )
    queue.defer(ReconcileBacklog())
    with working(queue, app_dsn, flows(reconcile_backlog=done.set)):
        assert done.wait(LIMIT)
        until(lambda: queue.queue_state().parked == 2)
    assert {job.task for job in queue.parked()} == {"of_tomorrow", "reconcile_run"}


def test_side_by_side__as_many_as_allowed(queue: PostgresQueue, app_dsn: str) -> None:
    together = threading.Barrier(3)

    def run(_: UUID) -> None:
        together.wait(LIMIT)

    for _ in range(3):
        queue.defer(ReconcileRun(run_id=uuid4()))
    with working(queue, app_dsn, flows(reconcile_run=run), concurrency=3):
        until(lambda: queue.queue_state().doing == 0 and queue.queue_state().waiting <= 1)
    assert not together.broken


def test_stop__running_jobs_end_and_none_begins(
    queue: PostgresQueue, app_dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    begun, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def run(_: UUID) -> None:
        begun.set()
        assert may_end.wait(LIMIT)
        ended.set()

    queue.defer(ReconcileRun(run_id=UUID(int=1)))
    with working(queue, app_dsn, flows(reconcile_run=run), concurrency=1) as stop:
        assert begun.wait(LIMIT)
        queue.defer(ReconcileBacklog())
        stop.set("Enough")
        until(lambda: "takes no more jobs" in caplog.text)  # it is told in the step in which it is done
        may_end.set()
    assert ended.is_set()
    assert {task.task: (task.waiting, task.doing) for task in queue.queue_state().tasks}["reconcile_backlog"] == (1, 0)


def test_stop__before_anything_has_begun(queue: PostgresQueue, app_dsn: str) -> None:
    for _ in range(3):
        with working(queue, app_dsn, flows()):
            pass


def test_stop__what_takes_too_long_is_given_back(queue: PostgresQueue, app_dsn: str) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def run(_: UUID) -> None:
        begun.set()
        may_end.wait(LIMIT)

    queue.defer(ReconcileRun(run_id=UUID(int=1)))
    with working(queue, app_dsn, flows(reconcile_run=run), rhythm=Rhythm(grace=0.1)) as stop:
        assert begun.wait(LIMIT)
        stop.set("Enough")
    state = {task.task: (task.waiting, task.doing) for task in queue.queue_state().tasks}
    assert state["reconcile_run"] == (1, 0)
    may_end.set()


def test_hanging__is_done_again_and_holds_nobody_up(queue: PostgresQueue, app_dsn: str) -> None:
    """With one place and one lock: the second call is made while the first still hangs."""
    calls, may_end = threading.Semaphore(0), threading.Event()
    hangs = [True]

    def run(_: UUID) -> None:
        calls.release()
        if hangs and hangs.pop():
            may_end.wait(LIMIT)

    queue.defer(ReconcileRun(run_id=UUID(int=1)))
    does = flows(reconcile_run=run)
    with working(queue, app_dsn, does, rhythm=Rhythm(longest=1.0), concurrency=1):
        for _ in range(2):
            assert calls.acquire(timeout=LIMIT)
        until(lambda: not [task for task in queue.queue_state().tasks if task.task == "reconcile_run"])
    may_end.set()


def test_lost_word__a_job_that_its_worker_does_not_know_comes_back(queue: PostgresQueue, app_dsn: str) -> None:
    calls = threading.Semaphore(0)
    with working(queue, app_dsn, flows(reconcile_run=lambda _: calls.release())):
        with psycopg.connect(app_dsn) as there:  # fetched, and the answer was lost
            there.execute("set search_path to mason_app")
            until(lambda: there.execute("select id from procrastinate_workers").fetchone() is not None)
            there.execute(
                "insert into procrastinate_jobs (queue_name, task_name, queueing_lock, args, status, worker_id) "
                "select 'mason', 'reconcile_run', 'reconcile_run x', jsonb_build_object('run_id', %s::text), 'doing', "
                "id from procrastinate_workers",
                (uuid4(),),
            )
        assert calls.acquire(timeout=LIMIT)


def test_two_workers__each_job_once(queue: PostgresQueue, app_dsn: str) -> None:
    done: list[UUID] = []
    does = flows(reconcile_run=done.append)
    wanted = [uuid4() for _ in range(100)]
    with working(queue, app_dsn, does), working(queue, app_dsn, does):
        for run_id in wanted:
            queue.defer(ReconcileRun(run_id=run_id))
        until(lambda: len(done) >= 100 and queue.queue_state().doing == 0)
    assert sorted(done) == sorted(wanted)


def test_sweep__one_waits_however_many_workers_there_are(queue: PostgresQueue, app_dsn: str) -> None:
    swept = threading.Semaphore(0)
    does = flows(sweep=swept.release)
    with working(queue, app_dsn, does), working(queue, app_dsn, does):
        assert swept.acquire(timeout=LIMIT)
        until(lambda: queue.queue_state().waiting == 1 and queue.queue_state().doing == 0)
    queue.defer(Sweep(), after=600.0)
    assert queue.queue_state().waiting == 1


def test_outage__a_worker_waits_for_its_database_and_heeds_a_stop_meanwhile(data_root: Path) -> None:
    server = EmbeddedPostgres(data_root)
    server.start()
    try:
        dsn = server.dsn
        prepare(dsn)
        queue = job_queue(dsn)
        done = threading.Semaphore(0)
        does = flows(reconcile_backlog=done.release)
        server.stop()
        # The job may still want to note its end when the database goes: that is waited for as long as the grace.
        with working(queue, dsn, does, rhythm=Rhythm(grace=2.0)):
            server.start()
            queue.defer(ReconcileBacklog())
            assert done.acquire(timeout=LIMIT)
            server.stop()
        queue.close()
    finally:
        server.stop()
