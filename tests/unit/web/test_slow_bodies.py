"""Senders who take their time, on real connections read as gunicorn reads them."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from gunicorn.http.body import Body, LengthReader
from gunicorn.http.unreader import SocketUnreader

from app.web.bodies import Deadlines, read_body
from app.web.errors import Malformed, TooSlow

LENGTH = 1_000_000


@contextmanager
def connection(length: int = LENGTH) -> Iterator[tuple[socket.socket, dict[str, Any]]]:
    """The sender's end, and the WSGI environment of a request with so long a body."""
    sender, ours = socket.socketpair()
    with sender, ours:
        body = Body(LengthReader(SocketUnreader(ours), length))
        yield sender, {"CONTENT_LENGTH": str(length), "gunicorn.socket": ours, "wsgi.input": body}


@contextmanager
def trickling(sender: socket.socket) -> Iterator[None]:
    """A byte now and then, sooner than any limit of a single read."""
    enough = threading.Event()

    def send() -> None:
        with contextlib.suppress(BrokenPipeError):  # nobody reads any more
            while not enough.wait(0.02):
                sender.send(b"x")

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join()


def test_body__that_comes_byte_by_byte_is_given_up() -> None:
    deadlines = Deadlines(patience=0.3, tick=0.02)
    with connection() as (sender, environ), trickling(sender), pytest.raises(TooSlow):
        read_body(environ, LENGTH, deadlines)


def test_body__of_two_slow_senders_each_has_its_own_time() -> None:
    deadlines = Deadlines(patience=0.3, tick=0.02)
    for _ in range(2):
        with connection() as (sender, environ), trickling(sender), pytest.raises(TooSlow):
            read_body(environ, LENGTH, deadlines)


def test_body__in_time_is_read_whole_and_the_connection_stays_open() -> None:
    deadlines = Deadlines(patience=30.0, tick=0.02)
    with connection(3) as (sender, environ):
        sender.sendall(b"onetwo")
        assert read_body(environ, LENGTH, deadlines) == b"one"
        environ["wsgi.input"] = Body(LengthReader(environ["wsgi.input"].reader.unreader, 3))
        assert read_body(environ, LENGTH, deadlines) == b"two"


def test_body__whose_sender_hangs_up_is_no_slow_one() -> None:
    with connection() as (sender, environ):
        sender.sendall(b"x" * 10)
        sender.shutdown(socket.SHUT_WR)
        with pytest.raises(Malformed):
            read_body(environ, LENGTH, Deadlines())
