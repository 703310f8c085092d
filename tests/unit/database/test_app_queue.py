"""The queue's table: what waits, in which order, what is parked, and what comes back."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.rows import dict_row

from app.database.queue import PostgresQueue
from app.domain.job_rows import TASKS, from_row, to_row
from app.domain.jobs import AnswerRequest, Job, ReconcileBacklog, ReconcileExecution, ReconcileRun, Sweep
from app.ports.job_queue import Trouble
from tests.contracts import test_app_database as contract
from tests.contracts.test_app_database import asked

app_dsn, queue = contract.app_dsn, contract.queue

RUN = ReconcileRun(run_id=UUID(int=7))
JOBS: tuple[Job, ...] = (
    ReconcileBacklog(),
    RUN,
    AnswerRequest(key="comment 1 abc", repository="octo/repo", number=7),
    ReconcileExecution(execution_id=UUID("5d0f9a3e-1b1c-4c52-8a3c-2f6d3d1f7a10")),
    Sweep(),
)


@pytest.fixture
def sql(app_dsn: str) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    with psycopg.connect(app_dsn, autocommit=True, row_factory=dict_row) as there:
        there.execute("set search_path to mason_app")
        yield there


def fetch(sql: psycopg.Connection[dict[str, Any]]) -> dict[str, Any] | None:
    """The next job, as the library takes it for a worker of its own."""
    worker = sql.execute("select worker_id from procrastinate_register_worker_v1()").fetchone()
    assert worker is not None
    query = "select * from procrastinate_fetch_job_v2('{mason}', %s) where id is not null"
    return sql.execute(query, (worker["worker_id"],)).fetchone()


def finish(sql: psycopg.Connection[dict[str, Any]], job_id: int, status: str) -> None:
    sql.execute("select procrastinate_finish_job_v1(%s, %s, %s)", (job_id, status, status == "succeeded"))


def waits(sql: psycopg.Connection[dict[str, Any]]) -> list[float]:
    rows = sql.execute(
        "select extract(epoch from scheduled_at - now())::float8 as after from procrastinate_jobs "
        "where status = 'todo' order by scheduled_at"
    ).fetchall()
    return [row["after"] for row in rows]


@pytest.mark.parametrize("job", JOBS, ids=lambda job: type(job).__name__)
def test_job_rows__come_back_as_they_were(job: Job) -> None:
    row = to_row(job)
    assert from_row(row.task, row.arguments) == job


@pytest.mark.parametrize(
    ("task", "arguments"),
    [("unknown", {}), ("reconcile_run", {}), ("reconcile_run", {"run_id": "x"}), ("answer_request", {"key": "a"})],
)
def test_job_rows__what_is_no_job_is_an_error(task: str, arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"job|UUID"):
        from_row(task, arguments)


def test_defer__one_that_waits_is_not_put_in_twice(queue: PostgresQueue) -> None:
    for job in (*JOBS, *JOBS):
        queue.defer(job)
    state = queue.queue_state()
    assert (state.waiting, state.doing, state.parked) == (len(JOBS), 0, 0)
    assert [task.task for task in state.tasks] == sorted(TASKS)
    assert 0 <= state.age < 60


def test_defer__many_at_once_make_one(queue: PostgresQueue) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda index: queue.defer(RUN, after=100.0 - index), range(40)))
    assert queue.queue_state().waiting == 1


def test_defer__brings_forward_and_never_puts_off(
    queue: PostgresQueue, sql: psycopg.Connection[dict[str, Any]]
) -> None:
    queue.defer(RUN, after=600.0)
    assert queue.queue_state().age == 0.0
    queue.defer(RUN, after=300.0)
    queue.defer(RUN, after=900.0)
    (after,) = waits(sql)
    assert 200 < after <= 300
    queue.defer(RUN)
    assert fetch(sql) is not None


def test_defer__workers_are_told_of_what_is_brought_forward(
    queue: PostgresQueue, sql: psycopg.Connection[dict[str, Any]]
) -> None:
    queue.defer(RUN, after=600.0)
    sql.execute('listen "procrastinate_queue_v1#mason"')
    queue.defer(RUN)
    assert [notice.channel for notice in sql.notifies(timeout=30.0, stop_after=1)] == ["procrastinate_queue_v1#mason"]


def test_defer__a_hint_while_it_is_being_done_is_another_look(
    queue: PostgresQueue, sql: psycopg.Connection[dict[str, Any]]
) -> None:
    queue.defer(RUN)
    job = fetch(sql)
    assert job is not None
    queue.defer(RUN)
    assert fetch(sql) is None
    finish(sql, job["id"], "succeeded")
    assert fetch(sql) is not None


def test_requests__of_one_place_are_done_one_after_the_other(
    queue: PostgresQueue, sql: psycopg.Connection[dict[str, Any]]
) -> None:
    queue.hear(asked("comment 1 a"))
    queue.hear(asked("comment 2 a"))
    queue.hear(asked("comment 3 a", number=8))
    first, second = fetch(sql), fetch(sql)
    assert first is not None
    assert second is not None
    assert (first["args"]["key"], second["args"]["key"]) == ("comment 1 a", "comment 3 a")
    assert fetch(sql) is None


def test_hear__twice_is_one_request_and_one_job(queue: PostgresQueue) -> None:
    with ThreadPoolExecutor(8) as pool:
        heard = list(pool.map(lambda _: queue.hear(asked()), range(16)))
    assert sum(heard) == 1
    assert queue.queue_state().waiting == 1


def test_hear__is_not_heard_anew_once_its_job_is_done(
    queue: PostgresQueue, sql: psycopg.Connection[dict[str, Any]]
) -> None:
    assert queue.hear(asked())
    job = fetch(sql)
    assert job is not None
    finish(sql, job["id"], "succeeded")
    assert not queue.hear(asked())
    assert queue.queue_state().waiting == 0


def test_follow_up__a_hint_does_not_undercut_what_the_other_side_asked_for(
    queue: PostgresQueue, sql: psycopg.Connection[dict[str, Any]]
) -> None:
    queue.follow_up(RUN, after=500.0, trouble=Trouble(tries=1), not_before=400.0)
    queue.defer(RUN)
    queue.defer(RUN)
    (after,) = waits(sql)
    assert 390 < after <= 400


def test_follow_up__waits_in_nobodys_way(queue: PostgresQueue, sql: psycopg.Connection[dict[str, Any]]) -> None:
    queue.follow_up(JOBS[2], after=500.0, trouble=Trouble(tries=1))
    queue.hear(asked("comment 2 a"))
    job = fetch(sql)
    assert job is not None
    assert job["args"]["key"] == "comment 2 a"


def park(queue: PostgresQueue, sql: psycopg.Connection[dict[str, Any]], error: str = "It broke") -> int:
    queue.defer(RUN)
    job = fetch(sql)
    assert job is not None
    queue.park(job["id"], error, Trouble(tries=9, failures=8))
    finish(sql, job["id"], "failed")
    return int(job["id"])


def test_park__is_seen_and_retried(queue: PostgresQueue, sql: psycopg.Connection[dict[str, Any]]) -> None:
    parked_id = park(queue, sql)
    (parked,) = queue.parked()
    assert (parked.id, parked.task, parked.about) == (parked_id, "reconcile_run", str(RUN.run_id))
    assert (parked.attempts, parked.error) == (8, "It broke")
    assert parked.since.utcoffset() is not None
    assert queue.is_parked(RUN)
    assert queue.queue_state().parked == 1
    assert queue.retry_parked(parked_id)
    assert not queue.retry_parked(parked_id)
    assert (queue.queue_state().parked, queue.queue_state().waiting) == (0, 1)
    job = fetch(sql)
    assert job is not None
    assert job["args"] == {"run_id": str(RUN.run_id)}


def test_park__a_second_time_is_one_and_keeps_since_when(
    queue: PostgresQueue, sql: psycopg.Connection[dict[str, Any]]
) -> None:
    park(queue, sql)
    (first,) = queue.parked()
    park(queue, sql, "It broke again")
    (second,) = queue.parked()
    assert (second.since, second.error) == (first.since, "It broke again")


def test_park__retried_while_an_equal_one_waits_is_one(
    queue: PostgresQueue, sql: psycopg.Connection[dict[str, Any]]
) -> None:
    parked_id = park(queue, sql)
    queue.defer(RUN, after=600.0)
    assert queue.retry_parked(parked_id)
    assert queue.queue_state().waiting == 1
    assert fetch(sql) is not None


def test_succeeded__what_was_parked_is_over(queue: PostgresQueue, sql: psycopg.Connection[dict[str, Any]]) -> None:
    park(queue, sql)
    queue.succeeded(RUN)
    assert not queue.is_parked(RUN)
    assert queue.parked() == []


def test_parked__a_job_that_nobody_knows_is_there_too(
    queue: PostgresQueue, sql: psycopg.Connection[dict[str, Any]]
) -> None:
    queue.defer(RUN)
    sql.execute("update procrastinate_jobs set task_name = 'of_tomorrow'")
    job = fetch(sql)
    assert job is not None
    finish(sql, job["id"], "failed")
    (parked,) = queue.parked()
    assert (parked.task, parked.error) == ("of_tomorrow", "This Mason does not know such a job")


def silence(sql: psycopg.Connection[dict[str, Any]]) -> None:
    sql.execute("update procrastinate_workers set last_heartbeat = now() - interval '5 seconds'")


def revive(queue: PostgresQueue, *unknown: int) -> int:
    return queue.revive(dead_after=4.0, unknown=set(unknown), most_failures=3)


def test_revive__jobs_of_silent_workers_alone(queue: PostgresQueue, sql: psycopg.Connection[dict[str, Any]]) -> None:
    queue.defer(RUN)
    assert fetch(sql) is not None
    silence(sql)
    queue.defer(Sweep())
    assert fetch(sql) is not None
    assert revive(queue) == 1
    assert revive(queue) == 0
    state = queue.queue_state()
    assert (state.waiting, state.doing) == (1, 1)


def test_revive__a_worker_that_is_gone_is_silent(queue: PostgresQueue, sql: psycopg.Connection[dict[str, Any]]) -> None:
    queue.defer(RUN)
    assert fetch(sql) is not None
    sql.execute("delete from procrastinate_workers")
    assert revive(queue) == 1


def test_revive__an_equal_one_that_waits_is_enough(
    queue: PostgresQueue, sql: psycopg.Connection[dict[str, Any]]
) -> None:
    queue.defer(RUN)
    assert fetch(sql) is not None
    queue.defer(RUN, after=600.0)
    silence(sql)
    assert revive(queue) == 1
    assert (queue.queue_state().waiting, queue.queue_state().doing) == (1, 0)
    assert fetch(sql) is not None


def test_revive__a_late_word_about_the_old_row_reaches_nobody(
    queue: PostgresQueue, sql: psycopg.Connection[dict[str, Any]]
) -> None:
    queue.defer(RUN)
    late = fetch(sql)
    assert late is not None
    silence(sql)
    revive(queue)
    again = fetch(sql)
    assert again is not None
    with pytest.raises(psycopg.errors.RaiseException):
        finish(sql, late["id"], "succeeded")
    queue.park(late["id"], "late", Trouble())
    queue.give_back(late["id"])
    assert queue.queue_state().doing == 1


def test_revive__what_kills_its_workers_is_parked(
    queue: PostgresQueue, sql: psycopg.Connection[dict[str, Any]]
) -> None:
    queue.defer(RUN)
    for _ in range(3):
        assert fetch(sql) is not None
        silence(sql)
        assert revive(queue) == 1
    (parked,) = queue.parked()
    assert (parked.attempts, parked.error) == (3, "Its worker died of it, again and again")
    assert queue.queue_state().doing == 0


def test_revive__jobs_that_their_worker_does_not_know(
    queue: PostgresQueue, sql: psycopg.Connection[dict[str, Any]]
) -> None:
    queue.defer(RUN)
    job = fetch(sql)
    assert job is not None
    assert queue.doing(job["worker_id"]) == {job["id"]}
    assert revive(queue, job["id"]) == 1
    assert (queue.queue_state().waiting, queue.queue_state().doing) == (1, 0)


def test_revive__many_at_once_bring_back_each_job_once(
    queue: PostgresQueue, sql: psycopg.Connection[dict[str, Any]]
) -> None:
    for _ in range(20):
        queue.defer(ReconcileRun(run_id=uuid4()))
    while fetch(sql):
        pass
    silence(sql)
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: revive(queue), range(16))) == 20
    assert queue.queue_state().waiting == 20
