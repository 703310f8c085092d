"""A project on GitHub: the sample repository there, its backlog, and the Action's jobs, started as the runner does."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fakes.github import FakeGitHub, FakeRepository
from tests.whole.kit import LONG, Project

ROOT = Path(__file__).parents[2]
NAME = "octo/app"


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """How a job ended: its exit code, its log, its outputs and its summary."""

    code: int
    log: str
    outputs: Mapping[str, str]
    summary: str

    @property
    def commands(self) -> list[str]:
        """The workflow commands that the runner found in the log, as it finds them."""
        return [line for line in self.log.splitlines() if line.lstrip().startswith("::")]


@dataclass
class Hosted:
    """``project`` holds backlog and checkout, ``github`` and ``there`` are the other side, ``token`` is the job's."""

    project: Project
    github: FakeGitHub
    there: FakeRepository
    token: str
    attempt: int = 1
    environment: dict[str, str] = field(default_factory=dict)

    def job(self, command: str = "run", *, environment: Mapping[str, str] | None = None, **inputs: str) -> Done:
        """One job to its end; inputs by their names with ``_`` for ``-``."""
        process = self.start(command, environment=environment, **inputs)
        log, _ = process.communicate(timeout=LONG)
        return Done(code=process.returncode, log=log, outputs=self.outputs, summary=self.summary)

    def start(
        self, command: str = "run", *, environment: Mapping[str, str] | None = None, **inputs: str
    ) -> subprocess.Popen[str]:
        """The same, and it goes on beside the test."""
        for file in ("output", "summary"):
            (self.project.root / file).write_text("")
        given = {"command": command, "github_token": self.token, **inputs}
        names = {f"INPUT_{name.replace('_', '-').upper()}": value for name, value in given.items()}
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "entrypoint.py")],
            cwd=self.place,
            env=self.variables | names | self.environment | dict(environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.project.started.append(process)
        return process

    @property
    def place(self) -> Path:
        """The job's workspace: an empty directory, nothing is checked out."""
        place = self.project.root / "workspace"
        place.mkdir(exist_ok=True)
        return place

    @property
    def variables(self) -> dict[str, str]:
        """What the runner sets, and where this project's things are."""
        root = self.project.root
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(root),
            "GITHUB_ACTIONS": "true",
            "GITHUB_REPOSITORY": NAME,
            "GITHUB_API_URL": self.github.url,
            "GITHUB_SERVER_URL": self.github.server_url,
            "GITHUB_RUN_ID": "4711",
            "GITHUB_RUN_ATTEMPT": str(self.attempt),
            "GITHUB_JOB": "item",
            "GITHUB_WORKSPACE": str(self.place),
            "GITHUB_OUTPUT": str(root / "output"),
            "GITHUB_STEP_SUMMARY": str(root / "summary"),
            "MASON_DSN": self.project.dsn,
            "MASON_STATE_DIR": str(root / "state"),
            "MASON_RUNS_DIR": str(root / "runs"),
            "MASON_DATABASE_PATIENCE": "5",
        }

    @property
    def outputs(self) -> dict[str, str]:
        """Read as the runner reads them: a name, a delimiter, lines up to the delimiter."""
        text = (self.project.root / "output").read_text()
        found = re.finditer(r"^([\w-]+)<<(\S+)\n(.*?)\n\2\n", text, re.MULTILINE | re.DOTALL)
        return {match[1]: match[3] for match in found}

    @property
    def summary(self) -> str:
        return (self.project.root / "summary").read_text()

    @property
    def matrix(self) -> list[dict[str, Any]]:
        return list(json.loads(self.outputs["matrix"])["include"])

    def checks(self, commit: str) -> dict[str, Any]:
        """The newest check run of each name on a commit."""
        return {run.name: run for run in self.there.check_runs if run.head_sha == commit}

    @property
    def open_checks(self) -> list[str]:
        return [run.name for run in self.there.check_runs if run.status != "completed"]
