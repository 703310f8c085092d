"""Migrations: numbered SQL files, each applied once, in its own transaction, and recorded in ``mason_migrations``."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files

import psycopg

from app.backlog.direct import Connection, Direct, connected
from app.backlog.sql_server import SqlRefused, SqlServer
from app.errors import DatabaseRefused

Database = str | Connection | SqlServer
"""Where to migrate: a DSN, a connection outside a transaction, or anything that runs scripts."""

_LOCK_KEY = 0x6D61736F6E  # "mason"

_APPLIED_BY_ANOTHER = "MA001"
"""Our own SQLSTATE: whoever held the lock before has applied it."""

PREPARE = f"""
select pg_advisory_xact_lock({_LOCK_KEY});
select set_config('search_path', quote_ident(current_schema()), true);
set local client_min_messages = warning;
set local lock_timeout = '30s';
"""
"""One caller at a time; one schema, which functions remember; no table is waited for for ever."""

_LEDGER = """
do $mason$
declare
  grantee name;
begin
  if to_regclass('mason_migrations') is null then
    create table mason_migrations (
      id serial primary key,
      name text not null unique,
      applied_at timestamptz not null default now(),
      description text,
      checksum text
    );
    alter table mason_migrations enable row level security;
    for grantee in select rolname from pg_roles where rolname in ('anon', 'authenticated', 'service_role') loop
      execute format('revoke all on mason_migrations from %I', grantee);
      execute format('grant select on mason_migrations to %I', grantee);
    end loop;
  end if;
  alter table mason_migrations add column if not exists checksum text;
end
$mason$;
"""

_GUARD = """
do $mason$
begin
  if exists (select from mason_migrations where name = {name} and checksum is not null) then
    raise exception 'applied by another caller' using errcode = '{state}';
  end if;
end
$mason$;
"""

_RECORD = """
insert into mason_migrations (name, description, checksum) values ({name}, {description}, {checksum})
on conflict (name) do update set checksum = excluded.checksum;
notify pgrst, 'reload schema';
"""

_HAS_LEDGER = """
select exists (
  select from pg_attribute
  where attrelid = to_regclass('mason_migrations') and attname = 'checksum' and not attisdropped
) as found
"""

_APPLIED = "select name, checksum from mason_migrations where checksum is not null"

_IS_STRICT = """
select exists (
  select from pg_policy
  where polname = 'mason_strict' and polrelid = to_regclass('mason_pm_validation_iterations')
) as strict
"""


class MigrationChanged(DatabaseRefused):
    """The text of an applied migration is not the one that this database has seen."""


class ScriptFailed(SqlRefused):
    """A migration met an SQL error, whose ``sentence`` is the server's own; those before it are applied."""

    def __init__(self, migration: str, problem: SqlRefused) -> None:
        super().__init__(f"Migration {migration} failed: {problem}", sqlstate=problem.sqlstate)
        self.migration = migration
        self.sentence = str(problem)


class Rls(StrEnum):
    """Who may use the tables (contracts §1, Row level security); `access.sql` says what each profile does."""

    DEFAULT = "default"
    STRICT = "strict"


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


@cache
def packaged() -> tuple[Migration, ...]:
    """The migrations that this Mason carries, in order."""
    found = [entry for entry in (files("app.backlog") / "migrations").iterdir() if entry.name.endswith(".sql")]
    ordered = sorted(found, key=lambda entry: entry.name)
    return tuple(Migration(name=entry.name.removesuffix(".sql"), sql=entry.read_text("utf-8")) for entry in ordered)


def plan(database: Database, migrations: Sequence[Migration] | None = None) -> list[Migration]:
    """The migrations that this database still lacks, in order. Writes nothing.

    Raises MigrationChanged when one that it has was applied with another text.
    """
    with server(database) as there:
        applied: dict[str, str] = {}
        if there.run(_HAS_LEDGER)[0]["found"]:
            applied = {row["name"]: row["checksum"] for row in there.run(_APPLIED)}
        return missing(applied, migrations)


def missing(applied: Mapping[str, str], migrations: Sequence[Migration] | None = None) -> list[Migration]:
    """The migrations that a ledger (name → checksum) lacks, in order. Raises MigrationChanged."""
    lacking = []
    for migration in packaged() if migrations is None else migrations:
        if migration.name not in applied:
            lacking.append(migration)
        elif applied[migration.name] != migration.checksum:
            raise MigrationChanged(
                f"Migration {migration.name} was applied to this database with another text: use the Mason that "
                "migrated it, or a newer one."
            )
    return lacking


def apply(
    database: Database, migrations: Sequence[Migration] | None = None, *, rls: Rls | None = None
) -> list[Migration]:
    """Apply what is missing and return it; ``rls`` changes the access profile, None keeps the one in force.

    Any number of callers at once apply each migration once: every one is decided and done under a lock that ends
    with its transaction. Raises DatabaseRefused with the SQL error, DatabaseUnreachable, MigrationChanged.
    """
    with server(database) as there:
        lacking = plan(there, migrations)
        done = [migration for migration in lacking if _apply_one(there, migration, rls)]
        if rls is not None:
            there.run(PREPARE + _access(rls))  # also where another caller, with another wish, was faster
        return done


def profile(database: Database) -> Rls:
    """The access profile in force; a database without Mason's tables will get the default one."""
    with server(database) as there:
        return Rls.STRICT if there.run(_IS_STRICT)[0]["strict"] else Rls.DEFAULT


def _apply_one(there: SqlServer, migration: Migration, rls: Rls | None) -> bool:
    """Whether it was applied now, and not by somebody who held the lock before."""
    try:
        there.run(_script(migration, rls))
    except SqlRefused as problem:
        if problem.sqlstate == _APPLIED_BY_ANOTHER:
            return False
        raise ScriptFailed(migration.name, problem) from None
    return True


def _script(migration: Migration, rls: Rls | None) -> str:
    """One migration, in one transaction: lock, ledger, "not yet?", its text, who may use what it made, the entry."""
    name = quoted(migration.name)
    parts = [
        PREPARE,
        _LEDGER,
        _GUARD.format(name=name, state=_APPLIED_BY_ANOTHER),
        migration.sql,
        ";",
        _access(rls),
        _RECORD.format(name=name, description=quoted(migration.description), checksum=quoted(migration.checksum)),
    ]
    return "\n".join(parts)


def _access(rls: Rls | None) -> str:
    text = (files("app.backlog") / "access.sql").read_text("utf-8")
    return f"select set_config('mason.rls', {quoted(rls.value if rls else '')}, true);\n{text}"


def quoted(text: str) -> str:
    """A text as an SQL literal, whatever it holds and whatever the server's settings."""
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


@contextmanager
def server(database: Database) -> Iterator[SqlServer]:
    """Whatever names a database, as something that runs scripts; what was opened here is closed here."""
    if isinstance(database, str):
        with connected(database) as opened:
            yield opened
    elif isinstance(database, psycopg.Connection):
        yield Direct(database)
    else:
        yield database
