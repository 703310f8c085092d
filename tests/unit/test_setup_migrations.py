"""`POST /api/setup/migrations`: the rows of the seed's tables (execution-api-routes.md), on a real Postgres."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from werkzeug.test import TestResponse

from app.backlog import migrate
from app.backlog.direct import Direct, connected
from app.backlog.embedded import EmbeddedPostgres
from app.domain.api_keys import Scope
from app.errors import DatabaseUnreachable
from app.web.api.setup import setup_routes
from app.wiring.setup_migrations import Migrations
from tests.conftest import open_directory
from tests.unit.backlog.test_management_api import REF, TOKEN, FakeApi, api
from tests.unit.web.api_kit import ApiDoor, error_of

__all__ = ["api"]

URL = f"https://{REF}.supabase.co"
ROUTE = "/api/setup/migrations"
PASSWORD = "a password nobody may see"
LOOPBACK = frozenset({"127.0.0.1"})

Ask = Callable[..., TestResponse]


def ask(migrations: Migrations, **body: Any) -> TestResponse:
    return ApiDoor(routes=(setup_routes(migrations),)).post(ROUTE, json=body)


def never(*_: object) -> Any:
    raise AssertionError("nobody had to be asked")


def dns(*addresses: str) -> Callable[[str], Sequence[str]]:
    return lambda host: addresses


@pytest.fixture(scope="module")
def tcp_server() -> Iterator[EmbeddedPostgres]:
    with open_directory() as root, EmbeddedPostgres(root, throwaway=True, tcp=True) as server:
        yield server


@pytest.fixture
def tcp(tcp_server: EmbeddedPostgres) -> Iterator[str]:
    """The DSN of an empty database on 127.0.0.1, as a stranger would name it."""
    name = f"test_{uuid4().hex}"
    with psycopg.connect(tcp_server.dsn, autocommit=True) as there:
        there.execute(f"create database {name} template template0")
        yield make_conninfo(tcp_server.dsn, dbname=name)
        there.execute(f"drop database {name} with (force)")


def applied(dsn: str) -> list[str]:
    with psycopg.connect(dsn) as there:
        return [name for (name,) in there.execute("select name from mason_migrations order by id").fetchall()]


# What It Does: the three methods


def test_post_setup_migrations__oauth_method(api: FakeApi) -> None:
    first = ask(Migrations(api=api.url, connect=never), projectRef=REF, accessToken=TOKEN)
    names = [migration.name for migration in migrate.packaged()]
    assert first.status_code == 200
    assert first.json == {
        "success": True,
        "migrations": names,
        "realtime": {
            "works": False,
            "publication": False,
            "unpublished": ["mason_execution_progress", "mason_pm_backlog_items"],
            "partial": [],
        },
    }
    assert applied(api.dsn) == names
    again = ask(Migrations(api=api.url, connect=never), projectRef=REF, accessToken=TOKEN)
    assert (again.json or {})["migrations"] == []


def test_post_setup_migrations__oauth_method_with_the_url_of_the_same_project(api: FakeApi) -> None:
    done = ask(Migrations(api=api.url), projectRef=REF, accessToken=TOKEN, supabaseUrl=f"{URL}/")
    assert done.status_code == 200


def test_post_setup_migrations__credentials_method(empty_database: str) -> None:
    asked: list[dict[str, Any]] = []

    def project(dsn: str) -> AbstractContextManager[Direct]:
        asked.append(conninfo_to_dict(dsn))
        return connected(empty_database)

    migrations = Migrations(connect=project, resolve=dns("3.3.3.3"))
    done = ask(migrations, supabaseUrl=URL, databasePassword=PASSWORD)
    assert done.status_code == 200
    assert (done.json or {})["success"] is True
    assert applied(empty_database) == [migration.name for migration in migrate.packaged()]
    (dsn,) = asked
    assert (dsn["host"], dsn["hostaddr"], dsn["password"]) == (f"db.{REF}.supabase.co", "3.3.3.3", PASSWORD)
    assert (dsn["sslmode"], dsn["gssencmode"]) == ("require", "disable")


def test_post_setup_migrations__connection_string(tcp: str) -> None:
    done = ask(Migrations(allowed=LOOPBACK), connectionString=tcp)
    assert done.status_code == 200, done.text
    assert applied(tcp) == [migration.name for migration in migrate.packaged()]


def test_post_setup_migrations__realtime_is_verified(make_supabase: Callable[[], str]) -> None:
    dsn = make_supabase()
    migrations = Migrations(connect=lambda _: connected(dsn), resolve=dns("3.3.3.3"))
    done = ask(migrations, supabaseUrl=URL, databasePassword=PASSWORD)
    assert (done.json or {})["realtime"] == {"works": True, "publication": True, "unpublished": [], "partial": []}


# Error Responses


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"supabaseUrl": URL},
        {"projectRef": REF},
        {"accessToken": TOKEN},
        {"databasePassword": PASSWORD},
        {"supabaseUrl": URL, "accessToken": TOKEN},
        {"projectRef": REF, "databasePassword": PASSWORD},
        {"supabaseUrl": "", "databasePassword": PASSWORD},
        {"supabaseUrl": URL, "databasePassword": ""},
        {"supabaseUrl": URL, "databasePassword": None},
        {"connectionString": ""},
    ],
)
def test_post_setup_migrations__400_missing_credentials(body: dict[str, Any]) -> None:
    refused = ask(Migrations(connect=never, resolve=never), **body)
    assert refused.json == {"error": "Missing credentials", "statusCode": 400}


@pytest.mark.parametrize(
    "url",
    [
        "https://tsrqponmlkjihgfedcba.supabase.co",
        f"https://{REF}.supabase.co.evil.example",
        f"https://{REF}.example.com",
        f"http://{REF}.supabase.co",
        "https://[::1",
        REF,
    ],
)
def test_post_setup_migrations__400_project_mismatch(url: str) -> None:
    refused = ask(Migrations(connect=never, resolve=never), projectRef=REF, accessToken=TOKEN, supabaseUrl=url)
    assert refused.json == {"error": "PROJECT_MISMATCH", "statusCode": 400}


def test_post_setup_migrations__500_migration_error(tcp: str) -> None:
    with psycopg.connect(tcp, autocommit=True) as there:
        there.execute("create table mason_pm_backlog_items (id text)")
    failed = ask(Migrations(allowed=LOOPBACK), connectionString=tcp)
    said = dict(failed.json or {})
    assert failed.status_code == said["statusCode"] == 500
    assert said["error"] in errors_of(tcp)
    assert said["details"][0]["path"][0] == "migrations"
    assert said["details"][0]["path"][1] in [migration.name for migration in migrate.packaged()]


def errors_of(dsn: str) -> list[str]:
    """What the server itself says to the first migration that fails."""
    try:
        migrate.apply(dsn)
    except migrate.ScriptFailed as problem:
        return [problem.sentence]
    return []


def test_post_setup_migrations__500_migration_error_of_the_management_api(api: FakeApi) -> None:
    text = "Failed to run sql query: ERROR:  42501: permission denied for schema public\nLINE 1: …"
    api.scripted = [(201, {}, '[{"found": false}]'), (400, {}, f'{{"message": "{text}"}}'.replace("\n", "\\n"))]
    failed = ask(Migrations(api=api.url), projectRef=REF, accessToken=TOKEN)
    assert error_of(failed) == (500, "permission denied for schema public")


# What it does not do


@pytest.mark.parametrize(
    ("dsn", "said"),
    [
        ("postgresql://u:{p}@localhost/db", "private network"),
        ("postgresql://u:{p}@127.0.0.1/db", "private network"),
        ("postgresql://u:{p}@[::1]/db", "private network"),
        ("postgresql://u:{p}@10.0.0.8/db", "private network"),
        ("postgresql://u:{p}@169.254.169.254/db", "private network"),
        ("postgresql://u:{p}@0x7f000001/db", "private network"),
        ("postgresql://u:{p}@%2Fvar%2Frun/db", "private network"),
        ("postgresql://u:{p}@example.com/db", "*.supabase.co"),
        ("postgresql://u:{p}@8.8.8.8/db", "*.supabase.co"),
        ("postgresql://u:{p}@a.supabase.co,127.0.0.1/db", "exactly one host"),
        ("postgresql://u:{p}@a.supabase.co:5432,6543/db", "exactly one host"),
        ("host=a.supabase.co hostaddr=127.0.0.1 password={p}", "private network"),
        ("host=a.supabase.co hostaddr=8.8.8.8 password={p}", "*.supabase.co"),
        ("host=a.supabase.co options='-c x=y' password={p}", "may not set options"),
        ("service=mine password={p}", "may not set service"),
        ("host=a.supabase.co passfile=/etc/shadow", "may not set passfile"),
        ("host=a.supabase.co sslkey=/root/key password={p}", "may not set sslkey"),
        ("host=a.supabase.co user=postgres", "must hold the password"),
        ("host=8.8.8.8%.supabase.co password={p}", "by its name alone"),
        ("{p}", "cannot be read"),
        ("postgresql://u:{p}%@a.supabase.co/db", "cannot be read"),
    ],
)
def test_connection_string__leads_only_where_it_may(dsn: str, said: str) -> None:
    refused = ask(Migrations(connect=never, resolve=never), connectionString=dsn.format(p="s3cret"))
    assert refused.status_code == 400
    assert said in error_of(refused)[1]
    assert "s3cret" not in refused.text


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["3.3.3.3", "10.0.0.1"], ["::1"], ["fd00::1"], ["169.254.1.1"]])
def test_connection_string__a_good_name_of_a_bad_address(addresses: list[str]) -> None:
    migrations = Migrations(connect=never, resolve=dns(*addresses))
    refused = ask(migrations, connectionString="postgresql://u:s3cret@a.supabase.co/db")
    assert error_of(refused)[0] == 400
    assert "private network" in error_of(refused)[1]


def test_connection_string__an_allowed_host_is_reached_over_tls_and_at_no_other_address() -> None:
    asked: list[dict[str, Any]] = []

    def elsewhere(dsn: str) -> AbstractContextManager[Direct]:
        asked.append(conninfo_to_dict(dsn))
        raise DatabaseUnreachable("The database did not answer.")

    migrations = Migrations(
        allowed=frozenset({"db.example.com"}), connect=elsewhere, resolve=dns("10.1.2.3", "10.1.2.4")
    )
    for mode in ("", "?sslmode=disable", "?sslmode=prefer"):
        ask(migrations, connectionString=f"postgresql://u:s3cret@DB.example.com./db{mode}")
    assert {(one["hostaddr"], one["sslmode"]) for one in asked} == {("10.1.2.3", "require")}
    pinned = "host=db.example.com hostaddr=127.0.0.1 password=s3cret"
    assert error_of(ask(migrations, connectionString=pinned))[0] == 400
    assert len(asked) == 3


def test_connection_string__to_nobody(tcp: str) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    away = ask(Migrations(allowed=LOOPBACK), connectionString=make_conninfo(tcp, port=port, password="s3cret"))
    assert away.status_code == 503
    assert "did not answer" in error_of(away)[1]
    assert "s3cret" not in away.text
    assert int(away.headers["Retry-After"]) > 0


def test_connection_string__with_a_wrong_password_or_database(tcp: str) -> None:
    migrations = Migrations(allowed=LOOPBACK)
    status, said = error_of(ask(migrations, connectionString=make_conninfo(tcp, password="s3cret")))
    assert (status, "refused the login" in said, "s3cret" in said) == (400, True, False)
    status, said = error_of(ask(migrations, connectionString=make_conninfo(tcp, dbname="nowhere")))
    assert (status, "nowhere" in said) == (503, True)


def test_connection_string__of_a_database_that_is_held_up(tcp: str) -> None:
    with holding(tcp) as dsn:
        away = ask(Migrations(allowed=LOOPBACK, seconds=1.0), connectionString=dsn)
    assert error_of(away)[0] == 503


def test_connection_string__of_something_that_says_nothing(tcp: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        dsn = make_conninfo(tcp, port=silent.getsockname()[1])
        away = ask(Migrations(allowed=LOOPBACK, seconds=0.2), connectionString=dsn)
    assert error_of(away)[0] == 503


@contextmanager
def holding(dsn: str) -> Iterator[str]:
    """A database whose migrations somebody else holds up."""
    with psycopg.connect(dsn) as other:
        other.execute("select pg_advisory_xact_lock(%s)", (migrate._LOCK_KEY,))
        yield dsn


def test_two_at_a_time__the_third_is_told_to_come_back(tcp: str) -> None:
    inside, go_on = threading.Semaphore(0), threading.Event()

    def waits(dsn: str) -> AbstractContextManager[Direct]:
        inside.release()
        go_on.wait(30)
        return connected(dsn)

    migrations = Migrations(allowed=LOOPBACK, connect=waits)
    door = ApiDoor(routes=(setup_routes(migrations),))
    answers: list[int] = []
    threads = [
        threading.Thread(target=lambda: answers.append(door.post(ROUTE, json={"connectionString": tcp}).status_code))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    assert inside.acquire(timeout=30)
    assert inside.acquire(timeout=30)
    third = door.post(ROUTE, json={"connectionString": tcp})
    go_on.set()
    for thread in threads:
        thread.join(30)
    assert third.status_code == 503
    assert answers == [200, 200]


@pytest.mark.parametrize(
    ("status", "said"),
    [(401, "does not accept the access token"), (403, "may not change"), (404, "knows no project")],
)
def test_access_token__that_is_refused(api: FakeApi, status: int, said: str) -> None:
    api.scripted = [(status, {}, "{}")]
    refused = ask(Migrations(api=api.url), projectRef=REF, accessToken=TOKEN)
    assert refused.status_code == 400
    assert said in error_of(refused)[1]


@pytest.mark.parametrize("token", ["two words", "a\nb", "ключ"])
def test_access_token__that_is_none(token: str) -> None:
    refused = ask(Migrations(api="http://127.0.0.1:1"), projectRef=REF, accessToken=token)
    assert refused.status_code == 400
    assert token not in refused.text


@pytest.mark.parametrize("ref", ["../../v1/organizations", "a.b", "REF", "a" * 41, "a\0b", "ä"])
def test_project_ref__that_is_none(ref: str) -> None:
    refused = ask(Migrations(api="http://127.0.0.1:1"), projectRef=ref, accessToken=TOKEN)
    assert error_of(refused)[0] == 400


@pytest.mark.parametrize(
    "body",
    [
        {"connectionString": "postgresql://u:p@a.supabase.co/db", "accessToken": TOKEN, "projectRef": REF},
        {"supabaseUrl": URL, "databasePassword": PASSWORD, "accessToken": TOKEN, "projectRef": REF},
        {"connectionString": 5},
        {"connectionString": ["a"]},
        {"connection_string": "postgresql://u:p@a.supabase.co/db"},
        {"supabaseUrl": URL, "databasePassword": PASSWORD, "dryRun": True},
        {"supabaseUrl": URL, "databasePassword": "x" * 2000},
    ],
)
def test_body__that_is_not_valid(body: dict[str, Any]) -> None:
    refused = ask(Migrations(connect=never, resolve=never), **body)
    assert refused.status_code == 400
    assert PASSWORD not in refused.text
    assert TOKEN not in refused.text


@pytest.mark.parametrize("scope", [Scope.READ, Scope.RUN])
def test_scope__is_admin(scope: Scope) -> None:
    door = ApiDoor(routes=(setup_routes(Migrations(connect=never)),))
    refused = door.post(ROUTE, scope=scope, json={"connectionString": "postgresql://u:p@a.supabase.co/db"})
    assert error_of(refused)[0] == 403


def test_credentials__are_never_logged(api: FakeApi, tcp: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    api.scripted = [(500, {}, "{}")]
    ask(Migrations(api=api.url), projectRef=REF, accessToken=TOKEN)
    ask(
        Migrations(resolve=dns("127.0.0.1"), allowed=frozenset({f"db.{REF}.supabase.co"})),
        supabaseUrl=URL,
        databasePassword=PASSWORD,
    )
    ask(Migrations(allowed=LOOPBACK), connectionString=make_conninfo(tcp, password=PASSWORD, dbname="nowhere"))
    with psycopg.connect(tcp, autocommit=True) as there:
        there.execute("create table mason_pm_backlog_items (id text)")
    ask(Migrations(allowed=LOOPBACK), connectionString=make_conninfo(tcp, password=PASSWORD))
    assert caplog.text
    assert PASSWORD not in caplog.text
    assert TOKEN not in caplog.text
