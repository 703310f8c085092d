"""GitHub's deliveries through the whole app: verified, and stored before they are accepted."""

from __future__ import annotations

import io
import json
from typing import Any
from urllib.parse import urlencode

import pytest

from app.domain.jobs import ReconcileBacklog, ReconcileRun
from tests.unit.web.ingress_kit import (
    ADA,
    GITHUB_SECRET,
    REPOSITORY,
    RUN,
    Door,
    comment,
    error_of,
    github_headers,
    press,
    signature,
)

PUSH = {"ref": "refs/heads/main", "repository": REPOSITORY}
PATH = "/webhooks/github"


@pytest.fixture
def door() -> Door:
    return Door()


def test_github__a_command_is_heard_once(door: Door) -> None:
    first, second = (door.github("issue_comment", comment("/mason run")) for _ in range(2))
    assert (first.status_code, first.data, second.status_code) == (202, b"", 202)
    [request] = door.queue.requests.values()
    assert (request.body, request.person.login) == ("/mason run", ADA["login"])


def test_github__a_press_is_heard_under_its_delivery(door: Door) -> None:
    assert door.github("check_run", press("rerequested")).status_code == 202
    assert list(door.queue.requests) == ["press 72d3162e-cc78-11e3-81ab-4c9367dc0958"]


def test_github__hints_become_jobs(door: Door) -> None:
    run = {"action": "completed", "workflow_run": {"display_title": f"Mason run {RUN}"}}
    assert door.github("push", PUSH).status_code == 202
    assert door.github("workflow_run", run).status_code == 202
    [(backlog, after), (look, at_once)] = door.queue.jobs
    assert (backlog, after, at_once) == (ReconcileBacklog(), 5.0, 0.0)
    assert isinstance(look, ReconcileRun)
    assert str(look.run_id) == RUN


def test_github__a_form_is_read_too(door: Door) -> None:
    body = urlencode({"payload": json.dumps(PUSH)}).encode()
    kind = "application/x-www-form-urlencoded; charset=utf-8"
    assert door.github("push", body, **{"Content-Type": kind}).status_code == 202
    bad = b"payload=%ff"
    assert error_of(door.github("push", bad, **{"Content-Type": kind}))[0] == 400


@pytest.mark.parametrize("event", ["star", "ping", "status", "a_new_one"])
def test_github__an_irrelevant_event_is_neither_parsed_nor_stored(door: Door, event: str) -> None:
    door.queue.away = True
    answer = door.github(event, b"this is not even JSON")
    assert (answer.status_code, answer.data) == (204, b"")


def test_github__a_relevant_event_that_means_nothing_does_without_the_database(door: Door) -> None:
    door.queue.away = True
    assert door.github("issue_comment", comment("Thank you")).status_code == 204


@pytest.mark.parametrize("event", ["push", "star"])
@pytest.mark.parametrize(
    "headers",
    [
        {"X-Hub-Signature-256": ""},
        {"X-Hub-Signature-256": "sha256=\xe4\xf6"},
        {"X-Hub-Signature-256": signature(b"{}")},
        {"X-Hub-Signature-256": "", "X-Hub-Signature": "sha1=5d61605c3feea9799210ddcb71307d4ba264225f"},
    ],
)
def test_github__unsigned_is_refused(door: Door, event: str, headers: dict[str, str]) -> None:
    assert error_of(door.github(event, PUSH, **headers))[0] == 401
    assert door.queue.stored == 0


def test_github__both_secrets_count_while_they_are_changed() -> None:
    door = Door(more={"github_secrets": (b"the new one", GITHUB_SECRET)})
    body = json.dumps(PUSH).encode()
    for secret in (b"the new one", GITHUB_SECRET):
        assert door.github("push", body, **{"X-Hub-Signature-256": signature(body, secret)}).status_code == 202


@pytest.mark.parametrize("event", ["push", "star"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": ""}, 415),
        ({"X-GitHub-Event": ""}, 400),
        ({"X-GitHub-Event": "Push;"}, 400),
        ({"X-GitHub-Delivery": ""}, 400),
        ({"X-GitHub-Delivery": "a" * 65}, 400),
        ({"X-GitHub-Delivery": "\xe4"}, 400),
    ],
)
def test_github__bad_headers_are_refused(door: Door, event: str, headers: dict[str, str], status: int) -> None:
    assert error_of(door.github(event, PUSH, **headers))[0] == status
    assert door.queue.stored == 0


def test_github__signed_nonsense_is_refused(door: Door) -> None:
    for body in (b" ", b"{}", b"[" * 100_000, b"\xff", b'{"ref": 5}'):
        assert error_of(door.github("push", body))[0] == 400
    assert door.queue.stored == 0


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("path", [PATH, "/webhooks/supabase"])
def test_ingress__only_post_is_answered(door: Door, path: str, method: str) -> None:
    answer = door.client.open(path, method=method)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "POST"


def raw(door: Door, **environ: Any) -> int:
    """The status of a POST whose WSGI environment says what it likes."""
    body = json.dumps(PUSH).encode()
    headers = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in github_headers("push", body).items()}
    answer = door.client.open(
        PATH,
        method="POST",
        environ_overrides={**headers, "CONTENT_TYPE": "application/json", "wsgi.input": io.BytesIO(body), **environ},
    )
    error_of(answer)
    return answer.status_code


def test_ingress__a_body_without_length_is_refused(door: Door) -> None:
    assert raw(door, CONTENT_LENGTH="", HTTP_TRANSFER_ENCODING="chunked") == 411


@pytest.mark.parametrize("length", ["-1", "1e3", "\u0665", "+5", "9" * 20])
def test_ingress__a_length_that_is_no_number_is_refused(door: Door, length: str) -> None:
    assert raw(door, CONTENT_LENGTH=length) == 400


def test_ingress__a_body_that_is_too_large_is_not_read(door: Door) -> None:
    class Untouched(io.BytesIO):
        def read(self, *_: Any) -> bytes:
            raise AssertionError

    assert raw(door, CONTENT_LENGTH=str(25 * 1024 * 1024 + 1), **{"wsgi.input": Untouched()}) == 413


def test_ingress__a_body_that_ends_early_is_refused(door: Door) -> None:
    assert raw(door, CONTENT_LENGTH="100000") == 400
    assert door.queue.stored == 0


@pytest.mark.parametrize(("problem", "status"), [(TimeoutError(), 408), (ConnectionResetError(), 400)])
def test_ingress__a_sender_who_says_no_more_is_given_up(door: Door, problem: OSError, status: int) -> None:
    class Silent(io.BytesIO):
        def read(self, *_: Any) -> bytes:
            raise problem

    class Socket:
        limit = 0.0

        def settimeout(self, seconds: float) -> None:
            self.limit = seconds

    connection = Socket()
    assert raw(door, CONTENT_LENGTH="10", **{"wsgi.input": Silent(), "gunicorn.socket": connection}) == status
    assert 0 < connection.limit <= 30


def test_ingress__the_database_away_is_no_success(door: Door) -> None:
    door.queue.away = True
    for event, payload in (("issue_comment", comment("/mason run")), ("push", PUSH)):
        answer = door.github(event, payload)
        status, sentence = error_of(answer)
        assert status == 503
        assert "db.internal" not in sentence
        assert int(answer.headers["Retry-After"]) > 0


def test_ingress__a_platform_without_secrets_has_no_endpoint() -> None:
    door = Door(more={"github_secrets": ()})
    assert error_of(door.github("push", PUSH))[0] == 404
    assert error_of(door.get(PATH))[0] == 404
