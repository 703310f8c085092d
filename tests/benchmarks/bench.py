"""What the benchmarks are made of: a project on a throw-away database, a run with clocks in it, and a table.

Nothing of Mason is patched: the clocks stand around the ports that a run is given.
"""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any
from uuid import UUID

import psycopg
from psycopg.conninfo import make_conninfo

from app import wiring
from app.backlog import migrate
from app.backlog.embedded import EmbeddedPostgres
from app.domain import events as ev
from app.flows.run_items import run_items
from app.process import Stop
from tests.unit.workspace.repositories import git, new_repository, write
from tests.whole.kit import Project, policy

INSTANT = dict.fromkeys(("typecheck", "lint", "build", "test"), "true")
"""Four checks that cost nothing: what an item takes is then Mason's own work."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One line of the table: a figure, its bar (None: only counted), both in ``unit``, and what the figure is."""

    name: str
    figure: float
    bar: float | None
    unit: str
    about: str

    @property
    def met(self) -> bool | None:
        return None if self.bar is None else self.figure <= self.bar


class Server:
    """An embedded Postgres in a temporary directory, and the projects that live on it; all gone at the end."""

    def __init__(self) -> None:
        self._root = Path(tempfile.mkdtemp(prefix="mason-benchmark-"))
        self._root.chmod(0o755)  # as root, the server is another user who has to get in
        self._postgres = EmbeddedPostgres(self._root / "postgres", throwaway=True)
        self._projects = 0

    def __enter__(self) -> Server:
        self._postgres.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._postgres.stop()
        shutil.rmtree(self._root, ignore_errors=True)

    @property
    def log(self) -> Path:
        return self._root / "postgres/server.log"

    @property
    def dsn(self) -> str:
        return self._postgres.dsn

    def project(self, *, files: int = 20, checks: Mapping[str, Any] = INSTANT) -> Project:
        """A repository of this many files of about a hundred bytes, with a fresh database."""
        self._projects += 1
        name = f"project{self._projects}"
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(f"create database {name}")
        dsn = make_conninfo(self.dsn, dbname=name)
        migrate.apply(dsn)
        root = self._root / name
        repository = new_repository(root / "sample")
        content = {f"src/{n // 100:03}/file{n:05}.txt": f"line {n}\n" * 10 for n in range(files)}
        write(repository, content | {".github/mason.yml": policy(checks)})
        git(repository, "config", "gc.auto", "0")
        git(repository, "add", "--all")
        git(repository, "commit", "-qm", "Everything")
        git(repository, "gc", "--quiet")  # objects in a pack, as a clone has them
        return Project(repository=repository, dsn=dsn, root=root, patience=60)


@dataclass
class Clocks:
    """What a run was seen to do, by item and by port (seconds)."""

    spent: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    started: dict[UUID, float] = field(default_factory=dict)
    settled: dict[UUID, float] = field(default_factory=dict)
    checks: dict[UUID, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    seconds: float = 0.0
    _open: dict[tuple[UUID, str], float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def wall(self) -> list[float]:
        """Seconds of each item from ItemStarted to ItemSettled."""
        return [end - self.started[item] for item, end in self.settled.items()]

    @property
    def overhead(self) -> list[float]:
        """The same without the time in which at least one check of the item ran."""
        return [end - self.started[item] - _union(self.checks[item]) for item, end in self.settled.items()]

    def saw(self, event: ev.Event) -> None:
        now = time.perf_counter()
        with self._lock:
            match event:
                case ev.ItemStarted():
                    self.started[event.claim.item_id] = now
                case ev.ItemSettled():
                    self.settled[event.claim.item_id] = now
                case ev.CheckStarted():
                    self._open[(event.claim.item_id, event.kind)] = now
                case ev.CheckFinished():
                    begun = self._open.pop((event.claim.item_id, event.result.kind), now)
                    self.checks[event.claim.item_id].append((begun, now))

    def add(self, name: str, seconds: float) -> None:
        with self._lock:
            self.spent[name] += seconds


def timed_run(project: Project, **options: Any) -> Clocks:
    """A run in this process with clocks around its ports; every item has to be completed."""
    clocks = Clocks()
    request = wiring.RunRequest(repository=project.repository, auto=True, **options)
    with wiring.runner(project.settings, request, status=io.StringIO(), console=io.StringIO()) as ports:
        watched = replace(
            ports,
            workspace=_Timed(ports.workspace, "workspace", clocks),
            make_agent=lambda policy: _Timed(ports.make_agent(policy), "agent", clocks),
            backlog=_Timed(ports.backlog, "backlog", clocks),
            forge=_Timed(ports.forge, "publish", clocks),
            reporter=_Watched(ports.reporter, clocks),
        )
        started = time.perf_counter()
        result = run_items(watched, wiring.run_options(request), Stop())
        clocks.seconds = time.perf_counter() - started
    failed = [f"{each.item.title}: {each.outcome.reason}" for each in result.results if not each.outcome.succeeded]
    if failed or not result.results:
        raise SystemExit(f"The benchmark's own items failed: {failed or 'there were none'}")
    return clocks


class _Watched:
    """A reporter that tells the clocks what it is told."""

    def __init__(self, inner: Any, clocks: Clocks) -> None:
        self._inner = inner
        self._clocks = clocks

    def report(self, event: ev.Event) -> None:
        if not isinstance(event, ev.ItemSettled):
            self._clocks.saw(event)
        started = time.perf_counter()
        self._inner.report(event)
        if isinstance(event, ev.ItemEvent):
            self._clocks.add("reporter", time.perf_counter() - started)
        if isinstance(event, ev.ItemSettled):  # writing the item's rows is part of its work
            self._clocks.saw(event)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _Timed:
    """Any object with a clock around its methods, and around the trees that they open."""

    def __init__(self, inner: Any, name: str, clocks: Clocks) -> None:
        self._inner = inner
        self._name = name
        self._clocks = clocks

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found):
            return found

        def timed(*arguments: Any, **options: Any) -> Any:
            plain = [each._inner if isinstance(each, _Timed) else each for each in arguments]
            with self._clock(name):
                answer = found(*plain, **options)
            return self._opened(name, answer) if isinstance(answer, AbstractContextManager) else answer

        return timed

    @contextmanager
    def _opened(self, name: str, manager: AbstractContextManager[Any]) -> Iterator[_Timed]:
        with self._clock(name):
            inner = manager.__enter__()
        try:
            yield _Timed(inner, self._name, self._clocks)
        finally:
            with self._clock(f"{name} (leave)"):
                manager.__exit__(None, None, None)

    @contextmanager
    def _clock(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self._clocks.add(f"{self._name}.{name}", time.perf_counter() - started)


def peak_memory(mason: subprocess.Popen[str]) -> float:
    """The most memory (MB) that this one process held to its end, its children not counted (Linux: ``VmHWM``)."""
    reader = threading.Thread(target=mason.communicate)  # what it says must not fill its pipe
    reader.start()
    peak = 0.0
    while reader.is_alive():
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{mason.pid}/status").read_text()
            if found := re.search(r"VmHWM:\s+(\d+) kB", status):
                peak = max(peak, int(found[1]) / 1024)
        reader.join(0.01)
    if mason.returncode:
        raise SystemExit(f"mason run ended with {mason.returncode}")
    return peak


def statements(server: Server, project: Project, run: Callable[[], object]) -> list[str]:
    """Every statement that reached the server from Mason while ``run`` ran: each is one round trip."""
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute("alter system set log_line_prefix = '%a|'")
        connection.execute("select pg_reload_conf()")
        name = psycopg.conninfo.conninfo_to_dict(project.dsn)["dbname"]
        connection.execute(f"alter database {name} set log_statement = 'all'")
    before = server.log.stat().st_size
    run()
    with server.log.open("rb") as file:
        file.seek(before)
        lines = file.read().decode("utf-8", "replace").splitlines()
    found = (re.match(r"mason\|LOG:  (?:statement|execute [^:]*): (.*)", line) for line in lines)
    return [match[1] for match in found if match]


def _union(intervals: Sequence[tuple[float, float]]) -> float:
    """The length of what the intervals cover together."""
    covered, end = 0.0, 0.0
    for start, stop in sorted(intervals):
        covered += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return covered
