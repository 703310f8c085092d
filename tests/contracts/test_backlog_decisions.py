"""What a person decides at a terminal, while others are at the same items, or where the database lets nobody."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest
from psycopg.conninfo import make_conninfo

from app.backlog import migrate
from app.backlog.migrate import Rls
from app.domain.items import Item, ItemStatus
from app.flows.decide_items import Decided, approve_items, defer_items
from app.ports.backlog import Backlog
from tests.contracts import test_backlog as contract
from tests.contracts.generations import APPROVED
from tests.contracts.test_backlog import Given
from tests.contracts.test_backlog_jobs_rows import ITEM, statement
from tests.contracts.test_backlog_web_rows import opened

store, sql, given = contract.store, contract.sql, contract.given

TO_APPROVE, TO_DEFER = "new, deferred or rejected", "new, approved or rejected"


class Overtaken:
    """A backlog in which somebody else is faster: before each call the next status is written, where it is any."""

    def __init__(self, store: Backlog, given: Given, *statuses: str) -> None:
        self._store, self._given, self._statuses = store, given, list(statuses)

    def own_items(self, ids: list[UUID], *, repository: str | None) -> list[Item]:
        self._overtake(ids[0])
        return self._store.own_items(ids, repository=repository)

    def approve(self, item: UUID) -> Item | None:
        self._overtake(item)
        return self._store.approve(item)

    def defer(self, item: UUID, reason: str) -> Item | None:
        self._overtake(item)
        return self._store.defer(item, reason)

    def _overtake(self, item: UUID) -> None:
        if status := self._statuses.pop(0) if self._statuses else "":
            self._given.sql.execute("update mason_pm_backlog_items set status = %s where id = %s", (status, item))


def approved(store: Backlog | Overtaken, item: UUID) -> Decided:
    (decided,) = approve_items(store, [item], repository=None)  # type: ignore[arg-type]
    return decided


def deferred(store: Backlog | Overtaken, item: UUID) -> Decided:
    (decided,) = defer_items(store, [item], "Not now", repository=None)  # type: ignore[arg-type]
    return decided


def told(decided: Decided) -> tuple[str, bool, bool, str]:
    assert decided.item is not None
    return decided.item.status.value, decided.done, decided.already, decided.wanted


@pytest.mark.parametrize("before", ["new", "approved", "deferred"])
def test_defer__one_that_was_claimed_since_is_not_put_off(store: Backlog, given: Given, before: str) -> None:
    item = given.item(status=before)
    assert told(deferred(Overtaken(store, given, "", "in_progress"), item)) == ("in_progress", False, False, TO_DEFER)
    assert given.row(item)["status"] == "in_progress"


def test_approve__one_that_was_claimed_since_is_at_work_and_one_that_ended_is_told(
    store: Backlog, given: Given
) -> None:
    item = given.item(status="new")
    assert told(approved(Overtaken(store, given, "", "in_progress"), item)) == ("in_progress", True, False, "")
    assert told(approved(Overtaken(store, given, "", "completed"), item)) == ("completed", False, False, TO_APPROVE)


def test_approve__one_that_was_given_back_after_it_was_refused_is_approved(store: Backlog, given: Given) -> None:
    item = given.item(status="new")
    assert told(approved(Overtaken(store, given, "", "in_progress", "rejected"), item)) == (
        "approved",
        True,
        False,
        "",
    )


def test_approve__one_that_goes_meanwhile_is_no_more(store: Backlog, given: Given) -> None:
    item = given.item(status="completed")
    given.sql.execute(
        "create function gone() returns trigger language plpgsql as $$ begin"
        " delete from mason_pm_backlog_items where id = new.id; return null; end $$;"
        "create trigger gone after update on mason_pm_backlog_items for each row execute function gone()"
    )
    decided = approved(Overtaken(store, given, "", "completed"), item)
    assert (decided.item, decided.done) == (None, False)


@pytest.mark.parametrize("time", ["infinity", "12000-01-01"])
def test_defer__an_item_whose_time_nobody_knows_is_put_off_and_approved_again(
    store: Backlog, given: Given, time: str
) -> None:
    item = given.item("Ours")
    given.sql.execute("update mason_pm_backlog_items set approved_at = %s", (time,))
    assert told(approved(store, item)) == ("approved", True, True, "")
    assert told(deferred(store, item)) == ("deferred", True, False, "")
    assert told(deferred(store, item)) == ("deferred", True, True, "")
    assert told(approved(store, item)) == ("approved", True, False, "")
    assert [one.id for one in store.approved_items(repository=None)] == [item]


def test_approve__lifts_the_waiting_for_another_base_whatever_else_is_in_the_row(store: Backlog, given: Given) -> None:
    item = given.item(failed_base="d" * 40)
    given.sql.execute("update mason_pm_backlog_items set approved_at = 'infinity'")
    assert told(approved(store, item)) == ("approved", True, False, "")
    assert told(approved(store, item)) == ("approved", True, True, "")


@pytest.mark.parametrize("status", [state.value for state in ItemStatus])
def test_decisions__a_role_that_may_only_read_items_is_told_so(make_supabase: Callable[[], str], status: str) -> None:
    """Row level security hides a row that may not be changed from the change, and says nothing."""
    dsn = make_supabase()
    migrate.apply(dsn, rls=Rls.STRICT)
    statement(dsn, ITEM)
    statement(
        dsn,
        f"update mason_pm_backlog_items set status = '{status}', failed_base = 'd';"
        "drop policy mason_strict on mason_pm_backlog_items;"
        "create policy readers on mason_pm_backlog_items for select using (true)",
    )
    so = {"in_progress": {"approve"}, "deferred": {"defer"}}.get(status, set())
    out_of_reach = {"in_progress": {"defer"}, "completed": {"approve", "defer"}}.get(status, set())
    with opened(make_conninfo(dsn, options="-c role=authenticated")) as store:
        for verb, decide, wanted in (("approve", approved, TO_APPROVE), ("defer", deferred, TO_DEFER)):
            done = verb in so
            assert told(decide(store, APPROVED)) == (status, done, done, wanted if verb in out_of_reach else "")
