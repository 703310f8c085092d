"""gunicorn as Mason uses it, on real connections."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.workers.gthread import TConn

from app.serving.http_server import Worker
from app.web.bodies import Deadlines
from tests.unit.web.test_slow_bodies import trickling

if TYPE_CHECKING:
    from collections.abc import Iterable

ENDED = 30.0
"""Seconds after which a test has failed that should have ended by itself."""


def hello(_: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]


@contextmanager
def connection(*, patience: float) -> Iterator[tuple[Worker, TConn, socket.socket]]:
    """A worker, a connection that it has accepted, and its other end."""
    config = Config()
    worker = Worker(1, os.getpid(), [], None, 30, config, Logger(config))
    worker.wsgi, worker.heads = hello, Deadlines(patience=patience, tick=0.02)
    client, ours = socket.socketpair()
    with contextlib.closing(worker.tmp), client, ours:
        client.settimeout(ENDED)
        yield worker, TConn(config, ours, ("127.0.0.1", 1), ("127.0.0.1", 2)), client


def test_head__that_never_ends_is_given_up() -> None:
    with connection(patience=0.3) as (worker, accepted, client):
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        assert worker.handle(accepted) is False


def test_head__that_comes_byte_by_byte_is_given_up() -> None:
    with connection(patience=0.3) as (worker, accepted, client):
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        with trickling(client):
            assert worker.handle(accepted) is False


def test_head__in_time_is_answered_and_the_connection_stays_open() -> None:
    with connection(patience=ENDED) as (worker, accepted, client):
        for _ in range(2):
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert worker.handle(accepted) is True
            answer = b""
            while not answer.endswith(b"hello"):
                answer += client.recv(4096)
            assert answer.startswith(b"HTTP/1.1 200 OK")
