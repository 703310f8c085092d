"""A large run to be shown, and how long that takes: ``python -m tests.benchmarks.rest views``.

``fill`` makes the run in a migrated database in a few seconds; other benchmarks use it too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import psycopg

from app.backlog import migrate
from app.backlog.embedded import EmbeddedPostgres
from app.backlog.postgres import postgres_backlog
from app.backlog.store import SqlBacklog
from app.domain.api_keys import Scope
from app.domain.claims import Claim
from app.domain.events import Phase, TaskStatus
from app.domain.items import NewItem
from app.domain.plans import Subagent, Task
from app.domain.progress import first_progress
from app.domain.results import CheckKind, CheckResult, CheckStatus, GateResult, Iteration, Outcome, Usage, Verdict
from app.domain.runs import Base, Run
from app.ports.backlog import IterationRow, TaskRow
from app.web.api.runs import RunReading, run_routes
from tests.benchmarks.bench import Row
from tests.conftest import open_directory
from tests.unit.web.api_kit import ApiDoor

ITEMS, TASKS, LINES = 50, 500, 100_000
GOING_ON = 10
"""Items that are still worked at."""

ROUNDS = 100
OUTPUT = "tests/test_cart.py::test_discount PASSED and what else a runner has to say\n" * 100
DIFF = "diff --git a/app/cart.py b/app/cart.py\n" + "-    total = price\n+    total = price * (1 - discount)\n" * 400

_LOG = """
insert into mason_execution_logs (id, execution_run_id, log_level, message, metadata, created_at, line)
select gen_random_uuid(), %(run)s, 'info', 'Task 1.1 in progress: line ' || n || ' of what an agent does',
       jsonb_build_object('item_id', (%(items)s::uuid[])[1 + n %% cardinality(%(items)s::uuid[])], 'wave', 1),
       now() + make_interval(secs => n / 100.0), n
from generate_series(1, %(lines)s) n
"""


def fill(dsn: str, *, items: int = ITEMS, tasks: int = TASKS, lines: int = LINES) -> UUID:
    """A run that goes on in a migrated database: most items have ended, each with 20 kB of diff. Its id."""
    store = postgres_backlog(dsn)
    try:
        new = NewItem(title="", problem="It is missing", solution="Add it")
        ids = [store.add_item(replace(new, title=f"Item {n} <b>bold</b>"), repository=None) for n in range(items)]
        run = Run(id=uuid4(), base=Base(commit="c" * 40, branch="main"), item_ids=tuple(ids))
        store.open_run(run, repository=None)
        for number, item in enumerate(store.items(ids)):
            claimed = store.claim(item, run_id=run.id, claimed_by="benchmark", branch=f"mason/item-{number}")
            assert claimed is not None
            _work(store, claimed.claim, tasks // items, ended=number >= GOING_ON)
    finally:
        store.close()
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(_LOG, {"run": run.id, "items": ids, "lines": lines})
        connection.execute("analyze")
    return run.id


def _work(store: SqlBacklog, claim: Claim, tasks: int, *, ended: bool) -> None:
    """One item's rows, up to its end or in the middle of it."""
    now = datetime.now(UTC)
    rows = [
        TaskRow(
            id=uuid4(),
            claim=claim,
            wave=1 + number // 4,
            number=1 + number % 4,
            task=Task(id=f"1.{number}", subagent=Subagent.GENERAL, description="Change the cart, and test it"),
            status=TaskStatus.COMPLETED,
            started_at=now,
            completed_at=now,
        )
        for number in range(tasks)
    ]
    store.save_tasks(rows)
    if not ended:
        store.save_progress([replace(first_progress(claim), phase=Phase.BUILDING, wave=2, current_task="Editing")])
        return
    kinds = (CheckKind.TYPECHECK, CheckKind.LINT, CheckKind.BUILD, CheckKind.TEST)
    checks = tuple(
        CheckResult(kind=kind, status=CheckStatus.PASS, command="make", seconds=3.5, output=OUTPUT) for kind in kinds
    )
    gate = GateResult(checks=checks)
    one = Iteration(number=1, failed_before=("lint",), tried="tidied", gate=gate, validator=None, passed=True)
    one = replace(one, changed=DIFF[:6000])
    store.save_iterations([IterationRow(id=uuid4(), claim=claim, iteration=one, created_at=now)])
    usage = Usage(input_tokens=9000, output_tokens=900, cost_usd=0.25, turns=9, tool_calls=20, seconds=60.0)
    outcome = Outcome(verdict=Verdict.COMPLETED, branch="mason/x", commit="d" * 40, gate=gate, usage=usage, diff=DIFF)
    store.settle(claim, replace(outcome, iterations=(one,)))


@contextmanager
def large_run() -> Iterator[tuple[str, UUID]]:
    """The DSN of a throw-away database, and the run in it."""
    with ExitStack() as stack:
        root = stack.enter_context(open_directory())
        server = stack.enter_context(EmbeddedPostgres(root, throwaway=True))
        migrate.apply(server.dsn)
        yield server.dsn, fill(server.dsn)


def seconds(work: Callable[[], object], rounds: int = ROUNDS) -> list[float]:
    """How long each of some rounds took, sorted; two before them are not counted."""
    found = []
    for number in range(rounds + 2):
        began = time.perf_counter()
        work()
        if number >= 2:
            found.append(time.perf_counter() - began)
    return sorted(found)


def views() -> list[Row]:
    """What the REST API and the page read of a run of 50 items, 500 tasks and 100,000 lines."""
    with large_run() as (dsn, run):
        store = postgres_backlog(dsn)
        door = ApiDoor(routes=(run_routes(RunReading(views_for=lambda _: nullcontext(store))),))
        path = f"/api/execution/runs/{run}"
        middle = store.last_log_page(run, limit=50_000).lines[0].id

        def get(target: str) -> object:
            response = door.get(target, scope=Scope.READ)
            assert response.status_code == 200, response.data[:500]
            return response

        def page(cursor: str) -> object:
            return store.log_page(run, after=cursor, limit=200)

        measured: list[tuple[str, float | None, Callable[[], object]]] = [
            ("run_view", 60.0, lambda: store.run_view(run)),
            ("run_version", 10.0, lambda: store.run_version(run)),
            ("log_page from the middle", 20.0, lambda: page(str(middle))),
            ("log_page of one item", None, lambda: store.log_page(run, after=None, limit=200, item=_item(store, run))),
            ("GET runs/{id}", 150.0, lambda: get(path)),
            ("GET runs/{id}/logs, 1000 lines", 150.0, lambda: get(f"{path}/logs?limit=1000&after={middle}")),
            ("GET runs", 50.0, lambda: get("/api/execution/runs?limit=100")),
        ]
        rows = []
        for name, bar, work in measured:
            took = seconds(work)
            for share, limit in ((50, None), (95, bar)):
                figure = took[min(len(took) * share // 100, len(took) - 1)] * 1000
                rows.append(Row(name=f"{name}, p{share}", figure=figure, bar=limit, unit="ms", about="in one process"))
        store.close()
        return rows


def _item(store: SqlBacklog, run: UUID) -> UUID:
    found = store.run(run)
    assert found is not None
    return found.item_ids[7]
