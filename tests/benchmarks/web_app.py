"""The web app's benchmarks: ``python -m tests.benchmarks.web_app [NAME …] [--json]``, a table as engine's.

Real processes over a fake GitHub on this machine, which works with real git in the benchmark's own process: its share
is in every figure.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from statistics import median
from uuid import UUID

import httpx
import psycopg
from psycopg.conninfo import make_conninfo

from app.backlog import migrate
from app.backlog.embedded import EmbeddedPostgres
from tests.benchmarks import engine
from tests.benchmarks.bench import Row
from tests.conftest import open_directory
from tests.fakes.faults import Answer, Recorded
from tests.unit.workspace.repositories import new_repository
from tests.whole.fleet import DISPATCH, WORKFLOW, Fleet, Hold, of_supabase, opened
from tests.whole.kit import FILES, Project, policy
from tests.whole.served import wait_for
from tests.whole.storm import Storm

APPROVALS, A_SECOND, WARM_UPS = 20, 5, 2
DELIVERIES, KILLS, SEED = 1_000, 50, 4
RECOVERIES = 3


@contextmanager
def fleet(repositories: int, observer: Callable[[Recorded, Answer], None] | None = None) -> Iterator[Fleet]:
    """A fleet on a Postgres of its own."""
    with ExitStack() as stack:
        root = stack.enter_context(open_directory())
        server = stack.enter_context(EmbeddedPostgres(root / "postgres", throwaway=True))
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            for name in ("backlog", "app"):
                connection.execute(f"create database {name}")
        dsn, app_dsn = (make_conninfo(server.dsn, dbname=name) for name in ("backlog", "app"))
        migrate.apply(dsn)
        work = root / "work"
        work.mkdir()
        content = {**FILES, **WORKFLOW, ".github/mason.yml": policy()}
        project = Project(repository=new_repository(work / "sample", content), dsn=dsn, root=work)
        yield stack.enter_context(opened(project, app_dsn, work, repositories=repositories, observer=observer))


def dispatch() -> list[Row]:
    """From an approval to the dispatch call at GitHub: 20 repositories, 5 approvals a second."""
    with fleet(APPROVALS + WARM_UPS) as app:
        app.web()
        app.worker()
        wait_for(lambda: app.app("select from procrastinate_workers"), "there is a worker", lambda: app.logs)
        app.wait_until_idle()
        items = app.add_items(APPROVALS + WARM_UPS)
        measured, first = items[:APPROVALS], items[APPROVALS:]
        approved: dict[str, float] = {}

        def approve(item: UUID) -> None:
            told = of_supabase(item, "approved")
            approved[str(item)] = time.monotonic()
            app.approve_items([item])
            answer = httpx.post(app.url + told.path, content=told.body, headers=told.headers(), timeout=30)
            assert answer.status_code == 202, answer.text

        for item in first:
            approve(item)
        wait_for(lambda: app.all_dispatched(first), "it is warm", lambda: app.logs)
        app.wait_until_idle()
        begun = time.monotonic()
        for n, item in enumerate(measured):
            time.sleep(max(0.0, begun + n / A_SECOND - time.monotonic()))  # the rhythm of what is measured
            approve(item)
        wait_for(lambda: app.all_dispatched(items), "all are dispatched", lambda: app.logs)
        called = {call.body["inputs"]["run-id"]: call.at for call in app.github.calls(DISPATCH)}
        run_of = {str(row["id"]): str(row["execution_run_id"]) for row in app.items(items)}
        took = sorted(1000 * (called[run_of[str(item)]] - approved[str(item)]) for item in measured)
    shown = " ".join(f"{each:.0f}" for each in took)
    return [
        Row(name="approval to dispatch, p50", figure=median(took), bar=300, unit="ms", about=f"all: {shown}"),
        Row(name="approval to dispatch, p99", figure=took[-1], bar=1500, unit="ms", about="the slowest of twenty"),
    ]


def recovery() -> list[Row]:
    """SIGKILL of the worker while GitHub thinks about an answer; a new worker is started at once."""
    took = []
    for _ in range(RECOVERIES):
        hold = Hold("GET /repos/{owner}/{repo}/git/ref/{ref}")
        with fleet(1, hold) as app:
            worker = app.worker()
            wait_for(lambda app=app: app.app("select from procrastinate_workers"), "a worker", lambda app=app: app.logs)
            app.wait_until_idle()
            app.web()
            items = app.add_items(1)
            app.approve_items(items)
            hold.armed.set()
            told = of_supabase(items[0], "approved")
            httpx.post(app.url + told.path, content=told.body, headers=told.headers(), timeout=30)
            assert hold.reached.wait(60)
            worker.kill()
            killed = time.monotonic()
            hold.let_pass.set()
            app.worker()
            wait_for(lambda app=app: app.github.calls(DISPATCH), "it is dispatched", lambda app=app: app.logs)
            took.append(app.github.calls(DISPATCH)[0].at - killed)
    about = f"killed to dispatch call, the start of the new worker included; slowest of {len(took)}"
    return [Row(name="recovery from SIGKILL in a job", figure=max(took), bar=15, unit="s", about=about)]


def kills() -> list[Row]:
    """The storm of tests/whole/storm.py at full size: 1,000 deliveries, 50 kills; what it checks is an assertion."""
    with fleet(30) as app:
        storm = Storm(app, number=DELIVERIES, seed=SEED)
        begun = time.monotonic()
        storm.rage(kills=KILLS)
        took = time.monotonic() - begun
        storm.check()
        found = f"{len(storm.comments)} replies, {len(storm.approved)} items in {sum(app.dispatched.values())} runs"
        met = f"{storm.sent_again} sent again, {storm.jobs_lost} times jobs of the dead were done again"
    return [Row(name="1,000 deliveries, 50 kills", figure=took, bar=None, unit="s", about=f"{found}; {met}")]


BENCHMARKS: dict[str, Callable[[], list[Row]]] = {"dispatch": dispatch, "recovery": recovery, "kills": kills}

if __name__ == "__main__":
    sys.exit(engine.main(benchmarks=BENCHMARKS, command="web_app", description=__doc__))
