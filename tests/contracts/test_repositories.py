"""One suite for the ports Repository and Repositories: GitHub, and a repository on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.errors import UsageError
from app.forge.local_repository import LocalRepository
from app.ports.forge import PullState
from app.ports.repository import Reaction, Repositories, Repository
from app.workspace.compare import read
from app.workspace.source import Source
from tests.unit.forge.github_kit import NAME, World, world
from tests.unit.forge.web_kit import app_repositories

FILES: dict[str, str | bytes | None] = {"dir/ä & ?#.txt": "umlauts\n", "empty": "", "bytes": b"\x00\xff\r\n"}


class Case:
    """Repositories of one kind; ``here`` is what they lie on."""

    def __init__(self, kind: str, here: World) -> None:
        self.kind = kind
        self.here = here
        self.tip = here.repository.push_as_person("main", FILES)

    def fresh(self) -> Repositories:
        """As another process sees them."""
        if self.kind == "github":
            return app_repositories(self.here)
        source = Source.open(self.here.repository.git.path, os.environ["PATH"])
        return LocalRepository(source.pin, lambda commit, path: read(source.git, commit, path), NAME)

    @property
    def repository(self) -> Repository:
        return self.fresh().named(NAME)

    @property
    def on_github(self) -> bool:
        return self.kind == "github"


@pytest.fixture(params=["github", "local"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    with world(tmp_path) as here:
        yield Case(request.param, here)


def test_repositories__are_known_by_their_name(case: Case) -> None:
    repositories = case.fresh()
    assert repositories.named(NAME).name == NAME
    assert repositories.named(NAME.upper()) is repositories.named(NAME)
    with pytest.raises(UsageError, match="octo/nothing"):
        repositories.named("octo/nothing")


def test_repository__its_base_is_the_tip_of_a_branch(case: Case) -> None:
    assert case.repository.base().branch == "main"
    assert case.repository.base().commit == case.tip
    later = case.here.repository.push_as_person("feature/x", {"x": "x"})
    found = case.repository.base("feature/x")
    assert (found.branch, found.commit) == ("feature/x", later)
    with pytest.raises(UsageError, match=r"no branch.* feature/none"):
        case.repository.base("feature/none")


def test_repository__reads_files_at_a_commit(case: Case) -> None:
    case.here.repository.push_as_person("main", {"empty": "not any more"})
    for path, content in FILES.items():
        expected = content.encode() if isinstance(content, str) else content
        assert case.repository.read(case.tip, path) == expected
    assert case.repository.read(case.tip, "a.txt") == b"one\n"
    assert case.repository.read(case.tip, "no/such/file") is None


def test_repository__pull_requests(case: Case) -> None:
    number = case.here.repository.open_pull_request_by_person("idea", {"b": "b"}).number
    if case.on_github:
        pull = case.repository.pull_request(number)
        assert (pull.number, pull.state, pull.head_branch) == (number, PullState.OPEN, "idea")
    with pytest.raises(UsageError, match="no pull request 99"):
        case.repository.pull_request(99)


def test_repository__permissions_are_live(case: Case) -> None:
    ada = case.here.repository.add_collaborator("ada")
    repository = case.repository
    found = repository.permission("Ada")
    assert repository.permission("nobody-at-all") is None
    if not case.on_github:
        assert found is None
        return
    assert found and (found.user_id, found.level, found.may_write) == (ada.id, "write", True)
    case.here.repository.add_collaborator("ada", "triage")
    found = repository.permission("ada")
    assert found and not found.may_write


def test_repository__the_same_words_twice_are_one_comment(case: Case) -> None:
    number = case.here.repository.open_issue_by_person("Question").number
    asked = case.here.repository.comment_as_person(number, "/mason status")
    said = [case.repository.say(number, "mason:reply:1", "Hello") for _ in range(2)]
    case.repository.say(number, "mason:progress", "At work", dispensable=True)
    case.repository.say(number, "mason:progress", "Done")
    for _ in range(2):
        case.repository.react(asked.id, Reaction.EYES)
    comments = [comment.body for comment in case.here.repository.comments if comment.id != asked.id]
    if not case.on_github:
        assert comments == [] and said == ["", ""]
        return
    assert comments == ["<!-- mason:reply:1 -->\nHello", "<!-- mason:progress -->\nDone"]
    assert said[0] == said[1] and said[0].startswith(case.here.repository.html_url)
    assert [each.content for each in asked.reactions] == ["eyes"]


def test_repository__check_runs_where_there_are_some(case: Case) -> None:
    checks = case.repository.check_runs
    assert (checks is not None) == case.on_github
    if checks is not None:
        assert checks.found(case.tip) == []
