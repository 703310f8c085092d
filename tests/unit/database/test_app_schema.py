"""Bringing the app database up: once, by however many callers, and never backwards."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from app.database import schema
from app.database.queue import job_queue
from app.database.schema import Migration, NewerApp, prepare
from app.database.store import app_database
from app.domain.jobs import Sweep
from app.errors import DatabaseRefused, DatabaseUnreachable


def ledger(dsn: str) -> list[Any]:
    with psycopg.connect(dsn) as there:
        return there.execute("select name, checksum, applied_at from mason_app.migrations order by name").fetchall()


def test_prepare__twenty_at_once_apply_once(empty_database: str) -> None:
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda _: prepare(empty_database), range(20)))
    names = [row[0] for row in ledger(empty_database)]
    assert names == sorted([migration.name for migration in schema.packaged()] + [schema.of_the_queue()[-1].name])


def test_prepare__again_changes_nothing(empty_database: str) -> None:
    prepare(empty_database)
    before = ledger(empty_database)
    prepare(empty_database)
    assert ledger(empty_database) == before


def test_prepare__leaves_the_public_schema_alone(empty_database: str) -> None:
    prepare(empty_database)
    with psycopg.connect(empty_database) as there:
        found = there.execute("select count(*) from pg_class where relnamespace = 'public'::regnamespace").fetchone()
    assert found == (0,)


def test_prepare__keeps_what_is_there_and_applies_what_is_new(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(empty_database)
    queue = job_queue(empty_database)
    queue.defer(Sweep())
    newer = (*schema.packaged(), Migration(name="999_more", sql="create table more (id integer)"))
    monkeypatch.setattr(schema, "packaged", lambda: newer)
    prepare(empty_database)
    assert queue.queue_state().waiting == 1
    queue.close()
    assert "999_more" in [row[0] for row in ledger(empty_database)]


def test_prepare__a_newer_library_brings_its_table_along(empty_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(empty_database)
    newer = (*schema.of_the_queue(), Migration(name="procrastinate 99.00.00", sql="create table more (id integer)"))
    monkeypatch.setattr(schema, "of_the_queue", lambda: newer)
    prepare(empty_database)
    assert "procrastinate 99.00.00" in [row[0] for row in ledger(empty_database)]


def test_prepare__one_of_a_newer_mason_is_refused(empty_database: str) -> None:
    prepare(empty_database)
    with psycopg.connect(empty_database) as there:
        there.execute("insert into mason_app.migrations (name, checksum) values ('998_of_tomorrow', 'x')")
    with pytest.raises(NewerApp, match="newer Mason"):
        prepare(empty_database)


def test_prepare__another_text_is_refused(empty_database: str) -> None:
    prepare(empty_database)
    with psycopg.connect(empty_database) as there:
        there.execute("update mason_app.migrations set checksum = 'x' where name like '001%'")
    with pytest.raises(DatabaseRefused, match="001_"):
        prepare(empty_database)


def test_prepare__half_a_migration_is_none(empty_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = (*schema.packaged(), Migration(name="999_bad", sql="create table more (id integer); select nonsense"))
    monkeypatch.setattr(schema, "packaged", lambda: bad)
    with pytest.raises(DatabaseRefused, match="nonsense"):
        prepare(empty_database)
    with psycopg.connect(empty_database) as there:
        assert there.execute("select to_regnamespace('mason_app')").fetchone() == (None,)


def test_prepare__an_absent_database_is_unreachable(empty_database: str) -> None:
    with pytest.raises(DatabaseUnreachable):
        prepare("postgresql://mason@127.0.0.1:1/none")


def test_calls__without_prepare_are_refused_with_advice(empty_database: str) -> None:
    store = app_database(empty_database)
    with pytest.raises(DatabaseRefused, match="lacks its tables"):
        store.unfinished()
    store.close()
