"""Who may use the tables: the default and the strict profile, and the way from one to the other."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from app.backlog import migrate
from app.backlog.migrate import Migration, Rls
from tests.contracts.generations import DASHBOARD, GENERATIONS

ITEM = (
    "insert into mason_pm_backlog_items (title, problem, solution, area, type, complexity, impact_score, effort_score)"
    " values ('t', 'p', 's', 'frontend', 'ui', 1, 1, 1)"
)
TABLES = (
    "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' and relname ~ '^mason'"
)


def run(dsn: str, script: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(script.encode())


def as_role(dsn: str, role: str, script: str) -> list[tuple[object, ...]]:
    with psycopg.connect(dsn) as connection:
        connection.execute(sql.SQL("set role {}").format(sql.Identifier(role)))
        cursor = connection.execute(script.encode())
        return cursor.fetchall() if cursor.description else []


def reach(dsn: str, role: str) -> set[str]:
    """The tables that a role may read or write at all."""
    query = (
        f"{TABLES} and has_table_privilege(%s, oid, 'select, insert, update, delete, truncate, references, trigger')"
    )
    with psycopg.connect(dsn) as connection:
        return {name for (name,) in connection.execute(query, (role,))}


def callable_by(dsn: str, role: str) -> set[str]:
    query = (
        "select proname from pg_proc where pronamespace = 'public'::regnamespace and prorettype <> 'trigger'::regtype"
        " and starts_with(proname::text, 'mason_') and has_function_privilege(%s, oid, 'execute')"
    )
    with psycopg.connect(dsn) as connection:
        return {name for (name,) in connection.execute(query, (role,))}


def test_default__the_anon_key_does_all_that_the_seeds_do(make_supabase: Callable[[], str]) -> None:
    dsn = make_supabase()
    migrate.apply(dsn)
    assert migrate.profile(dsn) is Rls.DEFAULT
    as_role(dsn, "anon", f"{ITEM}; update mason_pm_backlog_items set status = 'approved'; delete from mason_users")
    assert as_role(dsn, "anon", "select mason_ready('{}') -> 0 -> 'denied'") == [([],)]
    with psycopg.connect(dsn) as connection:
        assert connection.execute(f"{TABLES} and not relrowsecurity").fetchall() == []


def test_default__the_ledger_is_there_to_read_and_not_to_write(make_supabase: Callable[[], str]) -> None:
    dsn = make_supabase()
    migrate.apply(dsn)
    assert len(as_role(dsn, "anon", "select name from mason_migrations")) == len(migrate.packaged())
    for script in ("update mason_migrations set checksum = null", "insert into mason_migrations (name) values ('x')"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            as_role(dsn, "anon", script)


def test_default__nobody_may_truncate_what_mason_made(make_supabase: Callable[[], str]) -> None:
    dsn = make_supabase()
    migrate.apply(dsn)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        as_role(dsn, "anon", "truncate mason_item_events")


@pytest.mark.parametrize("generation", ["empty", "newest", "oldest"])
def test_strict__the_anon_key_sees_and_changes_nothing(make_supabase: Callable[[], str], generation: str) -> None:
    dsn = make_supabase()
    run(dsn, GENERATIONS[generation])
    migrate.apply(dsn, rls=Rls.STRICT)
    assert migrate.profile(dsn) is Rls.STRICT
    assert reach(dsn, "anon") - {"mason_settings"} == set()
    assert callable_by(dsn, "anon") == set()
    for role in ("authenticated", "service_role"):
        as_role(dsn, role, "select * from mason_pm_backlog_items")
        assert as_role(dsn, role, "select mason_ready('{}') -> 0 -> 'denied'") == [([],)]
    as_role(dsn, "service_role", "update mason_pm_backlog_items set title = 'x'")
    with psycopg.connect(dsn) as connection:
        assert connection.execute(f"{TABLES} and not relrowsecurity and relname <> 'mason_settings'").fetchall() == []


def test_strict__stays_closed_beside_the_dashboard(make_supabase: Callable[[], str]) -> None:
    """It puts its "Allow all" policies back; without a grant they give nothing away."""
    dsn = make_supabase()
    run(dsn, GENERATIONS["newest"] + DASHBOARD)
    migrate.apply(dsn, rls=Rls.STRICT)
    run(dsn, DASHBOARD)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        as_role(dsn, "anon", "select * from mason_pm_backlog_items")
    migrate.apply(dsn, rls=Rls.STRICT)
    with psycopg.connect(dsn) as connection:
        assert connection.execute("select from pg_policy where polname ~ '^Allow all'").fetchall() == []


def test_strict__is_kept_by_later_migrations(make_supabase: Callable[[], str]) -> None:
    dsn = make_supabase()
    migrate.apply(dsn, rls=Rls.STRICT)
    later = Migration(name="900_later", sql="-- Later.\ncreate function mason_later() returns int return 1")
    assert migrate.apply(dsn, [*migrate.packaged(), later]) == [later]
    assert migrate.profile(dsn) is Rls.STRICT
    assert callable_by(dsn, "anon") == set()
    assert "mason_later" in callable_by(dsn, "service_role")


def test_strict__and_back_again(make_supabase: Callable[[], str]) -> None:
    dsn = make_supabase()
    run(dsn, GENERATIONS["newest"])
    migrate.apply(dsn)
    policies = "select tablename, policyname, cmd, qual, with_check, roles::text from pg_policies order by 1, 2"
    with psycopg.connect(dsn, autocommit=True) as connection:
        before = connection.execute(policies).fetchall()
        for rls in (Rls.STRICT, Rls.STRICT, Rls.DEFAULT, Rls.DEFAULT):
            assert migrate.apply(dsn, rls=rls) == []
        # A policy without "with check" says the same as one whose check repeats its condition.
        after = connection.execute(policies).fetchall()
        assert [row[:4] for row in after] == [row[:4] for row in before]
    as_role(dsn, "anon", f"{ITEM}; delete from mason_pm_backlog_items")
    assert callable_by(dsn, "anon") == callable_by(dsn, "service_role") != set()


def test_strict__a_table_with_the_users_own_policies_keeps_exactly_those(make_supabase: Callable[[], str]) -> None:
    dsn = make_supabase()
    run(dsn, GENERATIONS["newest"])
    query = "select polname from pg_policy where polrelid = 'mason_execution_progress'::regclass"
    for rls in (None, Rls.STRICT, Rls.DEFAULT):
        migrate.apply(dsn, rls=rls)
        with psycopg.connect(dsn) as connection:
            assert connection.execute(query).fetchall() == [("Owners only",)]


def test_strict__without_supabases_roles_leaves_the_owner(empty_database: str) -> None:
    migrate.apply(empty_database, rls=Rls.STRICT)
    assert migrate.profile(empty_database) is Rls.STRICT
    run(empty_database, ITEM)
    assert migrate.apply(empty_database, rls=Rls.DEFAULT) == []
    assert migrate.profile(empty_database) is Rls.DEFAULT


@pytest.mark.parametrize("rls", list(Rls))
def test_apply__an_owner_who_is_no_superuser_may_do_all_of_it(make_supabase: Callable[[], str], rls: Rls) -> None:
    """Supabase's postgres is none: it owns the tables and the publication, and that has to do."""
    dsn, owner = make_supabase(), f"owner_{uuid4().hex}"
    name = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
    run(
        dsn,
        f"create role {owner} login password 'x'; alter database {name} owner to {owner};"
        f" alter schema public owner to {owner}; alter publication supabase_realtime owner to {owner}",
    )
    mine = make_conninfo(dsn, user=owner, password="x")
    run(mine, GENERATIONS["remote_runs"])
    assert len(migrate.apply(mine, rls=rls)) == len(migrate.packaged())
    assert migrate.apply(mine, rls=Rls.STRICT) == []
    assert reach(dsn, "anon") == set()
