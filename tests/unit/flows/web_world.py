"""What the tests of the web app's flows share: both databases, repositories on the fake GitHub, people and runners.

Nothing runs by itself: a test calls the flows, moves workflow runs, and moves time by editing rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from app.backlog.postgres import postgres_backlog
from app.database import schema
from app.database.executions import stored_executions
from app.database.queue import job_queue
from app.database.store import app_database
from app.dispatch.github_actions import GithubActions
from app.domain.claims import Claim
from app.domain.deliveries import Asked, RunChanged
from app.domain.dispatches import Dispatch
from app.domain.items import Item
from app.domain.results import Outcome, Verdict
from app.flows.app_work import AppPorts
from app.flows.approval_to_run import reconcile_backlog
from app.flows.comment_to_command import answer_request
from app.flows.reconcile_run import reconcile_run
from app.forge.github.limits import Pace
from app.forge.github.repositories import GithubApp, GithubRepositories, WebOptions
from app.web.github_hook import RELEVANT, Signed, read_delivery
from tests.fakes.github import FakeGitHub, FakeRepository
from tests.fakes.github_api.records import CheckRun, WorkflowRun
from tests.fakes.github_api.webhooks import Delivery
from tests.unit.workspace.repositories import git, new_repository

NAME = "octo/app"
NOWHERE = "http://127.0.0.1:9"
WORKFLOW = """
name: Mason
run-name: Mason ${{ inputs.command }} ${{ inputs.run-id }}
on:
  workflow_dispatch:
    inputs:
      command: {default: run}
      run-id: {default: ""}
      pull-request: {default: ""}
      instructions: {default: ""}
      smoke-test: {default: ""}
      e2e: {default: ""}
"""
FILES = {"a.txt": "one\n", ".github/workflows/mason.yml": WORKFLOW}
LONG_AGO = timedelta(hours=7)


class Clock:
    """Seconds that pass when somebody sleeps. It begins now: tokens end by GitHub's clock."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class WebWorld:
    """``rows`` is a connection to the backlog's database, ``app_rows`` one to the web app's."""

    github: FakeGitHub
    ports: AppPorts
    bare: Path
    rows: psycopg.Connection[dict[str, Any]]
    app_rows: psycopg.Connection[dict[str, Any]]
    clock: Clock
    there: FakeRepository = field(init=False)

    def __post_init__(self) -> None:
        self.github.webhooks.to(NOWHERE, "collected, and read by the tests")
        self.there = self.add_repository(NAME)

    def add_repository(self, name: str, *, installed: bool = True) -> FakeRepository:
        """A connected repository, which shows the same commits as all others; ada may write there."""
        self.rows.execute("insert into mason_github_repositories (github_full_name) values (%s)", [name])
        made = self.github.repository(name, self.bare, installed=installed)
        made.add_collaborator("ada")
        return made

    def policy(self, text: str) -> None:
        self.there.push_as_person("main", {".github/mason.yml": text})

    def add_item(self, status: str = "approved", *, repository: str | None = NAME, **columns: Any) -> UUID:
        """An item; ``repository`` None for one that names none. Approvals are stamped by the database."""
        values = {
            "title": f"Thing {uuid4().hex[:8]}",
            "problem": "p",
            "solution": "s",
            "area": "backend",
            "type": "feature",
            "complexity": 2,
            "impact_score": 5,
            "effort_score": 5,
            "prd_content": "x",
            "status": status,
        } | columns
        names, places = ", ".join(values), ", ".join(["%s"] * len(values))
        (row,) = self.rows.execute(
            f"insert into mason_pm_backlog_items ({names}, repository_id) values ({places},"
            " (select id from mason_github_repositories where github_full_name = %s)) returning id".encode(),
            [*values.values(), repository],
        ).fetchall()
        return UUID(str(row["id"]))

    def add_items(self, number: int, **columns: Any) -> list[UUID]:
        return [self.add_item(**columns) for _ in range(number)]

    def add_execution(self, dollars: float, *, status: str = "success", repository: str = NAME) -> UUID:
        """An execution of the agent runtime that has cost so much, or, while it runs, may do so."""
        execution, ended = uuid4(), status != "running"
        self.app_rows.execute(
            "insert into mason_app.executions (id, worker_id, work_item_id, template_id, prompt, gate, status,"
            " budget_usd, usage, completed_at) values (%(id)s, 'claude', %(id)s, 'general', 'x', false, %(status)s,"
            " %(dollars)s, %(usage)s, case when %(ended)s then now() end)",
            {
                **{"id": execution, "status": status, "dollars": dollars, "ended": ended},
                "usage": Jsonb({"cost_usd": dollars} if ended else {}),
            },
        )
        self.app_rows.execute(
            "insert into mason_app.workspaces (id, execution_id, repository, path, branch, cleanup_at)"
            " values (%(id)s, %(id)s, %(repository)s, 'x', 'b', now())",
            {"id": execution, "repository": repository},
        )
        return execution

    def item(self, item: UUID) -> Item:
        (found,) = self.ports.backlog.items([item])
        return found

    def statuses(self, items: Sequence[UUID]) -> list[str]:
        return [found.status.value for found in self.ports.backlog.items(items)]

    def edit_item(self, item: UUID, **columns: Any) -> None:
        setting = ", ".join(f"{name} = %s" for name in columns)
        query = f"update mason_pm_backlog_items set {setting} where id = %s"
        self.rows.execute(query.encode(), [*columns.values(), item])

    def age_item(self, item: UUID, seconds: float) -> None:
        """So long ago it was approved."""
        self.edit_item(item, approved_at=datetime.now(UTC) - timedelta(seconds=seconds))

    def lose_lease(self, item: UUID) -> None:
        self.edit_item(item, heartbeat_at=datetime.now(UTC) - timedelta(minutes=4))

    def edit_dispatch(self, dispatch: UUID, **columns: Any) -> None:
        setting = ", ".join(f"{name} = %s" for name in columns)
        query = f"update mason_app.dispatches set {setting} where id = %s"
        self.app_rows.execute(query.encode(), [*columns.values(), dispatch])

    def ago(self, **time_: float) -> datetime:
        return self.ports.database.now() - timedelta(**time_)

    @property
    def dispatches(self) -> list[Dispatch]:
        """All, oldest first."""
        ids = self.app_rows.execute("select id from mason_app.dispatches order by created_at, id").fetchall()
        found = [self.ports.database.dispatch(row["id"]) for row in ids]
        return [one for one in found if one]

    def dispatch(self) -> Dispatch:
        """The only one."""
        (one,) = self.dispatches
        return one

    def run_rows(self, run: UUID) -> dict[str, Any]:
        """The run's row, and the status of its other row under ``planned_status``."""
        (row,) = self.rows.execute(
            "select r.*, p.status as planned_status from mason_remote_execution_runs r"
            " join mason_pm_execution_runs p on p.id = r.id where r.id = %s",
            [run],
        ).fetchall()
        return row

    def jobs(self, task: str) -> int:
        """How many jobs of this task wait."""
        query = "select count(*) as n from mason_app.procrastinate_jobs where task_name = %s and status = 'todo'"
        (row,) = self.app_rows.execute(query, [task]).fetchall()
        return int(row["n"])

    def look(self) -> None:
        """Everything that is unfinished, once, in order: what the jobs of a sweep do."""
        reconcile_backlog(self.ports)
        for one in self.ports.database.unfinished():
            reconcile_run(self.ports, one.id)

    def started(self, number: int = 1, **columns: Any) -> tuple[Dispatch, WorkflowRun, list[UUID]]:
        """A run over so many approved items, dispatched; its workflow run is in the queue."""
        items = self.add_items(number, **columns)
        self.look()
        dispatch = next(one for one in self.dispatches if items[0] in one.items)
        return dispatch, self.workflow_run(dispatch), items

    def workflow_run(self, dispatch: Dispatch) -> WorkflowRun:
        (found,) = [run for run in self.there.workflow_runs if run.inputs["run-id"] == str(dispatch.id)]
        return found

    def begin(self, dispatch: Dispatch, item: UUID, who: str = "job 1 1 run a") -> Claim:
        """A runner takes the item over."""
        taken = self.ports.backlog.take_over(item, run_id=dispatch.id, claimed_by=who)
        assert taken, "the item belongs to somebody else"
        return taken.claim

    def settle(self, claim: Claim, verdict: Verdict = Verdict.COMPLETED, reason: str = "", **more: Any) -> bool:
        return self.ports.backlog.settle(claim, Outcome(verdict=verdict, reason=reason, **more))

    @property
    def open_checks(self) -> list[str]:
        return [run.name for run in self.there.check_runs if not run.completed]

    def comments_of_mason(self, number: int, marker: str = "") -> list[str]:
        """The comments that begin with this marker, oldest first, without it."""
        said = [one.body for one in self.there.comments if one.number == number and one.app is self.github.app]
        return [body.partition("\n")[2] for body in said if body.startswith(f"<!-- mason:{marker}")]

    def replies(self, number: int) -> list[str]:
        return self.comments_of_mason(number, "reply:")

    def progress(self, number: int) -> str:
        """The one progress comment."""
        (said,) = self.comments_of_mason(number, "progress")
        return said

    def deliveries(self) -> list[Delivery]:
        """What GitHub would send now; it is taken out."""
        hook = self.github.webhooks
        with self.github.hub.lock:
            pending, hook.pending = hook.pending, []
        return pending

    def hear(self) -> list[str]:
        """Deliveries through the door as far as the queue: the keys of the requests in them."""
        heard = [meaning.request for meaning in map(read, self.deliveries()) if isinstance(meaning, Asked)]
        return [request.key for request in heard if self.ports.jobs.hear(request)]

    def answer(self) -> None:
        """Answer everything that was asked for by now."""
        for key in self.hear():
            answer_request(self.ports, key)

    def say(self, body: str, *, number: int | None = None, login: str = "ada") -> int:
        """A person's comment on an issue (a new one unless told), answered; the issue's number."""
        number = number or self.there.open_issue_by_person("A question").number
        self.there.comment_as_person(number, body, login=login)
        self.answer()
        return number

    def press(self, check: CheckRun, button: str) -> None:
        self.there.press(check, button)
        self.answer()

    def check_of(self, item: UUID) -> CheckRun:
        """The newest check run of an item."""
        return next(run for run in reversed(self.there.check_runs) if str(item) in run.external_id)

    def reactions(self, number: int) -> list[str]:
        """The reactions to the last comment of a person there."""
        last = [one for one in self.there.comments if one.number == number and one.app is None][-1]
        return [each.content for each in last.reactions]


def read(delivery: Delivery) -> Any:
    """What a delivery means, None for nothing."""
    if delivery.event not in RELEVANT:
        return None
    return read_delivery(
        Signed(event=delivery.event, id=delivery.id, body=delivery.body, received_at=datetime.now(UTC))
    )


def changed_run(delivery: Delivery) -> UUID | None:
    """The run that a delivery is about, if it is one about a workflow run."""
    meaning = read(delivery)
    return meaning.run_id if isinstance(meaning, RunChanged) else None


@contextmanager
def web_world(directory: Path, backlog_dsn: str, app_dsn: str) -> Iterator[WebWorld]:
    """``backlog_dsn`` is migrated, ``app_dsn`` empty. GitHub is not waited for, and failures come through at once."""
    schema.prepare(app_dsn)
    new_repository(directory / "seed", FILES)
    git(directory, "clone", "-q", "--bare", "seed", "app.git")
    clock = Clock()
    with ExitStack() as stack:
        github = stack.enter_context(FakeGitHub(directory))
        backlog = stack.enter_context(closing(postgres_backlog(backlog_dsn, patience=5)))
        database = stack.enter_context(closing(app_database(app_dsn)))
        executions = stack.enter_context(closing(stored_executions(app_dsn)))
        queue = stack.enter_context(closing(job_queue(app_dsn)))
        rows = stack.enter_context(psycopg.connect(backlog_dsn, autocommit=True, row_factory=dict_row))
        app_rows = stack.enter_context(psycopg.connect(app_dsn, autocommit=True, row_factory=dict_row))
        app = GithubApp(id=str(github.app.id), private_key=github.app.private_key)
        pace = Pace(patience=0.0, clock=clock, sleep=clock.sleep)
        repositories = GithubRepositories(
            WebOptions(api_url=github.url, acts_as=app, pace=pace, writes_per_minute=10_000), lambda _: None
        )
        ports = AppPorts(
            backlog=backlog,
            repositories=repositories,
            dispatcher=GithubActions(repositories.workflows),
            database=database,
            executions=executions,
            jobs=queue,
            quiet=0.0,
            appears=0.0,
        )
        yield WebWorld(
            github=github, ports=ports, bare=directory / "app.git", rows=rows, app_rows=app_rows, clock=clock
        )


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Tripwire:
    """Ends the process at the n-th call (from 1) of its ports, before that call's effect or after it."""

    at: int = 0
    after: bool = False
    calls: list[str] = field(default_factory=list)

    def ports(self, ports: AppPorts) -> AppPorts:
        guarded = ("backlog", "repositories", "dispatcher", "database", "executions", "jobs")
        return replace(ports, **{name: Guarded(getattr(ports, name), self, name) for name in guarded})

    def call(self, name: str, make: Callable[[], Any]) -> Any:
        self.calls.append(name)
        mine = len(self.calls) == self.at
        if mine and not self.after:
            raise Killed(name)
        answer = make()
        if mine:
            raise Killed(name)
        return answer


class Guarded:
    """A port whose calls go over a tripwire; what `named` and `check_runs` give is one too."""

    def __init__(self, inner: Any, wire: Tripwire, name: str) -> None:
        self._inner = inner
        self._wire = wire
        self._name = name

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name == "check_runs":
            return Guarded(found, self._wire, name) if found else None
        if not callable(found) or name == "locked":  # a key that is held is given back when its lease ends
            return found

        def call(*given: Any, **named: Any) -> Any:
            answer = self._wire.call(f"{self._name}.{name}", lambda: found(*given, **named))
            return Guarded(answer, self._wire, "repository") if name == "named" else answer

        return call
