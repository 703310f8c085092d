"""Every API call of an item fails in turn, in every way: one branch, one pull request, five check runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from uuid import UUID

import pytest

from app.ports.workspace import Workspace
from tests.fakes.faults import Fault, When
from tests.unit.forge.github_kit import World, assert_one_of_each, publication, publish_with_checks, world

FAULTS: list[tuple[Fault, When]] = [
    # A timeout is to a client what a dropped connection is, and takes a second of real time.
    *((fault, "after") for fault in Fault if fault is not Fault.TIMEOUT),
    (Fault.DROPPED, "before"),
    (Fault.SECONDARY_LIMIT, "before"),
    (Fault.PRIMARY_LIMIT, "before"),
]


@dataclass
class Pushed:
    """The part of a workspace that publishing needs, without git's own requests."""

    here: World

    def push(self, commit: str, branch: str) -> None:
        if self.here.repository.branches.get(branch) != commit:
            self.here.repository.move(f"refs/heads/{branch}", commit, "mason[bot]", via="git")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        yield made


@pytest.mark.parametrize(("fault", "when"), FAULTS)
def test_fault__at_any_call_leaves_one_of_each(here: World, fault: Fault, when: When) -> None:
    calls = 0
    while True:
        calls += 1
        branch = f"mason/turn-{calls}"
        commit = here.repository.push_as_person(f"work-{calls}", {f"{calls}.txt": "hello"})
        rule = here.github.fail(calls, with_=fault, when=when, retry_after=1)
        finished = publication(commit, branch=branch, id=UUID(int=calls))
        publish_with_checks(here.forge(cast(Workspace, Pushed(here))), finished)
        assert_one_of_each(here.repository, branch, f"{fault.name} {when} call {calls}")
        here.github.heal()
        if not rule.hit.is_set():
            break
    assert calls >= 16


def test_faults__that_last_are_waited_out(here: World) -> None:
    """GitHub is away for four minutes in the middle of it all."""
    commit = here.repository.push_as_person("work", {"a.txt": "hello"})
    away = here.clock.now + 240
    here.github.fail(lambda request: len(here.github.requests) > 4 and here.clock.now < away, times=None)
    publish_with_checks(here.forge(cast(Workspace, Pushed(here))), publication(commit, branch="mason/x"))
    assert_one_of_each(here.repository, "mason/x", "four minutes")
    assert sum(here.clock.slept) >= 240


def test_requests__of_one_item(here: World) -> None:
    """What an item costs at GitHub (platform facts, Rate limits): figures that only change on purpose."""
    commit = here.repository.push_as_person("work", {"a.txt": "hello"})
    forge = here.forge(cast(Workspace, Pushed(here)))
    publish_with_checks(forge, publication(commit, branch="mason/x"))
    assert forge.calls == {"GET": 7, "POST": 9}  # of the nine, two are probes without effect
