"""Migrations: numbered SQL files, each applied once, in its own transaction, and recorded in ``mason_migrations``."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import psycopg
from psycopg.rows import tuple_row

from app.errors import DatabaseRefused, DatabaseUnreachable

Connection = psycopg.Connection[Any]

_LOCK_KEY = 0x6D61736F6E  # "mason"

_CREATE_LEDGER = """
do $$
begin
  if to_regclass('mason_migrations') is null then
    create table mason_migrations (
      id serial primary key,
      name text not null unique,
      applied_at timestamptz not null default now(),
      description text
    );
    alter table mason_migrations enable row level security;
  end if;
end
$$;
alter table mason_migrations add column if not exists checksum text
"""

_LEDGER_COLUMN = """
select exists (
  select from pg_attribute
  where attrelid = to_regclass('mason_migrations') and attname = 'checksum' and not attisdropped
)
"""

_APPLIED = "select name, checksum from mason_migrations where checksum is not null"

_RECORD = """
insert into mason_migrations (name, description, checksum) values (%s, %s, %s)
on conflict (name) do update set description = excluded.description, checksum = excluded.checksum, applied_at = now()
"""


class MigrationChanged(DatabaseRefused):
    """The text of an applied migration is not the one that this database has seen."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Migration:
    """One file: ``name`` is its stem, ``description`` its first comment line."""

    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()

    @property
    def description(self) -> str:
        return self.sql.partition("\n")[0].removeprefix("--").strip()


def packaged() -> list[Migration]:
    """The migrations that this Mason carries, in order."""
    found = [entry for entry in (files("app.backlog") / "migrations").iterdir() if entry.name.endswith(".sql")]
    ordered = sorted(found, key=lambda entry: entry.name)
    return [Migration(name=entry.name.removesuffix(".sql"), sql=entry.read_text("utf-8")) for entry in ordered]


def plan(connection: Connection, migrations: Sequence[Migration] | None = None) -> list[Migration]:
    """The migrations that this database still lacks, in order. Writes nothing.

    Raises MigrationChanged when one that it has was applied with another text.
    """
    applied: dict[str, str] = {}
    with connection.cursor(row_factory=tuple_row) as cursor:
        if cursor.execute(_LEDGER_COLUMN).fetchone() == (True,):
            applied = dict(cursor.execute(_APPLIED).fetchall())
    missing = []
    for migration in packaged() if migrations is None else migrations:
        if migration.name not in applied:
            missing.append(migration)
        elif applied[migration.name] != migration.checksum:
            raise MigrationChanged(f"Migration {migration.name} was applied to this database with another text.")
    return missing


def pending(database: str | Connection) -> list[str]:
    """The names of the migrations that a database (DSN or connection) still lacks."""
    with _connected(database) as connection:
        return [migration.name for migration in plan(connection)]


def apply(database: str | Connection, migrations: Sequence[Migration] | None = None) -> list[Migration]:
    """Apply what is missing and return it; a given connection must not be inside a transaction.

    Any number of callers at once apply each migration once: every one is decided and done under a lock that ends
    with its transaction. Raises DatabaseRefused with the SQL error, DatabaseUnreachable, MigrationChanged.
    """
    wanted = packaged() if migrations is None else list(migrations)
    with _connected(database) as connection:
        return [migration for migration in plan(connection, wanted) if _apply_one(connection, migration, wanted)]


def _apply_one(connection: Connection, migration: Migration, wanted: Sequence[Migration]) -> bool:
    """Whether it was applied now, and not by somebody who held the lock before."""
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s)", (_LOCK_KEY,))
        connection.execute("set local client_min_messages = warning")
        connection.execute(_CREATE_LEDGER)
        if migration not in plan(connection, wanted):
            return False
        connection.execute("set local lock_timeout = '30s'")
        try:
            connection.execute(migration.sql.encode())
        except psycopg.DatabaseError as problem:
            raise DatabaseRefused(f"Migration {migration.name} failed: {_sentence(problem)}") from problem
        connection.execute(_RECORD, (migration.name, migration.description, migration.checksum))
        connection.execute("notify pgrst, 'reload schema'")
    return True


@contextmanager
def _connected(database: str | Connection) -> Iterator[Connection]:
    """A connection for a DSN; a given connection stays open. Postgres' errors become Mason's."""
    try:
        if not isinstance(database, str):
            yield database
            return
        with psycopg.connect(database, autocommit=True, prepare_threshold=None, connect_timeout=10) as connection:
            yield connection
    except psycopg.OperationalError as problem:
        raise DatabaseUnreachable(f"The database did not answer: {_sentence(problem)}") from None
    except psycopg.DatabaseError as problem:
        raise DatabaseRefused(f"The database refused: {_sentence(problem)}") from problem


def _sentence(problem: psycopg.Error) -> str:
    return (problem.diag.message_primary or str(problem)).strip().partition("\n")[0]
