"""One suite for the Forge port: the repository itself, GitHub, and GitHub with signed commits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from app.domain.results import Outcome, Verdict
from app.errors import GitFailed, UsageError
from app.forge.local import LocalForge
from app.ports.forge import Forge, PullState
from app.workspace.worktrees import GitWorkspace
from tests.fakes.faults import Fault
from tests.unit.forge.github_kit import (
    BRANCH,
    NAME,
    World,
    assert_one_of_each,
    publication,
    publish_with_checks,
    world,
)


class Case:
    """A forge of one kind over a fresh repository; ``fresh`` is a new process on the same repository."""

    def __init__(self, kind: str, here: World) -> None:
        self.kind = kind
        self.here = here
        self.workspaces: list[GitWorkspace] = []

    def fresh(self) -> tuple[Forge, GitWorkspace]:
        workspace = self.here.workspace()
        workspace.pin_base(None)
        self.workspaces.append(workspace)
        return self.forge(workspace), workspace

    def forge(self, workspace: GitWorkspace) -> Forge:
        if self.kind == "local":
            return LocalForge(workspace.push, NAME)
        return self.here.forge(workspace, sign_commits=self.kind == "github, signed")


@pytest.fixture(params=["local", "github", "github, signed"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    with world(tmp_path) as here:
        case = Case(request.param, here)
        yield case
        for workspace in case.workspaces:
            workspace.close()


def test_forge__knows_its_repository(case: Case) -> None:
    forge, _ = case.fresh()
    forge.require_access()
    assert forge.repository == NAME
    assert forge.default_branch() == (None if case.kind == "local" else "main")
    assert (forge.check_runs is None) == (case.kind == "local")
    with pytest.raises(UsageError, match="no pull request 7"):
        forge.pull_request(7)


def test_forge__publishes_the_tree_that_it_was_given(case: Case) -> None:
    forge, workspace = case.fresh()
    commit = case.here.commit(workspace, {"new.txt": "hello\n", "old.txt": None})
    published = forge.publish(publication(commit))
    assert published.branch == BRANCH and case.here.repository.branches[BRANCH] == published.commit
    ours = workspace.lineage(commit, "nowhere")[-1]
    made = case.here.repository.git.commit(published.commit)
    assert (made.tree, made.parents, made.message.strip()) == (ours.tree, ours.parents, ours.message.strip())
    if published.pull_request:
        pull = forge.pull_request(published.pull_request.number)
        assert pull == published.pull_request
        assert (pull.state, pull.head_branch, pull.head_commit) == (PullState.OPEN, BRANCH, published.commit)


def test_forge__the_same_call_twice_has_one_effect(case: Case) -> None:
    forge, workspace = case.fresh()
    commit = case.here.commit(workspace, {"new.txt": "hello\n"})
    first = forge.publish(publication(commit))
    assert forge.publish(publication(commit)) == first
    other, workspace = case.fresh()
    assert case.here.commit(workspace, {"new.txt": "hello\n"}) == commit
    assert other.publish(publication(commit)) == first
    assert len(case.here.repository.pushes) == 1 and len(case.here.repository.pulls) <= 1


def test_forge__never_overwrites_a_branch(case: Case) -> None:
    theirs = case.here.repository.push_as_person(BRANCH, {"theirs.txt": "x"})
    forge, workspace = case.fresh()
    commit = case.here.commit(workspace, {"new.txt": "hello\n"})
    with pytest.raises(GitFailed, match="never pushes by force"):
        forge.publish(publication(commit))
    assert case.here.repository.branches[BRANCH] == theirs and case.here.repository.pulls == []


@pytest.mark.parametrize("outcome", [Outcome(verdict=Verdict.REJECTED), Outcome(verdict=Verdict.COMPLETED, branch="x")])
def test_forge__nothing_to_publish(case: Case, outcome: Outcome) -> None:
    forge, _ = case.fresh()
    with pytest.raises(GitFailed, match="no commit to publish for 'Add it'"):
        forge.publish(replace(publication("0" * 40), outcome=outcome))
    assert case.here.repository.pushes == []


def test_forge__a_lost_answer_to_any_call_leaves_one_of_each(case: Case) -> None:
    """Of every request in turn, git's among them; whoever is told so starts again. Every other kind of fault is in
    test_github_faults.
    """
    _, workspace = case.fresh()
    turns = 0
    while True:
        turns += 1
        branch, files = f"mason/turn-{turns}", {f"{turns}.txt": "hello\n"}
        finished = publication(case.here.commit(workspace, files), branch=branch, id=UUID(int=turns))
        rule = case.here.github.fail(turns, with_=Fault.DROPPED, when="after")
        for _ in range(3):
            try:
                publish_with_checks(case.forge(workspace), finished)
                break
            except GitFailed:  # git itself does not insist
                continue
        if case.kind == "local":
            assert case.here.repository.branches[branch] == finished.outcome.commit
        else:
            assert_one_of_each(case.here.repository, branch, f"call {turns}")
        case.here.github.heal()
        if not rule.hit.is_set():
            break
    assert turns > (2 if case.kind == "local" else 15)
