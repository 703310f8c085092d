"""Tokens for runners: the job that Mason has dispatched gets one, while its run goes on, and nobody else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from app.domain.dispatches import Dispatch, Work
from app.domain.runner_tokens import RunnerIdentity, RunnerToken
from app.errors import ForgeUnreachable, MasonError, NotAllowed, RunEnded, UnknownRun
from app.flows.approval_to_run import reconcile_backlog
from app.flows.reconcile_run import reconcile_run
from app.flows.token_for_runner import token_for_runner
from tests.fakes.faults import Fault
from tests.fakes.github_api.records import WorkflowRun
from tests.unit.flows.web_world import NAME, WebWorld

FILE = "mason.yml"
TOKEN = RunnerToken(token="ghs_x", expires_at=datetime(2026, 1, 1, tzinfo=UTC))
WHERE = f"{NAME}/.github/workflows/{FILE}@refs/heads/main"


def identity(run: WorkflowRun, **changes: str) -> RunnerIdentity:
    """What GitHub says of the first job of a workflow run."""
    plain = RunnerIdentity(
        repository=NAME,
        repository_id="7",
        run_id=str(run.id),
        run_attempt="1",
        workflow_ref=WHERE,
        job_workflow_ref=WHERE,
        event_name="workflow_dispatch",
        ref="refs/heads/main",
    )
    return replace(plain, **changes)


def ask(world: WebWorld, run_id: UUID, who: RunnerIdentity, give: Callable[[str], RunnerToken] | None = None) -> Any:
    ports = world.ports
    return token_for_runner(ports.database, ports.dispatcher, give or (lambda _: TOKEN), FILE, run_id, who)


def test_token__the_dispatched_job_gets_one_of_its_repository(world: WebWorld) -> None:
    dispatch, run, _ = world.started()
    asked: list[str] = []

    def give(repository: str) -> RunnerToken:
        asked.append(repository)
        return TOKEN

    for _ in range(2):  # queued, and under way
        assert ask(world, dispatch.id, identity(run), give) == TOKEN
        run.start()
    assert asked == [NAME, NAME]


def test_token__names_of_repositories_and_files_have_no_case(world: WebWorld) -> None:
    dispatch, run, _ = world.started()
    who = identity(run, repository=NAME.upper(), workflow_ref=WHERE.replace("octo/app", "Octo/App"))
    assert ask(world, dispatch.id, who) == TOKEN


REFUSED: dict[str, tuple[dict[str, str], type[MasonError]]] = {
    "another repository": ({"repository": "acme/site"}, UnknownRun),
    "no repository": ({"repository": ""}, UnknownRun),
    "a push": ({"event_name": "push"}, NotAllowed),
    "a pull request": ({"event_name": "pull_request_target"}, NotAllowed),
    "another workflow": ({"workflow_ref": WHERE.replace(FILE, "other.yml")}, NotAllowed),
    "a workflow of another repository": ({"workflow_ref": WHERE.replace("octo", "evil")}, NotAllowed),
    "another branch": ({"workflow_ref": WHERE.replace("main", "topic")}, NotAllowed),
    "a tag": ({"workflow_ref": WHERE.replace("heads", "tags")}, NotAllowed),
    "no ref": ({"workflow_ref": WHERE.partition("@")[0]}, NotAllowed),
    "another workflow run": ({"run_id": "1"}, RunEnded),
    "no workflow run": ({"run_id": ""}, RunEnded),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused__who_is_not_the_dispatched_job(world: WebWorld, case: str) -> None:
    dispatch, run, _ = world.started()
    changes, error = REFUSED[case]
    with pytest.raises(error):
        ask(world, dispatch.id, identity(run, **changes), never)


def never(_: str) -> RunnerToken:
    raise AssertionError("a token was given")


def test_refused__a_run_that_nobody_knows(world: WebWorld) -> None:
    _, run, _ = world.started()
    with pytest.raises(UnknownRun):
        ask(world, uuid4(), identity(run), never)


def test_refused__the_workflow_run_of_another_dispatch(world: WebWorld) -> None:
    """Both are Mason's own, in the same repository."""
    first, _, _ = world.started()
    _, second_run, _ = world.started()
    with pytest.raises(RunEnded):
        ask(world, first.id, identity(second_run), never)


@pytest.mark.parametrize("conclusion", ["success", "failure", "cancelled"])
def test_refused__once_the_run_has_ended(world: WebWorld, conclusion: str) -> None:
    """A re-run of its workflow run included: that has the same number."""
    dispatch, run, _ = world.started()
    run.finish(conclusion)
    reconcile_run(world.ports, dispatch.id)
    with pytest.raises(RunEnded):
        ask(world, dispatch.id, identity(run, run_attempt="2"), never)


def test_refused__once_a_person_has_cancelled_it(world: WebWorld) -> None:
    dispatch, run, _ = world.started()
    world.edit_dispatch(dispatch.id, cancelled_by="ada")
    with pytest.raises(RunEnded):
        ask(world, dispatch.id, identity(run), never)


def test_refused__before_anything_was_handed_over(world: WebWorld) -> None:
    """A person may start the workflow by hand, with a run's id."""
    other, run, _ = world.started()
    world.add_item()
    reconcile_backlog(world.ports)
    (waiting,) = [one for one in world.ports.database.unfinished() if one.id != other.id]
    run.title = f"Mason run {waiting.id}"
    with pytest.raises(MasonError) as refused:
        ask(world, waiting.id, identity(run), never)
    assert isinstance(refused.value, RunEnded | NotAllowed)


def silently_started(world: WebWorld) -> tuple[Dispatch, WorkflowRun]:
    """Dispatched, and nobody has said to which workflow run it led."""
    world.there.dispatch = "silent"
    dispatch, run, _ = world.started()
    assert not dispatch.workflow_run
    return dispatch, run


def test_found__a_job_that_is_quicker_than_the_answer_to_its_dispatch(world: WebWorld) -> None:
    dispatch, run = silently_started(world)
    assert ask(world, dispatch.id, identity(run)) == TOKEN


def test_found__of_two_workflow_runs_of_one_name_the_first_counts(world: WebWorld) -> None:
    dispatch, run = silently_started(world)
    copy = replace(run, id=run.id + 1000)
    world.there.workflow_runs.append(copy)
    assert ask(world, dispatch.id, identity(run)) == TOKEN
    with pytest.raises(RunEnded):
        ask(world, dispatch.id, identity(copy), never)


def test_found__one_that_has_ended_gets_none(world: WebWorld) -> None:
    dispatch, run = silently_started(world)
    run.finish("failure")
    with pytest.raises(RunEnded):
        ask(world, dispatch.id, identity(run), never)


def test_found__a_github_that_is_away_is_no_refusal(world: WebWorld) -> None:
    dispatch, run = silently_started(world)
    world.github.fail(lambda _: True, with_=Fault.SERVER_ERROR)
    with pytest.raises(ForgeUnreachable):
        ask(world, dispatch.id, identity(run), never)
    assert ask(world, dispatch.id, identity(run)) == TOKEN


@pytest.mark.parametrize("work", [Work.FIX, Work.VALIDATE])
def test_token__for_a_fix_and_a_validation_too(world: WebWorld, work: Work) -> None:
    pull = world.there.open_pull_request_by_person("topic", {"b.txt": "two\n"})
    database = world.ports.database
    made = database.record(
        Dispatch(id=uuid4(), work=work, repository=NAME, number=pull.number, created_at=database.now())
    )
    reconcile_run(world.ports, made.id)
    run = world.workflow_run(made)
    assert ask(world, made.id, identity(run)) == TOKEN


def test_token__is_made_of_the_apps_key_for_this_repository_alone(world: WebWorld) -> None:
    """The whole way, as the wiring puts it together."""
    from app.forge.github.repositories import GithubRepositories

    repositories = world.ports.repositories
    assert isinstance(repositories, GithubRepositories)
    dispatch, run, _ = world.started()

    def give(repository: str) -> RunnerToken:
        grant = repositories.runner_token(repository)
        return RunnerToken(token=grant.token, expires_at=datetime.fromtimestamp(grant.ends, UTC))

    token = ask(world, dispatch.id, identity(run), give)
    assert token.expires_at > datetime.now(UTC)
    actor = world.github.hub.tokens.actor(f"Bearer {token.token}")
    assert actor.repositories == {NAME}
    assert actor.permissions is not None and actor.permissions["contents"] == "write"
