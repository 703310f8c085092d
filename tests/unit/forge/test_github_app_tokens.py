"""Tokens of an App whose key is at hand, and of Actions' identity, at the fake GitHub."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.errors import ForgeUnreachable, MissingPermission, UsageError
from app.forge.github.app_tokens import AppTokens
from app.forge.github.forge import GithubOptions, github_forge
from app.forge.github.limits import Pace
from tests.fakes.faults import Fault
from tests.unit.forge.github_kit import NAME, World, publication, publish_with_checks, world

GRANT = "POST /app/installations/{installation_id}/access_tokens"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        yield made


def tokens_of(here: World, learned: list[str], **change: str) -> AppTokens:
    """On the machine's clock, which signs the JWT; waits take no time."""
    app = here.github.app
    given = {"app_id": str(app.id), "private_key": app.private_key, "repository": NAME} | change
    return AppTokens(here.github.url, learned=learned.append, pace=Pace(sleep=lambda _: None, patience=60), **given)


def test_app__a_token_of_this_repository_alone(here: World) -> None:
    learned: list[str] = []
    tokens = tokens_of(here, learned)
    token = tokens.token()
    assert tokens.token() == token and learned == [here.github.app.private_key, token]
    (call,) = here.github.calls(GRANT)
    assert call.body["repositories"] == ["engine"]
    assert call.body["permissions"]["contents"] == "write" and "workflows" not in call.body["permissions"]


def test_app__is_renewed_five_minutes_early(here: World) -> None:
    here.github.hub.token_life = 299.0
    tokens = tokens_of(here, [])
    assert tokens.token() != tokens.token()
    assert len(here.github.calls(GRANT)) == 2
    here.github.hub.token_life = 360.0
    assert tokens.token() == tokens.token()


def test_app__publishes_with_it(here: World) -> None:
    workspace = here.workspace()
    commit = here.commit(workspace, {"new.txt": "x"})
    tokens = tokens_of(here, [])
    forge = github_forge(GithubOptions(api_url=here.github.url, repository=NAME, tokens=tokens), workspace)
    publish_with_checks(forge, publication(commit))
    assert {run.app.slug for run in here.repository.check_runs} == {"mason"}
    assert here.repository.pull(1).author.login == "mason[bot]"
    workspace.close()


@pytest.mark.parametrize("fault", [Fault.BAD_GATEWAY, Fault.HALF_RESPONSE, Fault.DROPPED, Fault.SECONDARY_LIMIT])
def test_app__insists(here: World, fault: Fault) -> None:
    here.github.fail(GRANT, with_=fault, when="after", retry_after=1)
    here.github.fail("GET /repos/{owner}/{repo}/installation", with_=fault, retry_after=1)
    assert tokens_of(here, []).token().startswith("ghs_")


def test_app__gives_up(here: World) -> None:
    here.github.fail(lambda request: True, times=None, with_=Fault.TOO_MANY, retry_after=3600)
    with pytest.raises(ForgeUnreachable, match="asks to wait until"):
        tokens_of(here, []).token()


def test_app__not_installed(here: World) -> None:
    here.github.hub.uninstall(NAME)
    with pytest.raises(UsageError, match="is not installed on octo/engine"):
        tokens_of(here, []).token()


def test_app__too_few_permissions(here: World) -> None:
    here.github.hub.uninstall(NAME)
    here.github.hub.install(NAME, permissions={"contents": "write", "metadata": "read"})
    with pytest.raises(UsageError, match=r"may not do all that Mason needs .*checks: write"):
        tokens_of(here, []).token()


def test_app__another_key(here: World) -> None:
    with pytest.raises(MissingPermission, match="refused the token"):
        tokens_of(here, [], app_id="99").token()
