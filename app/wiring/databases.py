"""Which database, and bringing it up to date."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql
from pydantic import SecretStr

from app.backlog import migrate as migrations
from app.backlog.direct import place
from app.backlog.embedded import EmbeddedPostgres
from app.backlog.postgres import postgres_backlog
from app.backlog.store import Safe, SqlBacklog, unchanged
from app.errors import UsageError
from app.settings import Settings, state_dir

SWEEP_HERE = 2.0
"""Seconds between looks at an embedded backlog, which tells nobody what is approved, and is quick to look at."""

APP_DATABASE = "mason_app"
"""The web app's database on the embedded server."""


@contextmanager
def open_backlog(settings: Settings, state: Path, safe: Safe = unchanged) -> Iterator[SqlBacklog]:
    """The backlog to use: a DSN's, a Supabase project's, else an embedded server's, started and migrated here.

    ``safe`` takes the secrets out of what is written of an outcome.
    """
    patience = settings.database_patience
    with ExitStack() as stack:
        if settings.dsn or settings.supabase_url:
            backlog = configured_backlog(settings, patience=patience, safe=safe)
        else:
            server = EmbeddedPostgres(state / "postgres", bin_directory=settings.postgres_bin)
            stack.enter_context(server)
            migrations.apply(server.dsn)
            backlog = postgres_backlog(server.dsn, patience=patience, safe=safe)
        stack.callback(backlog.close)
        yield backlog


def configured_backlog(settings: Settings, *, patience: float, safe: Safe = unchanged) -> SqlBacklog:
    """The backlog that the settings name: a DSN's, or a Supabase project's. It connects at its first call, and is tried
    again for ``patience`` seconds. Raises UsageError when they name none.
    """
    if settings.dsn:
        return postgres_backlog(settings.dsn.get_secret_value(), patience=patience, safe=safe)
    if settings.supabase_url and settings.supabase_key:
        from app.backlog.postgrest import supabase_backlog  # slow to import, and not always needed

        key = settings.supabase_key.get_secret_value()
        return supabase_backlog(settings.supabase_url, key, patience=patience, safe=safe)
    raise UsageError("There is no backlog: set MASON_DSN, or MASON_SUPABASE_URL and MASON_SUPABASE_KEY")


@contextmanager
def app_database_of(settings: Settings, state: Path) -> Iterator[Settings]:
    """Settings that name the app database, while it is there: DATABASE_URL, or one on the embedded server."""
    if settings.database_url:
        yield settings
        return
    with EmbeddedPostgres(state / "postgres", bin_directory=settings.postgres_bin) as server:
        yield settings.model_copy(update={"database_url": SecretStr(database_beside(server.dsn, APP_DATABASE))})


def app_dsn(settings: Settings) -> str:
    """The web app's own database. Raises UsageError."""
    if settings.database_url is None:
        raise UsageError("The web app has no database: set DATABASE_URL")
    return settings.database_url.get_secret_value()


def database_beside(dsn: str, name: str) -> str:
    """The DSN of another database of the same server, made if it is not there."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        there = connection.execute("select from pg_database where datname = %s", (name,)).fetchone()
        if there is None:
            # Whoever is second finds it made, or half made.
            with contextlib.suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    parts = urlsplit(dsn)
    return urlunsplit(parts._replace(path=f"/{name}"))


def spool_directory(settings: Settings, state: Path) -> Path:
    """Where rows wait for this database, and for no other."""
    where = place(settings.dsn.get_secret_value()) if settings.dsn else settings.supabase_url or "embedded"
    return state / "spool" / hashlib.sha256(where.encode()).hexdigest()[:12]


def has_backlog(settings: Settings, repository: Path) -> bool:
    """Whether there is a backlog to look at: a configured one, or an embedded one that something has made."""
    embedded = state_dir(settings, repository) / "postgres" / "postgres" / "data"
    return bool(settings.dsn or settings.supabase_url) or embedded.exists()


def keep_out_of_git(state: Path) -> None:
    """A state directory inside a checkout ignores itself: the checkout stays as clean as it was."""
    state.mkdir(parents=True, exist_ok=True)
    ignore = state / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n", encoding="utf-8")
