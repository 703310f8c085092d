"""What the dispatcher of GitHub Actions asks of a workflow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from app.dispatch.github_actions import GithubActions, inputs
from app.domain.dispatches import Dispatch, Work, WorkflowRun

ID = UUID(int=7)
NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
RUN = Dispatch(id=ID, work=Work.RUN, repository="octo/app", items=(UUID(int=1),), created_at=NOW)
FIX = Dispatch(id=ID, work=Work.FIX, repository="octo/app", number=12, instructions="rename\nx", created_at=NOW)


class Memory:
    """Workflow runs that are remembered, and what was asked for."""

    def __init__(self) -> None:
        self.runs: dict[str, WorkflowRun] = {}
        self.asked: list[tuple[object, ...]] = []

    def start(self, file: str, inputs: Mapping[str, str]) -> WorkflowRun | None:
        self.asked.append(("start", file, dict(inputs)))
        self.runs["4711"] = WorkflowRun(id="4711", status="queued")
        return None

    def run(self, run_id: str) -> WorkflowRun | None:
        self.asked.append(("run", run_id))
        return self.runs.get(run_id)

    def find(self, file: str, word: str, since: datetime) -> WorkflowRun | None:
        self.asked.append(("find", file, word, since))
        return next(iter(self.runs.values()), None)

    def cancel(self, run_id: str) -> None:
        self.asked.append(("cancel", run_id))


def test_inputs__of_a_run() -> None:
    assert inputs(RUN) == {"command": "run", "run-id": str(ID)}
    with_tests = replace(RUN, smoke_test=True, e2e=True, number=3)
    assert inputs(with_tests) == {**inputs(RUN), "smoke-test": "true", "e2e": "true"}


def test_inputs__of_a_pull_request() -> None:
    assert inputs(FIX) == {"command": "fix", "run-id": str(ID), "pull-request": "12", "instructions": "rename\nx"}
    validate = replace(FIX, work=Work.VALIDATE, instructions="")
    assert inputs(validate) == {"command": "validate", "run-id": str(ID), "pull-request": "12"}


def test_dispatch__the_workflow_that_is_configured() -> None:
    memory = Memory()
    GithubActions(lambda name: {"octo/app": memory}[name or ""], file="other.yml").dispatch(RUN)
    assert memory.asked == [("start", "other.yml", inputs(RUN))]


def test_find__by_its_name_until_its_id_is_known() -> None:
    memory = Memory()
    dispatcher = GithubActions(lambda _: memory)
    tried = replace(RUN, tries=2, tried_at=NOW + timedelta(hours=1))
    assert dispatcher.find(tried) is None
    assert dispatcher.find(replace(tried, workflow_run="4711")) is None
    assert memory.asked == [("find", "mason.yml", str(ID), NOW - timedelta(minutes=5)), ("run", "4711")]


def test_cancel__only_what_goes_on() -> None:
    memory = Memory()
    dispatcher = GithubActions(lambda _: memory, look_again=5)
    dispatcher.cancel(RUN)
    dispatcher.dispatch(RUN)
    dispatcher.cancel(RUN)
    memory.runs["4711"] = WorkflowRun(id="4711", status="completed", conclusion="success")
    dispatcher.cancel(RUN)
    assert [asked for asked in memory.asked if asked[0] == "cancel"] == [("cancel", "4711")]
    assert dispatcher.look_again == 5
