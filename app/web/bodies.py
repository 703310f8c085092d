"""The body of a delivery: read whole, and never more of it than its sender may send."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from app.web.errors import LengthRequired, Malformed, TooLarge, TooSlow, WrongType

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

PATIENCE = 10.0
"""Seconds between two pieces of a body. The senders themselves give up after ten in all."""

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


def content_type(environ: WSGIEnvironment, *allowed: str) -> str:
    """The media type of the body, without its parameters. Raises WrongType."""
    kind = str(environ.get("CONTENT_TYPE", "")).partition(";")[0].strip().lower()
    if kind not in allowed:
        raise WrongType
    return kind


def read_body(environ: WSGIEnvironment, limit: int) -> bytes:
    """At most ``limit`` bytes. Raises LengthRequired (a chunked body has no length), TooLarge, Malformed, TooSlow."""
    said = str(environ.get("CONTENT_LENGTH") or "")
    if not said:
        raise LengthRequired
    if not said.isascii() or not said.isdigit() or len(said) > 12:
        raise Malformed("The Content-Length is no number.")
    length = int(said)
    if length > limit:
        raise TooLarge(f"The body may have {limit:,} bytes at most.")
    connection = environ.get("gunicorn.socket")
    with contextlib.suppress(OSError):
        if connection is not None:  # a sender who says no more must not hold a thread for ever
            connection.settimeout(PATIENCE)
    try:
        body = environ["wsgi.input"].read(length)
    except TimeoutError:
        raise TooSlow from None
    except OSError:
        raise Malformed("The body ended before its end.") from None
    if len(body) != length:
        raise Malformed("The body is shorter than its Content-Length.")
    return bytes(body)
