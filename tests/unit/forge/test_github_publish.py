"""Publishing on the fake GitHub: one branch, one pull request, whatever people do around it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from app.domain.policy import PullRequestPolicy
from app.errors import ForgeRefused, GitFailed, MissingPermission, UsageError
from app.ports.forge import PullState
from app.workspace.worktrees import GitWorkspace
from tests.unit.forge.github_kit import BRANCH, ITEM, World, publication, world

CREATE = "POST /repos/{owner}/{repo}/pulls"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        yield made


@pytest.fixture
def workspace(here: World) -> Iterator[GitWorkspace]:
    workspace = here.workspace()
    workspace.pin_base(None)
    yield workspace
    workspace.close()


def test_publish__opens_a_pull_request(here: World, workspace: GitWorkspace) -> None:
    commit = here.commit(workspace, {"new.txt": "hello\n", "old.txt": None})
    policy = PullRequestPolicy(labels=("mason", "bot"), reviewers=("ada", "octo/core"), draft=True)
    here.repository.add_collaborator("ada")
    here.repository.teams.add("core")
    forge = here.forge(workspace)
    published = forge.publish(publication(commit, policy=policy, title="Add @ada's\nthing"))
    assert here.repository.branches[BRANCH] == commit == published.commit
    pull = here.repository.pull(1)
    assert published.pull_request is not None
    assert published.pull_request.url == f"{here.repository.html_url}/pull/1"
    assert (published.pull_request.number, published.pull_request.state) == (1, PullState.OPEN)
    assert (pull.title, pull.draft, pull.base) == ("Add @ ada's thing", True, "main")
    assert (sorted(pull.labels), pull.reviewers, pull.teams) == (["bot", "mason"], ["ada"], ["core"])
    assert pull.body is not None and f"`{commit}`" in pull.body and f"item={ITEM}" in pull.body
    assert [push.forced for push in here.repository.pushes] == [False]
    assert len([write for write in here.github.writes if not write.route.startswith("git ")]) == 3


def test_publish__twice_is_once(here: World, workspace: GitWorkspace) -> None:
    commit = here.commit(workspace, {"new.txt": "hello\n"})
    first = here.forge(workspace).publish(publication(commit))
    writes = len(here.github.writes)
    assert here.forge(workspace).publish(publication(commit)) == first
    assert len(here.github.writes) == writes and len(here.repository.pulls) == 1


def test_publish__keeps_what_people_wrote(here: World, workspace: GitWorkspace) -> None:
    commit = here.commit(workspace, {"new.txt": "hello\n"})
    here.forge(workspace).publish(publication(commit))
    pull = here.repository.pull(1)
    here.repository.push_as_person("release", {"x": "y"})
    pull.title, pull.base, pull.labels = "A better title", "release", []
    pull.body = f"By me.\r\n\r\n{pull.body}\r\nAnd below."
    more = here.commit(workspace, {"more.txt": "x\n"}, start=commit)
    here.forge(workspace).publish(publication(more, note="A second time."))
    pull = here.repository.pull(1)
    assert (pull.title, pull.base, pull.labels) == ("A better title", "release", [])
    assert pull.body is not None and "A second time." in pull.body and f"`{more}`" in pull.body
    assert pull.body.startswith("By me.\r\n\r\n<!--") and pull.body.endswith("-->\r\nAnd below.")
    assert here.repository.branches[BRANCH] == more


def test_publish__opens_a_closed_one_again(here: World, workspace: GitWorkspace) -> None:
    commit = here.commit(workspace, {"new.txt": "hello\n"})
    here.forge(workspace).publish(publication(commit))
    here.repository.close(1)
    more = here.commit(workspace, {"more.txt": "x\n"}, start=commit)
    published = here.forge(workspace).publish(publication(more))
    assert published.pull_request is not None and published.pull_request.number == 1
    assert [pull.state for pull in here.repository.pulls] == ["open"]


def test_publish__a_closed_one_that_cannot_be_opened(here: World, workspace: GitWorkspace) -> None:
    commit = here.commit(workspace, {"new.txt": "hello\n"})
    here.forge(workspace).publish(publication(commit))
    here.repository.delete_branch(BRANCH)
    other = here.commit(workspace, {"other.txt": "x\n"})  # not on top of the first
    published = here.forge(workspace).publish(publication(other))
    assert published.pull_request is not None and published.pull_request.number == 2
    assert [pull.state for pull in here.repository.pulls] == ["closed", "open"]


def test_publish__after_a_merge_comes_a_new_one(here: World, workspace: GitWorkspace) -> None:
    commit = here.commit(workspace, {"new.txt": "hello\n"})
    here.forge(workspace).publish(publication(commit))
    here.repository.merge(1)
    more = here.commit(workspace, {"more.txt": "x\n"})
    published = here.forge(workspace).publish(publication(more))
    assert published.pull_request is not None and published.pull_request.number == 2


@pytest.mark.parametrize("deleted", [True, False])
def test_publish__what_was_merged_stays_merged(here: World, workspace: GitWorkspace, deleted: bool) -> None:
    commit = here.commit(workspace, {"new.txt": "hello\n"})
    here.forge(workspace).publish(publication(commit))
    here.repository.merge(1, delete_branch=deleted)
    published = here.forge(workspace).publish(publication(commit))
    assert published.pull_request is not None and published.pull_request.state is PullState.MERGED
    assert (BRANCH in here.repository.branches) is not deleted and len(here.repository.pulls) == 1


def test_publish__somebody_elses_closed_one_is_left_alone(here: World, workspace: GitWorkspace) -> None:
    commit = here.commit(workspace, {"new.txt": "hello\n"})
    here.forge(workspace).publish(publication(commit, id=UUID(int=9)))
    here.repository.close(1)
    published = here.forge(workspace).publish(publication(commit))
    assert published.pull_request is not None and published.pull_request.number == 2


def test_publish__a_forks_branch_of_that_name_is_another(here: World, workspace: GitWorkspace) -> None:
    here.repository.open_pull_request_by_person(BRANCH, {"x": "y"}, login="mallory", fork=True)
    commit = here.commit(workspace, {"new.txt": "hello\n"})
    published = here.forge(workspace).publish(publication(commit))
    assert published.pull_request is not None and published.pull_request.number == 2
    assert here.forge(workspace).pull_request(1).fork


def test_publish__a_persons_pull_request_of_the_branch_is_taken(here: World, workspace: GitWorkspace) -> None:
    commit = here.commit(workspace, {"new.txt": "hello\n"})
    workspace.push(commit, BRANCH)
    here.repository.open_pull_request_by_person(BRANCH, title="Mine", body="My words")
    published = here.forge(workspace).publish(publication(commit))
    assert published.pull_request is not None and published.pull_request.number == 1
    assert (here.repository.pull(1).body or "").startswith("My words\n\n<!-- mason:begin")


def test_publish__never_overwrites_what_a_person_pushed(here: World, workspace: GitWorkspace) -> None:
    theirs = here.repository.push_as_person(BRANCH, {"theirs.txt": "x"})
    commit = here.commit(workspace, {"new.txt": "hello\n"})
    with pytest.raises(GitFailed, match="never pushes by force"):
        here.forge(workspace).publish(publication(commit))
    assert here.repository.branches[BRANCH] == theirs and here.repository.pulls == []


def test_publish__refused_reviewers_and_labels_are_warnings(
    here: World, workspace: GitWorkspace, caplog: pytest.LogCaptureFixture
) -> None:
    commit = here.commit(workspace, {"new.txt": "hello\n"})
    policy = PullRequestPolicy(reviewers=("stranger",))
    with caplog.at_level(logging.WARNING):
        published = here.forge(workspace).publish(publication(commit, policy=policy))
    assert published.pull_request is not None
    assert "ask for reviews of pull request 1" in caplog.text


def test_publish__without_draft_pull_requests(here: World, workspace: GitWorkspace) -> None:
    here.repository.has_drafts = False
    commit = here.commit(workspace, {"new.txt": "hello\n"})
    here.forge(workspace).publish(publication(commit, policy=PullRequestPolicy(draft=True)))
    assert [pull.draft for pull in here.repository.pulls] == [False]


def test_publish__nothing_new_is_a_sentence(here: World, workspace: GitWorkspace) -> None:
    base = workspace.pin_base(None).commit
    with pytest.raises(ForgeRefused, match="No commits between main and mason/add-it"):
        here.forge(workspace).publish(publication(base))


@pytest.mark.parametrize("sign", [True, False])
def test_publish__protected_branch(here: World, workspace: GitWorkspace, sign: bool) -> None:
    here.repository.protect("mason/*")
    commit = here.commit(workspace, {"new.txt": "hello\n"})
    with pytest.raises(GitFailed, match=r"mason/add-it .*(is protected, and takes no commits|could not be pushed)"):
        here.forge(workspace, sign_commits=sign).publish(publication(commit))


def test_publish__archived_meanwhile(here: World, workspace: GitWorkspace) -> None:
    commit = here.commit(workspace, {"new.txt": "hello\n"})
    here.repository.archive()
    with pytest.raises((GitFailed, ForgeRefused), match=r"archived|mason/add-it"):
        here.forge(workspace).publish(publication(commit))


def test_publish__a_token_without_the_permission(here: World, workspace: GitWorkspace) -> None:
    commit = here.commit(workspace, {"new.txt": "hello\n"})
    token = here.github.token(permissions={"contents": "write", "pull_requests": "read"})
    with pytest.raises(MissingPermission, match="pull-requests: write"):
        here.forge(workspace, token=token).publish(publication(commit))


def test_publish__actions_may_not_open_pull_requests(here: World, workspace: GitWorkspace) -> None:
    here.repository.actions_may_open_pulls = False
    forge = here.forge(workspace, token=here.github.token("actions"))
    with pytest.raises(MissingPermission, match="Allow GitHub Actions to create and approve pull requests"):
        forge.require_access()


def test_publish__hostile_titles_and_texts(here: World, workspace: GitWorkspace) -> None:
    commit = here.commit(workspace, {"new.txt": "hello\n"})
    evil = "::set-output name=x::y\r\n<!-- mason:end --> @ada Fixes #1 \ud800\x1b[2J" * 2000
    here.forge(workspace).publish(publication(commit, title=evil, problem=evil, solution=evil))
    pull = here.repository.pull(1)
    assert len(pull.title) <= 256 and "\n" not in pull.title and "@ada" not in pull.title
    assert pull.body is not None and pull.body.count("<!-- mason:end -->") == 1 and len(pull.body) <= 65_536


def test_pull_request__by_number(here: World, workspace: GitWorkspace) -> None:
    made = here.repository.open_pull_request_by_person("theirs", {"x": "y"}, title="T", body=None)
    pull = here.forge(workspace).pull_request(made.number)
    assert (pull.title, pull.body, pull.head_branch, pull.base_branch, pull.fork) == ("T", "", "theirs", "main", False)
    with pytest.raises(UsageError, match="has no pull request 99"):
        here.forge(workspace).pull_request(99)


def test_access__all_is_there(here: World, workspace: GitWorkspace) -> None:
    forge = here.forge(workspace)
    assert forge.default_branch() == "main" and forge.repository == "octo/engine"
    forge.require_access()
    assert forge.check_runs is not None and forge.default_branch() == "main"
    assert here.repository.pulls == [] and here.repository.check_runs == [] and here.repository.pushes == []


@pytest.mark.parametrize("missing", ["contents", "pull_requests"])
def test_access__what_is_missing_is_named(here: World, workspace: GitWorkspace, missing: str) -> None:
    permissions = {name: "write" for name in ("contents", "pull_requests", "checks") if name != missing}
    forge = here.forge(workspace, token=here.github.token(permissions=permissions))
    with pytest.raises(MissingPermission, match=f"{missing.replace('_', '-')}: write"):
        forge.require_access()


@pytest.mark.parametrize("kind", ["app", "user"])
def test_access__without_checks_there_are_none(
    here: World, workspace: GitWorkspace, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    here.repository.add_collaborator("ada")
    if kind == "user":
        token = here.github.token("user")
    else:
        token = here.github.token(permissions={"contents": "write", "pull_requests": "write"})
    forge = here.forge(workspace, token=token)
    with caplog.at_level(logging.WARNING):
        forge.require_access()
    assert forge.check_runs is None and "there will be no check runs" in caplog.text


def test_access__a_reader_may_not_publish(here: World, workspace: GitWorkspace) -> None:
    here.repository.add_collaborator("bob", "read")
    forge = here.forge(workspace, token=here.github.token("user", login="bob"))
    with pytest.raises(MissingPermission, match="contents: write"):
        forge.require_access()


def test_access__repositories_that_cannot_be_used(here: World, workspace: GitWorkspace) -> None:
    here.repository.archive()
    with pytest.raises(UsageError, match="octo/engine is archived"):
        here.forge(workspace).require_access()
    here.repository.archived, here.repository.disabled = False, True
    with pytest.raises(UsageError, match="disabled"):
        here.forge(workspace).require_access()
    here.repository.disabled, here.repository.private = False, True
    stranger = here.github.token("user", login="stranger")
    with pytest.raises(UsageError, match="no repository octo/engine, or the GitHub token cannot see it"):
        here.forge(workspace, token=stranger).require_access()
    with pytest.raises(MissingPermission, match="refused the token"):
        here.forge(workspace, token="ghp_gone").require_access()
