"""`mason doctor` through its command, on real repositories and databases; a local server stands for odd projects."""

from __future__ import annotations

import base64
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from app.backlog import migrate
from app.cli import main
from app.domain.supabase_keys import ProjectKey, project_ref, read_key
from app.errors import UsageError
from app.flows.doctor import Finding, Status, StoreFacts, examine, judge_clock, judge_git, judge_key, judge_schema

REF, OTHER = "abcdefghijklmnopqrst", "zzzzzzzzzzzzzzzzzzzz"
SECRET = "sb_secret_0123456789abcdef"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("MASON_DSN", "MASON_SUPABASE_URL", "MASON_SUPABASE_KEY", "MASON_AGENT", "MASON_VERSION_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MASON_STATE_DIR", str(tmp_path / "state"))


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    (root / ".github").mkdir(parents=True)
    (root / ".github" / "mason.yml").write_text("checks: {test: 'FOO=1 git --version && ./run && true'}\n")
    git(root, "init", "-q", "-b", "main")
    git(root, "add", ".")
    git(root, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "first")
    return root


def git(root: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", root, *arguments], check=True, capture_output=True)


def doctor(repository: Path, *options: str) -> tuple[int, dict[str, dict[str, str]]]:
    """The exit code, and the findings by check."""
    result = CliRunner().invoke(main, ["doctor", "--json", "--repository", str(repository), *options])
    answer = json.loads(result.stdout)
    assert set(answer) == {"ok", "checks"}
    assert answer["ok"] == (result.exit_code == 0)
    assert all(set(check) == {"check", "status", "detail", "fix"} for check in answer["checks"])
    found = {check["check"]: check for check in answer["checks"]}
    assert len(found) == len(answer["checks"])
    return result.exit_code, found


def statuses(found: dict[str, dict[str, str]], *names: str) -> list[str]:
    return [found[name]["status"] for name in names]


STORE = ("database", "schema", "realtime", "row level security", "clock")


def test_doctor__all_is_well(repository: Path, database: str) -> None:
    code, found = doctor(repository, "--dsn", database)

    assert code == 0
    assert statuses(found, "database", "schema", "clock") == ["ok", "ok", "ok"]
    assert found["configuration"]["detail"] == "the database is named by --dsn"
    assert found["toolchain"]["detail"] == "configured: test"
    assert found["repository"]["detail"].startswith("main at ")
    assert not any(check["status"] == "fail" for check in found.values())


def test_doctor__table_for_people(repository: Path, database: str) -> None:
    result = CliRunner().invoke(main, ["doctor", "--dsn", database, "--repository", str(repository)])

    assert result.exit_code == 0
    assert "✓  git" in result.stdout
    assert "migrations applied" in result.stdout


def test_doctor__database_not_migrated(repository: Path, empty_database: str) -> None:
    code, found = doctor(repository, "--dsn", empty_database)

    assert code == 1
    assert statuses(found, *STORE) == ["ok", "fail", "skipped", "skipped", "skipped"]
    assert found["schema"]["fix"] == "run `mason migrate`"


def test_doctor__pending_and_changed_migrations(repository: Path, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("delete from mason_migrations where name = '004_approval'")
        assert doctor(repository, "--dsn", database)[1]["schema"]["detail"] == "not applied yet: 004_approval"
        connection.execute("update mason_migrations set checksum = 'x' where name = '001_tables'")
    assert doctor(repository, "--dsn", database)[1]["schema"]["detail"] == "applied with another text: 001_tables"


def test_doctor__database_away_hides_nothing_else(repository: Path) -> None:
    code, found = doctor(repository, "--dsn", "postgresql://name:hunter2@127.0.0.1:1/x")

    assert code == 1
    assert statuses(found, *STORE) == ["fail", "skipped", "skipped", "skipped", "skipped"]
    assert statuses(found, "git", "repository", "toolchain", "agent") == ["ok", "ok", "ok", "ok"]
    assert "hunter2" not in json.dumps(found)


@contextmanager
def role_anon(dsn: str) -> Iterator[psycopg.Connection[Any]]:
    """A role anon with the grants that a Supabase project gives it; dropped again if it was made here."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        made = connection.execute("select 1 from pg_roles where rolname = 'anon'").fetchone() is None
        if made:
            connection.execute("create role anon nologin")
        try:
            connection.execute("grant all on all tables in schema public to anon")
            connection.execute('drop policy if exists "Allow all on mason_users" on mason_users')
            connection.execute('create policy "Allow all on mason_users" on mason_users for all using (true)')
            yield connection
        finally:
            if made:
                connection.execute("drop owned by anon")
                connection.execute("drop role anon")


def test_doctor__access_profiles(repository: Path, database: str) -> None:
    with role_anon(database) as connection:
        code, found = doctor(repository, "--dsn", database)
        assert (code, found["row level security"]["status"]) == (0, "warn")
        assert "everyone with the anon key" in found["row level security"]["detail"]
        code, found = doctor(repository, "--dsn", database, "--production")
        assert (code, found["row level security"]["status"]) == (1, "fail")

        connection.execute("revoke all on all tables in schema public from anon")
        code, found = doctor(repository, "--dsn", database, "--production")
        assert (code, found["row level security"]["status"]) == (0, "ok")

        connection.execute("grant select on mason_users to anon")
        assert "1 tables" in doctor(repository, "--dsn", database)[1]["row level security"]["detail"]
        connection.execute('drop policy "Allow all on mason_users" on mason_users')
        assert doctor(repository, "--dsn", database)[1]["row level security"]["status"] == "ok"
        connection.execute("alter table mason_users disable row level security")
        assert doctor(repository, "--dsn", database)[1]["row level security"]["status"] == "warn"


def test_doctor__realtime(repository: Path, database: str) -> None:
    assert doctor(repository, "--dsn", database)[1]["realtime"]["status"] == "skipped"
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("create publication supabase_realtime for table mason_pm_backlog_items")
        found = doctor(repository, "--dsn", database)[1]["realtime"]
        assert found["status"] == "fail"
        connection.execute(found["fix"])
        connection.execute("alter table mason_pm_backlog_items replica identity default")
        found = doctor(repository, "--dsn", database)[1]["realtime"]
        assert found["status"] == "fail"
        connection.execute(found["fix"])
    assert doctor(repository, "--dsn", database)[1]["realtime"]["status"] == "ok"


def test_doctor__broken_configuration_hides_nothing_else(repository: Path) -> None:
    (repository / "mason.config.json").write_text('{"supabaseUrl": 5, "supabaseAnonKey": "hunter2"}')

    code, found = doctor(repository)

    assert code == 1
    assert "supabaseUrl in" in found["configuration"]["detail"]
    assert statuses(found, "git", "toolchain", "database") == ["ok", "ok", "skipped"]
    assert "hunter2" not in json.dumps(found)


def test_doctor__config_file_and_git(repository: Path, database: str) -> None:
    def kept() -> tuple[str, str]:
        finding = doctor(repository, "--dsn", database)[1]["keys in git"]
        return finding["status"], finding["detail"]

    assert kept() == ("skipped", "there is no mason.config.json")
    (repository / "mason.config.json").write_text("{}")
    assert kept() == ("warn", "git does not ignore mason.config.json")
    (repository / ".gitignore").write_text("mason.config.json\n")
    assert kept() == ("ok", "mason.config.json is ignored")
    git(repository, "add", "-f", "mason.config.json")
    assert kept() == ("warn", "git tracks mason.config.json")
    git(repository, "worktree", "add", "-q", "../linked")
    (repository.parent / "linked" / "mason.config.json").write_text("{}")
    finding = doctor(repository.parent / "linked", "--dsn", database)[1]["keys in git"]
    assert finding["detail"] == "git does not ignore mason.config.json"


def test_doctor__no_repository_and_no_checks(tmp_path: Path, repository: Path, database: str) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    code, found = doctor(plain, "--dsn", database)
    assert code == 1
    assert statuses(found, "repository", "toolchain", "database") == ["fail", "fail", "ok"]

    (repository / ".github" / "mason.yml").write_text("checks: {lint: 'no-such-program --fix; git'}\n")
    git(repository, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qam", "second")
    found = doctor(repository, "--dsn", database)[1]
    assert found["toolchain"]["status"] == "fail"
    assert found["toolchain"]["detail"].endswith("not on the PATH: no-such-program")


def test_doctor__agents(repository: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def agent() -> list[str]:
        found = doctor(repository, "--dsn", database)[1]
        assert "hunter2" not in json.dumps(found)
        return statuses(found, "agent", "model key")

    assert agent() == ["ok", "skipped"]
    monkeypatch.setenv("MASON_AGENT", "command")
    assert agent() == ["fail", "warn"]
    monkeypatch.setenv("MASON_AGENT_COMMAND", "no-such-program --fast")
    assert agent() == ["fail", "warn"]
    monkeypatch.setenv("MASON_AGENT_COMMAND", "git --fast")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "hunter2")
    assert agent() == ["ok", "warn"]
    monkeypatch.setenv("MASON_PASS_ENV", "ANTHROPIC_API_KEY")
    assert agent() == ["ok", "ok"]
    monkeypatch.setenv("MASON_AGENT_COMMAND", "'unfinished")
    assert "MASON_AGENT_COMMAND cannot be read" in doctor(repository, "--dsn", database)[1]["agent"]["detail"]


def jwt(**claims: object) -> str:
    parts = ({"alg": "HS256"}, claims)
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, "c2lnbmF0dXJl"])


@pytest.mark.parametrize(
    ("key", "status", "said"),
    [
        (SECRET, "ok", "sb_secret"),
        ("sb_publishable_x", "ok", "sb_publishable"),
        (jwt(role="anon", ref=REF, exp=2**40), "ok", "anon"),
        (jwt(role="service_role", exp=10**400), "ok", "service_role"),
        (jwt(role="anon", ref=REF, exp=1), "fail", "expired"),
        (jwt(role="anon", ref=OTHER), "fail", f"of the project {OTHER}"),
        (jwt(role=["anon"]), "fail", "no Supabase key"),
        ("eyJ.%%%.x", "fail", "no Supabase key"),
        ("a.b", "fail", "no Supabase key"),
        (f"x.{base64.urlsafe_b64encode(b'[' * 3000).decode()}.x", "fail", "no Supabase key"),
    ],
)
def test_key__kinds(key: str, status: str, said: str) -> None:
    found = judge_key(read_key(key), f"https://{REF}.supabase.co", time.time())

    assert (found.status.value, said in found.detail) == (status, True)


def test_key__custom_domains_have_no_ref() -> None:
    assert project_ref("https://api.example.com") is None
    assert project_ref(f"https://{REF}.supabase.co") == REF
    assert judge_key(ProjectKey(kind="anon", ref=OTHER), "http://127.0.0.1:3000", 0).status is Status.OK


@contextmanager
def server(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            answer(self)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing on the terminal."""

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{httpd.server_port}"
    finally:
        httpd.shutdown()
        thread.join()
        httpd.server_close()


def project(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("MASON_SUPABASE_URL", url)
    monkeypatch.setenv("MASON_SUPABASE_KEY", SECRET)


ROW = {
    "migrations": {migration.name: migration.checksum for migration in migrate.packaged()},
    "publication": True,
    "live": ["mason_execution_progress", "mason_pm_backlog_items"],
    "replica_full": ["mason_execution_progress", "mason_pm_backlog_items"],
    "has_anon": True,
    "open_to_anon": [],
}


def answering(status: int, body: bytes) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        assert handler.path == "/rest/v1/rpc/mason_doctor"
        assert handler.headers["apikey"] == SECRET
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def test_doctor__over_rest(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = {**ROW, "server_time": datetime.now(UTC).isoformat()}
    with server(answering(200, json.dumps([row]).encode())) as url:
        project(monkeypatch, url)
        code, found = doctor(repository, "--production")

    assert code == 0
    assert statuses(found, "key", *STORE) == ["ok"] * 6
    assert "URL from MASON_SUPABASE_URL" in found["configuration"]["detail"]
    assert SECRET not in json.dumps(found)


@pytest.mark.parametrize(
    ("status", "body", "check", "said"),
    [
        (404, b'{"code": "PGRST202", "message": "no function"}', "schema", "are not there"),
        (401, b'{"message": "Invalid API key sb_secret_0123456789abcdef"}', "database", "key"),
        (200, b"<html>sign in</html>", "database", "does not answer like a Supabase project"),
        (500, b'{"message": "sb_secret_0123456789abcdef broke"}', "database", "*** broke"),
        (500, b"null", "database", "500"),
        (200, b"[]", "database", "cannot be read"),
        (200, b'[{"server_time": 5}]', "database", "cannot be read"),
    ],
)
def test_doctor__odd_projects(
    repository: Path, monkeypatch: pytest.MonkeyPatch, status: int, body: bytes, check: str, said: str
) -> None:
    with server(answering(status, body)) as url:
        project(monkeypatch, url)
        code, found = doctor(repository)

    assert code == 1
    assert found[check]["status"] == "fail"
    assert said in found[check]["detail"]
    assert SECRET not in json.dumps(found)


def facts(**changes: Any) -> StoreFacts:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    known: dict[str, Any] = {"asked": now, "answered": now + timedelta(seconds=40), "server_time": now}
    rest: dict[str, Any] = {"migrations": {}, "publication": False, "live": frozenset(), "replica_full": frozenset()}
    return StoreFacts(**{**known, **rest, "has_anon": False, "open_to_anon": (), **changes})


@pytest.mark.parametrize(
    ("seconds", "status"),
    [(0, "ok"), (20, "ok"), (69, "ok"), (71, "warn"), (161, "fail"), (-31, "warn"), (-121, "fail")],
)
def test_clock__the_way_back_and_forth_does_not_count(seconds: int, status: str) -> None:
    moved = facts(server_time=facts().asked + timedelta(seconds=seconds))

    assert judge_clock(moved).status.value == status


def test_git__versions() -> None:
    assert [judge_git(version).status.value for version in (None, (2, 37, 9), (2, 38), (3, 0))] == [
        *("fail", "fail", "ok", "ok")
    ]


def test_schema__a_newer_database_is_well() -> None:
    found = judge_schema(facts(migrations={"001": "a", "002": "b"}), {"001": "a"})

    assert (found.status, "1 of a newer Mason" in found.detail) == (Status.OK, True)


def test_examine__a_probe_that_hangs_or_breaks_hides_no_other() -> None:
    released = threading.Event()

    def hangs() -> list[Finding]:
        released.wait(30)
        return []

    def breaks() -> list[Finding]:
        raise KeyError("x")

    def refuses() -> list[Finding]:
        raise UsageError("Not like this.")

    fine = Finding(check="fine", status=Status.OK, detail="")
    found = examine({"refuses": refuses, "breaks": breaks, "fine": lambda: [fine], "hangs": hangs}, 0.2)
    released.set()

    assert [(each.check, each.status.value) for each in found] == [
        *(("refuses", "fail"), ("breaks", "fail"), ("fine", "ok"), ("hangs", "fail"))
    ]
    assert found[0].detail == "Not like this."
