"""The whole REST API, served: a web server, two databases, no worker, and nobody out in the world."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.backlog import migrate
from tests.unit.workspace.repositories import new_repository
from tests.whole.served import ROOT, Process, free_port, wait_for


@dataclass(frozen=True, kw_only=True, slots=True)
class Served:
    """Where the web server listens, with a key of scope admin, and its environment."""

    url: str
    key: str
    environment: dict[str, str]

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    def new_key(self, scope: str) -> str:
        return mason(self.environment, "api-key", "create", scope, "--scope", scope).strip()

    def get(self, path: str) -> Any:
        return httpx.get(self.url + path, headers=self.bearer, timeout=30).raise_for_status().json()

    def post(self, path: str, body: object) -> Any:
        return httpx.post(self.url + path, headers=self.bearer, json=body, timeout=30).raise_for_status().json()


@pytest.fixture
def served(tmp_path: Path, make_database: Callable[[str], str]) -> Iterator[Served]:
    backlog, own = make_database("template0"), make_database("template0")
    migrate.apply(backlog)
    new_repository(tmp_path / "repository", {"a.txt": "one\n"})
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "MASON_DSN": backlog,
        "MASON_DATABASE_URL": own,
        "MASON_STATE_DIR": str(tmp_path / "state"),
        "MASON_RUNS_DIR": str(tmp_path / "runs"),
        "MASON_WORKERS": "1",
        "HTTPS_PROXY": "http://127.0.0.1:1",  # nobody out in the world is asked
    }
    port = free_port()
    web = Process(
        command=[
            *(sys.executable, "-m", "app", "web", "--repository", str(tmp_path / "repository"), "--port", str(port))
        ],
        environment=environment,
        log=tmp_path / "web.log",
        cwd=ROOT,
    )
    web.start()
    try:
        wait_for(lambda: answers(port) or ended(web), "the web server answers", web.log.read_text)
        key = mason(environment, "api-key", "create", "tests", "--scope", "admin").strip()
        yield Served(url=f"http://127.0.0.1:{port}", key=key, environment=environment)
    finally:
        web.kill()


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def ended(process: Process) -> bool:
    assert process.child is not None
    assert process.child.poll() is None, process.log.read_text()
    return False


def mason(environment: dict[str, str], *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "app", *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
