"""Fixtures for every test.

``postgres_server``  (session) an embedded Postgres for this xdist worker; its ``dsn`` names a superuser.
``database``         the DSN of a fresh, migrated database, dropped after the test.
``empty_database``   the DSN of a fresh database without any table.
``make_supabase``    makes the DSN of a fresh, empty database as Supabase has it: roles, grants, publication.
``data_root``        a directory in which an embedded Postgres can live, as root too; removed after the test.
``backlog``          a SqlBacklog on ``database`` with a patience of seconds, closed after the test.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from app.backlog import migrate
from app.backlog.embedded import EmbeddedPostgres
from app.backlog.postgres import postgres_backlog
from app.backlog.store import SqlBacklog

PATIENCE = 5.0


@contextmanager
def open_directory() -> Iterator[Path]:
    root = Path(tempfile.mkdtemp(prefix="mason-test-"))
    root.chmod(0o755)  # as root, the server is another user and has to get in
    try:
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def data_root() -> Iterator[Path]:
    with open_directory() as root:
        yield root


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[EmbeddedPostgres]:
    with open_directory() as root, EmbeddedPostgres(root, throwaway=True) as server:
        yield server


@pytest.fixture(scope="session")
def migrated_template(postgres_server: EmbeddedPostgres) -> str:
    """The name of a migrated database that others are copied from."""
    name = "mason_template"
    with psycopg.connect(postgres_server.dsn, autocommit=True) as connection:
        connection.execute(f"create database {name}")
    migrate.apply(make_conninfo(postgres_server.dsn, dbname=name))
    return name


@pytest.fixture
def make_database(postgres_server: EmbeddedPostgres) -> Iterator[Callable[[str], str]]:
    """Copy a template database; the copies are dropped after the test."""
    made: list[str] = []
    with psycopg.connect(postgres_server.dsn, autocommit=True) as connection:

        def make(template: str) -> str:
            made.append(f"test_{uuid4().hex}")
            connection.execute(f"create database {made[-1]} template {template}")
            return make_conninfo(postgres_server.dsn, dbname=made[-1])

        yield make
        for name in made:
            connection.execute(f"drop database if exists {name} with (force)")


@pytest.fixture
def database(make_database: Callable[[str], str], migrated_template: str) -> str:
    return make_database(migrated_template)


@pytest.fixture
def empty_database(make_database: Callable[[str], str]) -> str:
    return make_database("template0")


SUPABASE_ROLES = """
create role anon nologin;
create role authenticated nologin;
create role service_role nologin bypassrls
"""

SUPABASE_DATABASE = """
create publication supabase_realtime;
alter default privileges in schema public grant all on tables to anon, authenticated, service_role;
alter default privileges in schema public grant all on functions to anon, authenticated, service_role;
alter default privileges in schema public grant all on sequences to anon, authenticated, service_role
"""


@pytest.fixture(scope="session")
def supabase_server() -> Iterator[EmbeddedPostgres]:
    """A server of its own, because roles belong to a whole server and plain databases know none of them."""
    with open_directory() as root, EmbeddedPostgres(root, throwaway=True) as server:
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            connection.execute(SUPABASE_ROLES)
        yield server


@pytest.fixture
def make_supabase(supabase_server: EmbeddedPostgres) -> Iterator[Callable[[], str]]:
    made: list[str] = []
    with psycopg.connect(supabase_server.dsn, autocommit=True) as connection:

        def make() -> str:
            made.append(f"test_{uuid4().hex}")
            connection.execute(f"create database {made[-1]} template template0")
            dsn = make_conninfo(supabase_server.dsn, dbname=made[-1])
            with psycopg.connect(dsn, autocommit=True) as there:
                there.execute("set client_min_messages = error")
                there.execute(SUPABASE_DATABASE)
            return dsn

        yield make
        for name in made:
            connection.execute(f"drop database if exists {name} with (force)")


@pytest.fixture
def backlog(database: str) -> Iterator[SqlBacklog]:
    store = postgres_backlog(database, patience=PATIENCE)
    yield store
    store.close()
