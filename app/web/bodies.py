"""The body of a delivery: read whole, and never more of it than its sender may send."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from app.web.errors import LengthRequired, Malformed, TooLarge, TooSlow, WrongType

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

PATIENCE = 10.0
"""Seconds that a body may take. The senders themselves give up after ten in all."""

_TICK = 0.5

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


class Deadlines:
    """Ends the reading of bodies that take too long, piece by piece: a limit of each read alone lets a sender of single
    bytes hold a thread for days. One thread watches all connections of a process, while there are any.
    """

    def __init__(self, *, patience: float = PATIENCE, tick: float = _TICK) -> None:
        self.patience = patience
        self._tick = tick
        self._ends: dict[socket.socket, float] = {}
        self._lock = threading.Lock()
        self._watching = False

    @contextmanager
    def over(self, connection: socket.socket) -> Iterator[None]:
        """Hold for as long as the body is read. Whoever reads at the deadline is told that the sender has ended."""
        with self._lock:
            self._ends[connection] = time.monotonic() + self.patience
            if not self._watching:
                self._watching = True
                threading.Thread(target=self._watch, name="deadlines", daemon=True).start()
        try:
            yield
        finally:
            with self._lock:
                late = self._ends.pop(connection, None) is None
        if late:
            raise TooSlow

    def _watch(self) -> None:
        while True:
            time.sleep(self._tick)
            with self._lock:
                if not self._ends:
                    self._watching = False
                    return
                now = time.monotonic()
                for connection in [one for one, end in self._ends.items() if end <= now]:
                    del self._ends[connection]
                    with contextlib.suppress(OSError):
                        connection.shutdown(socket.SHUT_RD)


def content_type(environ: WSGIEnvironment, *allowed: str) -> str:
    """The media type of the body, without its parameters. Raises WrongType."""
    kind = str(environ.get("CONTENT_TYPE", "")).partition(";")[0].strip().lower()
    if kind not in allowed:
        raise WrongType
    return kind


def read_body(environ: WSGIEnvironment, limit: int, deadlines: Deadlines) -> bytes:
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
            connection.settimeout(deadlines.patience)
    try:
        with deadlines.over(connection) if connection is not None else contextlib.nullcontext():
            body = environ["wsgi.input"].read(length)
    except TimeoutError:
        raise TooSlow from None
    except OSError:
        raise Malformed("The body ended before its end.") from None
    if len(body) != length:
        raise Malformed("The body is shorter than its Content-Length.")
    return bytes(body)
