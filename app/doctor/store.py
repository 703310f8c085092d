"""The probes of the backlog's database, over a connection or over a project's REST interface."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.backlog import migrate
from app.backlog.binaries import find_binaries
from app.backlog.embedded import EmbeddedPostgres
from app.backlog.postgres import PostgresSession
from app.backlog.session import Session
from app.errors import DatabaseRefused, DatabaseUnreachable, NotMigrated, UsageError
from app.flows import doctor
from app.flows.doctor import Finding, Status, StoreFacts
from app.settings import Settings

SECONDS = 8.0
_DEPENDENT = ("schema", "realtime", "row level security", "clock")


def probe_store(settings: Settings, state: Path, *, production: bool) -> Sequence[Finding]:
    """Reach the database and have it described: five findings, whatever happens."""
    try:
        where, facts = _facts(settings, state)
    except NotMigrated:
        found = Finding(check="database", status=Status.OK, detail="it answers")
        fix = "run `mason migrate`"
        schema = Finding(check="schema", status=Status.FAIL, detail="Mason's newest tables are not there", fix=fix)
        return [found, schema, *skipped("the database is not migrated", _DEPENDENT[1:])]
    except (DatabaseUnreachable, DatabaseRefused, UsageError) as problem:
        failed = Finding(check="database", status=Status.FAIL, detail=str(problem))
        return [failed, *skipped("the database was not reached", _DEPENDENT)]
    if facts is None:
        found = Finding(check="database", status=Status.OK, detail=where)
        return [found, *skipped("there is no database yet", _DEPENDENT)]
    packaged = {migration.name: migration.checksum for migration in migrate.packaged()}
    return [
        Finding(check="database", status=Status.OK, detail=where),
        doctor.judge_schema(facts, packaged),
        doctor.judge_realtime(facts),
        doctor.judge_access(facts, production=production),
        doctor.judge_clock(facts),
    ]


def probe_binaries(settings: Settings) -> Sequence[Finding]:
    """The programs of the embedded server, where it is the one that would be used."""
    check = "embedded Postgres"
    if settings.dsn or settings.supabase_url:
        return [Finding(check=check, status=Status.SKIPPED, detail="not needed: another database is configured")]
    return [Finding(check=check, status=Status.OK, detail=f"PostgreSQL {find_binaries(settings.postgres_bin).version}")]


def skipped(reason: str, checks: Sequence[str] = ("database", *_DEPENDENT)) -> list[Finding]:
    """The checks that could not be made, and why."""
    return [Finding(check=check, status=Status.SKIPPED, detail=reason) for check in checks]


def _facts(settings: Settings, state: Path) -> tuple[str, StoreFacts | None]:
    """Which database it is, and what it says; no facts of an embedded one that the first run will make."""
    if settings.dsn:
        return "Postgres answers", _described(PostgresSession(settings.dsn.get_secret_value(), patience=0))
    if settings.supabase_url and settings.supabase_key:
        key = settings.supabase_key.get_secret_value()
        return f"{settings.supabase_url} answers", _over_rest(settings.supabase_url, key)
    root = state / "postgres"
    if not (root / "postgres" / "data").exists():
        return "an embedded Postgres, which the first run makes", None
    with EmbeddedPostgres(root, bin_directory=settings.postgres_bin) as server:
        return "the embedded Postgres answers", _described(PostgresSession(server.dsn, patience=0))


def _over_rest(url: str, key: str) -> StoreFacts:
    from app.backlog.postgrest import PostgrestSession  # most databases are asked another way

    return _described(PostgrestSession(url, key, patience=0, connect=SECONDS, read=SECONDS))


def _described(session: Session) -> StoreFacts:
    """What the database says of itself. Raises DatabaseUnreachable, DatabaseRefused or NotMigrated."""
    try:
        session.rows("doctor", {})  # pays for the connection; only the second one tells the time
        asked = datetime.now(UTC)
        return _read(session.rows("doctor", {}), asked)
    finally:
        session.close()


def _read(rows: list[dict[str, Any]], asked: datetime) -> StoreFacts:
    """The one row of `mason_doctor`. Raises DatabaseRefused when it is not that row."""
    answered = datetime.now(UTC)
    try:
        row = rows[0]
        return StoreFacts(
            asked=asked,
            answered=answered,
            server_time=datetime.fromisoformat(row["server_time"]),
            migrations=dict(row["migrations"]),
            publication=bool(row["publication"]),
            live=frozenset(row["live"]),
            replica_full=frozenset(row["replica_full"]),
            has_anon=bool(row["has_anon"]),
            open_to_anon=tuple(row["open_to_anon"]),
        )
    except (IndexError, KeyError, TypeError, ValueError, AttributeError):
        raise DatabaseRefused("The database's answer to mason_doctor cannot be read: run `mason migrate`.") from None
