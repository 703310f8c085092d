"""How long `POST /api/execution/start` takes until it is answered: ``python -m tests.benchmarks.rest start``.

`mason web` as it runs, over a PostgREST on an embedded Postgres. It needs what the peer tests need (npm).
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import httpx
from psycopg.conninfo import make_conninfo

from app.backlog.postgrest import supabase_backlog
from app.database.api_keys import api_keys
from app.domain.api_keys import Scope
from app.domain.items import NewItem
from app.wiring.databases import database_beside
from tests.benchmarks.bench import Row
from tests.benchmarks.supabase import Peer, peer
from tests.peers.gateway import PREFIX
from tests.peers.supabase import SERVICE_ROLE, free_port
from tests.unit.workspace.repositories import git, new_repository, write
from tests.whole.served import ROOT, Process, wait_for

STARTS = 60
"""Of each size, after a few that warm up."""

WARM = 5
SIZES = (1, 3, 20)
BAR = 250.0
POLICY = "limits:\n  items_per_day: 100000\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class Web:
    """A web server, and a key that may start runs."""

    there: Peer
    client: httpx.Client
    own: Mapping[str, str]

    def start(self, items: list[UUID]) -> float:
        """Milliseconds until it is answered."""
        begun = time.perf_counter()
        answer = self.client.post("/api/execution/start", json={"itemIds": [str(item) for item in items], **self.own})
        took = 1000 * (time.perf_counter() - begun)
        if answer.status_code != 200:
            raise SystemExit(f"The benchmark's own start was refused: {answer.text}")
        return took

    def add_items(self, number: int) -> list[UUID]:
        new = NewItem(title="", problem="It is missing", solution="Add it", prd="# What to do\n" * 400)
        with closing(supabase_backlog(self.there.gateway.url, SERVICE_ROLE)) as store:
            titled = [replace(new, title=f"Thing {time.time_ns()} {n}") for n in range(number)]
            return [store.add_item(item, repository=None) for item in titled]


def start() -> list[Row]:
    """Runs of several sizes on the configured project, and one on the project that the request names."""
    with peer() as there:
        there.database.reset()
        with served(there, configured=True) as web:
            rows = [measured(web, size) for size in SIZES]
        with served(there, configured=False) as web:
            return [*rows, measured(web, 3)]


def measured(web: Web, size: int) -> Row:
    groups = [web.add_items(size) for _ in range(WARM + STARTS)]
    for items in groups[:WARM]:
        web.start(items)
    web.there.gateway.seen.clear()
    took = sorted(web.start(items) for items in groups[WARM:])
    calls = Counter(path.removeprefix(f"{PREFIX}/rpc/mason_") for path in web.there.gateway.seen)
    made_of = ", ".join(f"{name} {number / STARTS:g}" for name, number in calls.most_common())
    return Row(
        name=f"start with {size} items" + (", own credentials" if web.own else ""),
        figure=took[int(0.95 * len(took))],
        bar=BAR,
        unit="ms",
        about=f"p95 of {STARTS}; median {took[len(took) // 2]:.0f}, most {took[-1]:.0f}; requests: {made_of}",
    )


@contextmanager
def served(there: Peer, *, configured: bool) -> Iterator[Web]:
    """`mason web`, without a worker: nothing else happens on this machine meanwhile."""
    root = there.root / f"web-{configured}"
    repository = new_repository(root / "sample")
    write(repository, {"src/hello.txt": "hello\n", ".github/mason.yml": POLICY})
    git(repository, "add", "--all")
    git(repository, "commit", "-qm", "Everything")
    dsn = database_beside(there.database.dsn, f"app_{configured}".lower())
    own = {"supabaseUrl": there.gateway.url, "supabaseKey": SERVICE_ROLE}
    backlog = {"MASON_SUPABASE_URL": there.gateway.url, "MASON_SUPABASE_KEY": SERVICE_ROLE}
    elsewhere = {"MASON_DSN": make_conninfo(there.database.dsn), "MASON_DATABASE_HOSTS": "127.0.0.1"}
    port = free_port()
    process = Process(
        command=[sys.executable, "-m", "app", "web", "--repository", str(repository), "--port", str(port)],
        environment={
            "PATH": os.environ["PATH"],
            "HOME": str(root),
            "MASON_STATE_DIR": str(root / "state"),
            "MASON_DATABASE_URL": dsn,
            "MASON_WEBHOOK_SECRET": "a-webhook-secret-of-the-benchmark",
            **(backlog if configured else elsewhere),
        },
        log=root / "web.log",
        cwd=ROOT,
    )
    process.start()
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: answers(url), "the web server answers", process.log.read_text)
        with closing(api_keys(dsn)) as keys:
            text = keys.create("benchmark", Scope.RUN)[1]
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {text}"}, timeout=30) as client:
            yield Web(there=there, client=client, own={} if configured else own)
    finally:
        process.kill()


def answers(url: str) -> Any:
    try:
        return httpx.get(f"{url}/healthz", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False
