from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from app.backlog import migrate
from app.backlog.realtime import Realtime, verify_realtime
from tests.contracts.generations import GENERATIONS
from tests.unit.backlog.test_access import ITEM, run

CHANGE = f"{ITEM}; update mason_pm_backlog_items set title = 'x'; delete from mason_pm_backlog_items"


def test_realtime__of_a_migrated_project_works_and_items_can_be_changed(make_supabase: Callable[[], str]) -> None:
    """Postgres 18 refuses every change to a published table whose generated column its publication leaves out."""
    dsn = make_supabase()
    both = ("mason_execution_progress", "mason_pm_backlog_items")
    assert verify_realtime(dsn) == Realtime(publication=True, unpublished=both, partial=both)
    migrate.apply(dsn)
    assert verify_realtime(dsn).works
    run(dsn, CHANGE)


def test_realtime__without_a_publication_is_none(database: str) -> None:
    assert verify_realtime(database) == Realtime(
        publication=False,
        unpublished=("mason_execution_progress", "mason_pm_backlog_items"),
        partial=(),
    )


@pytest.mark.parametrize(
    "publication",
    [
        "alter publication supabase_realtime add table mason_pm_backlog_items",
        "alter publication supabase_realtime add table mason_pm_backlog_items (id, status)",
        "drop publication supabase_realtime; create publication supabase_realtime for all tables",
        "alter publication supabase_realtime add tables in schema public",
        "create publication warehouse for all tables",
        "create publication warehouse for table mason_pm_backlog_items (id, title)",
    ],
)
def test_realtime__whatever_is_published_already_items_can_be_changed(
    make_supabase: Callable[[], str], publication: str
) -> None:
    dsn = make_supabase()
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("set client_min_messages = error")
        connection.execute((GENERATIONS["newest"] + publication).encode())
    migrate.apply(dsn)
    assert verify_realtime(dsn).unpublished == ()
    run(dsn, CHANGE)
