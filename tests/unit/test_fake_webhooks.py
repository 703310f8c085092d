"""The fake GitHub's webhooks: signed, in GitHub's shapes, sent when a test says so."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.domain.check_runs import Button, CheckRun, Subject
from app.domain.deliveries import Asked, BacklogChanged, RunChanged
from app.web.github_hook import Signed, read_delivery
from tests.fakes.faults import Answer
from tests.fakes.github_api.expressions import expanded
from tests.fakes.loopback import Described, Incoming, LoopbackServer
from tests.unit.forge.github_kit import ITEM, RUN, World, world
from tests.unit.forge.web_kit import add_workflow, app_repositories

SECRET = "a secret"


class Receiver(LoopbackServer):
    """Takes deliveries; ``seen`` is set once there are as many as ``wanted``."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[tuple[str, str, dict[str, Any]]] = []
        self.wanted = 0
        self.seen = threading.Event()

    def describe(self, incoming: Incoming) -> Described:
        return Described(path=incoming.path, route="/hook", actor=None, write=True)

    def answer(self, incoming: Incoming) -> Answer:
        signature = "sha256=" + hmac.new(SECRET.encode(), incoming.body, hashlib.sha256).hexdigest()
        assert incoming.headers["x-hub-signature-256"] == signature
        payload = json.loads(incoming.body)
        self.events.append((incoming.headers["x-github-event"], incoming.headers["x-github-delivery"], payload))
        if len(self.events) == self.wanted:
            self.seen.set()
        return Answer(status=202)

    @property
    def names(self) -> list[str]:
        return [f"{event} {payload.get('action', '')}".strip() for event, _, payload in self.events]


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        add_workflow(made)
        yield made


@pytest.fixture
def receiver(here: World) -> Iterator[Receiver]:
    with Receiver() as made:
        here.github.webhooks.to(f"{made.server_url}/hook", SECRET)
        yield made


def test_webhooks__comments_say_who_wrote_where(here: World, receiver: Receiver) -> None:
    pull = here.repository.open_pull_request_by_person("idea", {"b": "b"})
    issue = here.repository.open_issue_by_person("Question")
    ada = here.repository.add_collaborator("ada")
    here.github.webhooks.pending.clear()
    here.repository.comment_as_person(pull.number, "/mason help")
    here.repository.comment_as_person(issue.number, "/mason help")
    app_repositories(here).named("octo/engine").say(issue.number, "m", "Hello")
    assert [sent.status for sent in here.github.webhooks.deliver()] == [202, 202, 202]
    on_pull, on_issue, ours = [payload for _, _, payload in receiver.events]
    assert receiver.names == ["issue_comment created"] * 3
    assert on_pull["issue"]["pull_request"]["html_url"].endswith("/pull/1") and "pull_request" not in on_issue["issue"]
    assert (on_pull["comment"]["user"]["id"], on_pull["sender"]["type"]) == (ada.id, "User")
    assert (ours["sender"]["login"], ours["sender"]["type"]) == ("mason[bot]", "Bot")
    assert on_pull["repository"]["full_name"] == "octo/engine" and on_pull["installation"]["id"]


def test_webhooks__a_workflow_run_from_its_beginning_to_its_end(here: World, receiver: Receiver) -> None:
    workflows = app_repositories(here).workflows("octo/engine")
    workflows.start("mason.yml", {"command": "run", "run-id": "7"})
    (run,) = here.repository.workflow_runs
    run.start()
    workflows.cancel(str(run.id))
    here.github.webhooks.deliver()
    assert receiver.names == [f"workflow_run {action}" for action in ("requested", "in_progress", "completed")]
    shown = [payload["workflow_run"] for _, _, payload in receiver.events]
    assert [each["status"] for each in shown] == ["queued", "in_progress", "completed"]
    assert {(each["display_title"], each["id"]) for each in shown} == {("Mason run 7", run.id)}
    assert [each["conclusion"] for each in shown] == [None, None, "cancelled"]


def test_webhooks__presses(here: World, receiver: Receiver) -> None:
    pull = here.repository.open_pull_request_by_person("idea", {"b": "b"})
    subject = Subject(run_id=RUN, item_id=ITEM, pull_request=pull.number)
    checks = app_repositories(here).named("octo/engine").check_runs
    assert checks
    given = {"name": "mason / lint", "commit": pull.head_sha, "title": "T", "summary": "S"}
    checks.start(CheckRun(**given, subject=subject, buttons=(Button.FIX,)))
    made = here.repository.check("mason / lint")
    here.github.webhooks.pending.clear()
    here.repository.press(made, Button.FIX)
    here.repository.rerun(made, login="grace")
    here.repository.rerun_all(made)
    with pytest.raises(AssertionError, match="has no button cancel"):
        here.repository.press(made, Button.CANCEL)
    here.github.webhooks.deliver()
    assert receiver.names == ["check_run requested_action", "check_run rerequested", "check_suite rerequested"]
    pressed, again, suite = [payload for _, _, payload in receiver.events]
    assert suite["check_suite"]["head_sha"] == pull.head_sha
    assert pressed["requested_action"] == {"identifier": "fix"} and "requested_action" not in again
    assert pressed["check_run"]["external_id"] == str(subject) and again["sender"]["login"] == "grace"
    assert [each["number"] for each in pressed["check_run"]["pull_requests"]] == [pull.number]
    assert pressed["check_run"]["app"]["slug"] == "mason"


def test_webhooks__pushes(here: World, receiver: Receiver) -> None:
    here.repository.push_as_person("main", {"new": "x"})
    here.repository.push_as_person("topic", {"new": "y"})
    here.repository.delete_branch("topic")
    here.github.webhooks.deliver()
    assert receiver.names == ["push"] * 3
    shown = [payload for _, _, payload in receiver.events]
    assert [(each["ref"], each["created"], each["deleted"]) for each in shown] == [
        ("refs/heads/main", False, False),
        ("refs/heads/topic", True, False),
        ("refs/heads/topic", False, True),
    ]
    assert shown[0]["repository"]["default_branch"] == "main"


def test_webhooks__mean_what_they_should(here: World, receiver: Receiver) -> None:
    """As the web app reads them."""
    pull = here.repository.open_pull_request_by_person("idea", {"b": "b"})
    subject = Subject(run_id=RUN, item_id=ITEM, pull_request=pull.number)
    repositories = app_repositories(here)
    checks = repositories.named("octo/engine").check_runs
    assert checks
    given = {"name": "mason / lint", "commit": pull.head_sha, "title": "T", "summary": "S"}
    checks.start(CheckRun(**given, subject=subject, buttons=(Button.FIX,)))
    here.github.webhooks.pending.clear()
    here.repository.comment_as_person(pull.number, "/mason fix please rename x")
    here.repository.comment_as_person(pull.number, "a word")
    here.repository.press(here.repository.check("mason / lint"), Button.FIX)
    here.repository.rerun(here.repository.check("mason / lint"))
    here.repository.rerun_all(here.repository.check("mason / lint"))
    repositories.workflows("octo/engine").start("mason.yml", {"command": "run", "run-id": str(RUN)})
    here.repository.push_as_person("main", {"new": "x"})
    now = datetime(2026, 1, 2, tzinfo=UTC)
    read = [
        read_delivery(Signed(event=each.event, id=each.id, body=each.body, received_at=now))
        for each in here.github.webhooks.pending
    ]
    bodies = [each.request.body if isinstance(each, Asked) else each for each in read]
    assert bodies == [
        "/mason fix please rename x",
        None,
        "/mason fix",
        "/mason validate",
        "/mason validate",
        RunChanged(run_id=RUN),
        BacklogChanged(),
    ]
    asked = [each.request for each in read if isinstance(each, Asked)]
    ada = here.github.hub.user("ada")
    assert {(each.repository, each.number, each.on_pull_request) for each in asked} == {("octo/engine", 1, True)}
    assert {(each.person.id, each.person.login) for each in asked} == {(ada.id, "ada")}


def test_webhooks__dropped_doubled_and_shuffled_by_a_seed(here: World, receiver: Receiver) -> None:
    number = here.repository.open_issue_by_person("Question").number
    orders = []
    for seed in (1, 1, 2):
        for text in range(30):
            here.repository.comment_as_person(number, str(text))
        here.github.webhooks.deliver(seed=seed)
        orders.append([payload["comment"]["body"] for _, _, payload in receiver.events])
        ids = [delivery for _, delivery, _ in receiver.events]
        assert len(set(ids)) == len(set(orders[-1])) < len(ids)
        assert 0 < len(set(orders[-1])) < 30 and orders[-1] != sorted(orders[-1], key=int)
        receiver.events.clear()
    assert orders[0] == orders[1] != orders[2]
    assert here.github.webhooks.pending == []


def test_webhooks__at_once(here: World, receiver: Receiver) -> None:
    here.github.webhooks.deliver_at_once()
    number = here.repository.open_issue_by_person("Question").number
    receiver.wanted = 2
    for text in ("one", "two"):
        here.repository.comment_as_person(number, text)
    assert receiver.seen.wait(10)
    assert [payload["comment"]["body"] for _, _, payload in receiver.events] == ["one", "two"]


def test_webhooks__a_server_that_is_away_gets_nothing_again(here: World, receiver: Receiver) -> None:
    number = here.repository.open_issue_by_person("Question").number
    here.github.webhooks.to("http://127.0.0.1:9/", SECRET)
    here.repository.comment_as_person(number, "one")
    (sent,) = here.github.webhooks.deliver()
    assert sent.status == 0 and here.github.webhooks.deliver() == []
    here.github.webhooks.to(f"{receiver.server_url}/hook", SECRET)
    assert here.github.webhooks.send(sent.delivery).status == 202
    assert receiver.events[0][1] == sent.delivery.id


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Mason ${{ inputs.a }}", "Mason 1"),
        ("${{ inputs.none || inputs.b }}${{inputs.c}}", "twotrue"),
        ("${{ inputs.none && 'x' || format('#{0}, {1}', inputs.b, 'it''s') }}", "#two, it's"),
        ("${{ inputs.a && inputs.b }} ${{ inputs.none && inputs.b }}.", "two ."),
        ("plain", "plain"),
    ],
)
def test_run_name__is_evaluated(text: str, name: str) -> None:
    assert expanded(text, {"a": 1, "b": "two", "c": True}) == name
