"""The engine's benchmarks: ``python -m tests.benchmarks.engine [NAME …] [--json]`` prints a table against its bars.

Each makes its own Postgres and repositories in a temporary directory ($TMPDIR) and removes them. The figures are
medians. A busy machine makes them worse, and so does a file system that is slow to make files: an item has two trees of
its own. The last line says how busy and how slow. (ext4 without a journal is very slow for a minute after many files
were removed; measure on a tmpfs there, with TMPDIR=/dev/shm.)
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import median

from app.domain.results import CheckKind
from app.gate.checks import Gate
from app.gate.steps import Check, Toolchain
from app.process import Stop
from tests.benchmarks.bench import Clocks, Row, Server, peak_memory, statements, timed_run
from tests.whole.kit import MASON, Project
from tests.whole.prds import answer, change, new, prd, wave

RUNS = 3
"""Runs of each benchmark that takes long; the short ones run more often."""


def overhead() -> list[Row]:
    """What an item costs beside its checks: 20 items whose four checks are ``true``, one and four side by side."""
    rows = []
    with Server() as server:
        for parallel in (1, 4):
            runs = []
            for _ in range(RUNS):
                project = server.project()
                approve(project, 20)
                runs.append(timed_run(project, max_parallel=parallel))
            figure = median([seconds for run in runs for seconds in run.overhead])
            rows.append(
                Row(
                    name=f"overhead per item, --max-parallel {parallel}",
                    figure=1000 * figure,
                    bar=400 if parallel == 1 else None,
                    unit="ms",
                    about=made_of(runs) if parallel == 1 else "wall time of an item that shares the processors",
                )
            )
    return rows


def memory() -> list[Row]:
    """The orchestrator's own peak memory over a run of 20 items."""
    with Server() as server:
        peaks = []
        for _ in range(RUNS):
            project = server.project()
            approve(project, 20)
            mason = project.start_mason("run", "--auto", "--max-parallel", "4")
            peaks.append(peak_memory(mason))
    about = "VmHWM of `mason run` alone, 20 items, four side by side"
    return [Row(name="peak memory", figure=median(peaks), bar=150, unit="MB", about=about)]


def makespan() -> list[Row]:
    """8 items whose one check sleeps 2 s, four side by side."""
    ideal = 2.0 + 2 * (2.0 + 2.0)  # the base once; two rounds of the gate in the tree and the final gate
    with Server() as server:
        found = []
        for _ in range(RUNS):
            project = server.project(checks={"test": "sleep 2"})
            approve(project, 8)
            found.append(timed_run(project, max_parallel=4).seconds)
    about = f"{median(found):.2f} s; ideal {ideal:.0f} s: base gate, then two rounds of work gate and final gate"
    return [Row(name="makespan of 8 items", figure=median(found) / ideal, bar=1.25, unit="× ideal", about=about)]


def gate() -> list[Row]:
    """Four checks of 0.5 to 1 s side by side: the gate beyond the slowest of them."""
    lengths = {CheckKind.TYPECHECK: 0.5, CheckKind.LINT: 0.6, CheckKind.BUILD: 0.8, CheckKind.TEST: 1.0}
    checks = {kind: Check(kind=kind, command=("sleep", str(length)), timeout=60) for kind, length in lengths.items()}
    found = []
    with tempfile.TemporaryDirectory(prefix="mason-benchmark-") as name:
        place = Path(name)
        (place / "tree").mkdir()
        toolchain = Toolchain(name="sleep", install=None, checks=tuple(checks.values()))
        commands = Gate(toolchain, {"PATH": os.environ["PATH"]}, 4, place / "homes", place / "installs")
        for _ in range(5):
            started = time.perf_counter()
            commands.run(place / "tree", tuple(lengths), Stop())
            found.append(time.perf_counter() - started - max(lengths.values()))
    return [
        Row(name="gate beyond its slowest check", figure=1000 * median(found), bar=150, unit="ms", about="4 checks")
    ]


def large() -> list[Row]:
    """A repository of 20,000 files against one of 20."""
    with Server() as server:
        small, big = (server.project(files=count) for count in (20, 20_000))
        for project in (small, big):
            approve(project, 5)
        few, many = (timed_run(project, max_parallel=1) for project in (small, big))
    difference = median(many.wall) - median(few.wall)
    about = f"{median(many.wall):.2f} s against {median(few.wall):.2f} s an item. {made_of([many])}"
    return [Row(name="20,000 files instead of 20, per item", figure=difference, bar=2, unit="s", about=about)]


def start() -> list[Row]:
    """How long the command takes to say its help."""
    found = []
    for _ in range(15):
        started = time.perf_counter()
        subprocess.run([MASON, "--help"], stdout=subprocess.DEVNULL, check=True)
        found.append(time.perf_counter() - started)
    return [Row(name="mason --help", figure=1000 * median(found), bar=300, unit="ms", about="a process of its own")]


def database() -> list[Row]:
    """Round trips of one standard item, counted by the server: runs of one and of three items, and their difference."""
    with Server() as server:
        counts = {}
        for number in (1, 3):
            project = server.project(checks=dict.fromkeys(("typecheck", "lint", "build", "test"), "! grep -rn BUG src"))
            for item in range(number):
                project.approve(standard_prd(item), f"Standard {item}")
            counts[number] = len(statements(server, project, partial(timed_run, project, max_parallel=1)))
    per_item = (counts[3] - counts[1]) / 2
    about = f"3 waves, 6 tasks, 4 checks, 1 fix iteration; {counts[1] - per_item:.0f} more once a run"
    return [Row(name="database round trips per item", figure=per_item, bar=None, unit="", about=about)]


BENCHMARKS: dict[str, Callable[[], list[Row]]] = {
    "overhead": overhead,
    "memory": memory,
    "makespan": makespan,
    "gate": gate,
    "large": large,
    "start": start,
    "database": database,
}


def approve(project: Project, number: int) -> None:
    """Items that add one file each."""
    for item in range(number):
        project.approve(prd(new(f"src/new{item}.txt", "fine\n")), f"Add file {item}", in_order=False)


def standard_prd(number: int) -> str:
    """Three waves, six tasks, and a first try that the tests refuse."""
    file = f"src/standard{number}.txt"
    waves = (
        wave(1, "Explore: Look around", "Explore: Look at the tests"),
        wave(2, "general-purpose: Write it", "general-purpose: Document it", after=1),
        wave(3, "code-reviewer: Review it", "Explore: Look again", after=2),
    )
    diffs = (
        new(file, "BUG\n", task="2.1"),
        new(f"src/standard{number}.md", "Words\n", task="2.2"),
        change(file, "BUG\n", "fine\n", fix=1),
    )
    return prd(*waves, *diffs, answer("fix", decision="fixed", reason="corrected"))


def made_of(runs: Sequence[Clocks]) -> str:
    """The largest parts of an item's time, in ms; they overlap where one calls another."""
    items = sum(len(run.settled) for run in runs)
    names = {name for run in runs for name in run.spent}
    parts = {name: 1000 * sum(run.spent.get(name, 0.0) for run in runs) / items for name in names}
    top = sorted(parts, key=lambda name: -parts[name])[:12]
    return ", ".join(f"{name} {parts[name]:.0f}" for name in top)


def table(rows: Sequence[Row]) -> str:
    """The rows for people; what a figure is made of stands below it."""
    verdicts = {True: "met", False: "MISSED", None: ""}
    lines = [f"{'benchmark':<42}{'figure':>10}{'bar':>10}  {'unit':<8}{'':<6}"]
    for row in rows:
        bar = "" if row.bar is None else f"{row.bar:g}"
        lines.append(f"{row.name:<42}{row.figure:>10.2f}{bar:>10}  {row.unit:<8}{verdicts[row.met]:<6}")
        lines.append(f"    {row.about}")
    return "\n".join(lines)


def surroundings() -> str:
    """What the figures depend on beside Mason: the processors, who else uses them, the file system."""
    load = " ".join(f"{each:.1f}" for each in os.getloadavg())
    made = 20 * seconds_to_make_files(1000)
    return (
        f"{os.cpu_count()} processors, load {load}; 20,000 files in {tempfile.gettempdir()} take {made:.1f} s to make"
    )


def seconds_to_make_files(number: int) -> float:
    """What the file system alone takes for so many small files, where the benchmarks work."""
    with tempfile.TemporaryDirectory(prefix="mason-benchmark-") as name:
        started = time.perf_counter()
        for each in range(number):
            (Path(name) / str(each)).write_text("line\n" * 20)
        return time.perf_counter() - started


def main(
    words: Sequence[str] | None = None,
    *,
    benchmarks: Mapping[str, Callable[[], list[Row]]] = BENCHMARKS,
    command: str = "engine",
    description: str | None = __doc__,
) -> int:
    """Run the benchmarks that are named, or all; 1 when a bar is missed."""
    summaries = "\n".join(f"  {name:<10}{(run.__doc__ or '').splitlines()[0]}" for name, run in benchmarks.items())
    parser = argparse.ArgumentParser(
        prog=f"python -m tests.benchmarks.{command}",
        description=description,
        epilog=f"benchmarks:\n{summaries}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="which ones (default: all)")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    chosen = parser.parse_args(words)
    if unknown := set(chosen.names) - benchmarks.keys():
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; choose from {', '.join(benchmarks)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was set up is taken down, whoever ends it
    rows: list[Row] = []
    for name in chosen.names or benchmarks:
        print(f"{name} …", file=sys.stderr, flush=True)
        rows += benchmarks[name]()
    if chosen.json:
        print(json.dumps([{**asdict(row), "met": row.met} for row in rows], indent=2, ensure_ascii=False))
    else:
        print(table(rows))
        print(surroundings())
    return 1 if any(row.met is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
