"""GitHub failing at every single call of a flow, in turn: it ends as the undisturbed one does.

The flows run in this process, without a queue's waits between their attempts, and with a client of GitHub's that does
not insist: every failure reaches the flow, and the next attempt has to go on from there.
"""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest

from app.backlog.postgres import postgres_backlog
from app.database.executions import stored_executions
from app.database.queue import job_queue
from app.database.store import app_database
from app.dispatch.github_actions import GithubActions
from app.domain.commands import Person, Request
from app.domain.results import Outcome, Verdict
from app.errors import Unreachable
from app.flows.app_work import AppPorts
from app.flows.approval_to_run import reconcile_backlog
from app.flows.comment_to_command import answer_request
from app.flows.reconcile_run import reconcile_run
from app.forge.github.limits import Pace
from app.forge.github.repositories import GithubApp, GithubRepositories, WebOptions
from tests.fakes.faults import Fault
from tests.fakes.github import FakeRepository
from tests.fakes.github_api.records import Comment
from tests.whole.fleet import DISPATCH, Fleet

ATTEMPTS = 20
OWN = re.compile(
    r"\b(?:[0-9a-f]{16}|[0-9a-f]{8}(?:-[0-9a-f]{4,12})*|\d{8,})\b|Thing \d+ \w+|owner\d+|[\d-]+ \d\d:\d\d UTC"
)
"""What a text says of one run alone: ids, names, times."""

FAULTS: dict[str, dict[str, Any]] = {
    "500": {"with_": Fault.SERVER_ERROR},
    "lost answer": {"with_": Fault.DROPPED, "when": "after"},
    "secondary limit": {"with_": Fault.SECONDARY_LIMIT, "retry_after": 1},
}


class Clock:
    """Seconds that pass when somebody sleeps."""

    def __init__(self) -> None:
        self.now = time.time()  # tokens end by GitHub's clock

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class Scene:
    """One repository, one item, and the ports of a process that has just begun."""

    fleet: Fleet
    ports: AppPorts
    clock: Clock
    there: FakeRepository
    item: UUID

    def insist(self, step: Callable[[], object]) -> None:
        """Take a step until it succeeds, as the queue does: after the time that GitHub has asked for."""
        for _ in range(ATTEMPTS):
            try:
                step()
            except Unreachable as problem:
                self.clock.sleep(problem.retry_after or 1.0)
            else:
                return
        raise AssertionError("it never succeeded")

    def look_at_all(self) -> None:
        """What the sweep has done, in order."""
        self.insist(lambda: reconcile_backlog(self.ports))
        for run in self.ports.database.unfinished():
            self.insist(lambda run=run: reconcile_run(self.ports, run.id))

    def runner(self) -> None:
        """A runner takes the item and completes it."""
        (run,) = self.there.workflow_runs
        run.start()
        self.look_at_all()
        self.fleet.settle([self.item], Outcome(verdict=Verdict.COMPLETED, reason=""))
        run.finish("success")
        self.look_at_all()


def an_approval(scene: Scene) -> None:
    """Approval → dispatch → runner → end."""
    scene.fleet.approve_items([scene.item])
    scene.look_at_all()
    scene.runner()


def a_comment(scene: Scene) -> None:
    """Comment → run → reply; dispatch → runner → end, all of it told in the progress comment."""
    scene.ports.backlog.approve(scene.item)
    say(scene, f"/mason run --item {scene.item}\n/mason status")
    scene.look_at_all()
    scene.runner()


def say(scene: Scene, text: str) -> Comment:
    """A person's comment, heard and answered."""
    issue = scene.there.open_issue_by_person("A question")
    comment = scene.there.comment_as_person(issue.number, text)
    request = Request(
        key=f"comment {comment.id} x",
        repository=scene.there.full_name,
        number=issue.number,
        on_pull_request=False,
        person=Person(id=comment.author.id, login=comment.author.login, is_user=True),
        body=comment.body,
        received_at=scene.ports.database.now(),
        comment_id=comment.id,
    )
    scene.ports.jobs.hear(request)
    scene.insist(lambda: answer_request(scene.ports, request.key))
    return comment


@contextmanager
def scenes(fleet: Fleet) -> Iterator[Callable[[], Scene]]:
    """Makes one after the other, each of another repository."""
    places = iter(fleet.repositories)
    with (
        closing(postgres_backlog(fleet.project.dsn, patience=5)) as backlog,
        closing(app_database(fleet.app_dsn)) as database,
        closing(stored_executions(fleet.app_dsn)) as executions,
        closing(job_queue(fleet.app_dsn)) as queue,
    ):
        numbers = itertools.count()

        def make() -> Scene:
            clock = Clock()
            app = GithubApp(id=str(fleet.github.app.id), private_key=fleet.github.app.private_key)
            pace = Pace(patience=0.0, clock=clock, sleep=clock.sleep)
            github = GithubRepositories(WebOptions(api_url=fleet.github.url, acts_as=app, pace=pace), lambda _: None)
            ports = AppPorts(
                backlog=backlog,
                repositories=github,
                dispatcher=GithubActions(github.workflows),
                database=database,
                executions=executions,
                jobs=queue,
                quiet=0.0,
                appears=0.0,
            )
            (item,) = fleet.add_items(1, first=next(numbers))
            return Scene(fleet=fleet, ports=ports, clock=clock, there=next(places), item=item)

        yield make


def seen(scene: Scene) -> dict[str, Any]:
    """What it has come to, without what differs from one run to the next. Waiting check runs only show something."""
    (item,) = scene.fleet.items([scene.item])
    (run,) = scene.fleet.app("select * from dispatches where %s = any (items)", scene.item)
    (row,) = scene.fleet.project.rows("select * from mason_remote_execution_runs where id = %s", run["id"])
    there = scene.there
    return {
        "item": [item["status"], item["execution_attempt"], item["execution_run_id"] == run["id"]],
        "dispatch": [run["state"], run["outcome"], run["reason"]],
        "run": [row["status"], row["success_count"], row["failure_count"]],
        "workflow runs": [one.inputs["run-id"] == str(run["id"]) for one in there.workflow_runs],
        "comments": [OWN.sub("x", one.body) for one in there.comments],
        "reactions": [[each.content for each in one.reactions] for one in there.comments],
        "open check runs": [one.name for one in there.check_runs if not one.completed],
        "check runs twice": len(there.check_runs) > 1,
        "unanswered": len(scene.ports.database.unanswered()),
    }


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("story", [an_approval, a_comment])
def test_github_fails__at_every_call_in_turn_and_it_ends_well(
    make_fleet: Callable[..., Fleet], story: Callable[[Scene], None], fault: str
) -> None:
    fleet = make_fleet(60)
    with scenes(fleet) as make:
        undisturbed = make()
        before = len(fleet.github.requests)
        story(undisturbed)
        calls = [request.call for request in fleet.github.requests[before:]]
        expected = seen(undisturbed)
        assert DISPATCH in calls
        assert len(calls) > 10
        for number, call in enumerate(calls, 1):
            scene = make()
            rule = fleet.github.fail(number, times=1, **FAULTS[fault])
            story(scene)
            assert rule.hit.is_set(), f"call {number} was never made"
            assert seen(scene) == expected, f"{fault} at call {number}, {call}"
            fleet.github.heal()


def test_approve__an_item_that_is_in_progress_by_now_was_approved(make_fleet: Callable[..., Fleet]) -> None:
    """As after a crash between the approval and the reply: meanwhile the approval has had its effect."""
    fleet = make_fleet(2)
    with scenes(fleet) as make:
        scene = make()
        first = say(scene, f"/mason approve {scene.item}")
        assert [job["task_name"] for job in fleet.jobs if job["task_name"] == "reconcile_backlog"]
        scene.look_at_all()
        assert fleet.all_dispatched([scene.item])
        again = say(scene, f"/mason approve {scene.item}")
        for comment in (first, again):
            assert [each.content for each in comment.reactions] == ["eyes", "rocket"]
