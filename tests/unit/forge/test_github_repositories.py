"""The repositories that the App is installed on: whose tokens, what they may do, how near the limits are."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.domain.check_runs import CheckRun, Subject
from app.errors import ForgeUnreachable, UsageError
from app.forge.github.limits import Pace
from app.forge.github.repositories import GithubApp
from tests.fakes.faults import Fault
from tests.unit.forge.github_kit import ITEM, NAME, RUN, World, world
from tests.unit.forge.web_kit import app_repositories

GRANT = "POST /app/installations/{installation_id}/access_tokens"
REF = "GET /repos/{owner}/{repo}/git/ref/{ref}"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        yield made


@pytest.mark.parametrize("name", [None, "engine", "octo/engine/x", "octo/..", "octo/en gine"])
def test_named__what_is_no_repository(here: World, name: str | None) -> None:
    with pytest.raises(UsageError):
        app_repositories(here).named(name)
    assert here.github.requests == []


def test_named__where_the_app_is_not_installed(here: World) -> None:
    here.github.hub.uninstall(NAME)
    repositories = app_repositories(here)
    with pytest.raises(UsageError, match=f"not installed on {NAME}"):
        repositories.named(NAME)
    here.github.hub.install(NAME)
    assert repositories.named(NAME).base().branch == "main"


def test_named__a_token_of_that_repository_alone(here: World, tmp_path: Path) -> None:
    here.github.repository("octo/other", here.repository.git.path)
    learned: list[str] = []
    repositories = app_repositories(here, learned)
    for name in (NAME, "octo/other", "OCTO/Engine"):
        repositories.named(name).base()
    grants = here.github.calls(GRANT)
    assert [call.body["repositories"] for call in grants] == [["engine"], ["other"]]
    assert grants[0].body["permissions"] == {
        "contents": "read",
        "issues": "write",
        "pull_requests": "write",
        "checks": "write",
        "actions": "write",
        "metadata": "read",
    }
    assert len(set(learned)) == 3  # the key, and two tokens


def test_named__the_permissions_suffice(here: World) -> None:
    """The fake refuses what a token may not do."""
    number = here.repository.open_issue_by_person("Question").number
    repository = app_repositories(here).named(NAME)
    base = repository.base()
    assert repository.read(base.commit, "a.txt") == b"one\n"
    assert repository.permission("octo") and repository.say(number, "m", "Hello")
    assert repository.check_runs
    subject = Subject(run_id=RUN, item_id=ITEM)
    repository.check_runs.start(CheckRun(name="mason", commit=base.commit, subject=subject, title="T", summary="S"))
    assert here.repository.check_runs[0].name == "mason"


def test_named__from_many_threads(here: World) -> None:
    repositories, bases = app_repositories(here, timeout=30), []
    threads = [threading.Thread(target=lambda: bases.append(repositories.named(NAME).base())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(bases) == 8 and len(set(bases)) == 1
    assert len(here.github.calls(GRANT)) == 1


def test_named__a_token_that_is_revoked_early_is_replaced_once(here: World) -> None:
    learned: list[str] = []
    repository = app_repositories(here, learned).named(NAME)
    number = here.repository.open_issue_by_person("Question").number
    repository.base()
    here.github.hub.tokens.revoke(learned[-1])
    repository.say(number, "m", "Hello")
    assert [comment.body for comment in here.repository.comments] == ["<!-- m -->\nHello"]
    assert len(here.github.calls(GRANT)) == 2


def test_named__uninstalled_meanwhile(here: World) -> None:
    """Not that the thing which was asked for is gone: that says nothing."""
    learned: list[str] = []
    repositories = app_repositories(here, learned)
    repository = repositories.named(NAME)
    here.github.hub.uninstall(NAME)
    here.github.hub.tokens.revoke(learned[-1])  # as GitHub does
    with pytest.raises(UsageError, match="not installed"):
        repository.workflows.run("1")
    here.github.hub.install(NAME)
    assert repository.workflows.run("1") is None


def test_runner_token__may_do_what_a_runner_does(here: World) -> None:
    learned: list[str] = []
    repositories = app_repositories(here, learned)
    tokens = [repositories.runner_token(NAME).token for _ in range(2)]
    assert tokens[0] != tokens[1] and set(tokens) < set(learned)
    call = here.github.calls(GRANT)[0]
    assert call.body == {
        "repositories": ["engine"],
        "permissions": {"contents": "write", "pull_requests": "write", "checks": "write", "metadata": "read"},
    }
    with pytest.raises(UsageError, match="octo/none"):
        repositories.runner_token("octo/none")


def test_plain_token__has_no_check_runs_and_no_runner_tokens(here: World) -> None:
    number = here.repository.open_issue_by_person("Question").number
    repositories = app_repositories(here, acts_as=here.github.token("user", login="octo"))
    repository = repositories.named(NAME)
    assert repository.check_runs is None and repository.base().branch == "main"
    for text in ("one", "two"):
        repository.say(number, "m", text)
    assert [(comment.author.login, comment.body) for comment in here.repository.comments] == [
        ("octo", "<!-- m -->\ntwo")
    ]
    with pytest.raises(UsageError, match="Runners get tokens from a GitHub App"):
        repositories.runner_token(NAME)


@pytest.mark.parametrize(
    "acts_as", ["", "a token", GithubApp(id="1", private_key="no key"), GithubApp(id="", private_key="")]
)
def test_repositories__credentials_that_are_none(here: World, acts_as: str | GithubApp) -> None:
    with pytest.raises(UsageError):
        app_repositories(here, acts_as=acts_as)


def test_secrets__are_in_no_repr(here: World) -> None:
    repositories = app_repositories(here)
    shown = f"{repositories!r} {repositories._options!r} {repositories.runner_token(NAME)!r}"
    assert "PRIVATE KEY" not in shown and "ghs_" not in shown


def test_rate_left__is_what_the_last_answer_said(here: World) -> None:
    repositories = app_repositories(here)
    assert repositories.rate_left() is None
    repositories.named(NAME).base()
    left = repositories.rate_left()
    assert left is not None and 4990 <= left < 5000
    repositories.named(NAME).base()
    assert repositories.rate_left() == left - 2


def test_reachable__any_answer_counts_and_counts_for_a_while(here: World) -> None:
    now = [1_000_000.0]
    pace = Pace(patience=20, clock=lambda: now[0], sleep=lambda _: None)
    repositories = app_repositories(here, pace=pace)
    assert repositories.reachable() and repositories.reachable()
    assert len(here.github.requests) == 1
    here.github.fail(lambda request: True, times=None, with_=Fault.BAD_GATEWAY)
    assert repositories.reachable()
    now[0] += 16
    assert not repositories.reachable()
    here.github.heal()
    assert not repositories.reachable()
    now[0] += 16
    assert repositories.reachable()


def test_reachable__a_no_is_an_answer(here: World) -> None:
    app = here.github.app
    assert app_repositories(here, acts_as=GithubApp(id="99", private_key=app.private_key)).reachable()


def test_calls__give_up_within_patience(here: World) -> None:
    slept: list[float] = []
    now = [1_000_000.0]

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    repository = app_repositories(here, pace=Pace(patience=20, clock=lambda: now[0], sleep=sleep)).named(NAME)
    here.github.fail(REF, times=None, with_=Fault.UNAVAILABLE)
    with pytest.raises(ForgeUnreachable) as caught:
        repository.base("main")
    assert sum(slept) <= 20 and caught.value.retry_after is None


def test_calls__a_limit_beyond_patience_says_for_how_long(here: World) -> None:
    repositories = app_repositories(here)
    here.github.fail(GRANT, times=None, with_=Fault.SECONDARY_LIMIT, retry_after=90)
    with pytest.raises(ForgeUnreachable) as caught:
        repositories.named(NAME)
    assert caught.value.retry_after == 90


def test_calls__masons_own_limit_is_told_and_not_slept_through(here: World) -> None:
    number = here.repository.open_issue_by_person("Question").number
    now = [1_000_000.0]
    pace = Pace(patience=20, clock=lambda: now[0], sleep=lambda seconds: pytest.fail(f"slept {seconds}"))
    repository = app_repositories(here, pace=pace, writes_per_minute=2).named(NAME)
    for marker in ("one", "two"):
        repository.say(number, marker, "Hello")
    with pytest.raises(ForgeUnreachable, match="own limit of writes") as caught:
        repository.say(number, "three", "Hello")
    assert caught.value.retry_after == 60
    now[0] += 60
    repository.say(number, "three", "Hello")
