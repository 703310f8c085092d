"""The backlog as people at a terminal see it: by Supabase's roles, and from the tables of every old generation."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import pytest
from psycopg.conninfo import make_conninfo

from app.backlog import migrate
from app.backlog.migrate import Rls
from app.domain.items import ItemStatus
from app.errors import DatabaseRefused
from app.flows.decide_items import approve_items, defer_items
from app.ports.backlog import Backlog
from tests.contracts.generations import APPROVED, GENERATIONS
from tests.contracts.test_backlog_jobs_rows import ITEM, statement
from tests.contracts.test_backlog_lists import listed
from tests.contracts.test_backlog_web_rows import opened


def story(store: Backlog) -> None:
    """An item is listed, put off, and approved again."""
    store.require_ready()
    (waiting,) = [one for one in store.waiting_items() if one.item.id == APPROVED]
    name = waiting.repository
    for decide, status in (
        (lambda: defer_items(store, [APPROVED, uuid4()], "Not now", repository=name), ItemStatus.DEFERRED),
        (lambda: approve_items(store, [uuid4(), APPROVED], repository=name), ItemStatus.APPROVED),
    ):
        assert [one.item.status for one in decide() if one.item and one.done] == [status]
        (one,) = [one for one in listed(store, name).items if one.item.id == APPROVED]
        assert (one.item.status, one.reason) == (status, "Not now" if status is ItemStatus.DEFERRED else "")
    assert one.item.priority_score == waiting.item.priority_score
    found = listed(store, name, states=[ItemStatus.NEW], limit=1)
    assert found.counts[ItemStatus.APPROVED] == len(store.approved_items(repository=name))


@pytest.mark.parametrize("rls", list(Rls))
@pytest.mark.parametrize("generation", sorted(GENERATIONS))
def test_listed_items__on_the_tables_of_every_generation(
    make_database: Callable[[str], str], generation: str, rls: Rls
) -> None:
    dsn = make_database("template0")
    statement(dsn, GENERATIONS[generation])
    migrate.apply(dsn, rls=rls)
    statement(dsn, ITEM)
    with opened(dsn) as store:
        story(store)


@pytest.mark.parametrize(
    ("role", "rls"),
    [
        ("anon", Rls.DEFAULT),
        ("authenticated", Rls.DEFAULT),
        ("authenticated", Rls.STRICT),
        ("service_role", Rls.STRICT),
    ],
)
def test_listed_items__are_for_roles_that_may_use_the_backlog(
    make_supabase: Callable[[], str], role: str, rls: Rls
) -> None:
    dsn = make_supabase()
    migrate.apply(dsn, rls=rls)
    statement(dsn, ITEM)
    with opened(make_conninfo(dsn, options=f"-c role={role}")) as store:
        story(store)


def test_listed_items__are_not_for_anon_where_access_is_strict(make_supabase: Callable[[], str]) -> None:
    dsn = make_supabase()
    migrate.apply(dsn, rls=Rls.STRICT)
    with opened(make_conninfo(dsn, options="-c role=anon")) as store:
        for ask in (lambda: listed(store), lambda: store.own_items([APPROVED], repository=None)):
            with pytest.raises(DatabaseRefused):
                ask()
