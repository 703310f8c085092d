"""An HTTP server on 127.0.0.1 that records every request and fails when a test tells it to."""

from __future__ import annotations

import json
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from tests.fakes.faults import Answer, Fault, Faults, Recorded, Rule, When, Which, faulty_answer

POLL = 0.05
"""Seconds after which the server notices that it shall stop."""


@dataclass(frozen=True, kw_only=True)
class Incoming:
    """A request as it came: ``path`` is percent-encoded, header names are in lower case."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    @property
    def fields(self) -> dict[str, str]:
        return dict(parse_qsl(self.query, keep_blank_values=True))

    @property
    def json(self) -> Any:
        """Its JSON body, None when it has none."""
        try:
            return json.loads(self.body) if self.body else None
        except ValueError:
            return None


@dataclass(frozen=True, kw_only=True)
class Described:
    """What a server knows of a request before it acts on it."""

    path: str
    route: str
    actor: str | None
    write: bool


Observer = Callable[[Recorded, Answer], None]
"""Sees every request with the answer that was made for it, also when a fault kept that answer from being sent."""


class LoopbackServer(ABC):
    """Use it as a context manager. A defect of the fake itself is raised when the context ends."""

    def __init__(self, observer: Observer | None = None) -> None:
        self.requests: list[Recorded] = []
        self.bugs: list[Exception] = []
        self.observer = observer
        self._faults = Faults()
        self._stopping = threading.Event()
        self._recording = threading.Lock()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(POLL,), daemon=True)

    @abstractmethod
    def describe(self, incoming: Incoming) -> Described:
        """Tell what a request is, without any effect."""

    @abstractmethod
    def answer(self, incoming: Incoming) -> Answer:
        """Act on a request."""

    @property
    def server_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def fail(
        self,
        which: Which,
        *,
        with_: Fault = Fault.SERVER_ERROR,
        times: int | None = 1,
        when: When = "before",
        retry_after: int = 0,
    ) -> Rule:
        """Fail some requests, ``times`` times (None: from now on). ``when="after"`` loses the answer of a request that
        had its effect. ``retry_after`` in seconds. The rule's ``hit`` is set once it has happened.
        """
        return self._faults.add(which, with_, times=times, when=when, retry_after=retry_after)

    def heal(self) -> None:
        """Forget all faults that were ordered."""
        self._faults.clear()

    @property
    def writes(self) -> list[Recorded]:
        return [request for request in self.requests if request.write]

    def calls(self, call: str) -> list[Recorded]:
        """The requests of a route: ``POST /repos/{owner}/{repo}/pulls``."""
        return [request for request in self.requests if request.call == call]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.hang_up()
        self._server.server_close()
        self._thread.join()
        if self.bugs and error is None:
            raise AssertionError(f"the fake itself failed: {self.bugs[0]!r}") from self.bugs[0]

    def serve(self, incoming: Incoming) -> tuple[Answer | None, Fault | None]:
        """The answer to send (None for none at all) and the fault in which it is sent."""
        described = self.describe(incoming)
        recorded = Recorded(
            method=incoming.method,
            path=described.path,
            route=described.route,
            query=incoming.fields,
            headers=incoming.headers,
            body=incoming.json,
            actor=described.actor,
            write=described.write,
            at=time.monotonic(),
        )
        with self._recording:
            self.requests.append(recorded)
            rule = self._faults.take(recorded)
        made = None if rule and rule.when == "before" else self._made(incoming, recorded)
        answer = self._failed(rule, made) if rule else made
        recorded.status = answer.status if answer else None
        return answer, rule.fault if rule else None

    def _made(self, incoming: Incoming, recorded: Recorded) -> Answer:
        try:
            answer = self.answer(incoming)
            if self.observer is not None:
                self.observer(recorded, answer)
        except Exception as bug:  # noqa: BLE001  -- raised in the test's own thread, when the context ends
            self.bugs.append(bug)
            return Answer(status=500, body=repr(bug).encode())
        return answer

    def _failed(self, rule: Rule, made: Answer | None) -> Answer | None:
        if rule.fault is Fault.TIMEOUT:
            self._stopping.wait()
            return None
        if rule.fault is Fault.DROPPED:
            return None
        if rule.fault is Fault.HALF_RESPONSE:
            if made is None or not made.body:
                return Answer(status=200, body=b'{"message": "this is never read to its end"}')
            return made
        return faulty_answer(rule)


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 256

    def __init__(self, owner: LoopbackServer) -> None:
        self.owner = owner
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)

    def connected(self, connection: socket.socket) -> None:
        with self._guard:
            self._open.add(connection)

    def disconnected(self, connection: socket.socket) -> None:
        with self._guard:
            self._open.discard(connection)

    def hang_up(self) -> None:
        """End the connections that clients keep alive, so that their threads end too."""
        with self._guard:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no error of ours; anything else was noted where it happened."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.connected(self.connection)

    def finish(self) -> None:
        self.server.disconnected(self.connection)
        super().finish()

    def _serve(self) -> None:
        body = self._read_body()
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        incoming = Incoming(method=self.command, path=parts.path, query=parts.query, headers=headers, body=body)
        answer, fault = self.server.owner.serve(incoming)
        if answer is None:
            self.close_connection = True
            return
        half = fault is Fault.HALF_RESPONSE
        self._send(answer, len(answer.body) // 2 if half else len(answer.body))
        if half:
            self.close_connection = True

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = do_HEAD = _serve  # noqa: N815

    def _send(self, answer: Answer, length: int) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status not in (204, 304):
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body[:length])
        self.wfile.flush()

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            continue
        return b"".join(chunks)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on stderr."""
