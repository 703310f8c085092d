"""The Supabase step of a setup: the key is asked for its worth, tables and webhook are made, hosts are kept to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from app.backlog.direct import connected
from app.backlog.webhook import secret_key
from app.errors import BadTarget, DatabaseRefused, DatabaseUnreachable, UsageError
from app.ports.backlog_setup import NewBacklog, Way
from app.wiring.setting_up import SupabaseProject
from app.wiring.setup_migrations import Migrations
from tests.fakes.faults import Answer
from tests.fakes.github_api.routes import json_answer
from tests.fakes.loopback import Described, Incoming, LoopbackServer
from tests.unit.backlog.test_access import run

KEY = "sb_secret_of_these_tests"
HOOK = "https://mason.example.com/webhooks/supabase"
PASSWORD = "a-password-of-the-tests"
REF = "abcdefghijklmnopqrst"
NETWORK = """
create schema net;
create function net.http_post(url text, body jsonb, params jsonb default '{}', headers jsonb default '{}',
  timeout_milliseconds int default 1000) returns bigint language sql as 'select 1::bigint';
create function hmac(bytea, bytea, text) returns bytea language sql as 'select $1'
"""


class Rest(LoopbackServer):
    """A project's REST interface before the tables are there: it takes `KEY` alone."""

    def describe(self, incoming: Incoming) -> Described:
        return Described(path=incoming.path, route=incoming.path, actor=None, write=True)

    def answer(self, incoming: Incoming) -> Answer:
        if incoming.headers.get("apikey") != KEY:
            return json_answer(401, {"message": "Invalid API key"})
        return json_answer(404, {"code": "PGRST202", "message": "no such function", "details": None, "hint": None})


@pytest.fixture
def rest() -> Iterator[Rest]:
    with Rest() as server:
        yield server


def project(dsn: str = "", *, allowed: str = "127.0.0.1", learned: Callable[[str], None] = lambda _: None) -> Any:
    """What a setup is given; its connections lead to the DSN."""
    migrations = Migrations(
        allowed=frozenset({allowed}), connect=lambda _: connected(dsn), resolve=lambda _: ("3.3.3.3",)
    )
    return SupabaseProject(migrations=migrations, learned=learned)


def asked(url: str = f"https://{REF}.supabase.co", **changes: Any) -> NewBacklog:
    return replace(NewBacklog(url=url, key=KEY, way=Way.PASSWORD, secret=PASSWORD), **changes)


def test_key__a_good_one_is_asked_for_and_told_to_the_redactor(rest: Rest) -> None:
    learned: list[str] = []
    given = asked(f"{rest.server_url}/rest/v1/")
    assert project(learned=learned.append).check(given) == rest.server_url
    assert [request.path for request in rest.requests] == ["/rest/v1/rpc/mason_doctor"]
    assert learned == [KEY, PASSWORD]


def test_key__that_the_project_does_not_take_is_refused(rest: Rest) -> None:
    with pytest.raises(DatabaseRefused, match="does not accept") as told:
        project().check(asked(rest.server_url, key="sb_secret_of_another"))
    assert "sb_secret_of_another" not in str(told.value)


@pytest.mark.parametrize("key", ["sb_publishable_x", "nonsense", "a.b.c", "ghp_0123", "sb_secret_with blanks in it"])
def test_key__one_that_is_not_secret_or_none_is_refused(rest: Rest, key: str) -> None:
    with pytest.raises(UsageError):
        project().check(asked(rest.server_url, key=key))
    assert rest.requests == []


@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.1:9", "https://evil.example.com", "https://metadata.google.internal", "https://10.0.0.1"),
        *("https://abc.supabase.co.evil.example", "http://abcdefghijklmnopqrst.supabase.co", "file:///etc/passwd", ""),
        *("https://ada@abcdefghijklmnopqrst.supabase.co", "https://[::1", "https://abcdefghijklmnopqrst.supabase.co?x"),
    ],
)
def test_project__elsewhere_is_refused_before_anybody_is_asked(url: str) -> None:
    with pytest.raises(UsageError):
        project(allowed="localhost").check(asked(url))


def test_project__that_does_not_answer_is_told() -> None:
    with pytest.raises(DatabaseUnreachable):
        project().check(asked("http://127.0.0.1:9"))


def test_tables__are_made_and_approvals_announced(empty_database: str) -> None:
    run(empty_database, NETWORK)
    there = project(empty_database)
    secret = there.new_secret()
    done = there.prepare(asked(), HOOK, secret)
    assert done.announced and f"approvals are announced to {HOOK}" in done.lines
    assert re.fullmatch(r"applied \d+ migrations", done.lines[0])
    with closing(psycopg.connect(empty_database)) as connection:
        rows = connection.execute("select url, key from mason_private.webhook").fetchall()
    assert [(url, bytes(key)) for url, key in rows] == [(HOOK, secret_key(secret))]
    again = there.prepare(asked(), HOOK, secret)
    assert again.announced and "the tables were up to date" in again.lines


def test_tables__without_the_extensions_that_is_told_and_no_secret(empty_database: str) -> None:
    there = project(empty_database)
    secret = there.new_secret()
    done = there.prepare(asked(), HOOK, secret)
    assert not done.announced and "pg_net" in done.lines[-1]
    assert not any(secret in line or PASSWORD in line for line in done.lines)


def test_tables__without_an_address_nothing_is_announced(empty_database: str) -> None:
    run(empty_database, NETWORK)
    done = project(empty_database).prepare(asked(), "", project().new_secret())
    assert not done.announced and "address is not known" in done.lines[-1]


def test_tables__a_connection_string_leads_only_where_the_operator_allows() -> None:
    for dsn in ("host=/tmp user=x", "postgresql://u:p@10.0.0.1/x", "postgresql://u:p@evil.example.com/x", "nonsense"):
        with pytest.raises(BadTarget):
            project().prepare(asked(way=Way.CONNECTION, secret=dsn), HOOK, project().new_secret())


def test_tables__a_password_or_token_is_for_hosted_projects() -> None:
    for way in (Way.PASSWORD, Way.TOKEN):
        with pytest.raises(BadTarget, match="connection string"):
            project().prepare(asked("http://127.0.0.1:1", way=way), HOOK, project().new_secret())
