"""The web app over many repositories: each of an owner of its own, so that GitHub's limits of writes are each one's.

They all show the same bare repository, and their workflow runs stay in the queue: what is looked at is the way there.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import dict_row

from app.backlog.postgres import postgres_backlog
from app.database import schema
from app.domain.results import Outcome
from tests.fakes.faults import Answer, Recorded
from tests.fakes.github import FakeGitHub, FakeRepository
from tests.unit.workspace.repositories import git
from tests.whole.kit import Project
from tests.whole.served import ROOT, SECRET, Process, Served, free_port, settings_of, wait_for

WORKFLOW = {".github/workflows/mason.yml": (ROOT / ".github/workflows/mason.yml").read_text()}
KEY = b"the key of Supabase's signatures"
DISPATCH = "POST /repos/{owner}/{repo}/actions/workflows/{workflow_id}/dispatches"


@dataclass(frozen=True, kw_only=True)
class Post:
    """A delivery to the app, signed when it is sent. ``id`` stays the same when it is sent again."""

    path: str
    body: bytes
    event: str = ""
    id: str = field(default_factory=lambda: str(uuid4()))

    def headers(self) -> dict[str, str]:
        if self.event:
            signature = hmac.new(SECRET.encode(), self.body, hashlib.sha256).hexdigest()
            named = {"X-GitHub-Event": self.event, "X-GitHub-Delivery": self.id}
            return {"Content-Type": "application/json", "X-Hub-Signature-256": f"sha256={signature}", **named}
        moment = str(int(time.time()))
        message = b".".join((self.id.encode(), moment.encode(), self.body))
        signature = base64.b64encode(hmac.digest(KEY, message, "sha256")).decode()
        named = {"webhook-id": self.id, "webhook-timestamp": moment, "webhook-signature": f"v1,{signature}"}
        return {"Content-Type": "application/json", **named}


def of_github(event: str, payload: Mapping[str, Any]) -> Post:
    return Post(path="/webhooks/github", event=event, body=json.dumps(payload).encode())


def of_supabase(item: UUID, status: str) -> Post:
    """What the database says of an item that was changed."""
    record = {"id": str(item), "status": status}
    body = {"type": "UPDATE", "table": "mason_pm_backlog_items", "schema": "public", "record": record}
    return Post(path="/webhooks/supabase", body=json.dumps(body).encode())


@dataclass
class Fleet(Served):
    """``repositories`` are the fake's; ``app_dsn`` is the app database."""

    repositories: list[FakeRepository] = field(default_factory=list)
    app_dsn: str = ""

    @property
    def logs(self) -> str:
        files = dict.fromkeys(made.log for made in self.started if made.log.exists())
        return "\n".join(f"--- {file.name}\n{file.read_text()[-10_000:]}" for file in files)

    def web_on(self, port: int, **more: str) -> Process:
        """A web server on this port, which may not answer yet."""
        return self.process("web", "--repository", str(self.project.repository), "--port", str(port), **more)

    def add_items(self, number: int, status: str = "new", *, first: int = 0) -> list[UUID]:
        """Items of all repositories in turn, beginning with the ``first``."""
        with psycopg.connect(self.project.dsn) as connection:
            return [
                self._add(connection, self.repositories[n % len(self.repositories)], status, n)
                for n in range(first, first + number)
            ]

    def _add(self, connection: psycopg.Connection[Any], of: FakeRepository, status: str, number: int) -> UUID:
        (row,) = connection.execute(
            "insert into mason_pm_backlog_items (title, problem, solution, area, type, complexity, impact_score,"
            " effort_score, status, prd_content, repository_id) select %s, 'p', 's', 'backend', 'feature', 2, 5, 5, %s,"
            " 'x', id from mason_github_repositories where github_full_name = %s returning id",
            [f"Thing {number} {uuid4().hex[:6]}", status, of.full_name],
        ).fetchall()
        return UUID(str(row[0]))

    def approve_items(self, items: Sequence[UUID]) -> None:
        """All in one transaction."""
        self.project.sql(
            "update mason_pm_backlog_items set status = 'approved' where id = any (%s) and status = 'new'", list(items)
        )

    def settle(self, items: Sequence[UUID], outcome: Outcome) -> None:
        """What the runners write once they are done with these items."""
        with closing(postgres_backlog(self.project.dsn, patience=5)) as backlog:
            for seen in backlog.claims():
                if seen.claim.item_id in items:
                    assert backlog.settle(seen.claim, outcome)

    def items(self, items: Sequence[UUID]) -> list[dict[str, Any]]:
        return self.project.rows("select * from mason_pm_backlog_items where id = any (%s) order by id", list(items))

    def app(self, query: str, *values: object) -> list[dict[str, Any]]:
        """Rows of the app database."""
        with psycopg.connect(self.app_dsn, autocommit=True, row_factory=dict_row) as connection:
            connection.execute("set search_path to mason_app")
            return connection.execute(query.encode(), values).fetchall()

    @property
    def dispatched(self) -> Counter[str]:
        """How many workflow runs there are of each run of Mason's."""
        with self.github.hub.lock:
            return Counter(str(run.inputs["run-id"]) for one in self.repositories for run in one.workflow_runs)

    def run_of(self, items: Sequence[UUID]) -> list[str]:
        """The runs that hold these items."""
        return [str(row["execution_run_id"]) for row in self.items(items) if row["status"] == "in_progress"]

    def all_dispatched(self, items: Sequence[UUID]) -> bool:
        """Whether each of the items is in a run, and that on its way."""
        runs = set(self.run_of(items))
        taken = {str(row["id"]) for row in self.app("select id from dispatches where state = 'dispatched'")}
        return len(self.run_of(items)) == len(items) and runs <= taken

    def assert_dispatched_once(self, items: Sequence[UUID], *, copies: int = 1) -> None:
        """Each item was claimed once, for a run that was handed over once; nothing else was handed over. At most so
        many ``copies`` of its workflow run.
        """
        rows = self.items(items)
        assert {(row["status"], row["execution_attempt"]) for row in rows} == {("in_progress", 1)}
        assert set(self.dispatched.values()) <= set(range(1, copies + 1))
        assert set(self.run_of(items)) <= self.dispatched.keys()

    @property
    def jobs(self) -> list[dict[str, Any]]:
        """Jobs that are being done, parked, or due."""
        return self.app(
            "select * from procrastinate_jobs where status in ('doing', 'failed')"
            " or status = 'todo' and scheduled_at <= clock_timestamp() + interval '2 seconds'"
        )

    def wait_until_idle(self) -> None:
        """Until nothing is done, and nothing due; what is parked is a failure."""

        def idle() -> bool:
            jobs = self.jobs
            assert not [job for job in jobs if job["status"] == "failed"], f"{jobs}\n{self.logs}"
            return not jobs

        wait_for(idle, "the queue is done", lambda: f"{self.jobs}\n{self.logs}", seconds=120)


class Hold:
    """Holds back the answer to a call of a route, the ``nth`` once armed, until told to let it pass."""

    def __init__(self, call: str, nth: int = 1) -> None:
        self._call = call
        self._left = nth
        self.armed, self.reached, self.let_pass = threading.Event(), threading.Event(), threading.Event()

    def __call__(self, request: Recorded, _: Answer) -> None:
        if request.call != self._call or not self.armed.is_set():
            return
        self._left -= 1
        if self._left == 0:
            self.reached.set()
            self.let_pass.wait(120)


@contextmanager
def opened(
    project: Project, app_dsn: str, root: Path, *, repositories: int, observer: Callable[..., None] | None = None
) -> Iterator[Fleet]:
    """The fleet over a project, without any process yet."""
    schema.prepare(app_dsn)
    git(root, "clone", "-q", "--bare", str(project.repository), "app.git")
    names = [f"owner{n}/app" for n in range(repositories)]
    for name in names:
        project.sql("insert into mason_github_repositories (github_full_name) values (%s)", name)
    with FakeGitHub(root, observer=observer) as github:
        there = [github.repository(name, root / "app.git") for name in names]
        for one in there:
            one.add_collaborator("ada")
        port = free_port()
        secret = f"whsec_{base64.b64encode(KEY).decode()}"
        environment = settings_of(project, github, app_dsn, port) | {"MASON_WEBHOOK_SECRET": secret}
        environment["MASON_SWEEP"] = "3600"
        fleet = Fleet(
            project=project,
            github=github,
            there=there[0],
            port=port,
            environment=environment,
            repositories=there,
            app_dsn=app_dsn,
        )
        try:
            yield fleet
        finally:
            fleet.close()
            project.close()
