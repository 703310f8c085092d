from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from app.backlog import migrate
from app.backlog.migrate import Migration, MigrationChanged
from app.domain.items import approval_digest
from app.errors import DatabaseRefused, DatabaseUnreachable, MasonError
from tests.contracts.generations import GENERATIONS, NAMED_CHECKS

ALL = [migration.name for migration in migrate.packaged()]

TABLES = {
    "mason_users",
    "mason_github_repositories",
    "mason_pm_backlog_items",
    "mason_execution_progress",
    "mason_remote_execution_runs",
    "mason_execution_logs",
    "mason_pm_execution_runs",
    "mason_pm_execution_results",
    "mason_pm_execution_tasks",
    "mason_pm_validation_iterations",
    "mason_item_events",
    "mason_migrations",
}


def rows(dsn: str, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        return connection.execute(query, parameters).fetchall()


def run(dsn: str, script: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(script.encode())


def ledger(dsn: str) -> list[tuple[Any, ...]]:
    return rows(dsn, "select name, checksum, description from mason_migrations order by id")


def test_packaged__is_numbered_without_a_gap() -> None:
    assert [int(name[:3]) for name in ALL] == list(range(1, len(ALL) + 1))
    assert all(migration.description for migration in migrate.packaged())


def test_apply__an_empty_database_gets_every_table_once(empty_database: str) -> None:
    assert [migration.name for migration in migrate.plan(empty_database)] == ALL
    assert [migration.name for migration in migrate.apply(empty_database)] == ALL
    assert migrate.plan(empty_database) == []
    names = rows(
        empty_database, "select relname, relrowsecurity from pg_class where relname ~ '^mason' and relkind = 'r'"
    )
    assert {name for name, _ in names} == TABLES
    assert all(secured for _, secured in names)
    first = ledger(empty_database)
    assert migrate.apply(empty_database) == []
    assert ledger(empty_database) == first
    assert [name for name, _, _ in first] == ALL


def test_apply__takes_a_connection_too(empty_database: str) -> None:
    with psycopg.connect(empty_database, autocommit=True) as connection:
        assert len(migrate.apply(connection)) == len(ALL)
        assert migrate.plan(connection) == []


def test_plan__writes_nothing(empty_database: str) -> None:
    migrate.plan(empty_database)
    assert rows(empty_database, "select to_regclass('mason_migrations')") == [(None,)]


def test_apply__twenty_at_once_apply_each_once(empty_database: str) -> None:
    with ThreadPoolExecutor(20) as pool:
        done = list(pool.map(lambda _: migrate.apply(empty_database), range(20)))
    assert sorted(migration.name for part in done for migration in part) == ALL
    assert [name for name, _, _ in ledger(empty_database)] == ALL


def test_apply__a_changed_text_is_refused(empty_database: str) -> None:
    migrations = [
        Migration(name="001_a", sql="-- A.\ncreate table a ()"),
        Migration(name="002_b", sql="-- B.\nselect 1"),
    ]
    migrate.apply(empty_database, migrations)
    changed = [replace(migrations[0], sql="-- A.\ncreate table a (b int)"), *migrations[1:]]
    with pytest.raises(MigrationChanged, match="001_a"):
        migrate.apply(empty_database, changed)
    with psycopg.connect(empty_database) as connection, pytest.raises(MigrationChanged):
        migrate.plan(connection, changed)


def test_apply__a_failing_migration_leaves_nothing(empty_database: str) -> None:
    broken = [Migration(name="001_a", sql="create table a ()"), Migration(name="002_b", sql="create table b (); boom")]
    with pytest.raises(DatabaseRefused, match="002_b failed: syntax error"):
        migrate.apply(empty_database, broken)
    assert rows(empty_database, "select to_regclass('a')::text, to_regclass('b')::text") == [("a", None)]
    assert [name for name, _, _ in ledger(empty_database)] == ["001_a"]


def test_apply__no_database_is_one_sentence_without_the_password(empty_database: str) -> None:
    with pytest.raises(DatabaseUnreachable) as caught:
        migrate.apply("postgresql://mason:s3cret@127.0.0.1:1/postgres?connect_timeout=2")
    assert "s3cret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_apply__names_are_taken_only_by_masons_own_entries(empty_database: str) -> None:
    """A dashboard's ledger has no checksums; its entries are not Mason's, even under the same name."""
    run(
        empty_database,
        "create table mason_migrations (id serial primary key, name text not null unique,"
        " applied_at timestamptz not null default now(), description text);"
        f" insert into mason_migrations (name) values ('{ALL[0]}'), ('other')",
    )
    assert len(migrate.apply(empty_database)) == len(ALL)
    assert migrate.apply(empty_database) == []
    assert rows(empty_database, "select checksum from mason_migrations where name = 'other'") == [(None,)]


@pytest.mark.parametrize("generation", ["oldest", "remote_runs"])
def test_apply__an_older_generation_takes_what_mason_writes(empty_database: str, generation: str) -> None:
    run(empty_database, GENERATIONS[generation] + NAMED_CHECKS)
    migrate.apply(empty_database)
    run(
        empty_database,
        "update mason_pm_backlog_items set status = 'deferred', skip_reason = 'x', failure_reason = 'y', tags = '{a}';"
        "insert into mason_remote_execution_runs (item_ids) values ('{}');"
        "insert into mason_execution_progress (item_id, execution_attempt, validation_tests, validation_smoke_test)"
        " select id, 1, 'skipped', 'skipped' from mason_pm_backlog_items"
        " on conflict (item_id) do update set validation_tests = 'skipped'",
    )
    accepted = rows(empty_database, "select count(*) from mason_execution_progress where validation_tests = 'skipped'")
    assert accepted == rows(empty_database, "select count(*) from mason_pm_backlog_items")
    with pytest.raises(psycopg.errors.CheckViolation):
        run(empty_database, "update mason_pm_backlog_items set status = 'nonsense'")


def test_apply__a_widened_check_keeps_its_name_and_what_it_allowed(empty_database: str) -> None:
    run(empty_database, GENERATIONS["oldest"] + NAMED_CHECKS)
    migrate.apply(empty_database)
    for accepted in ("optimization", "fix", "code-quality", "auth"):
        run(empty_database, f"update mason_pm_backlog_items set type = '{accepted}'")
    with pytest.raises(psycopg.errors.CheckViolation, match="valid_type"):
        run(empty_database, "update mason_pm_backlog_items set type = 'nonsense'")


def test_apply__a_connection_that_breaks_in_the_middle_leaves_nothing(empty_database: str) -> None:
    broken = [
        Migration(name="001_a", sql="create table a ()"),
        Migration(name="002_b", sql="create table b (); select pg_terminate_backend(pg_backend_pid())"),
    ]
    with pytest.raises(DatabaseUnreachable, match="connection"):
        migrate.apply(empty_database, broken)
    assert rows(empty_database, "select to_regclass('a')::text, to_regclass('b')::text") == [("a", None)]
    assert [name for name, _, _ in ledger(empty_database)] == ["001_a"]
    assert migrate.apply(empty_database, [broken[0], replace(broken[1], sql="create table b ()")])


def test_apply__whatever_a_description_says_is_kept_as_it_is(empty_database: str) -> None:
    text = 'It\'s \\ a "test" $mason$ %s {name} 😀;--'
    migrate.apply(empty_database, [Migration(name="001_a'b", sql=f"-- {text}\nselect 1")])
    assert [(name, said) for name, _, said in ledger(empty_database)] == [("001_a'b", text)]


@pytest.mark.parametrize("given", ["not a dsn", "postgresql://u:p@ss/w#rd@h/db?x=1", "host=x port='"])
def test_apply__a_connection_string_that_is_none_is_one_sentence(given: str) -> None:
    with pytest.raises(MasonError) as caught:
        migrate.apply(given)
    assert "\n" not in str(caught.value)
    assert "p@ss" not in str(caught.value)


@pytest.mark.parametrize(
    "fields",
    [
        ("plain", "a", "b", "feature", "prd"),
        ("comma, 1:x", ",", "", "-", None),
        ("é😀", "\n\r\t", "\u2028", "ui", ""),
        ("a", None, None, None, None),
    ],
)
def test_approval_digest__is_the_same_in_database_and_domain(database: str, fields: tuple[str, ...]) -> None:
    assert rows(database, "select mason_approval_digest(%s, %s, %s, %s, %s)", *fields) == [(approval_digest(*fields),)]


STAMP = "select approved_digest is not null, approved_at is not null, execution_attempt from mason_pm_backlog_items"
ITEM = (
    "insert into mason_pm_backlog_items"
    " (title, problem, solution, area, type, complexity, impact_score, effort_score, status, execution_attempt)"
    " values ('t', 'p', 's', 'frontend', 'ui', 1, 1, 1, '{}', 2);"
)


@pytest.mark.parametrize(("status", "stamped"), [("approved", True), ("new", False), ("in_progress", False)])
def test_approval__of_a_new_row(database: str, status: str, stamped: bool) -> None:
    run(database, ITEM.format(status))
    assert rows(database, STAMP) == [(stamped, stamped, 0 if stamped else 2)]


@pytest.mark.parametrize(
    ("status", "stamped"), [("new", True), ("deferred", True), ("rejected", True), ("in_progress", False)]
)
def test_approval__of_an_existing_row(database: str, status: str, stamped: bool) -> None:
    run(database, ITEM.format(status) + "update mason_pm_backlog_items set status = 'approved'")
    assert rows(database, STAMP) == [(stamped, stamped, 0 if stamped else 2)]


def test_approval__an_edit_afterwards_does_not_renew_it(database: str) -> None:
    run(database, ITEM.format("approved"))
    before = rows(database, "select approved_digest from mason_pm_backlog_items")
    run(database, "update mason_pm_backlog_items set title = 'something else'")
    assert rows(database, "select approved_digest from mason_pm_backlog_items") == before


def test_approval__is_stamped_whatever_the_search_path(database: str) -> None:
    run(database, "set search_path = pg_catalog; " + ITEM.format("approved").replace("mason_pm", "public.mason_pm"))
    assert rows(database, STAMP) == [(True, True, 0)]
