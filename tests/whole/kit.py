"""A project as Mason's users have it: a real repository, a backlog in Postgres, and ways to run Mason and to look.

The sample's checks are greps: a file below ``src`` with the word TYPO fails typecheck, SLOPPY fails lint, BROKEN fails
the build and BUG fails the tests, so an item says in its own diff how its checks will end.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import select
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row
from pydantic import SecretStr

from app import wiring
from app.domain.items import NewItem
from app.domain.results import Outcome
from app.domain.runs import RunResult
from app.flows.heartbeat import INTERVAL
from app.flows.run_items import run_items
from app.process import Stop
from app.settings import Settings
from tests.unit.workspace import repositories
from tests.whole.prds import new, prd

MASON = str(Path(sys.executable).with_name("mason"))
PATIENCE = 5.0
LONG = 60.0
"""Seconds after which a test that waits gives up; nothing ever takes that long."""

CHECKS: dict[str, Any] = {
    "typecheck": "! grep -rn TYPO src",
    "lint": "! grep -rn SLOPPY src",
    "build": "! grep -rn BROKEN src",
    "test": "! grep -rn BUG src",
}
FILES = {"src/hello.txt": "hello\n", "README.md": "A sample.\n"}


def policy(checks: Mapping[str, Any] = CHECKS, **more: Any) -> str:
    """A ``.github/mason.yml``; JSON is YAML too."""
    return json.dumps({"checks": dict(checks), **more})


def reply(**values: object) -> str:
    """An agent's act that gives this answer."""
    return f"printf '%s' {shlex.quote(json.dumps(values))} > \"$MASON_ANSWER\""


@dataclass
class Project:
    """A repository, its backlog, and Mason."""

    repository: Path
    dsn: str
    root: Path
    patience: float = PATIENCE
    said: str = ""
    status: list[dict[str, Any]] = field(default_factory=list)
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    # What people do

    def approve(self, text: str | None, title: str = "Add a thing", *, in_order: bool = True, **fields: Any) -> UUID:
        """Add an approved item with this PRD; those added first have the higher priority."""
        score = max(1, 10 - self._count("mason_pm_backlog_items")) if in_order else 5
        item = NewItem(title=title, prd=text, **{"problem": "p", "solution": "s", "impact_score": score, **fields})
        return wiring.add_item(self.settings, self.repository, item)

    def approve_change(self, path: str = "src/new.txt", content: str = "fine\n", title: str = "Add a thing") -> UUID:
        """An item that adds one file."""
        return self.approve(prd(new(path, content)), title)

    def commit(self, files: Mapping[str, str], message: str = "Change") -> str:
        return repositories.commit(self.repository, dict(files), message)

    def git(self, *words: str) -> str:
        return repositories.git(self.repository, *words)

    def agent(self, **acts: str) -> dict[str, Any]:
        """Options for a run with a command agent that does these shell commands, by role (``re_evaluate="…"``).

        ``$MASON_ANSWER`` is the file for an answer. What it is told is kept, see ``prompts``.
        """
        (self.root / "told").mkdir(exist_ok=True)
        cases = "\n".join(f"{role.replace('_', '-')}) {act} ;;" for role, act in acts.items())
        script = self.root / "agent.sh"
        told = shlex.quote(str(self.root / "told"))
        script.write_text(f'cat > {told}/"$MASON_ROLE.$MASON_TASK.$$"\ncase "$MASON_ROLE" in\n{cases}\nesac\n')
        return {"agent": "command", "agent_command": f"sh {shlex.quote(str(script))}"}

    def prompts(self, role: str) -> list[str]:
        return [path.read_text() for path in sorted((self.root / "told").glob(f"{role}.*"))]

    # Mason

    @property
    def settings(self) -> Settings:
        return Settings(
            dsn=SecretStr(self.dsn),
            state_dir=self.root / "state",
            runs_dir=self.root / "runs",
            database_patience=self.patience,
        )

    def run(self, *, stop: Stop | None = None, heartbeat: float = INTERVAL, **options: Any) -> RunResult:
        """`mason run --auto` in this process. What it says is in ``said``, its status lines in ``status``."""
        console, status = io.StringIO(), io.StringIO()
        request = wiring.RunRequest(repository=options.pop("repository", self.repository), auto=True, **options)
        try:
            with wiring.runner(self.settings, request, status=status, console=console) as ports:
                result = run_items(ports, wiring.run_options(request), stop or Stop(), heartbeat=heartbeat)
        finally:
            self.said = console.getvalue()
            self.status = [
                json.loads(line.removeprefix("AUTOPILOT_STATUS: ")) for line in status.getvalue().split("\n") if line
            ]
        self.said += wiring.show_result(request.redactor, result, as_json=False)
        return result

    def run_one(self, **options: Any) -> Outcome:
        """Run, and how the only item ended."""
        (only,) = self.run(**options).results
        return only.outcome

    @contextmanager
    def running(self, **options: Any) -> Iterator[Running]:
        """The same run, beside the test."""
        running = Running(self, options)
        try:
            yield running
        finally:
            running.end()

    def mason(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """The command itself, with this project's database."""
        started = self.start_mason(*words, **environment)
        out, err = started.communicate(timeout=LONG)
        return subprocess.CompletedProcess(words, started.returncode, out, err)

    def close(self) -> None:
        """End the commands that a failed test has left."""
        for process in self.started:
            if process.poll() is None:
                process.terminate()
            process.communicate(timeout=LONG)

    def start_mason(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        mine = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.root),
            "MASON_DSN": self.dsn,
            "MASON_STATE_DIR": str(self.root / "state"),
            "MASON_RUNS_DIR": str(self.root / "runs"),
            "MASON_DATABASE_PATIENCE": str(self.patience),
        }
        pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.started.append(
            subprocess.Popen(
                [MASON, *words], cwd=self.repository, env=mine | environment, text=True, start_new_session=True, **pipes
            )
        )
        return self.started[-1]

    # What is there afterwards

    def rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        with psycopg.connect(self.dsn, autocommit=True, row_factory=dict_row) as connection:
            return connection.execute(query, values).fetchall()

    def sql(self, statement: str, *values: object) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(statement, values)

    @contextmanager
    def watching(self, table: str, condition: str) -> Iterator[Callable[[], None]]:
        """Something to call that waits until a row of the table is written for which this holds (``new.…``)."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(
                "create function tell() returns trigger language plpgsql as"
                f" $$ begin if {condition} then perform pg_notify('seen', ''); end if; return null; end $$"
            )
            connection.execute(
                f"create trigger tell after insert or update on {table} for each row execute function tell()"
            )
            connection.execute("listen seen")

            def wait() -> None:
                assert list(connection.notifies(timeout=LONG, stop_after=1)), f"{condition} was never written"

            yield wait

    def item(self, item: UUID) -> dict[str, Any]:
        (row,) = self.rows("select * from mason_pm_backlog_items where id = %s", item)
        return row

    def approval(self, item: UUID) -> str:
        """What names the approval of an item in its commit."""
        row = self.item(item)
        digest, at = row["approved_digest"], row["approved_at"]
        return hashlib.sha256(f"{digest}|{at.astimezone(UTC).isoformat()}".encode()).hexdigest()

    def state(self, item: UUID) -> str:
        return str(self.item(item)["status"])

    def progress(self, item: UUID) -> dict[str, Any] | None:
        found = self.rows("select * from mason_execution_progress where item_id = %s", item)
        return found[0] if found else None

    def logs(self) -> list[str]:
        found = self.rows("select log_level, message from mason_execution_logs order by created_at")
        return [f"{row['log_level']}: {row['message']}" for row in found]

    def iterations(self, item: UUID) -> list[dict[str, Any]]:
        query = "select * from mason_pm_validation_iterations where item_id = %s order by iteration_number"
        return self.rows(query, item)

    def tasks(self, item: UUID) -> list[tuple[str, str]]:
        query = "select * from mason_pm_execution_tasks where item_id = %s order by wave_number, task_number"
        return [(f"{row['wave_number']}.{row['task_number']}", row["status"]) for row in self.rows(query, item)]

    def follow_ups(self) -> list[dict[str, Any]]:
        return self.rows("select * from mason_pm_backlog_items where 'needs-attention' = any (tags)")

    def branches(self) -> list[str]:
        """Mason's branches."""
        return self.git("for-each-ref", "--format=%(refname:short)", "refs/heads/mason").split()

    def refs(self) -> dict[str, str]:
        lines = self.git("for-each-ref", "--format=%(refname) %(objectname)").splitlines()
        return dict(line.rsplit(" ", 1) for line in lines)

    def show(self, revision: str, path: str) -> str:
        return self.git("show", f"{revision}:{path}")

    def changed(self, revision: str, base: str = "main") -> list[str]:
        return self.git("diff", "--name-only", base, revision).splitlines()

    def left_in_runs(self) -> list[str]:
        runs = self.root / "runs"
        return [path.name for path in runs.iterdir()] if runs.exists() else []

    def _count(self, table: str) -> int:
        return int(self.rows(f"select count(*) as n from {table}")[0]["n"])


class Running:
    """A run in a thread of its own."""

    def __init__(self, project: Project, options: dict[str, Any]) -> None:
        self.stop = Stop()
        self._pool = ThreadPoolExecutor(max_workers=1)
        self._run = self._pool.submit(project.run, stop=self.stop, **options)

    def result(self) -> RunResult:
        """Wait for its end; raises what it raised."""
        return self._run.result(timeout=LONG)

    def end(self) -> None:
        self.stop.set("The test is over")
        self._pool.shutdown()


class Turnstile:
    """Where a command waits for the test: put ``command`` into a check or an agent's act.

    ``arrived()`` waits until a command stands there, ``let_pass()`` opens it for good.
    """

    def __init__(self, root: Path) -> None:
        self._pipes = [root / "arrived", root / "go"]
        for pipe in self._pipes:
            os.mkfifo(pipe)
        self._here, self._go = (os.open(pipe, os.O_RDWR | os.O_NONBLOCK) for pipe in self._pipes)

    @property
    def command(self) -> str:
        here, go = (shlex.quote(str(pipe)) for pipe in self._pipes)
        return f"echo $$ > {here}; read _ < {go}"

    def arrived(self) -> int:
        """The process that stands there."""
        ready, _, _ = select.select([self._here], [], [], LONG)
        assert ready, "nothing arrived"
        return int(os.read(self._here, 100).split()[0])

    def let_pass(self) -> None:
        os.write(self._go, b"\n" * 100)

    def close(self) -> None:
        for descriptor in (self._here, self._go):
            os.close(descriptor)


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def interrupt(process: subprocess.Popen[str], number: signal.Signals) -> tuple[int, str, str]:
    """Send a signal; the exit code and both outputs."""
    process.send_signal(number)
    out, err = process.communicate(timeout=LONG)
    return process.returncode, out, err
