"""Brings the app database up: Mason's tables and the job queue's, in one schema that no API exposes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import psycopg
from procrastinate.schema import SchemaManager
from psycopg import sql
from psycopg.rows import TupleRow

from app.database.connections import SCHEMA, connect, refused, unreachable
from app.errors import DatabaseRefused

_LOCK_KEY = 0x6D61736F6E617070  # "masonapp"

_QUEUE = "procrastinate "
"""What the ledger puts before the name of a migration of the library."""

_LEDGER = """
create table if not exists migrations (
  name text primary key,
  checksum text not null,
  applied_at timestamptz not null default clock_timestamp()
)
"""


class NewerApp(DatabaseRefused):
    """The app database was made by a newer Mason: run that one, or name another database in DATABASE_URL."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Migration:
    """One file of SQL; ``name`` is its stem. The library's are prefixed."""

    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


@cache
def packaged() -> tuple[Migration, ...]:
    """Mason's own migrations, in order."""
    found = [entry for entry in (files("app.database") / "migrations").iterdir() if entry.name.endswith(".sql")]
    ordered = sorted(found, key=lambda entry: entry.name)
    return tuple(Migration(name=entry.name.removesuffix(".sql"), sql=entry.read_text("utf-8")) for entry in ordered)


@cache
def of_the_queue() -> tuple[Migration, ...]:
    """The installed library's migrations, in the order of its versions."""
    ordered = sorted(Path(SchemaManager.get_migrations_path()).glob("*.sql"), key=lambda path: path.name)
    return tuple(Migration(name=_QUEUE + path.stem, sql=path.read_text("utf-8")) for path in ordered)


def prepare(dsn: str) -> None:
    """Create or bring up to date whatever the app database lacks. Any number of callers at once do it once.

    Everything is one transaction under one lock. Raises DatabaseUnreachable, NewerApp, or DatabaseRefused with a
    sentence.
    """
    with _transaction(dsn) as connection:
        applied = _applied(connection)
        _check(applied)
        for migration in [*_lacking_of_the_queue(applied), *(own for own in packaged() if own.name not in applied)]:
            if migration.sql:
                connection.execute(migration.sql.encode())
            connection.execute(
                "insert into migrations (name, checksum) values (%s, %s)", (migration.name, migration.checksum)
            )


def _applied(connection: psycopg.Connection[TupleRow]) -> dict[str, str]:
    """Names and checksums of the ledger."""
    return {str(name): str(checksum) for name, checksum in connection.execute("select name, checksum from migrations")}


def _lacking_of_the_queue(applied: Mapping[str, str]) -> Sequence[Migration]:
    """The library's migrations that are missing. A database without any gets its present schema in one step, which is
    entered under the newest migration's name; the library is at that state from then on.
    """
    known = [name for name in applied if name.startswith(_QUEUE)]
    if not known:
        return [Migration(name=of_the_queue()[-1].name, sql=SchemaManager.get_schema())]
    return [migration for migration in of_the_queue() if migration.name > max(known)]


def _check(applied: Mapping[str, str]) -> None:
    """Raise unless this Mason knows everything that was applied, with the text that it has."""
    own = {migration.name: migration.checksum for migration in packaged()}
    known = own.keys() | {migration.name for migration in of_the_queue()}
    if not applied.keys() <= known:
        raise NewerApp
    for name in applied.keys() & own.keys():
        if applied[name] != own[name]:
            raise DatabaseRefused(f"Migration {name} of the app database was applied with another text.")


@contextmanager
def _transaction(dsn: str) -> Iterator[psycopg.Connection[TupleRow]]:
    """A transaction that holds the lock, with schema and ledger there."""
    connection = connect(dsn)
    try:
        with connection, connection.transaction():
            connection.execute("set local client_min_messages = warning")
            connection.execute("select pg_advisory_xact_lock(%s)", (_LOCK_KEY,))
            connection.execute(sql.SQL("create schema if not exists {}").format(sql.Identifier(SCHEMA)))
            connection.execute(_LEDGER)
            yield connection
    except psycopg.Error as problem:
        raise (unreachable(problem) if connection.broken else refused(problem)) from None
