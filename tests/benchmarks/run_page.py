"""The run page on a Mason that is really served (gunicorn): ``python -m tests.benchmarks.run_page [NAME …] [--json]``.

``page``: one look at a run of 50 items, 500 tasks and 100,000 lines. ``viewers``: two hundred who watch it at once.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import httpx
import psycopg

from app.backlog import migrate
from app.backlog.embedded import EmbeddedPostgres
from app.domain.api_keys import Scope
from app.web.pages.links import Links
from app.wiring.databases import database_beside
from app.wiring.sealing import derived
from tests.benchmarks import engine
from tests.benchmarks.bench import Row
from tests.benchmarks.run_views import fill
from tests.conftest import open_directory
from tests.unit.workspace.repositories import new_repository
from tests.whole.served import ROOT, Process, free_port, wait_for

KEY = "k" * 40
LOOKS = 60
VIEWERS, SECONDS, EVERY = 200, 30.0, 2.0
_DAY = 86_400


@dataclass(kw_only=True)
class Place:
    """A served Mason, and the large run in its backlog."""

    url: str
    port: int
    dsn: str
    run: UUID
    key: str
    web: Process

    def link(self, day: int = 0) -> str:
        """A signed path; each day's is another one, for which nothing is kept yet."""
        links = Links(keys=derived((KEY,), b"mason signed links"), clock=lambda: time.time() + day * _DAY)
        return links.to_run(self.run)

    def processes(self) -> list[int]:
        """gunicorn's workers."""
        assert self.web.child is not None
        children = Path(f"/proc/{self.web.child.pid}/task/{self.web.child.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def peak(self) -> float:
        """Megabytes of the largest worker."""
        peaks = []
        for pid in self.processes():
            lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
            peaks.append(int(lines["VmHWM"].split()[0]) / 1024)
        return max(peaks)


@contextmanager
def served() -> Iterator[Place]:
    with ExitStack() as stack:
        root = stack.enter_context(open_directory())
        server = stack.enter_context(EmbeddedPostgres(root / "postgres", throwaway=True))
        migrate.apply(server.dsn)
        run = fill(server.dsn)
        repository = new_repository(root / "repository", {"README.md": "A sample.\n"})
        port, app_dsn = free_port(), database_beside(server.dsn, "mason_app")
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(root),
            "MASON_DSN": server.dsn,
            "MASON_DATABASE_URL": app_dsn,
            "MASON_STATE_DIR": str(root / "state"),
            "MASON_ENCRYPTION_KEY": KEY,
        }
        words = ["web", "--repository", str(repository), "--port", str(port)]
        web = Process(
            command=[sys.executable, "-m", "app", *words], environment=environment, log=root / "web.log", cwd=ROOT
        )
        web.start()
        stack.callback(web.kill)
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: _answers(url), "the web server answers", web.log.read_text)
        yield Place(url=url, port=port, dsn=server.dsn, run=run, key=_new_key(app_dsn), web=web)


def _new_key(dsn: str) -> str:
    from app.database.api_keys import api_keys

    keys = api_keys(dsn, pool_size=1)
    try:
        return keys.create("benchmark", Scope.READ)[1]
    finally:
        keys.close()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", timeout=5).is_success
    except httpx.HTTPError:
        return False


def page() -> list[Row]:
    """A page that has to be read and drawn, and one that is kept."""
    with served() as place, httpx.Client(base_url=place.url, timeout=30) as http:
        drawn, kept = [], []
        for day in range(LOOKS):
            address = place.link(day)
            for took in (drawn, kept):
                began = time.perf_counter()
                answer = http.get(address)
                took.append(time.perf_counter() - began)
                assert answer.status_code == 200
        size, packed = len(answer.content), int(answer.headers["Content-Length"])
        return [
            *_shares("GET /runs/{id}, drawn anew", drawn[4:], 150.0),
            *_shares("GET /runs/{id}, kept", kept[4:], None),
            Row(name="size of the page", figure=size / 1024, bar=None, unit="kB", about="as the browser reads it"),
            Row(name="size, packed", figure=packed / 1024, bar=None, unit="kB", about="as it travels"),
        ]


def _shares(name: str, took: list[float], bar: float | None) -> list[Row]:
    ordered = sorted(took)
    return [
        Row(
            name=f"{name}, p{share}",
            figure=1000 * ordered[min(len(ordered) * share // 100, len(ordered) - 1)],
            bar=limit,
            unit="ms",
            about="over loopback",
        )
        for share, limit in ((50, None), (95, bar))
    ]


@dataclass(kw_only=True)
class Seen:
    """Seconds of each answer; ``sent`` counts pages, the rest was told that nothing has changed."""

    looks: list[float] = field(default_factory=list)
    others: list[float] = field(default_factory=list)
    sent: int = 0


def viewers() -> list[Row]:
    """They ask every two seconds for a run that changes every second; somebody else uses the rest meanwhile."""
    with served() as place:
        seen = asyncio.run(_watch(place))
        return [
            *_shares(f"{VIEWERS} viewers, one look", seen.looks, None),
            *_shares("other routes meanwhile", seen.others, 300.0),
            Row(name="peak of a web process", figure=place.peak(), bar=250.0, unit="MB", about="the largest of two"),
            Row(
                name="looks a second", figure=len(seen.looks) / SECONDS, bar=None, unit="/s", about=f"{seen.sent} pages"
            ),
        ]


async def _watch(place: Place) -> Seen:
    seen, end = Seen(), time.monotonic() + SECONDS
    path = place.link().replace("?", "/live?")
    others = [f"/runs?{place.link().partition('?')[2]}", "/healthz", "/api/health", "/api/execution/runs?limit=20"]
    tasks = [_viewer(place, path, seen, end, number) for number in range(VIEWERS)]
    await asyncio.gather(*tasks, _somebody_else(place, others, seen, end), _change(place, end))
    return seen


async def _viewer(place: Place, path: str, seen: Seen, end: float, number: int) -> None:
    await asyncio.sleep(EVERY * number / VIEWERS)
    tag = ""
    connection = await Connection.open(place.port)
    while time.monotonic() < end:
        began = time.monotonic()
        status, tag = await connection.get(path, f"If-None-Match: {tag}\r\nAccept-Encoding: gzip\r\n")
        assert status in (200, 304), status
        seen.looks.append(time.monotonic() - began)
        seen.sent += status == 200
        await asyncio.sleep(max(0.0, EVERY - (time.monotonic() - began)))


async def _somebody_else(place: Place, paths: list[str], seen: Seen, end: float) -> None:
    connection = await Connection.open(place.port)
    while time.monotonic() < end:
        for path in paths:
            began = time.monotonic()
            await connection.get(path, f"Authorization: Bearer {place.key}\r\n")
            seen.others.append(time.monotonic() - began)
            await asyncio.sleep(0.05)


async def _change(place: Place, end: float) -> None:
    """Something happens every second."""
    async with await psycopg.AsyncConnection.connect(place.dsn, autocommit=True) as connection:
        number = 0
        while time.monotonic() < end:
            number += 1
            await connection.execute(
                "update mason_execution_progress set current_task = %s, updated_at = clock_timestamp()"
                " where item_id = (select min(item_id::text) from mason_execution_progress)::uuid",
                (f"Step {number}",),
            )
            await asyncio.sleep(1)


class Connection:
    """As little of HTTP as is needed: the load must not cost what is measured."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> Connection:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def get(self, path: str, headers: str) -> tuple[int, str]:
        """Status and tag."""
        self._writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}\r\n".encode())
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}
        await self._reader.readexactly(int(fields.get("content-length", "0")))
        return int(head[0].split()[1]), fields.get("etag", "")


BENCHMARKS: dict[str, Callable[[], list[Row]]] = {"page": page, "viewers": viewers}

if __name__ == "__main__":
    sys.exit(engine.main(benchmarks=BENCHMARKS, command="run_page", description=__doc__))
