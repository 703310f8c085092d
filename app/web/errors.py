"""What the web app refuses, and the one answer for whatever goes wrong: error, details, statusCode (contracts §4)."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING

from werkzeug.exceptions import HTTPException

from app.errors import MasonError, Told, Unreachable

if TYPE_CHECKING:
    from wsgiref.types import StartResponse

log = logging.getLogger("mason")

RETRY_AFTER = 5
"""Seconds after which it is worth trying again when something Mason needs is away."""

Headers = list[tuple[str, str]]

_AWAY = "Something that Mason needs is away; try again."
_BROKEN = "Mason met an error of its own."


class Malformed(MasonError):
    """This is not what the platform promises to send."""

    http_status = 400


class Invalid(Malformed):
    """The request is not valid."""

    def __init__(self, message: str = "", details: Sequence[tuple[Sequence[str | int], str]] = ()) -> None:
        super().__init__(message)
        self.details = details
        """Each mistake: where it is in the request, from the outside in, and what it is."""


class NotSigned(MasonError):
    """The signature is missing or wrong."""

    http_status = 401


class NoKey(NotSigned):
    """The API needs a key (Authorization: Bearer); `mason api-key create` makes one."""


class BadIdentity(MasonError):
    """This is no identity of a GitHub Actions job for this address."""

    http_status = 401


class MethodNotAllowed(MasonError):
    """Only POST is answered here."""

    http_status = 405


class TooSlow(MasonError):
    """The body did not arrive in time."""

    http_status = 408


class LengthRequired(MasonError):
    """The request must say how long its body is (Content-Length)."""

    http_status = 411


class TooLarge(MasonError):
    """The body is too large."""

    http_status = 413


class WrongType(MasonError):
    """The body must be JSON."""

    http_status = 415


def answer_to(problem: Exception) -> tuple[int, Headers, bytes]:
    """Status, headers and body. What is Mason's own fault is logged, and shown to nobody."""
    headers: Headers = [("Content-Type", "application/json")]
    if isinstance(problem, HTTPException):
        status = problem.code or 500
        sentence = f"{HTTPStatus(status).phrase}."
        headers += [(name, value) for name, value in problem.get_headers() if name.lower() in ("allow", "location")]
    else:
        status = problem.http_status if isinstance(problem, MasonError) else 500
        shown = status < 500 or isinstance(problem, Told)
        sentence = str(problem) if shown else _AWAY if status == 503 else _BROKEN
    if status == 503:
        asked = problem.retry_after if isinstance(problem, Unreachable) else None
        headers.append(("Retry-After", str(max(1, round(asked or RETRY_AFTER)))))
    if isinstance(problem, NoKey):
        headers.append(("WWW-Authenticate", "Bearer"))
    if status == 405 and isinstance(problem, MethodNotAllowed):
        headers.append(("Allow", "POST"))
    if status >= 500:
        log.log(
            logging.WARNING if status == 503 else logging.ERROR,
            "%s: %s",
            type(problem).__name__,
            problem,
            exc_info=None if status == 503 or isinstance(problem, Told) else problem,
        )
    return status, headers, json.dumps({"error": sentence, **_details(problem), "statusCode": status}).encode()


def _details(problem: Exception) -> dict[str, object]:
    if not isinstance(problem, Invalid | Told) or not problem.details:
        return {}
    return {"details": [{"path": list(path), "message": message} for path, message in problem.details]}


def tell(problem: Exception, start_response: StartResponse) -> list[bytes]:
    """The same as a WSGI answer."""
    status, headers, body = answer_to(problem)
    start_response(f"{status} {HTTPStatus(status).phrase}", [*headers, ("Content-Length", str(len(body)))])
    return [body]
