"""Sealed secrets: encrypted where they lie, opened by their own master secrets alone, sealed anew when these change."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from cryptography.fernet import Fernet

from app.database.sealed import PostgresSealed, WrongEncryptionKey, sealed_secrets
from app.errors import DatabaseUnreachable, UsageError
from tests.contracts import test_app_database as contract

app_dsn = contract.app_dsn

OLD, NEW = Fernet.generate_key(), Fernet.generate_key()
SECRET = "eyJ-a-service-role-key\n\N{SNOWMAN}"


def opened(dsn: str, *keys: bytes) -> PostgresSealed:
    sealed = sealed_secrets(dsn, keys)
    sealed.prepare()
    return sealed


def rows(dsn: str) -> list[Any]:
    with psycopg.connect(dsn) as there:
        return there.execute("select name, token from mason_app.sealed order by name").fetchall()


def test_sealed__comes_back_is_replaced_and_removed(app_dsn: str) -> None:
    sealed = opened(app_dsn, NEW)
    assert sealed.get("run 1") is None
    sealed.put("run 1", "first")
    sealed.put("run 1", SECRET)
    sealed.put("run 2", "other")
    assert (sealed.get("run 1"), sealed.get("run 2")) == (SECRET, "other")
    sealed.remove("run 1")
    sealed.remove("run 1")
    assert sealed.get("run 1") is None
    sealed.close()


def test_sealed__nothing_of_it_stands_in_the_database(app_dsn: str) -> None:
    sealed = opened(app_dsn, NEW)
    sealed.put("run 1", SECRET)
    sealed.close()
    assert "service-role" not in str(rows(app_dsn))


def test_sealed__names_are_told_by_prefix_and_age(app_dsn: str) -> None:
    sealed = opened(app_dsn, NEW)
    for name in ("run 2", "run 1", "app", "run_3"):
        sealed.put(name, "x")
    assert list(sealed.names("run ")) == ["run 1", "run 2"]
    assert list(sealed.names("run ", older=3600)) == []
    sealed.close()


def test_sealed__another_master_secret_fails_closed(app_dsn: str) -> None:
    opened(app_dsn, OLD).close()
    other = sealed_secrets(app_dsn, [NEW])
    before = rows(app_dsn)
    for call in (other.prepare, lambda: other.put("run 1", "x"), lambda: other.get("run 1")):
        with pytest.raises(UsageError, match="MASON_ENCRYPTION_KEY"):
            call()
    assert rows(app_dsn) == before
    other.close()


def test_sealed__unprepared_is_said(app_dsn: str) -> None:
    sealed = sealed_secrets(app_dsn, [NEW])
    with pytest.raises(UsageError):
        sealed.put("run 1", "x")
    sealed.close()


def test_rotation__the_new_secret_seals_everything_and_the_old_may_go(app_dsn: str) -> None:
    before = opened(app_dsn, OLD)
    before.put("run 1", SECRET)
    opened(app_dsn, NEW, OLD).close()
    after = opened(app_dsn, NEW)
    assert after.get("run 1") == SECRET
    with pytest.raises(WrongEncryptionKey):  # who still runs with the old one alone leaves nothing behind
        before.put("run 2", "late")
    assert after.get("run 2") is None
    before.close()
    after.close()


def test_rotation__twice_changes_nothing(app_dsn: str) -> None:
    first = opened(app_dsn, NEW, OLD)
    first.put("run 1", SECRET)
    before = rows(app_dsn)
    opened(app_dsn, NEW, OLD).close()
    assert rows(app_dsn) == before
    first.close()


def test_prepare__ten_at_once_agree(app_dsn: str) -> None:
    every = [sealed_secrets(app_dsn, [NEW, OLD]) for _ in range(10)]
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda one: one.prepare(), every))
    every[0].put("run 1", SECRET)
    assert [one.get("run 1") for one in every] == [SECRET] * 10
    for one in every:
        one.close()


def test_prepare__two_master_secrets_at_once_leave_one(app_dsn: str) -> None:
    """Two machines, each with a file of its own, start at once."""

    def attempt(key: bytes) -> bool:
        sealed = sealed_secrets(app_dsn, [key])
        try:
            sealed.prepare()
        except WrongEncryptionKey:
            return False
        finally:
            sealed.close()
        return True

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(attempt, [OLD, NEW] * 4))
    assert results in ([True, False] * 4, [False, True] * 4)


def test_sealed__a_row_under_another_name_does_not_open(app_dsn: str) -> None:
    sealed = opened(app_dsn, NEW)
    sealed.put("run 1", SECRET)
    with psycopg.connect(app_dsn) as there:
        there.execute("update mason_app.sealed set name = 'run 2' where name = 'run 1'")
    with pytest.raises(UsageError):
        sealed.get("run 2")
    sealed.close()


def test_sealed__a_database_that_is_away_is_said() -> None:
    sealed = sealed_secrets("postgresql://mason@127.0.0.1:1/none", [NEW])
    for call in (lambda: sealed.put("a", "b"), lambda: sealed.get("a"), lambda: sealed.remove("a")):
        with pytest.raises(DatabaseUnreachable):
            call()
    sealed.close()
