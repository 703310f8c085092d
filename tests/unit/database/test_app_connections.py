"""How the app database behaves while Postgres is away, restarts, or lets nobody in."""

from __future__ import annotations

import time
from pathlib import Path

import psycopg
import pytest

from app.backlog.embedded import EmbeddedPostgres
from app.database.queue import job_queue
from app.database.schema import prepare
from app.database.store import app_database
from app.domain.jobs import ReconcileBacklog
from app.errors import DatabaseRefused, DatabaseUnreachable
from tests.contracts import test_app_database as contract
from tests.contracts.test_app_database import asked, dispatch

app_dsn = contract.app_dsn

ABSENT = "postgresql://mason:secret-word@127.0.0.1:1/none"


def test_absent__is_said_within_seconds_without_the_password() -> None:
    store, queue = app_database(ABSENT), job_queue(ABSENT)
    begun = time.monotonic()
    with pytest.raises(DatabaseUnreachable) as told:
        store.unfinished()
    for call in (lambda: queue.defer(ReconcileBacklog()), lambda: queue.hear(asked()), queue.ping):
        with pytest.raises(DatabaseUnreachable):
            call()
    assert time.monotonic() - begun < 10
    assert "secret-word" not in str(told.value)
    store.close()
    queue.close()


def test_dsn__nonsense_is_refused() -> None:
    with pytest.raises(DatabaseRefused):
        app_database("postgresql://[nonsense")


def test_restart__broken_connections_are_replaced(data_root: Path) -> None:
    server = EmbeddedPostgres(data_root)
    server.start()
    try:
        prepare(server.dsn)
        store, queue = app_database(server.dsn), job_queue(server.dsn)
        one = store.record(dispatch())
        queue.ping()
        server.stop()
        with pytest.raises(DatabaseUnreachable):
            store.dispatch(one.id)
        server.start()
        assert store.dispatch(one.id) == one
        assert queue.hear(asked())
        store.close()
        queue.close()
    finally:
        server.stop()


def test_restart__a_connection_that_was_cut_costs_no_call(app_dsn: str) -> None:
    store = app_database(app_dsn)
    store.now()
    with psycopg.connect(app_dsn, autocommit=True) as there:
        there.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where application_name = 'mason' and datname = current_database() and pid <> pg_backend_pid()"
        )
    with store.locked("run 1") as fence:
        store.require(fence)
    store.close()


def test_close__later_calls_say_so(app_dsn: str) -> None:
    store = app_database(app_dsn)
    store.now()
    store.close()
    with pytest.raises(DatabaseUnreachable, match="given back"):
        store.now()
