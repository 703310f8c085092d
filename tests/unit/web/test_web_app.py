"""What every answer has, whatever was asked: one form of errors, safe headers, an id, a line in the log."""

from __future__ import annotations

import logging

import pytest
import structlog

from app.errors import ForgeUnreachable, MasonError
from tests.unit.web.ingress_kit import Door, MemoryQueue, comment, error_of

SAFE = {"X-Content-Type-Options", "X-Frame-Options", "Content-Security-Policy", "Referrer-Policy", "Cache-Control"}


class Broken(MemoryQueue):
    """A queue with a bug in it."""

    def __init__(self, problem: Exception) -> None:
        super().__init__()
        self.problem = problem

    def ping(self) -> None:
        raise self.problem


@pytest.mark.parametrize("path", ["/", "/nowhere", "/webhooks", "/webhooks/github/", "/healthz/", "/%00", "/static/x"])
def test_error__nothing_there(path: str) -> None:
    assert error_of(Door().get(path)) == (404, "Not Found.")


@pytest.mark.parametrize("problem", [ValueError("postgres://user:password@host"), MasonError("a secret in a sentence")])
def test_error__a_bug_is_logged_with_the_request_and_not_shown(
    problem: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    door = Door(queue=Broken(problem))
    answer = door.github("issue_comment", comment("/mason run"), **{"X-Request-Id": "request-77"})
    assert error_of(answer) == (500, "Mason met an error of its own.")
    assert answer.headers["X-Request-Id"] == "request-77"
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert str(problem) in record.getMessage()
    assert record.exc_info or record.exc_text  # a handler that redacts has made text of it


def test_error__retry_after_is_what_was_asked_for() -> None:
    door = Door(queue=Broken(ForgeUnreachable("GitHub rests", retry_after=42.4)))
    answer = door.github("issue_comment", comment("/mason run"))
    assert (error_of(answer)[0], answer.headers["Retry-After"]) == (503, "42")


def test_answer__has_safe_headers_and_no_cookie() -> None:
    door = Door()
    answers = (door.get("/healthz"), door.get("/nowhere"), door.github("star", {}), door.github("push", b"x"))
    for answer in answers:
        assert answer.status_code == 204 or set(answer.headers.keys()) >= SAFE
        assert "Set-Cookie" not in answer.headers
    assert len({answer.headers["X-Request-Id"] for answer in answers}) == len(answers)


@pytest.mark.parametrize("given", ["short", "a" * 65, "with blank here", "\xe4" * 10, "a;b" * 5])
def test_request_id__one_of_another_form_is_not_taken_over(given: str) -> None:
    assert Door().get("/healthz", **{"X-Request-Id": given}).headers["X-Request-Id"] != given


def test_access_log__says_what_was_delivered_and_what_became_of_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "mason.access")
    door = Door()
    door.github("star", {}, **{"X-Request-Id": "request-1"})
    door.github("issue_comment", comment("/mason run"))
    door.github("issue_comment", comment("/mason run"))
    door.github("push", b"[]")
    door.github("push", {}, **{"X-Hub-Signature-256": "sha256=0"})
    door.get("/healthz")
    seen = [(record.getMessage(), record.__dict__.get("outcome")) for record in caplog.records]
    assert seen == [
        ("POST /webhooks/github 204", "irrelevant"),
        ("POST /webhooks/github 202", "accepted"),
        ("POST /webhooks/github 202", "heard before"),
        ("POST /webhooks/github 400", "refused"),
        ("POST /webhooks/github 401", "unsigned"),
        ("GET /healthz 200", None),
    ]
    levels = [record.levelname for record in caplog.records]
    assert levels == ["DEBUG", *["INFO"] * 5]  # what means nothing is for who wants to see everything
    first = caplog.records[0].__dict__
    assert (first["request"], first["event"], first["platform"]) == ("request-1", "star", "github")
    assert first["delivery"] == "72d3162e-cc78-11e3-81ab-4c9367dc0958"
    assert first["ms"] >= 0


def test_log__lines_inside_a_request_carry_its_ids_and_later_ones_do_not() -> None:
    bound: list[dict[str, object]] = []

    class Looking(MemoryQueue):
        def ping(self) -> None:
            bound.append(structlog.contextvars.get_contextvars())

    door = Door(queue=Looking())
    door.github("issue_comment", comment("/mason run"), **{"X-Request-Id": "request-5"})
    assert bound == [{"request": "request-5", "delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958"}]
    assert structlog.contextvars.get_contextvars() == {}
