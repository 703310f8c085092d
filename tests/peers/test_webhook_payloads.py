"""GitHub's webhook payloads, as collected in public: all are answered well, and none does harm once it is mutilated."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from app.web.github_hook import RELEVANT
from tests.unit.web.ingress_kit import Door, github_headers, signature

pytestmark = pytest.mark.peer

EVENTS, PAYLOADS = 58, 329
"""What github.com's part of the collection holds; older servers' come on top."""

ROUNDS, MUTATIONS = 10, 1_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    event: str
    payload: dict[str, Any]

    @property
    def body(self) -> bytes:
        return json.dumps(self.payload).encode()


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """``length`` is what the headers say of the body, None for the truth."""

    body: bytes
    headers: dict[str, str]
    length: str | None = None


@pytest.fixture(scope="session")
def collections(packages: Path) -> dict[str, list[Example]]:
    """By server: github.com, and Enterprise servers by their version."""
    found = {}
    for file in (packages / "@octokit/webhooks-examples").glob("*/index.json"):
        events = json.loads(file.read_text())
        found[file.parent.name] = [
            Example(event=event["name"], payload=payload) for event in events for payload in event["examples"]
        ]
    return found


def test_payloads__all_of_them_are_answered_well(collections: dict[str, list[Example]]) -> None:
    ours = collections["api.github.com"]
    assert len({example.event for example in ours}) >= EVENTS
    assert len(ours) >= PAYLOADS
    door = Door()
    for example in [example for examples in collections.values() for example in examples]:
        answer = door.github(example.event, example.payload)
        assert answer.status_code in (202, 204), (example.event, example.payload.get("action"), answer.data)
        form = urlencode({"payload": example.body}).encode()
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        assert door.github(example.event, form, **kind).status_code == answer.status_code
    assert {type(job).__name__ for job, _ in door.queue.jobs} == {"ReconcileBacklog"}
    assert not door.queue.requests  # nobody in there speaks to Mason


def test_payloads__with_a_command_in_each_comment_every_new_one_of_a_person_is_heard(
    collections: dict[str, list[Example]],
) -> None:
    door = Door()
    said = [example for example in collections["api.github.com"] if example.event == "issue_comment"]
    heard = 0
    for number, example in enumerate(said, 1):
        changed = {"id": number, "body": "/mason status"}
        payload = {**example.payload, "comment": {**example.payload["comment"], **changed}}
        new = payload["action"] == "created" and payload["comment"]["user"]["type"] == "User"
        assert door.github("issue_comment", payload).status_code == (202 if new else 204)
        heard += new
    assert len(door.queue.requests) == heard >= 5


def unsigned(headers: dict[str, str], signed: str | None) -> dict[str, str]:
    """The headers with another signature, or none."""
    rest = {name: value for name, value in headers.items() if name != "X-Hub-Signature-256"}
    return rest if signed is None else rest | {"X-Hub-Signature-256": signed}


def _of_any_event(chance: random.Random, example: Example) -> Sent:
    """A delivery that something is wrong with before anybody looks at its payload."""
    body = example.body
    headers = github_headers(example.event, body)
    right = headers["X-Hub-Signature-256"]
    place = chance.randrange(len(body))
    wrong: Sequence[Callable[[], Sent]] = (
        lambda: Sent(body=body, headers=unsigned(headers, None)),
        lambda: Sent(body=body, headers=unsigned(headers, right[: chance.randrange(len(right))])),
        lambda: Sent(body=body, headers=unsigned(headers, right[:-1] + chance.choice("ghxyz-=\xe4\xff"))),
        lambda: Sent(body=body, headers=unsigned(headers, f"sha256={chance.randbytes(32).hex()}")),
        lambda: Sent(body=body, headers=unsigned(headers, chance.randbytes(71).decode("latin-1").translate(_PLAIN))),
        lambda: Sent(body=body, headers=unsigned(headers, None) | {"X-Hub-Signature": f"sha1={'0' * 40}"}),
        lambda: Sent(body=body, headers=unsigned(headers, signature(body, chance.randbytes(20)))),
        lambda: Sent(body=body[:place] + b"~" + body[place:], headers=headers),
        lambda: Sent(body=body[: max(1, place)], headers=headers),
        lambda: Sent(body=body, headers=headers | {"Content-Type": chance.choice(_TYPES)}),
        lambda: Sent(body=body, headers=headers | {"X-GitHub-Event": chance.choice(_WORDS)}),
        lambda: Sent(body=body, headers=headers | {"X-GitHub-Delivery": chance.choice(_WORDS)}),
        lambda: Sent(body=body, headers=headers, length=chance.choice(("", "-1", "1e9", "26214401", "x"))),
    )
    return chance.choice(wrong)()


_PLAIN = dict.fromkeys((0, 10, 13), "~")
_TYPES = ("", "text/plain", "application/xml", "multipart/form-data; boundary=x", "json", "application/json2")
_WORDS = ("", " ", "a b", "push\xe4", "x" * 65, "../push", "push,star")


def _of_a_relevant_event(chance: random.Random, example: Example) -> Sent:
    """A signed payload that is not what GitHub promises."""
    body = example.body
    read = "ref" if example.event == "push" else "action"
    rest = {name: value for name, value in example.payload.items() if name != read}
    deep = chance.randrange(500, 20_000)
    opening = chance.choice((b'{"a":', b"[")) * deep
    wrong: Sequence[Callable[[], bytes]] = (
        lambda: body[: chance.randrange(1, len(body))],
        lambda: body[:-1] + b', "deep": ' + opening,
        lambda: body[:-1] + b', "deep": ' + b"[" * deep + b"]" * deep + b"}",
        lambda: opening,
        lambda: body[:-1] + b', "huge": ' + b"9" * chance.randrange(5_000, 50_000) + b"}",
        lambda: (
            body[:-1] + b', "bad": "' + chance.choice((b"\xff", b"\xc3", b"\xed\xa0\x80", b"\\ud800", b"\n")) + b'"}'
        ),
        lambda: body + chance.choice((b"}", b"x", b"\0", body)),
        lambda: json.dumps(rest).encode(),
        lambda: json.dumps({**rest, read: chance.choice((None, 5, True, [], {}, 1e300, "a" * 1_001))}).encode(),
        lambda: json.dumps(chance.choice((None, 5, "text", [example.payload], []))).encode(),
        lambda: chance.randbytes(chance.randrange(1, 2_000)),
        lambda: body.decode().encode("utf-16"),
    )
    made = chance.choice(wrong)()
    return Sent(body=made, headers=github_headers(example.event, made))


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_payloads__mutilated_they_are_refused_and_leave_nothing(
    collections: dict[str, list[Example]], seed: int
) -> None:
    chance = random.Random(seed)
    ours = collections["api.github.com"]
    relevant = [example for example in ours if example.event in RELEVANT]
    door = Door()
    for number in range(MUTATIONS):
        if chance.random() < 0.5:
            sent = _of_any_event(chance, chance.choice(ours))
        else:
            sent = _of_a_relevant_event(chance, chance.choice(relevant))
        said = {} if sent.length is None else {"CONTENT_LENGTH": sent.length}
        answer = door.client.post("/webhooks/github", data=sent.body, headers=sent.headers, environ_overrides=said)
        assert 400 <= answer.status_code < 500, (number, sent.headers, sent.body[:200], sent.body[-100:])
        assert answer.get_json()["statusCode"] == answer.status_code
    assert door.queue.stored == 0
