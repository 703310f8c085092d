"""The agent runtime as it is served: executions are processes, agents edit, checks run, and all of it ends."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest
from psycopg.rows import dict_row

from app import users
from app.database.api_keys import api_keys
from app.database.executions import stored_executions
from app.database.schema import prepare
from app.domain.api_keys import Scope
from tests.fakes.github import FakeGitHub
from tests.fakes.model_api import ModelApi, Tokens, Turn, script
from tests.other_users import IDS, needs_root
from tests.unit.workspace.repositories import git, new_repository
from tests.whole.kit import FILES, LONG, Project, Turnstile, alive, policy
from tests.whole.prds import new
from tests.whole.served import NAME, ROOT, Process, Served, free_port, settings_of, wait_for

ENDED = ("success", "error", "cancelled")


class Runtime:
    """Web and worker over a project, and a client with a key."""

    def __init__(self, project: Project, app_dsn: str, environment: dict[str, str], served: Served) -> None:
        self.project, self.app_dsn, self.served = project, app_dsn, served
        served.environment.update(environment)
        prepare(app_dsn)
        with closing(api_keys(app_dsn)) as keys:
            _, key = keys.create("tests", Scope.RUN)
        self.client = httpx.Client(
            base_url=f"{served.url}/api/agent-runtime", headers={"Authorization": f"Bearer {key}"}, timeout=LONG
        )

    def execute(self, worker: str, item: UUID, prompt: str, **more: Any) -> str:
        body = {"workerId": worker, "workItemId": str(item), "prompt": prompt, **more}
        answer = self.client.post("/execute", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["executionId"])

    def execution(self, execution: str) -> dict[str, Any]:
        answer = self.client.get(f"/executions/{execution}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def ended(self, execution: str) -> dict[str, Any]:
        return wait_for(
            lambda: (seen := self.execution(execution)) and seen["status"] in ENDED and seen, "it ends", self.said
        )

    def workspaces(self) -> list[dict[str, Any]]:
        return list(self.client.get("/workspaces").json())

    def rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        with psycopg.connect(self.app_dsn, autocommit=True, row_factory=dict_row) as connection:
            connection.execute("set search_path to mason_app")
            return connection.execute(query.encode(), values).fetchall()

    def runner_of(self, execution: str) -> int:
        """The process that carries it out."""
        (row,) = self.rows("select claimed_by from executions where id = %s", execution)
        return int(row["claimed_by"].split(" ")[3])

    def said(self) -> str:
        logs = (self.project.root / "state" / "executions").glob("*/log")
        lines = [line for line in self.served.logs.splitlines() if "mason.access" not in line]
        return "\n".join([*lines[-60:], *(log.read_text() for log in logs)])


@pytest.fixture
def make_runtime(data_root: Path, database: str, empty_database: str) -> Iterator[Callable[..., Runtime]]:
    """Without GitHub, over the checkout; the command worker is a shell script."""
    made: list[Runtime] = []

    def make(script: str = "true", **environment: str) -> Runtime:
        files = {**FILES, ".github/mason.yml": policy()}
        project = Project(repository=new_repository(data_root / "sample", files), dsn=database, root=data_root)
        told, agent = data_root / "told", data_root / "agent.sh"
        told.mkdir()
        told.chmod(0o777)
        agent.write_text(f"cat > {shlex.quote(str(told))}/prompt\n{script}\n")
        settings = {
            "PATH": os.environ["PATH"],
            "HOME": str(data_root),
            "PYTHONPATH": str(ROOT),
            "MASON_DSN": project.dsn,
            "MASON_DATABASE_URL": empty_database,
            "MASON_STATE_DIR": str(data_root / "state"),
            "MASON_RUNS_DIR": str(data_root / "runs"),
            "MASON_DATABASE_PATIENCE": "20",
            "MASON_SWEEP": "1",
            "MASON_WORKERS": "1",
            "MASON_AGENT_COMMAND": f"sh {shlex.quote(str(agent))}",
        }
        served = Served(
            project=project,
            github=None,
            there=None,
            port=free_port(),
            environment=settings,  # type: ignore[arg-type]
        )
        made.append(Runtime(project, empty_database, environment, served))
        served.web()
        return made[-1]

    yield make
    for runtime in made:
        for worker in [one for one in runtime.served.started if "worker" in one.command and one.child]:
            worker.stop()  # ends the executions, too
        runtime.client.close()
        runtime.served.close()


def new_item(runtime: Runtime, title: str = "Add a thing") -> UUID:
    item = runtime.project.approve(None, title)
    runtime.project.sql("update mason_pm_backlog_items set status = 'new' where id = %s", item)  # runs leave it alone
    return item


def test_runtime__the_patch_worker_makes_a_diff_and_its_checks_pass(make_runtime: Callable[..., Runtime]) -> None:
    runtime = make_runtime()
    runtime.served.worker()
    item = new_item(runtime)
    execution = runtime.execute("patch", item, f"Please apply this:\n\n{new('src/new.txt', 'fine')}", gate=True)
    seen = runtime.ended(execution)
    assert (seen["status"], seen["errorMessage"]) == ("success", None), runtime.said()
    output = seen["output"]
    assert output["filesChanged"] == ["src/new.txt"]
    assert "+++ b/src/new.txt" in output["diff"] and "+fine" in output["diff"]
    assert (output["testsRun"], output["testsPassed"]) == (True, True)
    assert any(line.startswith("lint: pass") for line in output["logs"])
    assert seen["durationMs"] > 0 and seen["startedAt"].endswith("Z") and seen["completedAt"].endswith("Z")
    assert (seen["workItemId"], seen["templateId"]) == (str(item), "feature")
    assert runtime.project.state(item) == "new"
    (workspace,) = runtime.workspaces()
    assert Path(workspace["path"], "src/new.txt").read_text() == "fine\n"
    assert git(Path(workspace["path"]), "status", "--short") == "?? src/new.txt"
    assert runtime.client.delete(f"/workspaces/{workspace['id']}").status_code == 200
    assert not Path(workspace["path"]).exists()
    assert not (runtime.project.root / "runs" / "workspaces" / workspace["id"]).exists()
    assert runtime.workspaces() == []
    assert runtime.client.delete(f"/workspaces/{workspace['id']}").status_code == 404


def test_runtime__checks_that_fail_make_it_an_error_with_the_diff(make_runtime: Callable[..., Runtime]) -> None:
    runtime = make_runtime("printf 'BUG\\n' > src/new.txt; rm src/hello.txt; echo 'I did <b>it</b>'")
    runtime.served.worker()
    execution = runtime.execute("command", new_item(runtime, "<script>alert(1)</script>"), "Do <i>it</i>", gate=True)
    seen = runtime.ended(execution)
    assert (seen["status"], seen["errorMessage"]) == ("error", "The checks failed: test."), runtime.said()
    assert seen["output"]["filesChanged"] == ["src/hello.txt", "src/new.txt"]
    assert seen["output"]["summary"] == "I did <b>it</b>"
    assert (seen["output"]["testsRun"], seen["output"]["testsPassed"]) == (True, False)
    told = (runtime.project.root / "told" / "prompt").read_text()
    assert "````data\nDo <i>it</i>\n````" in told


def test_runtime__a_day_that_is_spent_calls_no_agent(make_runtime: Callable[..., Runtime]) -> None:
    runtime = make_runtime("echo fine > src/new.txt")
    sample = runtime.project.repository
    (sample / ".github/mason.yml").write_text(policy(limits={"cost_per_day_usd": 0}))
    git(sample, "-c", "user.name=Ada", "-c", "user.email=ada@localhost", "commit", "-qam", "Nothing today")
    runtime.served.worker()
    seen = runtime.ended(runtime.execute("command", new_item(runtime), "Do it"))
    assert (seen["status"], seen["costUsd"]) == ("error", 0), runtime.said()
    assert seen["errorMessage"].startswith("It was not begun: 0.00 dollars were spent within 24 hours")
    assert not (runtime.project.root / "told" / "prompt").exists()


def test_runtime__a_hanging_agent_is_stopped_with_its_whole_group(
    make_runtime: Callable[..., Runtime], turnstile: Turnstile
) -> None:
    runtime = make_runtime(f"trap '' TERM INT\nsleep 1000 &\n{turnstile.command}")
    runtime.served.worker()
    execution = runtime.execute("command", new_item(runtime), "Hang")
    agent = turnstile.arrived()
    runner = runtime.runner_of(execution)
    (workspace,) = runtime.workspaces()
    assert runtime.client.delete(f"/workspaces/{workspace['id']}").status_code == 409
    cancelled = runtime.client.post(f"/executions/{execution}/cancel")
    assert cancelled.status_code == 200
    assert cancelled.json()["status"] == "cancelled" and cancelled.json()["completedAt"]
    assert runtime.client.post(f"/executions/{execution}/cancel").status_code == 409
    wait_for(lambda: not alive(agent) and not alive(runner), "agent and runner are gone", runtime.said)
    with pytest.raises(ProcessLookupError):
        os.killpg(agent, 0)  # the agent led a group of its own: nobody is left in it
    wait_for(lambda: runtime.workspaces()[0]["completedAt"], "its workspace is free", runtime.said)
    assert runtime.client.delete(f"/workspaces/{workspace['id']}").status_code == 200
    assert not Path(workspace["path"]).exists()
    assert runtime.execution(execution)["status"] == "cancelled"


def test_runtime__an_execution_outlives_its_worker(make_runtime: Callable[..., Runtime], turnstile: Turnstile) -> None:
    runtime = make_runtime(f"{turnstile.command}\necho fine > src/new.txt")
    worker = runtime.served.worker()
    execution = runtime.execute("command", new_item(runtime), "Go on")
    turnstile.arrived()
    worker.kill()
    turnstile.let_pass()
    assert runtime.ended(execution)["status"] == "success", runtime.said()


def test_runtime__a_lost_runner_leaves_an_error_and_no_process(
    make_runtime: Callable[..., Runtime], turnstile: Turnstile
) -> None:
    runtime = make_runtime(turnstile.command)
    runtime.served.worker()
    execution = runtime.execute("command", new_item(runtime), "Be killed")
    agent = turnstile.arrived()
    os.kill(runtime.runner_of(execution), signal.SIGKILL)
    seen = runtime.ended(execution)
    assert (seen["status"], seen["errorMessage"]) == ("error", "Its runner was lost."), runtime.said()
    wait_for(lambda: not alive(agent), "its agent is gone", runtime.said)
    (workspace,) = wait_for(
        lambda: [one for one in runtime.workspaces() if one["completedAt"]], "its workspace is free", runtime.said
    )
    assert runtime.client.delete(f"/workspaces/{workspace['id']}").status_code == 200


ASKS = """
import json, os, urllib.request
body = {"model": "claude-opus-5", "max_tokens": 50000, "messages": [{"role": "user", "content": "Work"}]}
headers = {"x-api-key": os.environ["ANTHROPIC_API_KEY"], "content-type": "application/json"}
url = os.environ["ANTHROPIC_BASE_URL"] + "/v1/messages"
urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers)).read()
"""


def test_runtime__a_lost_runner_has_cost_what_its_calls_have_not_the_rest_of_the_day(
    make_runtime: Callable[..., Runtime], turnstile: Turnstile
) -> None:
    turn = Turn("I work.", tokens=Tokens(input=100_000, output=20_000))
    with ModelApi(script(turn), side=None) as api:
        runtime = make_runtime(
            f"{shlex.quote(sys.executable)} -c {shlex.quote(ASKS)}\n{turnstile.command}",
            MASON_ANTHROPIC_API_KEY="sk-ant-of-the-tests",
            MASON_ANTHROPIC_BASE_URL=api.url,
        )
        sample = runtime.project.repository
        (sample / ".github/mason.yml").write_text(policy(limits={"cost_per_day_usd": 50}))
        git(sample, "-c", "user.name=Ada", "-c", "user.email=ada@localhost", "commit", "-qam", "A limit")
        runtime.served.worker()
        execution = runtime.execute("command", new_item(runtime), "Be killed")
        turnstile.arrived()
        told = "select from executions where spent_usd = 1"
        wait_for(lambda: runtime.rows(told), "its lease's renewal tells the cost", runtime.said)
        with closing(stored_executions(runtime.app_dsn)) as executions:
            assert executions.spent_since(None, 24) == 50, "it runs, and the rest of the day is set aside"
            os.kill(runtime.runner_of(execution), signal.SIGKILL)
            wait_for(lambda: executions.spent_since(None, 24) == 1, "it counts with what it had told", runtime.said)
    assert runtime.ended(execution)["errorMessage"] == "Its runner was lost."


def test_runtime__a_worker_that_stops_ends_its_executions(
    make_runtime: Callable[..., Runtime], turnstile: Turnstile
) -> None:
    runtime = make_runtime(turnstile.command)
    worker = runtime.served.worker()
    execution = runtime.execute("command", new_item(runtime), "Be stopped")
    agent = turnstile.arrived()
    assert worker.stop() == 0
    seen = runtime.execution(execution)
    assert seen["status"] == "error" and seen["errorMessage"].startswith("It was stopped before it ended")
    assert not alive(agent)


def test_runtime__the_sweep_removes_what_is_due_with_row_or_without(make_runtime: Callable[..., Runtime]) -> None:
    runtime = make_runtime("echo fine > src/new.txt")
    runtime.served.worker()
    runtime.ended(runtime.execute("command", new_item(runtime), "One"))
    (due,) = runtime.workspaces()
    root = runtime.project.root / "runs" / "workspaces"
    stray = root / "0b9f3a10-5f5e-4f5e-9d2c-3a1b2c3d4e5f"
    (stray / "trees").mkdir(parents=True)
    os.utime(stray, (0, 0))
    fresh = root / "0b9f3a10-5f5e-4f5e-9d2c-3a1b2c3d4e60"
    fresh.mkdir()
    other = root / "not a workspace"
    other.mkdir()
    os.utime(other, (0, 0))
    runtime.rows("update workspaces set cleanup_at = now() returning id")
    wait_for(lambda: not stray.exists() and not (root / due["id"]).exists(), "both are gone", runtime.said)
    wait_for(lambda: runtime.workspaces() == [], "its row, too", runtime.said)
    assert fresh.exists() and other.exists()


@needs_root
def test_runtime__an_agent_is_another_user_and_its_workspace_is_ours_afterwards(
    make_runtime: Callable[..., Runtime],
) -> None:
    runtime = make_runtime("id -u > src/who.txt; env > src/env.txt", MASON_USERS=f"{IDS[0]}-{IDS[-1]}")
    runtime.served.worker()
    seen = runtime.ended(runtime.execute("command", new_item(runtime), "Say who you are"))
    assert seen["status"] == "success", runtime.said()
    (workspace,) = runtime.workspaces()
    place = Path(workspace["path"])
    user = int((place / "src/who.txt").read_text())
    assert user in IDS
    assert "MASON_DSN" not in (place / "src/env.txt").read_text()
    assert "MASON_DATABASE_URL" not in (place / "src/env.txt").read_text()
    assert place.stat().st_uid == 0 and not users.reaches(place, user)
    assert runtime.client.delete(f"/workspaces/{workspace['id']}").status_code == 200
    assert not place.exists()


def test_runtime__a_work_item_of_a_repository_on_github(
    make_project: Callable[..., Project], empty_database: str, tmp_path: Path
) -> None:
    project = make_project()
    git(tmp_path, "clone", "-q", "--bare", str(project.repository), "app.git")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with FakeGitHub(tmp_path) as github:
        there = github.repository(NAME, tmp_path / "app.git")
        port = free_port()
        environment = settings_of(project, github, empty_database, port) | {
            "MASON_REPOSITORY": NAME,
            "PYTHONPATH": str(ROOT),
        }
        served = Served(project=project, github=github, there=there, port=port, environment=environment)
        runtime = Runtime(project, empty_database, {}, served)
        try:
            where = ("--repository", str(elsewhere))
            served.process("web", *where, "--port", str(port))
            served.wait_until_it_answers()
            worker: Process = served.process("worker", *where)
            execution = runtime.execute("patch", new_item(runtime), new("src/new.txt", "fine"))
            seen = runtime.ended(execution)
            assert (seen["status"], seen["errorMessage"]) == ("success", None), runtime.said()
            assert seen["output"]["filesChanged"] == ["src/new.txt"]
            (workspace,) = runtime.workspaces()
            assert workspace["repositoryId"] == NAME
            assert worker.stop() == 0
        finally:
            runtime.client.close()
            served.close()
