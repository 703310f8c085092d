"""The web app from the front door to the end: approval, comment, press, cancel; and without any settings."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.fakes.github import FakeGitHub
from tests.unit.workspace.repositories import git
from tests.whole.kit import Project
from tests.whole.prds import new, prd
from tests.whole.served import NAME, ROOT, SECRET, Process, Runners, Served, free_port, settings_of, wait_for

WORKFLOW = (ROOT / ".github/workflows/mason.yml").read_text()


@pytest.fixture
def served(
    make_project: Callable[..., Project], empty_database: str, tmp_path: Path
) -> Iterator[tuple[Served, Runners]]:
    """Web and worker over octo/app, whose workflow runs are carried out."""
    project = make_project({".github/workflows/mason.yml": WORKFLOW})
    git(tmp_path, "clone", "-q", "--bare", str(project.repository), "app.git")
    with FakeGitHub(tmp_path) as github:
        there = github.repository(NAME, tmp_path / "app.git")
        port = free_port()
        environment = settings_of(project, github, empty_database, port) | {"MASON_REPOSITORY": NAME}
        served = Served(project=project, github=github, there=there, port=port, environment=environment)
        there.add_collaborator("ada")
        github.webhooks.to(f"{served.url}/webhooks/github", SECRET)
        github.webhooks.deliver_at_once()
        try:
            served.web()
            served.worker()
            with Runners(served) as runners:
                yield served, runners
        finally:
            github.webhooks.close()
            served.close()
            project.close()


def test_served__an_approval_a_comment_a_press_and_a_cancel(served: tuple[Served, Runners]) -> None:
    app, runners = served
    project, there = app.project, app.there

    def said() -> str:
        return f"{app.logs}\n" + "\n".join(runners.logs)

    def replies() -> list[str]:
        return [comment.body for comment in there.comments if "mason:reply" in comment.body]

    def runs() -> list[str | None]:
        return [run.conclusion for run in there.workflow_runs]

    item = project.approve_change("src/new.txt", "fine\n", "Add a thing")
    wait_for(lambda: project.item(item)["status"] == "completed", "it is completed", said)
    (pull,) = there.pulls
    assert pull.branch == "mason/add-a-thing"
    wait_for(lambda: all(run.status == "completed" for run in there.check_runs), "all check runs have ended", said)
    wait_for(
        lambda: project.rows("select status from mason_remote_execution_runs")[0]["status"] == "success", "closed", said
    )
    (run,) = project.rows("select id from mason_remote_execution_runs")
    assert [one.inputs["run-id"] for one in there.workflow_runs] == [str(run["id"])]

    before = pull.head_sha
    change = "sh -c 'cat > /dev/null; echo x > src/renamed.txt'"
    runners.environment = {"INPUT_AGENT": "command", "INPUT_AGENT-COMMAND": change}
    there.comment_as_person(pull.number, "/mason fix please rename it to src/renamed.txt")
    wait_for(lambda: runs() == ["success"] * 2, "the fix has ended", said)
    after = there.branches["mason/add-a-thing"]
    assert after != before
    assert there.git.file(after, "src/renamed.txt") == "x\n"
    wait_for(lambda: len(replies()) == 1, "one reply", said)
    head = [check for check in there.check_runs if check.head_sha == after]
    assert {check.conclusion for check in head} == {"success"}
    assert len(head) >= 5

    there.rerun(head[0])
    wait_for(lambda: runs() == ["success"] * 3, "it was validated again", said)
    assert there.workflow_runs[2].inputs["command"] == "validate"
    assert there.branches["mason/add-a-thing"] == after

    runners.environment = {"INPUT_AGENT": "command", "INPUT_AGENT-COMMAND": "sh -c 'cat > /dev/null; sleep 600'"}
    there.comment_as_person(pull.number, "/mason fix and take your time")
    wait_for(lambda: there.workflow_runs[3:] and there.workflow_runs[3].status == "in_progress", "it works", said)
    there.comment_as_person(pull.number, "/mason cancel")
    wait_for(lambda: runs()[3] == "cancelled", "it is cancelled", said)
    wait_for(lambda: len(replies()) == 4, "each of the three comments, and the press, has one reply", said)
    assert there.branches["mason/add-a-thing"] == after


def test_serve__without_any_setting_an_item_that_is_approved_with_sql_becomes_a_branch(
    make_project: Callable[..., Project], tmp_path: Path, data_root: Path
) -> None:
    project = make_project()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT),
        "MASON_STATE_DIR": str(data_root / "state"),
        "MASON_RUNS_DIR": str(tmp_path / "runs"),
    }
    serve = Process(
        command=[sys.executable, "-m", "app", "serve", "--port", str(free_port())],
        environment=environment,
        log=tmp_path / "serve.log",
        cwd=project.repository,
    )
    serve.start()
    try:
        record = data_root / "state" / "postgres" / "connection.json"
        wait_for(lambda: record.exists() and "Mason listens" in serve.log.read_text(), "it serves", serve.log.read_text)
        with psycopg.connect(json.loads(record.read_text())["dsn"], autocommit=True) as connection:
            connection.execute(
                "insert into mason_pm_backlog_items"
                " (title, problem, solution, area, type, complexity, impact_score, effort_score, status, prd_content)"
                " values ('Add a thing', 'p', 's', 'backend', 'feature', 2, 5, 5, 'new', %s)",
                [prd(new("src/new.txt", "fine\n"))],
            )
            connection.execute("update mason_pm_backlog_items set status = 'approved'")

            def status() -> str:
                (row,) = connection.execute("select status from mason_pm_backlog_items").fetchall()
                return str(row[0])

            wait_for(lambda: status() == "completed", "it is completed", serve.log.read_text)
        assert project.git("show", "mason/add-a-thing:src/new.txt") == "fine"
    finally:
        assert serve.stop() == 0
