"""Mason's web app as it runs: web and worker as processes, a GitHub of its own, stand-ins for Actions' runners."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx

from tests.fakes.github import FakeGitHub, FakeRepository
from tests.fakes.github_api.records import WorkflowRun
from tests.whole.kit import LONG, Project

ROOT = Path(__file__).parents[2]
NAME = "octo/app"
SECRET = "a-webhook-secret-of-the-tests"
T = TypeVar("T")


def wait_for(
    see: Callable[[], T | None], what: str, said: Callable[[], str] = lambda: "", *, seconds: float = LONG
) -> T:
    """What ``see`` gives as soon as it gives something true. Fails with ``what``, and with what was said, after so many
    seconds.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := see():
            return found
        time.sleep(0.05)  # between two looks; what is waited for decides when to go on
    raise AssertionError(f"{what}: not within {seconds:.0f} seconds\n{said()}")


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@dataclass
class Process:
    """One of Mason's processes. Its log is in ``log``."""

    command: list[str]
    environment: Mapping[str, str]
    log: Path
    cwd: Path
    child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as output:
            self.child = subprocess.Popen(
                self.command,
                cwd=self.cwd,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def kill(self) -> None:
        """SIGKILL for it and its children, as a machine does that loses its power."""
        if self.child is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.child.pid, signal.SIGKILL)
            self.child.wait(LONG)
            self.child = None

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        assert self.child is not None
        self.child.terminate()
        code = self.child.wait(LONG)
        self.child = None
        return code


@dataclass
class Served:
    """The web app over a project. ``environment`` is its settings; processes are started by the tests."""

    project: Project
    github: FakeGitHub
    there: FakeRepository
    port: int
    environment: dict[str, str]
    started: list[Process] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def process(self, *words: str, **more: str) -> Process:
        """`mason <words>`, started."""
        made = Process(
            command=[sys.executable, "-m", "app", *words],
            environment=self.environment | more,
            log=self.project.root / f"{words[0]}.log",
            cwd=ROOT,
        )
        self.started.append(made)
        made.start()
        return made

    def web(self) -> Process:
        """The web server, once it answers."""
        made = self.process("web", "--repository", str(self.project.repository), "--port", str(self.port))
        self.wait_until_it_answers()
        return made

    def worker(self) -> Process:
        return self.process("worker", "--repository", str(self.project.repository))

    def wait_until_it_answers(self) -> None:
        def answers() -> bool:
            try:
                return httpx.get(f"{self.url}/healthz", timeout=5).status_code == 200
            except httpx.HTTPError:
                return False

        wait_for(answers, "the web server answers")

    def close(self) -> None:
        for made in self.started:
            made.kill()

    @property
    def logs(self) -> str:
        return "\n".join(made.log.read_text() for made in self.started if made.log.exists())


def settings_of(project: Project, github: FakeGitHub, app_dsn: str, port: int) -> dict[str, str]:
    """The environment of a web app with a GitHub App, over the project's backlog."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(project.root),
        "MASON_DSN": project.dsn,
        "MASON_DATABASE_URL": app_dsn,
        "MASON_STATE_DIR": str(project.root / "state"),
        "MASON_RUNS_DIR": str(project.root / "runs"),
        "MASON_DATABASE_PATIENCE": "5",
        "MASON_GITHUB_API_URL": github.url,
        "MASON_GITHUB_SERVER_URL": github.server_url,
        "MASON_GITHUB_APP_ID": str(github.app.id),
        "MASON_GITHUB_APP_KEY": github.app.private_key,
        "MASON_GITHUB_WEBHOOK_SECRET": SECRET,
        "MASON_WEBHOOK_SECRET": SECRET,
        "MASON_APP_URL": f"http://127.0.0.1:{port}",
        "MASON_OIDC_ISSUER": github.oidc.issuer,
        "MASON_DEBOUNCE": "0",
        "MASON_SWEEP": "1",
        "MASON_DISPATCH_PATIENCE": "0",
        "MASON_WORKERS": "1",
    }


class Runners:
    """What GitHub does with a queued workflow run of Mason's: the jobs of mason.yml, one after the other, each the
    Action's own entry point with the inputs that the workflow gives it.
    """

    def __init__(self, served: Served) -> None:
        self._served = served
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, name="runners")
        self._done: set[int] = set()
        self.logs: list[str] = []

    def __enter__(self) -> Runners:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(LONG)

    def _work(self) -> None:
        while not self._end.wait(0.05):
            for run in list(self._served.there.workflow_runs):
                if run.status == "queued" and run.id not in self._done:
                    self._done.add(run.id)
                    self._whole(run)

    def _whole(self, run: WorkflowRun) -> None:
        """The workflow run to its end."""
        run.start()
        given = {name: str(value) for name, value in run.inputs.items() if value not in ("", None)}
        codes = list(self._jobs(run, given))
        if run.status != "completed":  # nobody cancelled it meanwhile
            run.finish("success" if all(code == 0 for code in codes) else "failure")

    def _jobs(self, run: WorkflowRun, given: dict[str, str]) -> Iterator[int]:
        command = given.pop("command", "run")
        if command != "run":
            yield self._job(run, command, given)[0]
            return
        code, outputs = self._job(run, "plan", given)
        yield code
        matrix = json.loads(outputs.get("matrix") or '{"include": []}')["include"]
        for job in matrix:
            if run.status != "completed":
                shared = {"max-parallel": str(min(len(matrix), int(given.get("max-parallel", "5"))))}
                yield self._job(run, "run", {**given, **shared, "items": job["item"], "run-id": outputs["run-id"]})[0]
        yield self._job(run, "finish", {**given, "run-id": outputs.get("run-id") or given.get("run-id", "")})[0]

    def _job(self, run: WorkflowRun, command: str, given: Mapping[str, str]) -> tuple[int, dict[str, str]]:
        """One job; it is ended when its workflow run is cancelled."""
        served, root = self._served, self._served.project.root
        output = root / f"output-{run.id}-{command}"
        output.write_text("")
        workspace = root / "workspace"
        workspace.mkdir(exist_ok=True)
        served.github.oidc.claims |= {"run_id": str(run.id), **identity(run, served.there)}
        inputs = {"command": command, "app-url": served.url, "github-token": served.github.token("actions"), **given}
        child = subprocess.Popen(
            [sys.executable, str(ROOT / "entrypoint.py")],
            cwd=workspace,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(root),
                "GITHUB_ACTIONS": "true",
                "GITHUB_REPOSITORY": NAME,
                "GITHUB_API_URL": served.github.url,
                "GITHUB_SERVER_URL": served.github.server_url,
                "GITHUB_RUN_ID": str(run.id),
                "GITHUB_RUN_ATTEMPT": str(run.attempt),
                "GITHUB_JOB": command,
                "GITHUB_WORKSPACE": str(workspace),
                "GITHUB_OUTPUT": str(output),
                "MASON_DSN": served.project.dsn,
                "MASON_STATE_DIR": str(root / "state"),
                "MASON_RUNS_DIR": str(root / "runs"),
                "MASON_DATABASE_PATIENCE": "5",
                "ACTIONS_ID_TOKEN_REQUEST_URL": served.github.oidc_request_url,
                "ACTIONS_ID_TOKEN_REQUEST_TOKEN": served.github.oidc_request_token,
                **{f"INPUT_{name.upper()}": value for name, value in inputs.items()},
                **self.environment,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        watcher = threading.Thread(target=self._end_when_cancelled, args=(run, child))
        watcher.start()
        log, _ = child.communicate(timeout=LONG)
        watcher.join()
        self.logs.append(f"--- {command} of {run.id}: {child.returncode}\n{log}")
        return child.returncode, outputs_of(output)

    environment: Mapping[str, str] = {}

    def _end_when_cancelled(self, run: WorkflowRun, child: subprocess.Popen[str]) -> None:
        while child.poll() is None:
            if run.conclusion == "cancelled" or self._end.is_set():
                child.terminate()
            time.sleep(0.05)


def identity(run: WorkflowRun, there: FakeRepository) -> dict[str, Any]:
    """The claims about a job that Actions makes."""
    where = f"{NAME}/.github/workflows/{run.workflow}@refs/heads/{run.branch}"
    return {
        "repository": NAME,
        "repository_id": str(there.id),
        "run_attempt": str(run.attempt),
        "workflow_ref": where,
        "job_workflow_ref": where,
        "event_name": run.event,
        "ref": f"refs/heads/{run.branch}",
    }


def outputs_of(path: Path) -> dict[str, str]:
    """What a job has put out, read as the runner reads it."""
    found = re.finditer(r"^([\w-]+)<<(\S+)\n(.*?)\n\2\n", path.read_text(), re.MULTILINE | re.DOTALL)
    return {match[1]: match[3] for match in found}


@contextmanager
def ended(served: Served) -> Iterator[Served]:
    try:
        yield served
    finally:
        served.close()
