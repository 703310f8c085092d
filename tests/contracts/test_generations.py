"""Every generation of the tables, migrated twice: nothing of the user's changes, and then an item runs on it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from app import process
from app.backlog import migrate
from app.backlog.migrate import Rls
from app.backlog.postgres import postgres_backlog
from app.backlog.realtime import verify_realtime
from app.backlog.store import SqlBacklog
from app.demo import show
from app.domain.progress import first_progress
from app.domain.results import Outcome, Verdict
from app.domain.runs import Base, Run
from app.planning.item_file import read_item_file
from app.settings import environment
from tests.conftest import PATIENCE
from tests.contracts.generations import APPROVED, DASHBOARD, GENERATIONS, NAMED_CHECKS, WATCH

BASE = Base(commit="c" * 40, branch="main")
LIFTED = {("mason_remote_execution_runs", column) for column in ("user_id", "repository_id", "branch_name")}
ROOT = str(Path(__file__).parents[2])
MASON = f"import sys; sys.path.insert(0, {ROOT!r}); from app.cli import main; main()"

Rows = list[tuple[Any, ...]]


def rows(dsn: str, query: str, *parameters: Any) -> Rows:
    with psycopg.connect(dsn, autocommit=True) as connection:
        return connection.execute(query, parameters).fetchall()


def run(dsn: str, script: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("set client_min_messages = error")
        connection.execute(script.encode())


@pytest.fixture(params=["plain", "supabase"])
def fresh(request: pytest.FixtureRequest, make_database: Callable[[str], str], make_supabase: Callable[[], str]) -> str:
    return make_database("template0") if request.param == "plain" else make_supabase()


@pytest.fixture(params=sorted(GENERATIONS))
def old(request: pytest.FixtureRequest, fresh: str) -> str:
    """A database of an old generation; on Supabase its CHECKs have names of their own."""
    on_supabase = bool(rows(fresh, "select from pg_roles where rolname = 'anon'"))
    run(fresh, GENERATIONS[request.param] + (NAMED_CHECKS if on_supabase else ""))
    return fresh


CATALOG = {
    "columns": """
        select c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated,
               a.attnum, pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum)
        from pg_attribute a join pg_class c on c.oid = a.attrelid
        left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
        where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'v') and a.attnum > 0""",
    "constraints": """
        select conrelid::regclass::text, conname::text, contype::text, convalidated, pg_get_constraintdef(oid)
        from pg_constraint where connamespace = 'public'::regnamespace and conrelid <> 0 and contype <> 'n'""",
    "policies": "select tablename, policyname, cmd, qual, with_check, roles from pg_policies"
    " where schemaname = 'public'",
    "indexes": "select indexname, indexdef from pg_indexes where schemaname = 'public'",
    "triggers": "select tgrelid::regclass::text, tgname::text, pg_get_triggerdef(oid), tgenabled::text from pg_trigger"
    " where not tgisinternal",
    "functions": "select oid::regprocedure::text, prosrc, proacl::text from pg_proc"
    " where pronamespace = 'public'::regnamespace",
    "relations": "select relname::text, relowner, relacl::text, relrowsecurity, relforcerowsecurity, reloptions,"
    " relfilenode, obj_description(oid) from pg_class where relnamespace = 'public'::regnamespace"
    " and relkind in ('r', 'v')",
}
"""What a database says about itself; every line of before must be there afterwards."""


def catalog(dsn: str) -> dict[str, set[tuple[Any, ...]]]:
    return {name: {tuple(map(str, row)) for row in rows(dsn, query)} for name, query in CATALOG.items()}


def columns_of(dsn: str) -> dict[str, str]:
    query = (
        "select table_name, string_agg(quote_ident(column_name) || '::text', ', ' order by ordinal_position)"
        " from information_schema.columns join information_schema.tables using (table_schema, table_name)"
        " where table_schema = 'public' and table_type = 'BASE TABLE' group by table_name"
    )
    return dict(rows(dsn, query))


def content(dsn: str, tables: dict[str, str]) -> dict[str, Rows]:
    """Every row's digest over these columns, and the system columns that any write to the row would change."""
    return {
        name: rows(
            dsn,
            f"select encode(sha256(convert_to(row({columns})::text, 'UTF8')), 'hex'), xmin::text, ctid::text"
            f" from {name} order by ctid",
        )
        for name, columns in tables.items()
        if name not in ("audit", "mason_migrations")
    }


def test_migrate__keeps_everything_of_the_users(old: str) -> None:
    run(old, WATCH)
    tables, before, described = columns_of(old), content(old, columns_of(old)), catalog(old)
    had_ledger = (
        rows(old, f"select {tables['mason_migrations']} from mason_migrations order by id")
        if ("mason_migrations" in tables)
        else []
    )

    assert len(migrate.apply(old)) == len(migrate.packaged())
    assert migrate.apply(old) == []

    assert content(old, tables) == before
    assert rows(old, "select distinct what from audit where not starts_with(what, 'mason_migrations ')") == []
    if had_ledger:
        kept = rows(
            old, f"select {tables['mason_migrations']} from mason_migrations where checksum is null order by id"
        )
        assert kept == had_ledger

    after = catalog(old)
    for kind in ("indexes", "triggers", "functions", "policies", "relations"):
        assert described[kind] - after[kind] == set()
    changed = {row[:2] for row in described["columns"] - after["columns"]}
    assert changed <= LIFTED
    for table, name, kind, *_ in described["constraints"] - after["constraints"]:
        assert kind == "c", f"{name} of {table} was changed"
        assert name in {row[1] for row in after["constraints"] if row[0] == table}
    loose = "select conname from pg_constraint where connamespace = 'public'::regnamespace and not convalidated"
    assert rows(old, loose) == []


@pytest.fixture
def store(old: str) -> Iterator[SqlBacklog]:
    opened = postgres_backlog(old, patience=PATIENCE)
    yield opened
    opened.close()


def an_item(dsn: str, store: SqlBacklog) -> Any:
    """The approved item that the generation has; an empty one gets one."""
    if found := store.items([APPROVED]):
        return found[0]
    run(
        dsn,
        "insert into mason_pm_backlog_items (id, title, problem, solution, area, type, complexity, impact_score,"
        f" effort_score, status) values ('{APPROVED}', 't', 'p', 's', 'backend', 'api', 1, 1, 1, 'approved')",
    )
    return store.items([APPROVED])[0]


@pytest.mark.parametrize("rls", list(Rls))
def test_item__goes_from_approved_to_completed(old: str, store: SqlBacklog, rls: Rls) -> None:
    migrate.apply(old, rls=rls)
    store.require_ready()
    item = an_item(old, store)
    assert item in store.approved_items(repository="acme/shop")
    order = Run(id=uuid4(), base=BASE, item_ids=(item.id,))
    store.open_run(order, repository="acme/shop")
    claimed = store.claim(item, run_id=order.id, claimed_by="tester", branch="mason/header")
    assert claimed is not None
    store.save_progress([first_progress(claimed.claim)])
    assert store.heartbeat([claimed.claim]) == [claimed.claim]
    assert store.settle(claimed.claim, Outcome(verdict=Verdict.COMPLETED, branch="mason/header", commit="c" * 40))
    query = (
        "select i.status, i.validation_passed, p.current_phase, p.run_id::text from mason_pm_backlog_items i"
        " join mason_execution_progress p on p.item_id = i.id where i.id = %s"
    )
    assert rows(old, query, item.id) == [("completed", True, "complete", str(order.id))]


def test_item__of_every_generation_can_be_rejected_with_a_follow_up(old: str, store: SqlBacklog) -> None:
    migrate.apply(old)
    item = an_item(old, store)
    order = Run(id=uuid4(), base=BASE, item_ids=(item.id,))
    store.open_run(order, repository="acme/shop")
    claimed = store.claim(item, run_id=order.id, claimed_by="tester", branch="mason/header")
    assert claimed is not None
    outcome = Outcome(verdict=Verdict.REJECTED, reason="It never passed")
    follow_up = store.create_follow_up(claimed.claim, claimed.item, outcome)
    assert store.settle(claimed.claim, outcome)
    query = (
        "select status, type, area, complexity::text from mason_pm_backlog_items where id = any (%s) order by status"
    )
    new, rejected = rows(old, query, [item.id, follow_up])
    assert (new[0], rejected[0]) == ("new", "rejected")
    assert new[1:] == rejected[1:]


@pytest.mark.parametrize("generation", ["middle", "newest", "remote_runs"])
def test_dashboard__runs_its_own_ddl_before_and_after_in_either_order(
    make_supabase: Callable[[], str], generation: str
) -> None:
    dsn = make_supabase()
    run(dsn, GENERATIONS[generation] + DASHBOARD)
    migrate.apply(dsn)
    run(dsn, DASHBOARD + DASHBOARD)
    assert migrate.apply(dsn, rls=Rls.DEFAULT) == []
    run(dsn, DASHBOARD)
    policies = "select count(*) from pg_policy where polrelid = 'mason_pm_backlog_items'::regclass"
    assert rows(dsn, policies) == [(1,)]
    store = postgres_backlog(dsn, patience=PATIENCE)
    store.require_ready()
    item = an_item(dsn, store)
    order = Run(id=uuid4(), base=BASE, item_ids=(item.id,))
    store.open_run(order, repository="acme/shop")
    claimed = store.claim(item, run_id=order.id, claimed_by="tester", branch="mason/header")
    assert claimed is not None
    assert store.settle(claimed.claim, Outcome(verdict=Verdict.DEFERRED, reason="No PRD"))
    store.close()
    assert verify_realtime(dsn).works


def test_run__takes_an_item_of_the_oldest_generation_to_its_branch(
    make_database: Callable[[str], str], tmp_path: Path
) -> None:
    """The whole engine, with the patch agent, on the tables that differ most."""
    dsn = make_database("template0")
    prd = read_item_file((show.HERE / "items" / "1-discount.md").read_text(encoding="utf-8")).prd
    run(dsn, GENERATIONS["oldest"])
    with psycopg.connect(dsn) as connection:
        connection.execute("update mason_pm_backlog_items set prd_content = %s where id = %s", (prd, APPROVED))
    migrate.apply(dsn)
    repository = show.make_repository(tmp_path / "shop")
    environ = process.base_environment(
        environment(), {"MASON_STATE_DIR": str(tmp_path / "state"), "MASON_RUNS_DIR": str(tmp_path / "runs")}
    )
    options = ["--dsn", dsn, "--repository", str(repository), "--item", str(APPROVED), "--auto", "--json"]
    done = process.run([sys.executable, "-c", MASON, "run", *options], cwd=tmp_path, env=environ, timeout=120)
    assert done.ok, done.text
    query = "select status, complexity, benefits_json::text from mason_pm_backlog_items where id = %s"
    assert rows(dsn, query, APPROVED) == [("completed", "very_high", '["a"]')]
