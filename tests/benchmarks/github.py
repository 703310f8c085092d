"""The GitHub side's benchmarks: ``python -m tests.benchmarks.github [NAME …] [--json]``, a table as engine's.

Requests are counted at a GitHub of one's own on loopback; the job is the Action's, started as the runner starts it.
"""

from __future__ import annotations

import heapq
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from app.backlog import migrate
from app.backlog.embedded import EmbeddedPostgres
from app.forge.github.forge import WRITES_PER_MINUTE
from app.forge.github.limits import Limits
from tests.benchmarks import engine
from tests.benchmarks.bench import Row
from tests.conftest import open_directory
from tests.fakes.github import FakeGitHub
from tests.unit.workspace.repositories import git, new_repository
from tests.whole.hosted import NAME, ROOT, Hosted
from tests.whole.kit import FILES, Project, policy
from tests.whole.prds import change, new, prd

RUNS = 5
ITEMS, JOBS = 50, 5
GITHUBS_LIMIT = 80


@contextmanager
def hosted() -> Iterator[Hosted]:
    with open_directory() as root, EmbeddedPostgres(root / "server", throwaway=True) as server:
        migrate.apply(server.dsn)
        repository = new_repository(root / "sample", {**FILES, ".github/mason.yml": policy()})
        git(root, "clone", "-q", "--bare", str(repository), "app.git")
        with FakeGitHub(root) as github:
            there = github.repository(NAME, root / "app.git")
            sample = Project(repository=repository, dsn=server.dsn, root=root)
            yield Hosted(project=sample, github=github, there=there, token=github.token("actions"))


def standard_item(place: Hosted) -> list[str]:
    """The calls of one item with one fix iteration, in a job of its own."""
    text = prd(new("src/one.txt", "SLOPPY\n"), change("src/one.txt", "SLOPPY\n", "fine\n", fix=1))
    place.project.approve(text, f"Add one {len(place.there.pulls)}")
    before = len(place.github.requests)
    done = place.job("run", limit="1")
    if done.code:
        raise SystemExit(done.log)
    return [f"{'W ' if r.write else ''}{r.call}" for r in place.github.requests[before:]]


def item() -> list[Row]:
    """What one item asks of GitHub."""
    with hosted() as place:
        calls = standard_item(place)
    api = [call for call in calls if " git " not in call]
    writes = [call for call in api if call.startswith("W ")]
    kinds = ", ".join(f"{count} {call.removeprefix('W ')}" for call, count in Counter(writes).most_common())
    return [
        Row(name="content-creating writes, one item", figure=len(writes), bar=20, unit="", about=kinds),
        Row(name="REST requests, one item", figure=len(api), bar=None, unit="", about="writes included"),
        Row(
            name="git requests over HTTP, one item",
            figure=len(calls) - len(api),
            bar=None,
            unit="",
            about="fetch, push",
        ),
    ]


def limits() -> list[Row]:
    """Writes in the worst minute of a matrix: 50 items, each in a new process, five at a time, by the real limiter.

    Time is simulated: a job's item takes a second beside its writes, which no real one does, so that nothing but the
    limiter keeps them apart.
    """
    with hosted() as place:
        writes = sum(call.startswith("W ") for call in standard_item(place))
    made: list[float] = []
    slots = [(0.0, slot) for slot in range(JOBS)]
    for _ in range(ITEMS):
        now, slot = heapq.heappop(slots)
        heapq.heappush(slots, (one_job(now, writes, made), slot))
    worst = max(sum(at <= other < at + 60 for other in made) for at in made)
    about = f"{ITEMS} items of {writes} writes, {JOBS} jobs at a time, {max(made) / 60:.0f} minutes of simulated time"
    return [Row(name="writes in the worst minute", figure=worst, bar=GITHUBS_LIMIT - 1, unit="", about=about)]


def one_job(now: float, writes: int, made: list[float]) -> float:
    """One process from its start at ``now``: when it ends."""
    clock = [now]
    limiter = Limits(WRITES_PER_MINUTE // JOBS, lambda: clock[0], spread=True)
    for _ in range(writes):
        clock[0] += limiter.reserve_write()
        made.append(clock[0])
    return clock[0] + 1.0


def start() -> list[Row]:
    """`entrypoint.py` from its start to its first connection to the database."""
    direct = [until_connected(lambda port: {"MASON_DSN": f"postgresql://u:p@127.0.0.1:{port}/x"}) for _ in range(RUNS)]
    project = [
        until_connected(lambda port: {"INPUT_SUPABASE-URL": f"http://127.0.0.1:{port}", "INPUT_SUPABASE-KEY": "k" * 40})
        for _ in range(RUNS)
    ]
    return [
        Row(name="start to first database call, Supabase", figure=1000 * median(project), bar=700, unit="ms", about=""),
        Row(name="start to first database call, Postgres", figure=1000 * median(direct), bar=700, unit="ms", about=""),
    ]


def until_connected(names: Callable[[int], dict[str, str]]) -> float:
    with socket.create_server(("127.0.0.1", 0)) as listener, tempfile.TemporaryDirectory() as place:
        listener.settimeout(30)
        given = {
            "PATH": os.environ["PATH"],
            "HOME": place,
            "GITHUB_REPOSITORY": NAME,
            "GITHUB_RUN_ID": "1",
            "GITHUB_WORKSPACE": place,
            "INPUT_GITHUB-TOKEN": "t" * 40,
            "MASON_RUNS_DIR": f"{place}/runs",
            "MASON_STATE_DIR": f"{place}/state",
        }
        started = time.perf_counter()
        job = subprocess.Popen(
            [sys.executable, str(Path(ROOT) / "entrypoint.py")],
            env=given | names(listener.getsockname()[1]),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            listener.accept()[0].close()
            return time.perf_counter() - started
        finally:
            job.kill()
            job.wait()


BENCHMARKS: dict[str, Callable[[], list[Row]]] = {"item": item, "limits": limits, "start": start}

if __name__ == "__main__":
    sys.exit(engine.main(benchmarks=BENCHMARKS, command="github", description=__doc__))
