"""The Management API as Supabase documents it, played by a small server in front of a real Postgres."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg
import pytest
from psycopg.rows import dict_row

from app.backlog import migrate
from app.backlog.management_api import management_api
from app.backlog.migrate import Migration, Rls
from app.backlog.sql_server import SqlRefused
from app.errors import DatabaseRefused, DatabaseUnreachable, MasonError

REF = "abcdefghijklmnopqrst"
TOKEN = "sbp_0123456789abcdef"
PATH = f"/v1/projects/{REF}/database/query"

Answer = tuple[int, dict[str, str], str]


class FakeApi(ThreadingHTTPServer):
    """``scripted`` answers go out first, one a request; then every query goes to ``dsn`` as the API sends it."""

    def __init__(self, dsn: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.dsn = dsn
        self.scripted: list[Answer | None] = []
        self.asked = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, path: str, token: str | None, body: bytes) -> Answer | None:
        with self.lock:
            self.asked += 1
            if self.scripted:
                return self.scripted.pop(0)
        if token != f"Bearer {TOKEN}":
            return 401, {}, json.dumps({"message": "Unauthorized"})
        if path != PATH:
            return 403, {}, json.dumps({"message": "Your account does not have the necessary privileges"})
        try:
            return 201, {}, json.dumps(self.run(json.loads(body)["query"]), default=str)
        except psycopg.Error as problem:
            text = f"Failed to run sql query: ERROR:  {problem.sqlstate}: {problem.diag.message_primary}\nLINE 1: …"
            return 400, {}, json.dumps({"message": text})

    def run(self, query: str) -> list[dict[str, object]]:
        with psycopg.connect(self.dsn, autocommit=True, row_factory=dict_row) as connection:
            cursor = connection.execute(query.encode())
            found = cursor.fetchall() if cursor.description else []
            while cursor.nextset():
                found = (cursor.fetchall() if cursor.description else []) or found
            return found


class Handler(BaseHTTPRequestHandler):
    server: FakeApi

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = self.server.answer(self.path, self.headers["Authorization"], body)
        if answer is None:
            return  # the connection ends without a word
        status, headers, text = answer
        data = text.encode()
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json", "Content-Length": str(len(data))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def api(empty_database: str) -> Iterator[FakeApi]:
    with FakeApi(empty_database) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def apply(
    api: FakeApi, *migrations: Migration, ref: str = REF, token: str = TOKEN, rls: Rls | None = None
) -> list[str]:
    with management_api(ref, token, base=api.url, patience=5) as there:
        return [migration.name for migration in migrate.apply(there, migrations or None, rls=rls)]


def test_api__migrates_an_empty_project_once(api: FakeApi) -> None:
    names = [migration.name for migration in migrate.packaged()]
    assert apply(api, rls=Rls.STRICT) == names
    assert apply(api) == []
    assert migrate.plan(api.dsn) == []
    assert migrate.profile(api.dsn) is Rls.STRICT


def test_api__several_callers_apply_each_migration_once(api: FakeApi) -> None:
    with ThreadPoolExecutor(5) as pool:
        done = list(pool.map(lambda _: apply(api), range(5)))
    assert sorted(name for part in done for name in part) == [migration.name for migration in migrate.packaged()]


def test_api__a_failing_migration_leaves_nothing_and_says_why(api: FakeApi) -> None:
    broken = Migration(name="001_a", sql="create table a (); select 1 / 0")
    with pytest.raises(SqlRefused, match="Migration 001_a failed: division by zero") as caught:
        apply(api, broken)
    assert caught.value.sqlstate == "22012"
    with psycopg.connect(api.dsn) as connection:
        assert connection.execute("select to_regclass('a'), to_regclass('mason_migrations')").fetchone() == (None, None)


def test_api__too_many_requests_are_waited_out(api: FakeApi) -> None:
    api.scripted = [(429, {"Retry-After": "0"}, '{"message": "ThrottlerException: Too Many Requests"}')] * 3
    assert apply(api, Migration(name="001_a", sql="create table a ()")) == ["001_a"]
    assert api.asked == 3 + 2


def test_api__too_many_requests_for_too_long(api: FakeApi) -> None:
    api.scripted = [(429, {"Retry-After": "60"}, "")]
    with pytest.raises(DatabaseUnreachable, match="too many requests"):
        apply(api)


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        ((401, {}, '{"message": "JWT could not be decoded"}'), DatabaseRefused, "does not accept the access token"),
        ((403, {}, '{"message": "no"}'), DatabaseRefused, f"project {REF}: it needs the scope database:write"),
        ((404, {}, "<html>"), DatabaseRefused, f"no project {REF}"),
        ((400, {}, '{"message": "Bad\\nthing"}'), DatabaseRefused, r"refused \(status 400\): Bad$"),
        ((400, {}, "[]"), DatabaseRefused, "without saying why"),
        ((302, {"Location": "http://127.0.0.1:1/"}, ""), DatabaseRefused, "status 302"),
        ((500, {}, '{"message": "boom"}'), DatabaseUnreachable, r"failed \(status 500\)"),
        ((503, {}, "<html>Service Unavailable</html>"), DatabaseUnreachable, r"failed \(status 503\)"),
        ((544, {}, '{"message": "Project query timeout"}'), DatabaseUnreachable, r"failed \(status 544\)"),
        (
            (200, {"Content-Type": "text/html"}, "<html>Log in</html>"),
            DatabaseUnreachable,
            "Something else .*text/html",
        ),
        ((201, {}, '{"a": 1}'), DatabaseUnreachable, "Something else"),
        ((201, {"Content-Length": "100"}, "[]"), DatabaseUnreachable, "did not answer"),
        (None, DatabaseUnreachable, "did not answer"),
    ],
)
def test_api__every_refusal_is_one_sentence_and_nothing_is_repeated(
    api: FakeApi, answer: Answer | None, kind: type[MasonError], said: str
) -> None:
    api.scripted = [answer]
    with pytest.raises(kind, match=said) as caught:
        apply(api)
    assert "\n" not in str(caught.value)
    assert TOKEN not in str(caught.value)
    assert api.asked == 1


def test_api__a_wrong_token_and_a_foreign_project(api: FakeApi) -> None:
    with pytest.raises(DatabaseRefused, match="does not accept the access token") as caught:
        apply(api, token="sbp_wrong")
    assert "sbp_wrong" not in str(caught.value)
    with pytest.raises(DatabaseRefused, match="may not change the database of project zzzz"):
        apply(api, ref="z" * 20)


@pytest.mark.parametrize("token", ["", "a b", "a\nb", "tökn"])
def test_api__a_token_that_is_none_is_never_sent(api: FakeApi, token: str) -> None:
    with pytest.raises(DatabaseRefused, match="access token is empty"):
        apply(api, token=token)
    assert api.asked == 0


def test_api__that_is_not_there() -> None:
    with (
        management_api(REF, TOKEN, base="http://127.0.0.1:1", patience=1) as there,
        pytest.raises(DatabaseUnreachable, match="did not answer"),
    ):
        migrate.plan(there)
