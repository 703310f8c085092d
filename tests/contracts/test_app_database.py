"""What every app database does (`app.ports.app_database`); a new adapter is one more entry in ``ADAPTERS``."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from app.database.queue import PostgresQueue, job_queue
from app.database.schema import prepare
from app.database.store import PostgresApp, app_database
from app.domain.check_runs import Subject
from app.domain.commands import Person, Request
from app.domain.dispatches import Dispatch, DispatchState, Work
from app.domain.jobs import ReconcileRun
from app.domain.runs import Base
from app.errors import Busy, FenceFell, MasonError
from app.ports.app_database import AppDatabase

ADAPTERS: dict[str, Callable[[str], PostgresApp]] = {"postgres": app_database}

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def app_dsn(empty_database: str) -> str:
    prepare(empty_database)
    return empty_database


@pytest.fixture(params=sorted(ADAPTERS))
def store(request: pytest.FixtureRequest, app_dsn: str) -> Iterator[AppDatabase]:
    adapter = ADAPTERS[request.param](app_dsn)
    yield adapter
    adapter.close()


@pytest.fixture
def queue(app_dsn: str) -> Iterator[PostgresQueue]:
    jobs = job_queue(app_dsn)
    yield jobs
    jobs.close()


def dispatch(**fields: Any) -> Dispatch:
    plain = {"id": uuid4(), "work": Work.RUN, "repository": "octo/repo", "items": (uuid4(),), "created_at": LONG_AGO}
    return Dispatch(**{**plain, **fields})


def asked(key: str = "comment 1 abc", **fields: Any) -> Request:
    plain = {
        "key": key,
        "repository": "octo/repo",
        "number": 7,
        "on_pull_request": True,
        "person": Person(id=2**40, login="octocat", is_user=True),
        "body": "/mason run",
        "received_at": LONG_AGO,
    }
    return Request(**{**plain, **fields})


def test_now__is_a_moment_with_a_zone_and_goes_on(store: AppDatabase) -> None:
    first = store.now()
    assert first.utcoffset() is not None
    assert store.now() > first


def test_record__every_field_comes_back(store: AppDatabase) -> None:
    full = dispatch(
        work=Work.FIX,
        items=(uuid4(), uuid4()),
        approvals=(LONG_AGO - timedelta(microseconds=1), None),
        base=Base(commit="c" * 40, branch="main"),
        number=2**33,
        instructions="rename “x”\nplease",
        smoke_test=True,
        e2e=True,
        request="comment 1 abc",
        same="5a3e",
        project="https://a.supabase.co",
        branch_name="mason/batch",
        state=DispatchState.DISPATCHED,
        tries=2,
        workflow_run="123",
        url="https://github.example/run/123",
        cancelled_by="octocat",
        outcome="failed",
        reason="It failed",
        tried_at=LONG_AGO + timedelta(seconds=1),
        dispatched_at=LONG_AGO + timedelta(seconds=2),
        ended_at=LONG_AGO + timedelta(seconds=3),
    )
    assert store.record(full) == full
    assert store.dispatch(full.id) == full
    bare = dispatch(repository=None, items=(), approvals=(None,))
    assert store.record(bare) == bare


def test_record__the_same_id_twice_is_one_and_the_stored_one_comes_back(
    store: AppDatabase, queue: PostgresQueue
) -> None:
    first = dispatch()
    store.record(first)
    assert store.record(replace(first, number=99)) == first
    assert queue.queue_state().waiting == 1


def test_record__many_at_once_store_one(store: AppDatabase, queue: PostgresQueue) -> None:
    one = dispatch()
    with ThreadPoolExecutor(8) as pool:
        stored = list(pool.map(lambda number: store.record(replace(one, number=number)), range(16)))
    assert len(set(stored)) == 1
    assert queue.queue_state().waiting == 1


def test_record__of_the_same_thing_one_is_unfinished(store: AppDatabase, queue: PostgresQueue) -> None:
    first, again, other = dispatch(same="items"), dispatch(same="items"), dispatch(same="other")
    assert store.record(first) == first
    assert store.record(again) == first
    assert store.record(other) == other
    assert queue.queue_state().waiting == 2
    assert store.like(uuid4(), "items") == first
    assert store.like(other.id, "items") == other
    with store.locked("run") as fence:
        store.save(fence, replace(first, state=DispatchState.ENDED))
    assert store.like(uuid4(), "items") is None
    assert store.record(again) == again
    assert store.like(uuid4(), "") is None


def test_record__of_the_same_thing_many_at_once_store_one(store: AppDatabase, queue: PostgresQueue) -> None:
    with ThreadPoolExecutor(8) as pool:
        stored = list(pool.map(lambda _: store.record(dispatch(same="items")), range(16)))
    assert len({one.id for one in stored}) == 1
    assert queue.queue_state().waiting == 1


def test_record__the_job_may_wait(store: AppDatabase, queue: PostgresQueue, app_dsn: str) -> None:
    one = store.record(dispatch(), after=60.0)
    with psycopg.connect(app_dsn) as there:
        wait = "select extract(epoch from scheduled_at - now())::float8 from mason_app.procrastinate_jobs"
        assert 50 < there.execute(wait).fetchall()[0][0] <= 60
        queue.defer(ReconcileRun(run_id=one.id))
        assert there.execute(wait.replace("now()", "clock_timestamp()")).fetchall()[0][0] <= 0


def test_dispatch__an_unknown_one_is_none(store: AppDatabase) -> None:
    assert store.dispatch(uuid4()) is None


def test_text__what_strangers_write_can_be_stored(store: AppDatabase, queue: PostgresQueue) -> None:
    queue.hear(asked(body="a\0b \ud800 ✓"))
    found = store.request("comment 1 abc")
    assert found is not None
    assert found.request.body == "a\ufffdb ? ✓"
    with store.locked("place \0") as fence:
        store.answer(fence, "comment 1 abc", "x\0y", well=True, finished=True)


def test_unfinished__those_that_have_not_ended_oldest_first(store: AppDatabase) -> None:
    new, old = dispatch(), dispatch(created_at=LONG_AGO - timedelta(days=1))
    for one in (new, old, dispatch(state=DispatchState.ENDED)):
        store.record(one)
    assert store.unfinished() == [old, new]


def test_dispatches__by_number_or_item_newest_first_at_most_20(store: AppDatabase) -> None:
    item = uuid4()
    made = [
        dispatch(number=index % 2, items=(uuid4(), item), created_at=LONG_AGO + timedelta(minutes=index))
        for index in range(24)
    ]
    for one in [*made, dispatch(repository="octo/other"), dispatch(repository=None, number=1)]:
        store.record(one)
    assert store.dispatches(repository="octo/repo") == made[:3:-1]
    assert store.dispatches(repository="octo/repo", number=1) == made[::-2]
    assert len(store.dispatches(repository="octo/repo", item=item)) == 20
    assert store.dispatches(repository="octo/repo", item=uuid4()) == []
    assert [one.number for one in store.dispatches(repository=None)] == [1]


def test_items_since__counts_items_of_runs(store: AppDatabase) -> None:
    store.record(dispatch(items=(uuid4(), uuid4())))
    store.record(dispatch(items=(uuid4(),), created_at=LONG_AGO + timedelta(hours=1)))
    store.record(dispatch(work=Work.FIX))
    store.record(dispatch(repository=None, items=(uuid4(),)))
    assert store.items_since("octo/repo", LONG_AGO) == 3
    assert store.items_since("octo/repo", LONG_AGO + timedelta(minutes=1)) == 1
    assert store.items_since(None, LONG_AGO) == 1
    assert store.items_since("octo/none", LONG_AGO) == 0


def test_save__writes_under_a_fence_that_stands(store: AppDatabase) -> None:
    one = store.record(dispatch())
    newer = replace(one, state=DispatchState.ENDED, outcome="success", base=Base(commit="d" * 40, branch="main"))
    with store.locked("run 1") as fence:
        store.require(fence)
        store.save(fence, newer)
    assert store.dispatch(one.id) == newer
    with pytest.raises(FenceFell):
        store.save(fence, one)
    with pytest.raises(FenceFell):
        store.require(fence)
    assert store.dispatch(one.id) == newer


def test_save__what_was_never_recorded_is_an_error(store: AppDatabase) -> None:
    with store.locked("run 1") as fence, pytest.raises(MasonError, match="no dispatch"):
        store.save(fence, dispatch())


def test_locked__is_busy_while_another_holds_it_and_free_afterwards(store: AppDatabase) -> None:
    with store.locked("run 1") as first:
        with pytest.raises(Busy), store.locked("run 1"):
            pass
        with store.locked("run 2"):
            pass
    with store.locked("run 1") as second:
        assert second.number > first.number


def test_locked__is_free_after_an_error_in_the_block(store: AppDatabase) -> None:
    with pytest.raises(ValueError, match="mine"), store.locked("run 1"):
        raise ValueError("mine")
    with store.locked("run 1"):
        pass


def test_locked__one_of_many_at_once_holds_it(store: AppDatabase) -> None:
    gate, inside = threading.Barrier(8), threading.Semaphore(1)
    everybody_tried = threading.Barrier(8)

    def attempt(_: int) -> bool:
        gate.wait(30)
        try:
            with store.locked("run 1"):
                assert inside.acquire(blocking=False)
                everybody_tried.wait(30)
                return True
        except Busy:
            everybody_tried.wait(30)
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(8))) == 1


def test_locked__is_renewed_for_as_long_as_the_block_runs(app_dsn: str) -> None:
    quick, other = app_database(app_dsn, lease=1.0, renewal=0.1), app_database(app_dsn)
    with quick.locked("run 1") as fence:
        begun = other.now()
        while other.now() < begun + timedelta(seconds=1.5):
            quick.require(fence)
            with pytest.raises(Busy), other.locked("run 1"):
                pass
    quick.close()
    other.close()


def test_locked__after_its_lease_another_takes_over_and_late_writes_change_nothing(app_dsn: str) -> None:
    gone, other = app_database(app_dsn, lease=0.1, renewal=60.0), app_database(app_dsn)
    one = gone.record(dispatch())
    with gone.locked("run 1") as late:
        with until_free(other, "run 1") as fence:
            assert fence.number > late.number
            with pytest.raises(FenceFell):
                gone.save(late, replace(one, outcome="late"))
            other.save(fence, replace(one, outcome="mine"))
        with pytest.raises(FenceFell):
            gone.require(late)
        with other.locked("run 1") as again:
            pass
    assert again.number > late.number
    stored = other.dispatch(one.id)
    assert stored is not None
    assert stored.outcome == "mine"
    gone.close()
    other.close()


def test_locked__is_not_renewed_for_ever(app_dsn: str) -> None:
    hanging, other = app_database(app_dsn, lease=0.3, renewal=0.05, longest=0.5), app_database(app_dsn)
    one = hanging.record(dispatch())
    with hanging.locked("run 1") as late, hanging.locked("run 2") as too:
        with until_free(other, "run 1") as fence:
            with pytest.raises(FenceFell):
                hanging.save(late, replace(one, outcome="late"))
            other.save(fence, replace(one, outcome="mine"))
        with until_free(other, "run 2"), pytest.raises(FenceFell):
            hanging.require(too)
    with hanging.locked("run 1") as again:  # and it can hold keys as before
        hanging.require(again)
    stored = other.dispatch(one.id)
    assert stored is not None and stored.outcome == "mine"
    hanging.close()
    other.close()


def until_free(store: AppDatabase, key: str) -> Any:
    """The lock, once its lease has run out."""
    begun = store.now()
    while store.now() < begun + timedelta(seconds=30):
        context = store.locked(key)
        try:
            fence = context.__enter__()
        except Busy:
            continue
        return _Entered(context, fence)
    raise AssertionError("the lease never ended")


class _Entered:
    def __init__(self, context: Any, fence: Any) -> None:
        self._context, self._fence = context, fence

    def __enter__(self) -> Any:
        return self._fence

    def __exit__(self, *problem: Any) -> None:
        self._context.__exit__(*problem)


def test_request__every_field_comes_back_and_its_answer(store: AppDatabase, queue: PostgresQueue) -> None:
    subject = Subject(run_id=uuid4(), item_id=UUID(int=5), pull_request=7)
    comment, press = asked(comment_id=2**45), asked("press 9", subject=subject, on_pull_request=False)
    assert queue.hear(comment)
    assert queue.hear(press)
    found = store.request(comment.key)
    assert found is not None
    assert (found.request, found.answer, found.well, found.finished) == (comment, "", False, False)
    assert store.unanswered() == [comment, press]
    with store.locked("place") as fence:
        store.answer(fence, comment.key, "Done.", well=True, finished=True)
        store.answer(fence, press.key, "Not yet.", well=False, finished=False)
    found = store.request(comment.key)
    assert found is not None
    assert (found.answer, found.well, found.finished) == ("Done.", True, True)
    assert store.unanswered() == [press]
    assert store.request("comment 2 xyz") is None
    with pytest.raises(FenceFell):
        store.answer(fence, press.key, "Late.", well=True, finished=True)
    assert store.unanswered() == [press]


def test_forget__what_has_ended_long_ago_and_nothing_else(
    store: AppDatabase, queue: PostgresQueue, app_dsn: str
) -> None:
    old, fresh, going = (store.record(dispatch(id=uuid4())) for _ in range(3))
    queue.hear(asked("comment 1 old"))
    queue.hear(asked("comment 2 waits"))
    with psycopg.connect(app_dsn) as connection:
        connection.execute("set search_path to mason_app")
        connection.execute("update dispatches set created_at = now() - interval '100 days'")
        connection.execute("update dispatches set state = 'ended', ended_at = now() where id = %s", [fresh.id])
        connection.execute(
            "update dispatches set state = 'ended', ended_at = now() - interval '99 days' where id = %s", [old.id]
        )
        connection.execute("update requests set heard_at = now() - interval '99 days', finished = (key like '%old')")
    store.forget(90)
    assert store.dispatch(old.id) is None
    assert store.dispatch(fresh.id) is not None
    assert store.dispatch(going.id) is not None
    assert store.request("comment 1 old") is None
    assert store.request("comment 2 waits") is not None


def test_figures__states_latency_and_cost(store: AppDatabase) -> None:
    made = store.now()
    waiting, over = dispatch(created_at=made), dispatch(created_at=made)
    store.record(waiting)
    store.record(over)
    with store.locked("run") as fence:
        ended = replace(over, state=DispatchState.ENDED, dispatched_at=made + timedelta(seconds=0.2), ended_at=made)
        store.save(fence, replace(ended, cost_usd=1.5))
    figures = store.figures()
    assert figures.dispatches == {"preparing": 1, "ended": 1}
    assert (figures.latency[0.1], figures.latency[0.3], figures.latency[float("inf")]) == (0, 1, 1)
    assert figures.latency_total == pytest.approx(0.2)
    assert figures.cost_usd == 1.5
