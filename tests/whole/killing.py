"""Killing a runner at a chosen point of its run, and what is there to see when all is done.

A point is the n-th call of an agent or a check, the n-th statement that moves an item or a run (just before the
database gets it, or just after it was carried out), or the n-th status line.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import dict_row

from tests.unit.workspace.repositories import ENVIRONMENT, git, new_repository

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0
MASON = (sys.executable, "-c", "from app.cli import main; main()")

ITEMS = {
    UUID(int=1): "passes at once",
    UUID(int=2): "passes after one fix",
    UUID(int=3): "fails for good",
    UUID(int=4): "is written by two side by side",
}

CHECK = 'step\nif grep -q "bad:$1" src/*.txt; then grep -n "bad:$1" src/*.txt | sed "s/^/error: /"; exit 1; fi\n'

POLICY = "checks: {typecheck: sh check.sh type, lint: sh check.sh lint, test: sh check.sh test}\n"

AGENT = """\
step
case "$PWD" in
  *1) own=one ;; *2) own=two ;; *3) own=three ;; *4) own=four-$MASON_TASK ;;
esac
case "$MASON_ROLE-$own" in
  verify-*) echo '{"decision": "PROCEED", "reason": "still there"}' ;;
  implement-two) echo "bad:lint" > src/two.txt ;;
  implement-three | fix-three) echo "bad:test" > src/three.txt ;;
  implement-* | fix-*) echo "good" > "src/$own.txt" ;;
esac
"""

STEP = """\
#!/bin/sh
echo step >> '{place}/steps'
if [ -f '{place}/target' ] && [ "$(wc -l < '{place}/steps')" -ge "$(cat '{place}/target')" ] &&
  mkdir '{place}/reached' 2> '{place}/late'; then
  setsid cat '{place}/never' &
  echo reached > '{place}/told'
  cat '{place}/never'
fi
"""
"""Counts calls. The one that is the target tells, and stays for ever, with a child that left its process group."""

MOVING = re.compile(rb"mason_(open_run|claim|heartbeat|create_follow_up|settle|close_run)\b")
"""Calls that move items and runs. Their number does not depend on how fast the machine is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """``kind`` is step, before, after or line; ``number`` counts from 1."""

    kind: str
    number: int

    def __str__(self) -> str:
        return f"{self.kind} {self.number}"


class Wire:
    """A way to Postgres that counts the moving statements and calls ``strike`` at one of them."""

    def __init__(self, dsn: str, point: Point, strike: Callable[[], None]) -> None:
        self._target = str(Path(str(conninfo_to_dict(dsn)["host"])) / ".s.PGSQL.5432")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.dsn = make_conninfo(dsn, host="127.0.0.1", port=self._listener.getsockname()[1])
        self._point = point
        self._strike = strike
        self._counting = threading.Lock()
        self.moves = 0
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._threads.append(threading.Thread(target=self._serve, args=(client,)))
                self._threads[-1].start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server, contextlib.suppress(OSError):
            server.connect(self._target)
            while ends := select.select([client, server], [], [])[0]:
                if server in ends:
                    if not (data := server.recv(1 << 16)):
                        return
                    client.sendall(data)
                    continue
                if not (data := client.recv(1 << 16)):
                    return
                if not self._is_target(data):
                    server.sendall(data)
                    continue
                if self._point.kind == "after":
                    server.sendall(data)
                    server.recv(1 << 16)
                self._strike()
                return

    def _is_target(self, data: bytes) -> bool:
        with self._counting:
            self.moves += bool(MOVING.search(data))
            return (
                self._point.kind in ("before", "after")
                and self.moves == self._point.number
                and MOVING.search(data) is not None
            )


class Scene:
    """A repository, a backlog of four approved items, and Mason as a process of its own."""

    def __init__(self, directory: Path, dsn: str) -> None:
        self.directory = directory
        self.dsn = dsn
        files = {"check.sh": CHECK, ".github/mason.yml": POLICY, "src/common.txt": "good\n"}
        self.repository = new_repository(directory / "repository", files)
        (directory / "bin").mkdir()
        (directory / "tmp").mkdir()
        (directory / "bin" / "step").write_text(STEP.format(place=directory))
        (directory / "bin" / "step").chmod(0o755)
        (directory / "agent.sh").write_text(AGENT)
        for pipe in ("told", "never"):
            os.mkfifo(directory / pipe)
        with psycopg.connect(dsn, autocommit=True) as sql:
            for item, title in ITEMS.items():
                sql.execute(
                    "insert into mason_pm_backlog_items (id, title, problem, solution, area, type, complexity, "
                    "impact_score, effort_score, status, prd_content) "
                    "values (%s, %s, 'none', 'none', 'backend', 'feature', 1, 5, 5, 'approved', %s)",
                    [item, f"An item that {title}", prd(item)],
                )

    def start(self, dsn: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*MASON, "run", "--auto", "--agent-command", f"sh {self.directory / 'agent.sh'}"],
            cwd=self.repository,
            env={
                **ENVIRONMENT,
                "PATH": f"{self.directory / 'bin'}:{ENVIRONMENT['PATH']}",
                "PYTHONPATH": str(ROOT),
                "TMPDIR": str(self.directory / "tmp"),
                "MASON_DSN": dsn,
                "MASON_STATE_DIR": str(self.directory / "state"),
                "MASON_RUNS_DIR": str(self.directory / "runs"),
                "MASON_HEARTBEAT": "60",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self) -> int:
        """Mason from start to end; its exit code."""
        runner = self.start(self.dsn)
        out, err = runner.communicate(timeout=PATIENCE)
        assert runner.returncode in (0, 1), (out[-2000:], err[-2000:])
        return runner.returncode

    def run_until(self, point: Point) -> None:
        """Start Mason, and kill it at this point. Only the runner itself is killed."""
        if point.kind == "step":
            (self.directory / "target").write_text(str(point.number))
        runners: list[subprocess.Popen[bytes]] = []
        wire = Wire(self.dsn, point, lambda: runners[0].send_signal(signal.SIGKILL))
        told = os.open(self.directory / "told", os.O_RDONLY | os.O_NONBLOCK)
        try:
            runners.append(self.start(wire.dsn))
            self._watch(runners[0], told, point)
            assert runners[0].wait(PATIENCE) == -signal.SIGKILL, f"{point} was never reached"
        finally:
            for runner in runners:
                runner.kill()
                runner.wait(PATIENCE)
                for stream in (runner.stdout, runner.stderr):
                    if stream:
                        stream.close()
            wire.close()
            os.close(told)
            (self.directory / "target").unlink(missing_ok=True)

    def _watch(self, runner: subprocess.Popen[bytes], told: int, point: Point) -> None:
        """Read the runner's output to its end; kill it when the point is a step or a line."""
        assert runner.stdout and runner.stderr
        open_ends, lines = {runner.stdout.fileno(), runner.stderr.fileno(), told}, 0
        while open_ends - {told}:
            ready = select.select(list(open_ends), [], [], PATIENCE)[0]
            assert ready, "the runner says nothing any more"
            for end in ready:
                data = os.read(end, 1 << 16)
                if end == told:
                    if data:
                        runner.kill()
                        return
                    open_ends.discard(told)
                elif not data:
                    open_ends.discard(end)
                elif end == runner.stdout.fileno():
                    lines += data.count(b"AUTOPILOT_STATUS")
                    if point.kind == "line" and lines >= point.number:
                        runner.kill()
                        return

    # -- what is left ------------------------------------------------------------------------------------------------

    def processes(self) -> list[str]:
        """Everything alive that was started for this scene."""
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and os.fsencode(self.directory) in (entry / "environ").read_bytes():
                    found.append((entry / "cmdline").read_text().replace("\0", " "))
        return found

    def state(self) -> Mapping[str, Any]:
        """What people see in the end, without ids of runs and without times."""
        with psycopg.connect(self.dsn, autocommit=True, row_factory=dict_row) as sql:
            items = sql.execute(ITEMS_SEEN, [[*ITEMS]]).fetchall()
            follow_ups = sql.execute(FOLLOW_UPS_SEEN, [[*ITEMS]]).fetchall()
            progress = sql.execute(PROGRESS_SEEN).fetchall()
        return {
            "items": [row["status"] for row in items],
            **{f"{row['id'].int} {column}": value for row in items for column, value in row.items()},
            "follow-ups": follow_ups,
            **{f"{row['item_id'].int} shows {column}": value for row in progress for column, value in row.items()},
            "refs": self._refs(),
            "kept": sorted(path.name for path in (self.directory / "state" / "artifacts").iterdir()),
            "runs": sorted(path.name for path in (self.directory / "runs").iterdir()),
            "temporary": sorted(path.name for path in (self.directory / "tmp").iterdir()),
            "checkout": git(self.repository, "status", "--porcelain"),
        }

    def _refs(self) -> dict[str, tuple[str, ...]]:
        """Every ref by what it holds: its tree, its parents' trees, its message without the approval's digest."""
        names = git(self.repository, "for-each-ref", "--format=%(refname)").splitlines()
        shown = {name: git(self.repository, "log", "--format=%T %s", name).splitlines() for name in names}
        return {name: tuple(lines) for name, lines in shown.items()}


# Left out is what only the lost run knew: how many fix iterations it took to the commit that it had already pushed, and
# each check's result on it. That they passed is sure, or the commit would not be there.
ITEMS_SEEN = """
select id, status, failure_reason, skip_reason, failed_base, validation_passed, branch_name,
       pr_url, claimed_by, heartbeat_at
from mason_pm_backlog_items where id = any (%s) order by id
"""
FOLLOW_UPS_SEEN = "select title, status, tags, solution from mason_pm_backlog_items where id <> all (%s) order by id"
PROGRESS_SEEN = """
select item_id, current_phase, current_task, checkpoint_index, completed_at is not null as ended,
       'fail' in (validation_typescript, validation_eslint, validation_build, validation_tests) as failed
from mason_execution_progress order by item_id
"""


def prd(item: UUID) -> str:
    names = {1: ("one",), 2: ("two",), 3: ("three",), 4: ("four-1.1", "four-1.2")}[item.int]
    rows = "".join(f"| 1.{n} | general-purpose | Write `src/{name}.txt` |\n" for n, name in enumerate(names, 1))
    return f"# Item\n\n### Wave 1 (Parallel)\n\n| Task | Subagent | Description |\n|---|---|---|\n{rows}"
