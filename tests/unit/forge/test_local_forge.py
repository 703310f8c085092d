"""The local forge: a push to the user's own repository, and no pull request."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest

from app.domain.items import Item, ItemStatus
from app.domain.results import Outcome, Verdict
from app.domain.runs import Base
from app.errors import GitFailed
from app.forge.local import LocalForge
from app.ports.forge import Forge, Published

ITEM = Item(id=UUID(int=1), title="Add it", status=ItemStatus.IN_PROGRESS)
BASE = Base(commit="0" * 40, branch="main")


def test_publish__pushes_and_opens_nothing(tmp_path: Path) -> None:
    pushed: list[tuple[str, str, str]] = []
    forge: Forge = LocalForge(tmp_path, lambda *push: pushed.append(push), "ada/engine")
    outcome = Outcome(verdict=Verdict.COMPLETED, commit="1" * 40, branch="mason/add-it")
    assert forge.publish(ITEM, BASE, outcome) == Published(branch="mason/add-it", commit="1" * 40, pull_request=None)
    assert pushed == [(str(tmp_path), "1" * 40, "mason/add-it")]
    assert forge.repository == "ada/engine"


def test_publish__failure_is_passed_on(tmp_path: Path) -> None:
    def refuse(remote: str, commit: str, branch: str) -> None:
        raise GitFailed(f"{branch} is checked out")

    outcome = Outcome(verdict=Verdict.COMPLETED, commit="1" * 40, branch="mason/add-it")
    with pytest.raises(GitFailed, match="mason/add-it is checked out"):
        LocalForge(tmp_path, refuse).publish(ITEM, BASE, outcome)


@pytest.mark.parametrize("outcome", [Outcome(verdict=Verdict.REJECTED), Outcome(verdict=Verdict.COMPLETED, branch="x")])
def test_publish__nothing_to_publish(tmp_path: Path, outcome: Outcome) -> None:
    pushed: list[tuple[str, str, str]] = []
    with pytest.raises(GitFailed, match="no commit to publish for 'Add it'"):
        LocalForge(tmp_path, lambda *push: pushed.append(push)).publish(ITEM, BASE, outcome)
    assert pushed == []
