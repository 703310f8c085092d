"""GitHub's deliveries, read: what means something, what does not, and what is not what GitHub promises."""

from __future__ import annotations

import hashlib
import json
from copy import deepcopy
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.check_runs import Subject
from app.domain.commands import Request
from app.domain.deliveries import Asked, BacklogChanged, Delivery, RunChanged
from app.web.errors import Malformed
from app.web.github_hook import RELEVANT, Signed, form_payload, read_delivery
from tests.unit.web.ingress_kit import ADA, BOT, ITEM, NOW, REPOSITORY, RUN, comment, press


def read(event: str, payload: object) -> Delivery | None:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return read_delivery(Signed(event=event, id="d-1", body=body, received_at=NOW))


def asked(event: str, payload: object) -> Request:
    found = read(event, payload)
    assert isinstance(found, Asked)
    return found.request


def test_comment__a_command_is_a_request() -> None:
    request = asked("issue_comment", comment("Please\n/mason fix the naming"))
    digest = hashlib.sha256(b"Please\n/mason fix the naming").hexdigest()[:16]
    assert request.key == f"comment 99 {digest}"
    assert (request.repository, request.number, request.on_pull_request) == ("octo/app", 5, True)
    assert (request.person.id, request.person.login, request.person.is_user) == (7, "ada", True)
    assert (request.body, request.comment_id, request.received_at) == ("Please\n/mason fix the naming", 99, NOW)
    assert request.subject is None


def test_comment__on_an_issue() -> None:
    assert not asked("issue_comment", comment("/execute-approved --limit 3", on={})).on_pull_request
    assert not asked("issue_comment", comment("/mason", on={"pull_request": None})).on_pull_request


@pytest.mark.parametrize("body", [None, "", "Well done, mason", "execute-approved", "/masonry is fine"])
def test_comment__without_a_command_is_nothing_or_left_to_the_parser(body: str | None) -> None:
    found = read("issue_comment", comment(body))
    assert (found is None) == ("/mason" not in (body or ""))


@pytest.mark.parametrize("action", ["edited", "deleted"])
def test_comment__only_a_new_one_counts(action: str) -> None:
    assert read("issue_comment", comment("/mason run", action=action)) is None


@pytest.mark.parametrize("user", [BOT, ADA | {"type": "Organization"}, ADA | {"type": "Mannequin"}, None])
def test_comment__of_somebody_who_is_no_person_is_nothing(user: Any) -> None:
    said = comment("/mason run")
    said["comment"]["user"] = user
    assert read("issue_comment", said) is None


def test_comment__another_text_is_another_request() -> None:
    assert asked("issue_comment", comment("/mason fix a")).key != asked("issue_comment", comment("/mason fix b")).key


def test_comment__no_nul_goes_further() -> None:
    assert asked("issue_comment", comment("/mason fix\0 a\0")).body == "/mason fix a"


@pytest.mark.parametrize(
    ("action", "button", "number", "command"),
    [
        ("requested_action", "retry", 5, "/mason retry"),
        ("requested_action", "fix", 5, "/mason fix"),
        ("requested_action", "cancel", 0, "/mason cancel"),
        ("rerequested", None, 5, "/mason validate"),
        ("rerequested", None, 0, "/mason retry"),
    ],
)
def test_check_run__a_press_is_the_command_it_stands_for(
    action: str, button: str | None, number: int, command: str
) -> None:
    request = asked("check_run", press(action, pull_request=number, button=button))
    assert (request.key, request.body, request.number) == ("press d-1", command, number)
    assert request.on_pull_request is (number > 0)
    assert request.subject == Subject(run_id=UUID(RUN), item_id=UUID(ITEM), pull_request=number)
    assert (request.repository, request.person.id, request.comment_id) == ("octo/app", 7, None)


@pytest.mark.parametrize("subject", [None, "", "somebody else's", f"mason:{RUN}"])
def test_check_run__of_somebody_else_is_nothing(subject: str | None) -> None:
    pressed = press("rerequested")
    pressed["check_run"]["external_id"] = subject
    assert read("check_run", pressed) is None


def test_check_run__pressed_by_a_bot_or_with_an_unknown_button_is_nothing() -> None:
    assert read("check_run", press("rerequested") | {"sender": BOT}) is None
    assert read("check_run", press("requested_action", button="lgtm|26764")) is None
    assert read("check_run", press("created")) is None


def test_check_run__a_button_without_its_name_is_malformed() -> None:
    with pytest.raises(Malformed):
        read("check_run", press("requested_action"))


def suite(*pulls: dict[str, Any], action: str = "rerequested") -> dict[str, Any]:
    return {"action": action, "check_suite": {"pull_requests": pulls}, "repository": REPOSITORY, "sender": ADA}


def pull(number: int, repository: int) -> dict[str, Any]:
    return {"number": number, "base": {"repo": {"id": repository}}}


def test_check_suite__run_again_validates_its_pull_request_here() -> None:
    request = asked("check_suite", suite(pull(4, 77), pull(5, 3)))
    assert (request.key, request.number, request.body) == ("press d-1", 5, "/mason validate")
    assert request.subject is None


def test_check_suite__without_one_is_nothing() -> None:
    assert read("check_suite", suite()) is None
    assert read("check_suite", suite(pull(4, 77))) is None
    assert read("check_suite", suite(pull(5, 3), action="completed")) is None
    assert read("check_suite", suite(pull(5, 3)) | {"sender": BOT}) is None


@pytest.mark.parametrize("action", ["requested", "in_progress", "completed"])
@pytest.mark.parametrize(
    "names", [{"display_title": f"Mason run {RUN}", "name": "Mason"}, {"name": f"Mason fix {RUN}"}]
)
def test_workflow_run__one_of_masons_changed(action: str, names: dict[str, str]) -> None:
    assert read("workflow_run", {"action": action, "workflow_run": names}) == RunChanged(run_id=UUID(RUN))


def test_workflow_run__of_another_workflow_is_nothing() -> None:
    named = {"display_title": "Update dependencies", "name": None}
    assert read("workflow_run", {"action": "completed", "workflow_run": named}) is None


@pytest.mark.parametrize(
    ("ref", "more", "matters"),
    [
        ("refs/heads/main", {}, True),
        ("refs/heads/main", {"deleted": True}, False),
        ("refs/heads/other", {}, False),
        ("refs/tags/main", {}, False),
    ],
)
def test_push__only_the_default_branch_moving_matters(ref: str, more: dict[str, Any], matters: bool) -> None:
    found = read("push", {"ref": ref, "repository": REPOSITORY} | more)
    assert found == (BacklogChanged() if matters else None)


def test_installation__new_repositories_may_have_approved_items() -> None:
    assert read("installation", {"action": "created"}) == BacklogChanged()
    assert read("installation_repositories", {"action": "added"}) == BacklogChanged()
    assert read("installation", {"action": "deleted"}) is None


NONSENSE: list[bytes] = [
    b"",
    b"null",
    b"[]",
    b"5",
    b'"created"',
    b"{}",
    b'{"action": 5}',
    b'{"action": "created"',
    b"\xff\xfe",
    b'{"action": "\xff"}',
    b'{"action": "\\ud800"}',
    b"[" * 200_000,
    b'{"action": "created", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"x": ' * 5_000 + b"1" + b"}" * 5_000,
    b'{"action": "created", "x": ' + b"9" * 100_000 + b"}",
    b'{"action": "' + b"a" * 101 + b'"}',
]


@pytest.mark.parametrize("event", sorted(RELEVANT))
@pytest.mark.parametrize("body", NONSENSE, ids=lambda body: repr(body[:30]))
def test_payload__of_another_shape_is_malformed(event: str, body: bytes) -> None:
    with pytest.raises(Malformed) as raised:
        read(event, body)
    assert len(str(raised.value)) < 200


COMMENT = comment("/mason run")


def changed(path: str, value: object) -> dict[str, Any]:
    """The comment with another value at a dotted place."""
    payload = deepcopy(COMMENT)
    *way, last = path.split(".")
    place = payload
    for step in way:
        place = place[step]
    place[last] = value
    return payload


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("comment.id", "99"),
        ("comment.id", 99.0),
        ("comment.id", True),
        ("comment.id", 2**63),
        ("comment.id", 0),
        ("comment.body", ["/mason run"]),
        ("comment.body", "/mason " + "a" * 262_144),
        ("comment.user", "ada"),
        ("comment.user", {"login": "ada", "type": "User"}),
        ("comment.user.login", "a b"),
        ("comment.user.login", "ada\n"),
        ("comment.user.login", "a" * 101),
        ("issue", None),
        ("issue.number", -5),
        ("issue.number", 10**9),
        ("issue.pull_request", 5),
        ("repository", {"id": 3}),
        ("repository.full_name", "octo"),
        ("repository.full_name", "octo/app/../../x"),
        ("repository.full_name", "octo/app\n"),
        ("repository.full_name", "octo/\u00e4pp"),
    ],
)
def test_payload__what_is_read_is_read_strictly(path: str, value: object) -> None:
    with pytest.raises(Malformed) as raised:
        read("issue_comment", changed(path, value))
    assert path.split(".", maxsplit=1)[0] in str(raised.value)


@given(event=st.sampled_from(sorted(RELEVANT)), body=st.binary(max_size=300))
def test_payload__bytes_of_any_kind_are_refused_or_nothing(event: str, body: bytes) -> None:
    with pytest.raises(Malformed):
        read(event, body)


def test_form__holds_the_payload() -> None:
    body = json.dumps(COMMENT).encode()
    assert form_payload(urlencode({"payload": body}).encode()) == body


@pytest.mark.parametrize(
    "body", [b"", b"payload", b"a=b", b"payload=1&payload=2", b"&".join([b"a=b"] * 20), b"payload="]
)
def test_form__without_one_payload_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        form_payload(body)
