"""From nothing to a working bot: `mason serve` without a setting, and a person who follows the link that it prints."""

from __future__ import annotations

import json
import os
import re
import sys
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from app.backlog.embedded import EmbeddedPostgres
from tests.conftest import open_directory
from tests.fakes.github import FakeGitHub
from tests.fakes.github_api.webhooks import Delivery
from tests.unit.wiring.test_setup_supabase import KEY, NETWORK, Rest
from tests.unit.workspace.repositories import git, new_repository
from tests.whole.prds import new, prd
from tests.whole.served import NAME, ROOT, Process, free_port, wait_for
from tests.whole.setting_up import Visitor

WORKFLOW = (ROOT / ".github/workflows/mason.yml").read_text()


@dataclass
class Fresh:
    """A Mason that nobody has set up, and the GitHub that it will be an App of."""

    github: FakeGitHub
    root: Path
    state: Path
    port: int
    environment: Mapping[str, str]
    process: Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        path = self.root / "mason.log"
        return path.read_text() if path.exists() else ""

    def start(self, *words: str, **more: str) -> Process:
        """`mason <words>` in an empty directory."""
        (self.root / "nothing").mkdir(exist_ok=True)
        self.process = Process(
            command=[sys.executable, "-P", "-m", "app", *words],
            environment={**self.environment, **more},
            log=self.root / "mason.log",
            cwd=self.root / "nothing",
        )
        self.process.start()
        return self.process

    def link(self) -> str:
        """The link that is printed."""
        found = wait_for(lambda: re.search(r"Set Mason up: (\S+)", self.log), "the link", lambda: self.log)
        return found[1]

    def make_app(self, visitor: Visitor) -> str:
        """The first step, at Mason and at GitHub; the secret of the App's webhook."""
        visitor.open(self.link()).send("/setup/app", name="Mason of octo", organisation="octo", app_url=self.url)
        assert "pull requests: write" in visitor.words
        visitor.send("/settings/apps/new").send("/settings/apps")
        assert visitor.at == f"{self.url}/setup#github", visitor.words
        return self.github.registration.registered[-1].webhook_secret

    def hears_github(self, secret: str) -> bool:
        """Whether a delivery that is signed with the secret is accepted."""
        body = json.dumps({"action": "created"}).encode()
        delivery = Delivery(id=str(uuid4()), event="installation", action="created", body=body)
        try:
            answer = httpx.post(
                f"{self.url}/webhooks/github", content=body, headers=delivery.headers(secret), timeout=10
            )
        except httpx.HTTPError:
            return False
        assert answer.status_code in (202, 401, 404), answer.text
        return answer.status_code == 202


@pytest.fixture
def fresh(tmp_path: Path, data_root: Path) -> Iterator[Fresh]:
    with FakeGitHub(tmp_path) as github:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "PYTHONPATH": str(ROOT),
            "MASON_STATE_DIR": str(data_root / "state"),
            "MASON_RUNS_DIR": str(tmp_path / "runs"),
            "MASON_GITHUB_SERVER_URL": github.server_url,
            "MASON_GITHUB_API_URL": github.url,
            "MASON_DATABASE_HOSTS": "127.0.0.1",
            "MASON_DATABASE_PATIENCE": "5",
            "MASON_DEBOUNCE": "0",
            "MASON_DISPATCH_PATIENCE": "0",
        }
        port = free_port()
        made = Fresh(github=github, root=tmp_path, state=data_root / "state", port=port, environment=environment)
        try:
            yield made
        finally:
            if made.process:
                made.process.kill()


@pytest.fixture
def supabase() -> Iterator[tuple[str, str]]:
    """A project: where its REST interface is, and the DSN of its database, which has what webhooks need."""
    with Rest() as rest, open_directory() as root, EmbeddedPostgres(root, throwaway=True, tcp=True) as server:
        dsn = make_conninfo(server.dsn)
        with psycopg.connect(dsn, autocommit=True) as there:
            there.execute(NETWORK.encode())
        yield rest.server_url, dsn


def test_setting_up__from_an_empty_directory_to_a_dispatched_run(fresh: Fresh, tmp_path: Path) -> None:
    """With the embedded backlog: an item that is approved then becomes a workflow run on GitHub, and no process was
    restarted by hand.
    """
    files = {"README.md": "Hello\n", ".github/workflows/mason.yml": WORKFLOW}
    git(tmp_path, "clone", "-q", "--bare", str(new_repository(tmp_path / "seed", files)), "app.git")
    there = fresh.github.repository(NAME, tmp_path / "app.git", installed=False)
    serve = fresh.start("serve", "--port", str(fresh.port), MASON_REPOSITORY=NAME)
    with closing(Visitor()) as visitor:
        assert visitor.open(f"{fresh.link().partition('?')[0]}").status == 403
        secret = fresh.make_app(visitor)
        assert "not installed yet" in visitor.words
        wait_for(lambda: fresh.hears_github(secret), "GitHub's webhooks are heard", lambda: fresh.log)
        assert not fresh.hears_github("another secret")

        app = fresh.github.registration.registered[-1].app
        fresh.github.hub.install(NAME, app=app, permissions=app.permissions)
        assert "installed at octo" in visitor.open("/setup").words
        checks = visitor.open("/setup/checks")
        assert "installed at octo" in checks.words and "the embedded Postgres answers" in checks.words
        assert "Mason is set up" in visitor.send("/setup/finish").words
        assert visitor.open("/setup").status == 404
        assert visitor.open(fresh.link()).status == 404

        record = json.loads((fresh.state / "postgres" / "connection.json").read_text())
        with psycopg.connect(record["dsn"], autocommit=True) as connection:
            connection.execute(
                "insert into mason_pm_backlog_items"
                " (title, problem, solution, area, type, complexity, impact_score, effort_score, status, prd_content)"
                " values ('Add a thing', 'p', 's', 'backend', 'feature', 2, 5, 5, 'approved', %s)",
                [prd(new("src/new.txt", "fine\n"))],
            )
        wait_for(lambda: there.workflow_runs, "a workflow run is dispatched", lambda: fresh.log)
    assert serve.stop() == 0
    for hidden in (secret, app.private_key.splitlines()[1], fresh.link().partition("=")[2]):
        assert hidden not in fresh.log.replace(fresh.link(), "")


def test_setting_up__supabase_is_connected_and_counts_at_once(fresh: Fresh, supabase: tuple[str, str]) -> None:
    url, dsn = supabase
    serve = fresh.start("serve", "--port", str(fresh.port))
    with closing(Visitor()) as visitor:
        fresh.make_app(visitor)
        project = {"url": url, "key": KEY, "way": "connection", "secret": dsn}
        wrong = visitor.send("/setup/supabase", **{**project, "key": "sb_secret_of_another"})
        assert wrong.status == 400 and "does not accept the Supabase key" in wrong.words
        visitor.send("/setup/supabase", **project)
        assert visitor.status == 200 and "announced to Mason at once" in visitor.words, visitor.words
        assert KEY not in visitor.text and dsn not in visitor.text

        with psycopg.connect(dsn) as there:
            row = there.execute("select url, key from mason_private.webhook").fetchone()
        assert row and row[0] == f"{fresh.url}/webhooks/supabase"

        def heard() -> bool:
            change = {
                "type": "UPDATE",
                "table": "mason_pm_backlog_items",
                "schema": "public",
                "record": {"id": str(uuid4()), "status": "approved"},
                "old_record": None,
            }
            headers = {"X-Mason-Secret": secret_of(bytes(row[1]))} if row else {}
            try:
                return httpx.post(f"{fresh.url}/webhooks/supabase", json=change, headers=headers).status_code == 202
            except httpx.HTTPError:
                return False

        wait_for(heard, "Supabase's webhooks are heard", lambda: fresh.log)
    serve.stop()
    for hidden in (KEY, dsn, row and secret_of(bytes(row[1]))):
        assert str(hidden) not in fresh.log


def test_setting_up__apart_and_started_again(fresh: Fresh, empty_database: str) -> None:
    """`mason web` by itself: what was stored is there after a restart, and the environment wins."""
    database = {"MASON_DATABASE_URL": empty_database}
    web = fresh.start("web", "--port", str(fresh.port), **database)
    with closing(Visitor()) as visitor:
        secret = fresh.make_app(visitor)
        wait_for(lambda: fresh.hears_github(secret), "GitHub's webhooks are heard", lambda: fresh.log)
    web.kill()
    fresh.start("web", "--port", str(fresh.port), **database)
    wait_for(lambda: fresh.hears_github(secret), "they still are", lambda: fresh.log)
    assert fresh.process
    fresh.process.kill()
    own = {
        "MASON_GITHUB_TOKEN": fresh.github.token("user"),
        "MASON_GITHUB_WEBHOOK_SECRET": "a-secret-of-the-environment",
    }
    fresh.start("web", "--port", str(fresh.port), **database, **own)
    wait_for(lambda: fresh.hears_github("a-secret-of-the-environment"), "the environment's", lambda: fresh.log)
    assert not fresh.hears_github(secret)


def secret_of(key: bytes) -> str:
    """The secret in the form in which it is stored."""
    return f"whsec_{b64encode(key).decode()}"
