"""Workflow runs at the fake GitHub: started once, found by their name, refused in sentences."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from app.errors import ForgeRefused, ForgeUnreachable, UsageError
from app.forge.github.workflows import Workflows
from app.onboarding.start import Action, start
from tests.fakes.faults import Fault
from tests.unit.forge.github_kit import NAME, World, world
from tests.unit.forge.web_kit import WORKFLOW, add_workflow, app_repositories
from tests.unit.workspace.repositories import git

DISPATCH = "POST /repos/{owner}/{repo}/actions/workflows/{workflow_id}/dispatches"
RUNS = "GET /repos/{owner}/{repo}/actions/workflows/{workflow_id}/runs"
RUN = str(UUID(int=7))
GIVEN = {"command": "run", "run-id": RUN}


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        add_workflow(made)
        yield made


def workflows(here: World) -> Workflows:
    return app_repositories(here).workflows(NAME)


def an_hour_ago() -> datetime:
    return datetime.now(UTC) - timedelta(hours=1)


def test_start__on_the_default_branch(here: World) -> None:
    found = workflows(here).start("mason.yml", GIVEN)
    (run,) = here.repository.workflow_runs
    assert found and (found.id, found.status, found.attempt) == (str(run.id), "queued", 1)
    assert found.url == f"{here.repository.html_url}/actions/runs/{run.id}"
    assert (run.branch, run.inputs["command"], run.title) == ("main", "run", f"Mason run {RUN}")


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"command": "fix", "pull-request": "7", "run-id": RUN}, f"Mason fix {RUN}"),
        ({"command": "validate", "pull-request": "7"}, "Mason validate #7"),
        ({}, "Mason run "),
    ],
)
def test_start__the_name_of_the_run(here: World, given: dict[str, str], name: str) -> None:
    workflows(here).start("mason.yml", given)
    assert here.repository.workflow_runs[0].title == name


def test_start__the_workflow_that_mason_init_writes(here: World, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    git(project, "init", "-q", "-b", "main")
    start(project, Action(repository="ada/mason", commit="a" * 40, tag="v1.2.3"))
    add_workflow(here, (project / ".github/workflows/mason.yml").read_text())
    shutil.rmtree(project)
    full = {
        "command": "fix",
        "pull-request": "7",
        "run-id": RUN,
        "instructions": "x",
        "smoke-test": "true",
        "e2e": "true",
    }
    workflows(here).start("mason.yml", full)
    (run,) = here.repository.workflow_runs
    assert run.title == f"Mason fix {RUN}" and run.inputs.items() >= full.items()


def test_start__an_older_server_is_asked_for_details_once(here: World) -> None:
    here.repository.dispatch = "strict"
    there = workflows(here)
    assert [there.start("mason.yml", GIVEN) for _ in range(2)] == [None, None]
    assert [call.status for call in here.github.calls(DISPATCH)] == [400, 204, 204]
    assert len(here.repository.workflow_runs) == 2


@pytest.mark.parametrize(
    "fault", [Fault.SERVER_ERROR, Fault.BAD_GATEWAY, Fault.DROPPED, Fault.HALF_RESPONSE, Fault.TOO_MANY, Fault.TIMEOUT]
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_start__a_lost_answer_is_not_repeated(here: World, fault: Fault, when: str) -> None:
    there = workflows(here)
    here.github.fail(DISPATCH, with_=fault, when=when, retry_after=7)  # type: ignore[arg-type]
    with pytest.raises(ForgeUnreachable) as caught:
        there.start("mason.yml", GIVEN)
    assert caught.value.retry_after == (7 if fault is Fault.TOO_MANY else None)
    assert len(here.github.calls(DISPATCH)) == 1
    found = there.find("mason.yml", RUN, an_hour_ago())
    assert (found is not None) == (when == "after") == (len(here.repository.workflow_runs) == 1)


def test_start__refused_in_sentences(here: World) -> None:
    there = workflows(here)
    with pytest.raises(UsageError, match=r"no workflow \.github/workflows/none\.yml .*`mason init`"):
        there.start("none.yml", GIVEN)
    add_workflow(here, "on: push\n", "push.yml")
    with pytest.raises(UsageError, match=r"does not take what Mason gives it.*`mason init --force`"):
        there.start("push.yml", GIVEN)
    add_workflow(here, WORKFLOW.replace("run-id", "run-name-id"), "old.yml")
    with pytest.raises(UsageError, match=r"does not take what Mason gives it.*Unexpected inputs provided.*run-id"):
        there.start("old.yml", GIVEN)
    here.repository.disabled_workflows.add("mason.yml")
    with pytest.raises(UsageError, match="is disabled: enable it in the Actions tab"):
        there.start("mason.yml", GIVEN)
    with pytest.raises(UsageError, match="write shorter instructions"):
        there.start("mason.yml", {"instructions": "x" * 65_530})
    here.github.hub.uninstall(NAME)
    assert here.repository.workflow_runs == []


def test_start__what_else_github_refuses(here: World) -> None:
    here.repository.git.run("symbolic-ref", "HEAD", "refs/heads/none")
    here.repository.default_branch = "none"
    with pytest.raises((UsageError, ForgeRefused)):
        workflows(here).start("mason.yml", GIVEN)


def test_find__the_oldest_of_several(here: World) -> None:
    there = workflows(here)
    made = [there.start("mason.yml", GIVEN) for _ in range(3)]
    assert there.find("mason.yml", RUN, an_hour_ago()) == made[0]


def test_find__among_many(here: World) -> None:
    there = app_repositories(here, writes_per_minute=1000).workflows(NAME)
    mine = there.start("mason.yml", GIVEN)
    for _ in range(120):
        there.start("mason.yml", {"run-id": str(uuid4())})
    here.github.requests.clear()
    assert there.find("mason.yml", RUN, an_hour_ago()) == mine
    assert [call.query["event"] for call in here.github.calls(RUNS)] == ["workflow_dispatch"] * 2


def test_find__nothing_before_its_time_and_nothing_without_a_workflow(here: World) -> None:
    there = workflows(here)
    there.start("mason.yml", GIVEN)
    assert there.find("mason.yml", RUN, datetime.now(UTC) + timedelta(hours=1)) is None
    assert there.find("none.yml", RUN, an_hour_ago()) is None


def test_run__as_it_is_now(here: World) -> None:
    there = workflows(here)
    made = there.start("mason.yml", GIVEN)
    assert made
    (run,) = here.repository.workflow_runs
    for status, seen in {
        "waiting": "queued",
        "pending": "queued",
        "requested": "queued",
        "in_progress": "in_progress",
    }.items():
        run.status = status
        now = there.run(made.id)
        assert now and (now.status, now.conclusion) == (seen, "")
    run.attempt = 2
    run.finish("timed_out")
    now = there.run(made.id)
    assert now and (now.status, now.conclusion, now.attempt) == ("completed", "timed_out", 2)
    here.repository.workflow_runs.clear()
    assert there.run(made.id) is None and there.run("process 7") is None


def test_cancel__what_has_ended_or_is_gone_is_left_alone(here: World) -> None:
    there = workflows(here)
    made = there.start("mason.yml", GIVEN)
    assert made
    for _ in range(2):
        there.cancel(made.id)
    assert here.repository.workflow_runs[0].conclusion == "cancelled"
    there.cancel("12345")
