"""The local forge: a push to the user's own repository, and no pull request."""

from __future__ import annotations

from uuid import UUID

import pytest

from app.domain.items import Item, ItemStatus
from app.domain.results import Outcome, Verdict
from app.domain.runs import Base
from app.errors import GitFailed, UsageError
from app.forge.local import LocalForge
from app.ports.forge import Forge, Publication, Published


def publication(outcome: Outcome) -> Publication:
    item = Item(id=UUID(int=1), title="Add it", status=ItemStatus.IN_PROGRESS)
    return Publication(run_id=UUID(int=2), item=item, base=Base(commit="0" * 40, branch="main"), outcome=outcome)


GOOD = publication(Outcome(verdict=Verdict.COMPLETED, commit="1" * 40, branch="mason/add-it"))


def test_publish__pushes_and_opens_nothing() -> None:
    pushed: list[tuple[str, str]] = []
    forge: Forge = LocalForge(lambda *push: pushed.append(push), "ada/engine")
    assert forge.publish(GOOD) == Published(branch="mason/add-it", commit="1" * 40, pull_request=None)
    assert pushed == [("1" * 40, "mason/add-it")]
    assert forge.repository == "ada/engine"


def test_publish__failure_is_passed_on() -> None:
    def refuse(commit: str, branch: str) -> None:
        raise GitFailed(f"{branch} is checked out")

    with pytest.raises(GitFailed, match="mason/add-it is checked out"):
        LocalForge(refuse).publish(GOOD)


@pytest.mark.parametrize("outcome", [Outcome(verdict=Verdict.REJECTED), Outcome(verdict=Verdict.COMPLETED, branch="x")])
def test_publish__nothing_to_publish(outcome: Outcome) -> None:
    pushed: list[tuple[str, str]] = []
    with pytest.raises(GitFailed, match="no commit to publish for 'Add it'"):
        LocalForge(lambda *push: pushed.append(push)).publish(publication(outcome))
    assert pushed == []


def test_local__has_nothing_else_of_a_forge() -> None:
    forge: Forge = LocalForge(lambda commit, branch: None)
    forge.require_access()
    assert forge.check_runs is None and forge.default_branch() is None and forge.repository is None
    with pytest.raises(UsageError, match="no pull request 7"):
        forge.pull_request(7)
