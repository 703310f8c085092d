"""What executions cost in a repository, and what is set aside for those that run (port `app.ports.executions`)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from app.database import schema
from app.database.executions import _ALLOTTING, PostgresExecutions, stored_executions
from app.database.schema import prepare
from app.domain.executions import Execution, ExecutionResult, Workspace
from app.domain.results import Usage
from app.ports.executions import Allotment

SHOP, SITE = "acme/shop", "acme/site"
LIMIT = 30.0


class Given:
    """Rows, and time that moves by editing them."""

    def __init__(self, executions: PostgresExecutions, sql: psycopg.Connection[Any]) -> None:
        self.executions, self.sql = executions, sql

    def pending(self) -> Execution:
        execution = Execution(
            id=uuid4(),
            worker_id="claude",
            work_item_id=uuid4(),
            template_id="general",
            prompt="x",
            created_at=datetime.now(UTC),
        )
        assert self.executions.record(execution)
        return execution

    def running(self, repository: str | None = SHOP) -> Execution:
        """One that has its workspace, and is about to call the agent."""
        taken = self.executions.take(self.pending().id, f"process host/boot {uuid4()}")
        assert taken
        now = datetime.now(UTC)
        workspace = Workspace(
            id=uuid4(),
            execution_id=taken.id,
            worker_id=taken.worker_id,
            work_item_id=taken.work_item_id,
            repository=repository,
            path="/nowhere",
            branch="b",
            created_at=now,
            completed_at=None,
            cleanup_at=now,
        )
        assert self.executions.enter(workspace)
        return taken

    def finish(self, execution: Execution, dollars: float, error: str = "") -> None:
        result = ExecutionResult(error=error, usage=Usage(cost_usd=dollars))
        self.executions.finish(execution.id, execution.claimed_by, result)

    def ended(self, dollars: float, repository: str | None = SHOP, error: str = "") -> Execution:
        execution = self.running(repository)
        self.finish(execution, dollars, error)
        return execution

    def renew(self, execution: Execution, spent: float) -> bool:
        return self.executions.renew(execution.id, execution.claimed_by, spent=spent)

    def allot(
        self, execution: Execution, most: float | None = None, left: float | None = None, repository: str | None = SHOP
    ) -> Allotment | None:
        return self.executions.allot(execution, repository, hours=24, most=most, left=left)

    def spent(self, repository: str | None = SHOP, hours: float = 24) -> float:
        return self.executions.spent_since(repository, hours)

    def waiting(self) -> int:
        """Connections to this database that wait for an advisory lock."""
        query = """
            select count(*) from pg_locks where locktype = 'advisory' and not granted
              and database = (select oid from pg_database where datname = current_database())
        """
        (count,) = self.sql.execute(query).fetchall()[0]
        return int(count)

    def later(self, by: timedelta) -> None:
        changes = ", ".join(f"{name} = {name} - %(by)s" for name in ("created_at", "started_at", "completed_at"))
        self.sql.execute(f"update executions set {changes}".encode(), {"by": by})


@pytest.fixture
def given(empty_database: str) -> Iterator[Given]:
    prepare(empty_database)
    with (
        closing(stored_executions(empty_database)) as executions,
        psycopg.connect(empty_database, autocommit=True) as sql,
    ):
        sql.execute("set search_path to mason_app")
        yield Given(executions, sql)


def test_migration__executions_from_before_have_cost_what_they_say(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = schema.packaged()
    with monkeypatch.context() as older:
        older.setattr(schema, "packaged", lambda: [one for one in newest if one.name < "010"])
        prepare(empty_database)
    with psycopg.connect(empty_database) as sql:
        sql.execute("set search_path to mason_app")
        for status, usage in (("success", '{"cost_usd": 1.5}'), ("error", "{}"), ("running", "{}")):
            sql.execute(
                "with made as (insert into executions (id, worker_id, work_item_id, template_id, prompt, gate, status,"
                " usage, completed_at) values (gen_random_uuid(), 'claude', gen_random_uuid(), 'general', 'x', false,"
                " %(status)s, %(usage)s, case when %(status)s <> 'running' then now() end) returning id)"
                " insert into workspaces (id, execution_id, repository, path, branch, cleanup_at)"
                " select id, id, 'acme/shop', 'x', 'b', now() from made",
                {"status": status, "usage": usage},
            )
    prepare(empty_database)
    with closing(stored_executions(empty_database)) as executions:
        assert executions.spent_since(SHOP, 24) == 1.5


def budget(execution: Allotment | None) -> float | None:
    assert execution
    return execution.budget


def test_spent_since__counts_what_ended_well_or_not_in_its_repository(given: Given) -> None:
    assert given.spent() == 0
    given.ended(1.25)
    given.ended(2.5, error="The agent gave up.")
    given.ended(8, SITE)
    given.ended(16, None)
    assert [given.spent(name) for name in ("ACME/shop", SITE, None, "acme/other")] == [3.75, 8, 16, 0]


def test_spent_since__is_by_the_time_of_the_end(given: Given) -> None:
    given.ended(2)
    given.later(timedelta(minutes=90))
    assert [given.spent(hours=hours) for hours in (2, 1, 1.6)] == [2, 0, 2]


def test_spent_since__a_workspace_that_was_removed_still_tells_the_repository(given: Given) -> None:
    given.ended(2)
    (workspace,) = given.executions.workspaces()
    assert given.executions.removed(workspace.id)
    assert given.spent() == 2


def test_spent_since__one_that_runs_counts_as_its_budget_until_its_cost_is_known(given: Given) -> None:
    execution = given.running()
    assert given.spent() == 0, "nothing was allotted, so it does not spend yet"
    given.allot(execution, most=3)
    given.later(timedelta(days=2))
    assert given.spent() == 3, "however long it runs"
    given.finish(execution, 0.5)
    assert given.spent() == 0.5


def test_spent_since__a_lost_one_counts_with_what_it_had_last_told(given: Given) -> None:
    lost = given.running()
    given.allot(lost, most=3)
    assert given.renew(lost, 0.5) and given.renew(lost, 0.25), "what was spent does not shrink"
    assert given.spent() == 3, "it runs, and may yet spend all of it"
    assert given.executions.fail(lost, "Its runner was lost.")
    assert given.spent() == 3, "somebody may be in its workspace yet"
    given.executions.leave(lost.id)
    assert given.spent() == 0.5
    given.finish(lost, 1)
    assert given.spent() == 0.5, "it counts as lost, and what it says of its end is not written any more"
    given.later(timedelta(hours=25))
    assert given.spent() == 0


def test_spent_since__a_lost_one_that_lives_tells_what_it_has_spent(given: Given) -> None:
    lost = given.running()
    given.allot(lost, most=3)
    assert given.executions.fail(lost, "Its runner was lost.")
    given.executions.leave(lost.id)
    assert given.spent() == 0
    assert not given.renew(lost, 2), "it learns that it is lost"
    assert given.spent() == 2
    given.executions.renew(lost.id, "process host/boot 9 9 9", spent=3)
    assert given.spent() == 2, "and nobody else tells of it"


def test_spent_since__without_a_budget_counts_what_is_told(given: Given) -> None:
    execution = given.running()
    given.allot(execution)
    given.renew(execution, 0.5)
    assert given.spent() == 0.5
    given.finish(execution, 0.75)
    assert given.spent() == 0.75


def test_spent_since__counts_what_was_spent_beyond_the_budget(given: Given) -> None:
    execution = given.running()
    given.allot(execution, most=3)
    given.renew(execution, 3.25)
    assert given.spent() == 3.25
    given.finish(execution, 3.5)
    assert given.spent() == 3.5


def test_spent_since__a_cancelled_one_counts_as_its_budget_until_its_runner_tells_the_cost(given: Given) -> None:
    execution = given.running()
    given.allot(execution, most=3)
    assert given.executions.cancel(execution.id)
    assert given.spent() == 3
    given.finish(execution, 1)
    assert given.spent() == 1


def test_spent_since__what_never_began_has_cost_nothing(given: Given) -> None:
    waiting, failed = given.pending(), given.pending()
    assert given.executions.fail(failed, "It could not begin.")
    assert given.executions.cancel(waiting.id)
    assert given.spent() == given.spent(None) == 0


def test_spent_since__an_endless_budget_is_bounded(given: Given) -> None:
    given.allot(given.running(), most=float("inf"))
    assert given.spent() == 1e9


@pytest.mark.parametrize(
    ("most", "left", "expected"),
    [(None, None, None), (2.5, None, 2.5), (2.5, 9, 2.5), (2.5, 4, 1), (None, 4, 1), (2.5, 3, 0), (None, -1, 0)],
)
def test_allot__is_what_one_may_spend_and_what_the_others_have_left(
    given: Given, most: float | None, left: float | None, expected: float | None
) -> None:
    given.ended(2)
    given.ended(4, SITE)
    given.allot(given.running(), most=1)
    assert given.allot(given.running(), most, left) == Allotment(budget=expected, used=3)


def test_allot__again_is_the_same(given: Given) -> None:
    execution = given.running()
    assert [given.allot(execution, most=3, left=5) for _ in range(2)] == [Allotment(budget=3, used=0)] * 2
    assert given.spent() == 3


def test_allot__what_is_not_running_or_is_somebody_elses_gets_nothing(given: Given) -> None:
    cancelled, other = given.running(), given.running()
    assert given.executions.cancel(cancelled.id)
    assert given.allot(cancelled, most=3) is None
    assert given.allot(given.pending(), most=3) is None
    stranger = Execution(
        id=other.id,
        worker_id="claude",
        work_item_id=uuid4(),
        template_id="general",
        prompt="x",
        claimed_by="process host/boot 9 9 9",
        created_at=datetime.now(UTC),
    )
    assert given.allot(stranger, most=3) is None
    assert given.spent() == 0


def test_allot__many_at_the_same_moment_share_the_day(given: Given) -> None:
    running = [given.running() for _ in range(12)]
    with ThreadPoolExecutor(12) as pool:
        allotted = list(pool.map(lambda one: given.allot(one, most=2, left=5), running))
    assert sorted(budget(one) or 0 for one in allotted) == [0] * 9 + [1, 2, 2]
    assert given.spent() == 5


def test_allot__one_at_a_time(given: Given) -> None:
    """Both wait in front of the lock, so a snapshot from before it would give each of them all that it asks for."""
    running = [given.running() for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        given.sql.execute("select pg_advisory_lock(%s)", (_ALLOTTING,))
        try:
            asked = [pool.submit(given.allot, one, most=2, left=3) for one in running]
            until(lambda: given.waiting() == 2)
        finally:
            given.sql.execute("select pg_advisory_unlock(%s)", (_ALLOTTING,))
        assert sorted(budget(one.result(LIMIT)) or 0 for one in asked) == [1, 2]


def until(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(int(LIMIT / 0.02)):
        if condition():
            return
        pause.wait(0.02)
    raise AssertionError("it never happened")


def test_allot__of_one_without_a_budget_of_its_own_is_the_whole_day(given: Given) -> None:
    first, second = given.running(), given.running()
    assert budget(given.allot(first, left=5)) == 5
    assert budget(given.allot(second, left=5)) == 0
    given.finish(first, 1.5)
    assert budget(given.allot(second, left=5)) == 3.5
