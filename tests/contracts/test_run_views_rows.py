"""What is shown of runs: by Supabase's roles, and from the tables of every old generation."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from app.backlog import migrate
from app.backlog.migrate import Rls
from app.backlog.postgres import postgres_backlog
from app.domain.claims import DISPATCHED
from app.domain.items import ItemStatus
from app.domain.results import Verdict
from app.domain.runs import Run
from app.errors import DatabaseRefused
from app.ports.backlog import LogRow
from tests.conftest import PATIENCE
from tests.contracts.generations import APPROVED, GENERATIONS
from tests.contracts.test_backlog import BASE
from tests.contracts.test_backlog_jobs_rows import ITEM, statement
from tests.contracts.test_run_views import DIFF, failed_outcome, log_rows


def story(dsn: str) -> None:
    """A run that ends, as it is shown."""
    store = postgres_backlog(dsn, patience=PATIENCE)
    try:
        store.require_ready()
        (item,) = store.items([APPROVED])
        run = Run(id=uuid4(), base=BASE, item_ids=(APPROVED,))
        store.open_run(run, repository="acme/shop")
        claimed = store.claim(item, run_id=run.id, claimed_by=DISPATCHED, branch="mason/x")
        assert claimed is not None
        before = store.run_version(run.id)
        rows: list[LogRow] = log_rows(run, 3, item=APPROVED)
        store.append_logs(rows)
        assert store.settle(claimed.claim, failed_outcome())
        assert store.run_version(run.id) != before
        view = store.run_view(run.id)
        assert view is not None
        (shown,) = view.items
        assert (shown.status, shown.verdict, shown.diff) == (ItemStatus.REJECTED, Verdict.REJECTED, DIFF)
        assert [line.id for line in store.run_lines(limit=1)] == [run.id]
        page = store.log_page(run.id, after=None, limit=2, item=APPROVED)
        assert ([line.message for line in page.lines], page.more) == (["0", "1"], True)
        assert [line.message for line in store.log_page(run.id, after=page.next, limit=2).lines] == ["2"]
        assert [line.message for line in store.last_log_page(run.id, limit=1).lines] == ["2"]
    finally:
        store.close()


@pytest.mark.parametrize("rls", list(Rls))
@pytest.mark.parametrize("generation", sorted(GENERATIONS))
def test_run_views__on_the_tables_of_every_generation(
    make_database: Callable[[str], str], generation: str, rls: Rls
) -> None:
    dsn = make_database("template0")
    statement(dsn, GENERATIONS[generation])
    migrate.apply(dsn, rls=rls)
    statement(dsn, ITEM)
    story(dsn)


@pytest.mark.parametrize("generation", ["middle", "remote_runs"])
def test_run_views__the_log_of_before_is_still_there(make_database: Callable[[str], str], generation: str) -> None:
    """A run of the dashboard's own is none of Mason's; its log can be read all the same."""
    dsn = make_database("template0")
    statement(dsn, GENERATIONS[generation])
    migrate.apply(dsn)
    store = postgres_backlog(dsn, patience=PATIENCE)
    with psycopg.connect(dsn, autocommit=True) as connection:
        (run, count) = connection.execute(
            "select execution_run_id, count(*) from mason_execution_logs group by 1"
        ).fetchone() or (None, 0)
    assert run is not None
    assert len(store.log_page(run, after=None, limit=1000).lines) == count
    assert (store.run_view(run), store.run_lines(limit=10)) == (None, [])
    store.close()


def as_role(dsn: str, role: str) -> str:
    statement(dsn, f"grant {role} to current_user")
    return make_conninfo(dsn, options=f"-c role={role}")


@pytest.mark.parametrize(("role", "rls"), [("anon", Rls.DEFAULT), ("service_role", Rls.STRICT)])
def test_run_views__roles_that_may_see_the_rows_are_shown_them(
    make_supabase: Callable[[], str], role: str, rls: Rls
) -> None:
    dsn = make_supabase()
    migrate.apply(dsn, rls=rls)
    statement(dsn, ITEM)
    story(as_role(dsn, role))


def test_run_views__of_a_strict_database_are_not_for_everybody(make_supabase: Callable[[], str]) -> None:
    dsn = make_supabase()
    migrate.apply(dsn, rls=Rls.STRICT)
    store = postgres_backlog(as_role(dsn, "anon"), patience=PATIENCE)
    for ask in (
        lambda: store.run_lines(limit=1),
        lambda: store.run_view(uuid4()),
        lambda: store.run_version(uuid4()),
        lambda: store.log_page(uuid4(), after=None, limit=1),
    ):
        with pytest.raises(DatabaseRefused):
            ask()
    store.close()


def test_migrate__a_large_log_is_not_written_anew(make_database: Callable[[str], str]) -> None:
    """The column for the order of lines comes without touching a row."""
    dsn = make_database("template0")
    statement(dsn, GENERATIONS["middle"])
    state = "select relfilenode, (select array_agg((ctid, xmin)) from mason_execution_logs)::text from pg_class"
    query = f"{state} where relname = 'mason_execution_logs'"
    with psycopg.connect(dsn, autocommit=True) as connection:
        before = connection.execute(query).fetchall()
        migrate.apply(dsn)
        assert connection.execute(query).fetchall() == before
