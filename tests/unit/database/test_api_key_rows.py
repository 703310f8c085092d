"""What the app database holds of API keys."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from app.database.api_keys import PostgresApiKeys, api_keys
from app.domain.api_keys import Scope
from app.errors import DatabaseUnreachable
from tests.contracts import test_api_keys as contract

app_dsn = contract.app_dsn


@pytest.fixture
def keys(app_dsn: str) -> Iterator[PostgresApiKeys]:
    store = api_keys(app_dsn)
    yield store
    store.close()


@pytest.fixture
def sql(app_dsn: str) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    with psycopg.connect(app_dsn, autocommit=True, row_factory=dict_row) as there:
        there.execute("set search_path to mason_app")
        yield there


def test_create__nothing_of_the_secret_is_stored(
    keys: PostgresApiKeys, sql: psycopg.Connection[dict[str, Any]]
) -> None:
    _, text = keys.create("ci", Scope.ADMIN)
    (row,) = sql.execute("select * from api_keys").fetchall()
    assert bytes(row["digest"]) == hashlib.sha256(text.encode()).digest()
    assert text.rpartition("_")[2] not in str(row)


def test_verified__its_use_is_written_once_a_minute(
    keys: PostgresApiKeys, sql: psycopg.Connection[dict[str, Any]]
) -> None:
    _, text = keys.create("ci", Scope.READ)
    keys.verified(text)
    first = keys.all()[0].last_used_at
    assert first is not None
    keys.verified(text)
    assert keys.all()[0].last_used_at == first
    sql.execute("update api_keys set last_used_at = last_used_at - interval '61 seconds'")
    keys.verified(text)
    again = keys.all()[0].last_used_at
    assert again is not None
    assert again > first


def test_closed__says_that_the_database_does_not_answer(keys: PostgresApiKeys) -> None:
    _, text = keys.create("ci", Scope.READ)
    keys.close()
    with pytest.raises(DatabaseUnreachable):
        keys.verified(text)
