"""The border around every job: what follows from whatever a flow returns or raises."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.rows import dict_row

from app.database.queue import PostgresQueue
from app.domain.jobs import ReconcileRun
from app.errors import Busy, DatabaseUnreachable, FenceFell, ForgeUnreachable, UsageError
from app.jobs.border import LONGEST_WAIT, MOST_FAILURES, Border, Parked, wait_after
from app.ports.job_queue import Trouble
from tests.contracts import test_app_database as contract

app_dsn, queue = contract.app_dsn, contract.queue

RUN = ReconcileRun(run_id=UUID(int=7))
NO_JOB = 10**9


@pytest.fixture
def border(queue: PostgresQueue) -> Border:
    return Border(queue=queue, redact=lambda text: text.replace("hunter2", "***"), chance=lambda: 0.5)


@pytest.fixture
def waiting(app_dsn: str) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What waits: ``after`` in seconds, and its trouble."""
    with psycopg.connect(app_dsn, autocommit=True, row_factory=dict_row) as there:
        query = (
            "select extract(epoch from scheduled_at - now())::float8 as after, "
            "(args -> 'trouble') - 'not_before' as trouble from mason_app.procrastinate_jobs where status = 'todo'"
        )
        yield lambda: there.execute(query).fetchall()


def raises(problem: Exception) -> Callable[[], float | None]:
    def flow() -> float | None:
        raise problem

    return flow


Waiting = Callable[[], list[dict[str, Any]]]


def test_done__nothing_follows(border: Border, waiting: Waiting) -> None:
    border.cross(NO_JOB, RUN, None, lambda: None)
    assert waiting() == []


def test_look_again__a_successor_without_a_past(border: Border, waiting: Waiting) -> None:
    border.cross(NO_JOB, RUN, Trouble(tries=3, failures=3), lambda: 100.0)
    (job,) = waiting()
    assert 50 < job["after"] <= 100
    assert job["trouble"] is None


@pytest.mark.parametrize("problem", [Busy(), FenceFell()], ids=lambda problem: type(problem).__name__)
def test_busy__is_soon_tried_again_and_counts_for_nothing(problem: Exception, border: Border, waiting: Waiting) -> None:
    border.cross(NO_JOB, RUN, Trouble(tries=2, failures=1), raises(problem))
    (job,) = waiting()
    assert job["after"] <= 1.0
    assert job["trouble"] == {"tries": 2, "failures": 1}


def test_unreachable__waits_longer_each_time_and_is_never_parked(border: Border, waiting: Waiting) -> None:
    border.cross(NO_JOB, RUN, Trouble(tries=30, failures=MOST_FAILURES - 1), raises(DatabaseUnreachable()))
    (job,) = waiting()
    assert 100 < job["after"] <= 151
    assert job["trouble"] == {"tries": 31, "failures": MOST_FAILURES - 1}


def test_unreachable__obeys_what_the_other_side_asks_for(
    border: Border, queue: PostgresQueue, waiting: Waiting
) -> None:
    border.cross(NO_JOB, RUN, None, raises(ForgeUnreachable("Too many", retry_after=900.0)))
    queue.defer(RUN)
    (job,) = waiting()
    assert 850 < job["after"] <= 900


def test_failure__counts_and_follows(border: Border, waiting: Waiting) -> None:
    border.cross(NO_JOB, RUN, Trouble(tries=4, failures=2), raises(UsageError("No")))
    (job,) = waiting()
    assert job["trouble"] == {"tries": 5, "failures": 3}


def being_done(queue: PostgresQueue, app_dsn: str) -> int:
    queue.defer(RUN)
    with psycopg.connect(app_dsn) as there:
        there.execute("set search_path to mason_app")
        row = there.execute(
            "update procrastinate_jobs set status = 'doing' where status = 'todo' returning id"
        ).fetchone()
    assert row is not None
    return int(row[0])


def ended_as_failed(app_dsn: str) -> None:
    with psycopg.connect(app_dsn) as there:
        there.execute("set search_path to mason_app")
        there.execute("update procrastinate_jobs set status = 'failed' where status = 'doing'")


def test_failure__the_last_parks_it_with_its_sentence(
    border: Border, queue: PostgresQueue, waiting: Waiting, app_dsn: str
) -> None:
    met = Trouble(tries=20, failures=MOST_FAILURES - 1)
    with pytest.raises(Parked):
        border.cross(being_done(queue, app_dsn), RUN, met, raises(ValueError("hunter2 is\nno number")))
    ended_as_failed(app_dsn)
    (parked,) = queue.parked()
    assert (parked.error, parked.attempts) == ("ValueError: *** is", MOST_FAILURES)
    assert waiting() == []


def test_failure__a_hint_about_what_is_parked_is_one_try(
    border: Border, queue: PostgresQueue, waiting: Waiting, app_dsn: str
) -> None:
    for _ in range(2):
        with pytest.raises(Parked):
            border.cross(being_done(queue, app_dsn), RUN, Trouble(failures=MOST_FAILURES), raises(UsageError("No")))
        ended_as_failed(app_dsn)
    with pytest.raises(Parked):
        border.cross(being_done(queue, app_dsn), RUN, None, raises(UsageError("Still no")))
    ended_as_failed(app_dsn)
    (parked,) = queue.parked()
    assert parked.error == "Still no"
    border.cross(NO_JOB, RUN, None, lambda: None)
    assert queue.parked() == []
    assert waiting() == []


def test_wait_after__doubles_up_to_five_minutes_with_full_jitter() -> None:
    assert [wait_after(tries, 1.0) for tries in (1, 2, 3, 4)] == [1.0, 2.0, 4.0, 8.0]
    assert wait_after(10**6, 1.0) == LONGEST_WAIT
    assert {wait_after(tries, 0.0) for tries in (1, 5, 50)} == {1.0}
