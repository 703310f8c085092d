"""A run over REST on the project of its request: it ends there, and its credentials are gone (real PostgREST)."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.rows import dict_row

from app.backlog import migrate
from app.backlog.postgrest import supabase_backlog
from app.database.api_keys import api_keys
from app.demo.show import HERE, make_repository
from app.domain.api_keys import Scope
from app.planning.item_file import read_item_file
from app.wiring.databases import database_beside
from tests.peers.gateway import Gateway
from tests.peers.supabase import SERVICE_ROLE, database, gateway, jwt, project
from tests.whole.served import ROOT, Process, free_port, wait_for

__all__ = ["database", "gateway", "project"]

pytestmark = pytest.mark.peer


class Mason:
    """Web and worker with a backlog of their own, on this machine; a client that may start runs."""

    def __init__(self, root: Path, server: str) -> None:
        self.root = root
        self.repository = make_repository(root / "shop")
        self.app_dsn = database_beside(server, f"app_{free_port()}")
        own = database_beside(server, f"own_{free_port()}")
        migrate.apply(own)
        port = free_port()
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(root),
            "MASON_DSN": own,
            "MASON_DATABASE_URL": self.app_dsn,
            "MASON_STATE_DIR": str(root / "state"),
            "MASON_RUNS_DIR": str(root / "runs"),
            "MASON_DATABASE_PATIENCE": "5",
            "MASON_WORKERS": "1",
            "MASON_DATABASE_HOSTS": "127.0.0.1",
        }
        where = ["--repository", str(self.repository)]
        self.processes = [
            Process(
                command=[sys.executable, "-m", "app", name, *where, *more],
                environment=environment,
                log=root / f"{name}.log",
                cwd=ROOT,
            )
            for name, more in (("web", ["--port", str(port)]), ("worker", []))
        ]
        self.url = f"http://127.0.0.1:{port}"

    def __enter__(self) -> Mason:
        for process in self.processes:
            process.start()
        wait_for(self._answers, "the web server answers", self.said)
        with closing(api_keys(self.app_dsn)) as keys:
            headers = {"Authorization": f"Bearer {keys.create('ci', Scope.RUN)[1]}"}
        self.client = httpx.Client(base_url=self.url, headers=headers, timeout=30)
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        for process in self.processes:
            process.kill()

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def said(self) -> str:
        """Every log, those of the runs too."""
        logs = [*self.root.glob("*.log"), *self.root.glob("state/local-runs/*/log")]
        return "\n".join(log.read_text(errors="replace") for log in logs)

    def start(self, item: object, url: str, key: str) -> httpx.Response:
        body = {"itemIds": [str(item)], "supabaseUrl": url, "supabaseKey": key}
        return self.client.post("/api/execution/start", json=body)

    def sealed(self) -> list[Any]:
        with psycopg.connect(self.app_dsn) as there:
            return there.execute("select name from mason_app.sealed where name <> ''").fetchall()


@pytest.fixture
def mason(tmp_path: Path, database: str) -> Iterator[Mason]:
    with Mason(tmp_path, database) as made:
        yield made


def test_own_credentials__the_run_ends_completed_and_they_are_gone(
    mason: Mason, gateway: Gateway, database: str
) -> None:
    with closing(supabase_backlog(gateway.url, SERVICE_ROLE, patience=30)) as store:
        prd = (HERE / "items" / "1-discount.md").read_text(encoding="utf-8")
        item = store.add_item(read_item_file(prd), repository=None)

    def row(query: str) -> dict[str, Any]:
        with psycopg.connect(database, row_factory=dict_row) as there:
            return there.execute(query).fetchone() or {}

    answer = mason.start(item, gateway.url, SERVICE_ROLE)
    assert answer.status_code == 200, answer.text + mason.said()
    run = answer.json()["executionRunId"]
    assert row("select status from mason_pm_backlog_items")["status"] == "in_progress"
    wait_for(
        lambda: row("select status from mason_remote_execution_runs")["status"] != "in_progress", "it ended", mason.said
    )
    ended = row("select * from mason_remote_execution_runs")
    assert (str(ended["id"]), ended["status"], ended["success_count"]) == (run, "success", 1), mason.said()
    assert row("select status from mason_pm_backlog_items")["status"] == "completed"
    wait_for(lambda: not mason.sealed(), "its credentials are gone", mason.said)
    assert SERVICE_ROLE not in mason.said()
    assert SERVICE_ROLE not in answer.text


def test_own_credentials__that_let_nobody_in_are_told(mason: Mason, gateway: Gateway, database: str) -> None:
    item = "123e4567-e89b-12d3-a456-426614174000"
    wrong = jwt("service_role", "another secret, as long as the right one is it")
    answer = mason.start(item, gateway.url, wrong)
    assert (answer.status_code, "does not accept the Supabase key" in answer.json()["error"]) == (400, True)
    assert wrong not in answer.text + mason.said()
    assert mason.start(item, gateway.url, "two words").status_code == 400
    assert mason.start(item, "https://evil.example", SERVICE_ROLE).status_code == 400
    assert mason.start(item, "http://127.0.0.1:9", SERVICE_ROLE).status_code == 400
    with psycopg.connect(database, autocommit=True) as there:
        there.execute("delete from mason_migrations where name like '011%'")
    answer = mason.start(item, gateway.url, SERVICE_ROLE)
    assert (answer.status_code, "mason migrate" in answer.json()["error"]) == (409, True)
    assert not mason.sealed()
