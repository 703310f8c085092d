"""One suite for the Dispatcher port: GitHub Actions (as today's server, and as older ones answer), processes here.

To add one: a case that makes a dispatcher and can end what a runner does.
"""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from app.dispatch.github_actions import GithubActions
from app.dispatch.local import LocalProcesses, Runner
from app.domain.claims import LEASE
from app.domain.dispatches import Dispatch, Work, WorkflowRun
from app.ports.dispatcher import Dispatcher
from tests.unit.forge.github_kit import NAME, World, world
from tests.unit.forge.web_kit import add_workflow, app_repositories

LIMIT = 30.0
UNTIL_END = 'while [ ! -e "$end" ]; do sleep 0.02; done\nexit $(cat "$end")\n'


class Case(ABC):
    """Dispatchers of one kind; ``cancelled`` is how a run ends that was stopped."""

    cancelled: str

    @abstractmethod
    def dispatcher(self) -> Dispatcher:
        """As another process has it."""

    @abstractmethod
    def finish(self, dispatch: Dispatch, *, well: bool) -> None:
        """Let the runner of a dispatch end."""


class Actions(Case):
    cancelled = "cancelled"

    def __init__(self, here: World, answers: Any) -> None:
        self.here = here
        here.repository.dispatch = answers
        add_workflow(here)

    def dispatcher(self) -> Dispatcher:
        return GithubActions(app_repositories(self.here).workflows)

    def finish(self, dispatch: Dispatch, *, well: bool) -> None:
        (run,) = [run for run in self.here.repository.workflow_runs if run.inputs["run-id"] == str(dispatch.id)]
        run.finish("success" if well else "failure")


class Processes(Case):
    cancelled = "stopped"

    def __init__(self, place: Path) -> None:
        self.place = place
        runner = place / "runner"
        runner.write_text(f"#!/bin/sh\ntrap 'exit 4' TERM\nend='{place}/end'\n{UNTIL_END}")
        runner.chmod(0o700)
        self.runner = Runner(mason=[str(runner)], repository=place, environ={"PATH": os.environ["PATH"]})
        self.made: list[LocalProcesses] = []

    def dispatcher(self) -> LocalProcesses:
        self.made.append(LocalProcesses(self.place / "dispatches", self.runner))
        return self.made[-1]

    def finish(self, dispatch: Dispatch, *, well: bool) -> None:
        (self.place / "new").write_text("0" if well else "70")
        (self.place / "new").rename(self.place / "end")

    def close(self) -> None:
        (self.place / "end").write_text("0")
        self.dispatcher().stop_all(LIMIT)
        for dispatcher in self.made:
            for child in dispatcher._children:  # a process that ends itself leaves them to init
                child.wait(LIMIT)


@pytest.fixture(params=["details", "silent", "strict", "processes"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    if request.param == "processes":
        made = Processes(tmp_path)
        yield made
        made.close()
        return
    with world(tmp_path) as here:
        yield Actions(here, request.param)


def new(**more: Any) -> Dispatch:
    now = datetime.now(UTC)
    return Dispatch(**({"id": uuid4(), "work": Work.RUN, "repository": NAME, "created_at": now} | more))


def completed(dispatcher: Dispatcher, dispatch: Dispatch) -> WorkflowRun:
    """Its workflow run, once it has ended."""
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        if (found := dispatcher.find(dispatch)) and found.completed:
            return found
        time.sleep(0.02)  # between two looks
    raise AssertionError("it did not end")


def test_dispatcher__what_was_dispatched_is_found(case: Case) -> None:
    dispatch = new()
    assert case.dispatcher().find(dispatch) is None
    made = case.dispatcher().dispatch(dispatch)
    found = case.dispatcher().find(dispatch)
    assert found and not found.completed
    assert made is None or (made.id, made.url) == (found.id, found.url)
    known = replace(dispatch, workflow_run=found.id)
    assert case.dispatcher().find(known) == found


def test_dispatcher__tells_how_it_ended(case: Case) -> None:
    dispatch = new()
    case.dispatcher().dispatch(dispatch)
    case.finish(dispatch, well=True)
    assert completed(case.dispatcher(), dispatch).conclusion == "success"


def test_dispatcher__tells_that_it_failed(case: Case) -> None:
    dispatch = new(work=Work.FIX, number=7, instructions="please rename x")
    case.dispatcher().dispatch(dispatch)
    case.finish(dispatch, well=False)
    assert completed(case.dispatcher(), dispatch).conclusion == "failure"


def test_dispatcher__cancels(case: Case) -> None:
    dispatch = new(work=Work.VALIDATE, number=7)
    case.dispatcher().dispatch(dispatch)
    case.dispatcher().cancel(dispatch)
    assert completed(case.dispatcher(), dispatch).conclusion == case.cancelled
    case.dispatcher().cancel(dispatch)
    assert completed(case.dispatcher(), dispatch).conclusion == case.cancelled


def test_dispatcher__cancels_nothing_where_nothing_is(case: Case) -> None:
    case.dispatcher().cancel(new())


def test_dispatcher__two_at_once_are_two(case: Case) -> None:
    one, other = new(), new()
    for dispatch in (one, other):
        case.dispatcher().dispatch(dispatch)
    case.dispatcher().cancel(one)
    completed(case.dispatcher(), one)
    found = case.dispatcher().find(other)
    assert found and not found.completed


def test_dispatcher__looks_again_before_a_lease_is_over(case: Case) -> None:
    assert 0 < case.dispatcher().look_again < LEASE.total_seconds() / 2
