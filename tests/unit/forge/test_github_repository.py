"""A repository of the web app at the fake GitHub: what it reads, whom it trusts, what it says once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.errors import ForgeRefused, UsageError
from app.forge.github.comments import BODY_LIMIT
from app.ports.repository import Reaction
from tests.fakes.faults import Fault
from tests.unit.forge.github_kit import NAME, World, world
from tests.unit.forge.web_kit import app_repositories
from tests.unit.workspace.repositories import git

LIST = "GET /repos/{owner}/{repo}/issues/{issue_number}/comments"
MAKE = "POST /repos/{owner}/{repo}/issues/{issue_number}/comments"
EDIT = "PATCH /repos/{owner}/{repo}/issues/comments/{comment_id}"
REACT = "POST /repos/{owner}/{repo}/issues/comments/{comment_id}/reactions"
PERMISSION = "GET /repos/{owner}/{repo}/collaborators/{username}/permission"
FAULTS = [Fault.SERVER_ERROR, Fault.BAD_GATEWAY, Fault.DROPPED, Fault.HALF_RESPONSE, Fault.TOO_MANY]


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        yield made


@pytest.fixture
def issue(here: World) -> int:
    return here.repository.open_issue_by_person("Question").number


def bodies(here: World) -> list[str]:
    return [comment.body for comment in here.repository.comments]


def test_read__what_is_no_file(here: World) -> None:
    link, module = ("120000", "a.txt", "link"), ("160000", "", "module")
    tip = here.repository.commit_entries("main", link, module, ("100644", "x" * 1_000_001, "large"))
    repository = app_repositories(here).named(NAME)
    for path, said in {"dir": "a directory", "module": "a submodule", "link": "a symlink"}.items():
        with pytest.raises(UsageError, match=f"{path} in {NAME} is {said}, and should be a file"):
            repository.read(tip, path)
    with pytest.raises(UsageError, match="large in octo/engine is larger than 1 MB"):
        repository.read(tip, "large")
    with pytest.raises(UsageError, match="no commit 000000000000"):
        repository.read("0" * 40, "a.txt")


def test_base__of_a_repository_without_commits(here: World, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--bare", "-b", "main", "empty.git")
    here.github.repository("octo/empty", tmp_path / "empty.git")
    with pytest.raises(UsageError, match="octo/empty has no branch main"):
        app_repositories(here).named("octo/empty").base()


@pytest.mark.parametrize("login", ["", ".", "..", "../..", "a/b", "a?b", "a%2e", "ä", "x" * 101, "dependabot[bot]"])
def test_permission__what_is_no_login_and_who_is_nobody(here: World, login: str) -> None:
    assert app_repositories(here).named(NAME).permission(login) is None
    assert all(request.path.endswith("dependabot%5Bbot%5D/permission") for request in here.github.calls(PERMISSION))


def test_react__to_a_comment_that_is_gone(here: World, issue: int) -> None:
    app_repositories(here).named(NAME).react(12345, Reaction.EYES)
    assert here.github.calls(REACT)[0].status == 404


def test_say__a_copy_in_somebody_elses_comment_is_not_ours(here: World, issue: int) -> None:
    here.repository.comment_as_person(issue, "<!-- m -->\nHello", login="mallory")
    url = app_repositories(here).named(NAME).say(issue, "m", "Hello")
    theirs, ours = here.repository.comments
    assert url.endswith(f"#issuecomment-{ours.id}") and ours.author.login == "mason[bot]"
    assert app_repositories(here).named(NAME).say(issue, "m", "Hello again") == url
    assert (theirs.body, ours.body) == ("<!-- m -->\nHello", "<!-- m -->\nHello again")


def test_say__only_the_beginning_counts(here: World, issue: int) -> None:
    repository = app_repositories(here).named(NAME)
    repository.say(issue, "other", "about <!-- m -->")
    repository.say(issue, "m", "Hello")
    assert bodies(here) == ["<!-- other -->\nabout <!-- m -->", "<!-- m -->\nHello"]


def test_say__a_comment_of_ours_beyond_the_first_page(here: World, issue: int) -> None:
    for number in range(150):
        here.repository.comment_as_person(issue, f"{number}")
    url = app_repositories(here).named(NAME).say(issue, "m", "Hello")
    assert app_repositories(here).named(NAME).say(issue, "m", "Hello") == url
    assert len(here.github.calls(MAKE)) == 1


def test_say__few_requests(here: World, issue: int) -> None:
    """Found once; from then on it is read, and written where the text differs."""
    repository = app_repositories(here).named(NAME)
    for text in ("one", "one", "two", "two"):
        repository.say(issue, "m", text)
    assert [len(here.github.calls(call)) for call in (LIST, MAKE, EDIT)] == [1, 1, 1]


def test_say__a_comment_that_was_deleted_is_made_anew(here: World, issue: int) -> None:
    repository = app_repositories(here).named(NAME)
    repository.say(issue, "m", "one")
    here.repository.comments.clear()
    repository.say(issue, "m", "one")
    assert bodies(here) == ["<!-- m -->\none"]


def test_say__what_somebody_else_has_written_meanwhile(here: World, issue: int) -> None:
    """Another worker's edit, or a person's: the text that was asked for stands at the end."""
    repository = app_repositories(here).named(NAME)
    repository.say(issue, "m", "one")
    app_repositories(here).named(NAME).say(issue, "m", "two")
    repository.say(issue, "m", "one")
    assert bodies(here) == ["<!-- m -->\none"]


def test_say__a_dispensable_edit_is_left_out_while_limits_are_near(here: World, issue: int) -> None:
    repository = app_repositories(here, writes_per_minute=3).named(NAME)
    for text in ("one", "two"):
        repository.say(issue, "m", text)
    url = repository.say(issue, "m", "three", dispensable=True)
    assert bodies(here) == ["<!-- m -->\ntwo"] and url.endswith(f"{here.repository.comments[0].id}")
    repository.say(issue, "m", "four")
    assert bodies(here) == ["<!-- m -->\nfour"]


def test_say__a_long_text_loses_its_end(here: World, issue: int) -> None:
    repository = app_repositories(here).named(NAME)
    for _ in range(2):
        repository.say(issue, "m", "x" * 2 * BODY_LIMIT)
    assert len(bodies(here)[0]) == BODY_LIMIT and bodies(here)[0].endswith("…")
    assert here.github.calls(EDIT) == []


def test_say__where_there_is_nothing_to_say_it_at(here: World) -> None:
    with pytest.raises(ForgeRefused, match="Not Found"):
        app_repositories(here).named(NAME).say(99, "m", "Hello")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
@pytest.mark.parametrize("when", ["before", "after"])
def test_say__one_comment_whatever_fails(here: World, issue: int, fault: Fault, when: str) -> None:
    """Every call in turn, with and without its effect."""
    repositories = app_repositories(here)
    for turn in range(1, 9):
        before = len(here.repository.comments)
        rule = here.github.fail(turn, with_=fault, when=when)  # type: ignore[arg-type]
        repositories.named(NAME).say(issue, f"m{turn}", "Hello")
        assert len(here.repository.comments) == before + 1, turn
        here.github.heal()
        if not rule.hit.is_set():
            break
    assert turn > 2
