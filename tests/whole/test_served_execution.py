"""Runs that a program starts and stops over the REST API, from its request to their end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.database.api_keys import api_keys
from app.domain.api_keys import Scope
from tests.fakes.github import FakeGitHub
from tests.unit.workspace.repositories import git
from tests.whole.kit import Project, policy
from tests.whole.served import NAME, ROOT, SECRET, Runners, Served, free_port, settings_of, wait_for

WORKFLOW = (ROOT / ".github/workflows/mason.yml").read_text()
BY_HAND = policy(unattended={"types": []})
"""Nothing starts by itself."""


@pytest.fixture
def served(
    make_project: Callable[..., Project], empty_database: str, tmp_path: Path
) -> Iterator[tuple[Served, Runners, httpx.Client]]:
    """Web and worker over octo/app, whose workflow runs are carried out, and a client with a key that starts runs."""
    project = make_project({".github/workflows/mason.yml": WORKFLOW}, mason_yml=BY_HAND)
    git(tmp_path, "clone", "-q", "--bare", str(project.repository), "app.git")
    with FakeGitHub(tmp_path) as github:
        there = github.repository(NAME, tmp_path / "app.git")
        port = free_port()
        environment = settings_of(project, github, empty_database, port) | {"MASON_REPOSITORY": NAME}
        app = Served(project=project, github=github, there=there, port=port, environment=environment)
        github.webhooks.to(f"{app.url}/webhooks/github", SECRET)
        github.webhooks.deliver_at_once()
        try:
            app.web()
            app.worker()
            with closing(api_keys(empty_database)) as keys:
                key = keys.create("the-dashboard", Scope.RUN)[1]
            headers = {"Authorization": f"Bearer {key}"}
            with Runners(app) as runners, httpx.Client(base_url=app.url, headers=headers, timeout=30) as client:
                yield app, runners, client
        finally:
            github.webhooks.close()
            app.close()
            project.close()


def start(client: httpx.Client, *items: object, **more: Any) -> httpx.Response:
    return client.post("/api/execution/start", json={"itemIds": [str(item) for item in items], **more})


def test_execution__a_start_is_carried_out_and_a_cancel_puts_off_what_is_left(
    served: tuple[Served, Runners, httpx.Client],
) -> None:
    app, runners, client = served
    project = app.project

    def said() -> str:
        return f"{app.logs}\n" + "\n".join(runners.logs)

    first = project.approve_change("src/new.txt", "fine\n", "Add a thing")
    answer = start(client, first, branchName="mason/execute-batch-1", baseBranch="main")
    assert answer.status_code == 200, said()
    assert answer.json() == {"success": True, "executionRunId": answer.json()["executionRunId"]}
    run = answer.json()["executionRunId"]
    assert project.item(first)["status"] == "in_progress"

    def row(run_id: str) -> dict[str, Any]:
        (found,) = project.rows("select * from mason_remote_execution_runs where id = %s", run_id)
        return found

    wait_for(lambda: row(run)["status"] == "success", "the run has ended well", said)
    assert project.item(first)["status"] == "completed"
    assert (row(run)["branch_name"], row(run)["base_branch"]) == ("mason/execute-batch-1", "main")
    assert [pull.branch for pull in app.there.pulls] == ["mason/add-a-thing"]
    assert client.post(f"/api/execution/runs/{run}/cancel").status_code == 409
    wait_for(lambda: start(client, first).status_code == 409, "what is completed is not started again", said)

    slow = "sh -c 'cat > /dev/null; sleep 600'"
    runners.environment = {"INPUT_AGENT": "command", "INPUT_AGENT-COMMAND": slow}
    second = project.approve_change("src/other.txt", "fine\n", "Add another")
    run = start(client, second).json()["executionRunId"]
    wait_for(lambda: project.item(second)["claimed_by"] not in ("dispatch", None), "its runner has begun", said)
    assert client.post(f"/api/execution/runs/{run}/cancel").status_code == 200
    assert project.item(second)["status"] == "deferred"
    wait_for(lambda: row(run)["status"] == "cancelled", "the run is cancelled", said)
    assert project.item(second)["skip_reason"] == "Cancelled by the API key the-dashboard"
    wait_for(lambda: all(one.status == "completed" for one in app.there.workflow_runs), "its runner was stopped", said)


def test_execution__credentials_never_travel_to_a_workflows_runner(
    served: tuple[Served, Runners, httpx.Client],
) -> None:
    app, _, client = served
    item = app.project.approve_change()
    own = {"supabaseUrl": "https://abcdefghijklmnopqrst.supabase.co", "supabaseKey": "eyJ-a-key-of-a-request"}
    answer = start(client, item, **own)
    assert (answer.status_code, "never sent" in answer.json()["error"]) == (409, True)
    assert app.project.item(item)["status"] == "approved"
    assert not app.there.workflow_runs
    assert own["supabaseKey"] not in app.logs + answer.text
