"""A scripted model behind three APIs, over HTTP on 127.0.0.1. It remembers what it served, to be compared with."""

from __future__ import annotations

import json
import select
import socket
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from tests.fakes.model_api import chat, messages, responses
from tests.fakes.model_api.messages import Event
from tests.fakes.model_api.scenario import (
    Api,
    Conversation,
    Cut,
    ErrorInStream,
    Hang,
    Reason,
    Refusal,
    Reply,
    Scenario,
    Tokens,
    Turn,
)

POLL = 0.05
"""Seconds after which something that waits looks whether it shall stop."""

PATHS = {"/v1/messages": Api.MESSAGES, "/v1/responses": Api.RESPONSES, "/v1/chat/completions": Api.CHAT}
SHAPES: dict[Api, Any] = {Api.MESSAGES: messages, Api.RESPONSES: responses, Api.CHAT: chat}

Ending = Literal["under way", "whole", "cut", "client gone"]


@dataclass(kw_only=True)
class Served:
    """A request and what it got. ``turn`` None: it was refused with ``status``. ``tokens`` are those that were told to
    the client: none of them for a refusal, no output for a stream that was cut before its end.
    """

    conversation: Conversation
    reply: Reply
    status: int
    headers: Mapping[str, str]
    turn: Turn | None = None
    ended: Ending = "under way"

    @property
    def key(self) -> str:
        return self.conversation.key

    @property
    def model(self) -> str:
        return self.conversation.model


@dataclass(frozen=True, kw_only=True)
class Totals:
    """What answers came to. ``input_tokens`` includes what was read from and written to caches. ``turns`` are answers
    that were sent to their end, ``broken`` the others.
    """

    requests: int = 0
    turns: int = 0
    broken: int = 0
    tool_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read: int = 0
    cache_write: int = 0


class ModelApi:
    """Use it as a context manager.

    ``scenario`` answers what is asked with tools; ``side`` what an agent's program asks for itself, without tools
    (None: the scenario too). ``keys`` are those that work, None for all. A defect of the scenario is answered with a
    status of 500 and raised when the context ends.
    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        side: Reply | None = Turn('{"title": "A task"}', tokens=Tokens(input=10, output=5)),  # noqa: B008 - frozen
        keys: Collection[str] | None = None,
    ) -> None:
        self.scenario, self.side, self.keys = scenario, side, keys
        self.served: list[Served] = []
        self.others: list[str] = []
        """Requests for anything else: ``HEAD /``."""
        self.bugs: list[Exception] = []
        self.hung = threading.Event()
        """Set once a reply hangs."""
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(POLL,), daemon=True)

    @property
    def url(self) -> str:
        """What ``ANTHROPIC_BASE_URL`` is set to."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def openai_url(self) -> str:
        """What ``OPENAI_BASE_URL`` is set to."""
        return f"{self.url}/v1"

    def totals(self, key: str | None = None) -> Totals:
        """The sum over everything that was served (with this API key)."""
        with self._lock:
            mine = [served for served in self.served if key in (None, served.key)]
        told = [served for served in mine if served.turn]
        done = [served for served in told if served.ended == "whole"]
        return Totals(
            requests=len(mine),
            turns=len(done),
            broken=len(told) - len(done),
            tool_calls=sum(served.turn.tool_calls for served in done if served.turn),
            input_tokens=sum(served.turn.tokens.all_input for served in done if served.turn),
            output_tokens=sum(served.turn.tokens.output for served in done if served.turn),
            cache_read=sum(served.turn.tokens.cache_read for served in done if served.turn),
            cache_write=sum(
                served.turn.tokens.cache_write + served.turn.tokens.cache_write_1h for served in done if served.turn
            ),
        )

    def wait_until_ended(self, number: int, seconds: float = 20) -> list[Served]:
        """What was served, once so many of them have ended; AssertionError when they do not."""
        with self._changed:
            done = self._changed.wait_for(lambda: sum(s.ended != "under way" for s in self.served) >= number, seconds)
            assert done, f"only {self.served} ended"
            return list(self.served)

    def reply(self, asked: Conversation) -> Reply:
        if self.keys is not None and asked.key not in self.keys:
            return Refusal(Reason.BAD_KEY)
        if self.side is not None and asked.side:
            return self.side
        try:
            return self.scenario(asked)
        except Exception as bug:  # noqa: BLE001 - raised in the test's own thread, when the context ends
            self.bugs.append(bug)
            return Refusal(Reason.SERVER_ERROR)

    def note(self, served: Served) -> None:
        with self._lock:
            self.served.append(served)

    def ended(self, served: Served, how: Ending) -> None:
        with self._changed:
            served.ended = how
            self._changed.notify_all()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.hang_up()
        self._server.server_close()
        self._thread.join()
        if self.bugs and error is None:
            raise AssertionError(f"the scenario itself failed: {self.bugs[0]!r}") from self.bugs[0]


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 256

    def __init__(self, owner: ModelApi) -> None:
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
        """A client that went away is no error of ours."""


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

    def do_POST(self) -> None:
        path, body = urlsplit(self.path).path, self._body()
        if path == "/v1/messages/count_tokens":
            self._json(200, {"input_tokens": max(1, len(body) // 4)})
        elif api := PATHS.get(path):
            self._answer(self._understood(api, body))
        else:
            self._other()

    def _understood(self, api: Api, body: bytes) -> Conversation:
        try:
            return SHAPES[api].conversation(json.loads(body), self._key())  # type: ignore[no-any-return]
        except Exception as bug:
            self.server.owner.bugs.append(bug)
            raise

    def _other(self) -> None:
        self.server.owner.others.append(f"{self.command} {self.path}")
        self._json(404, messages.error(Reason.UNKNOWN_MODEL)[1])

    do_GET = do_HEAD = _other  # noqa: N815

    def _answer(self, asked: Conversation) -> None:
        owner, shape = self.server.owner, SHAPES[asked.api]
        reply = owner.reply(asked)
        headers = {name.lower(): value for name, value in self.headers.items()}
        served = Served(conversation=asked, reply=reply, status=200, headers=headers)
        if isinstance(reply, Refusal):
            served.status, body = shape.error(reply.reason)
            owner.note(served)
            owner.ended(served, "whole")
            self._json(served.status, body, reply.retry_after)
            return
        served.turn = reply if isinstance(reply, Turn) else reply.turn
        owner.note(served)
        try:
            self._play(served, served.turn)
        except OSError:
            owner.ended(served, "client gone")
            self.close_connection = True
        except _Stopped:
            owner.ended(served, "cut")
            self.close_connection = True

    def _play(self, served: Served, turn: Turn) -> None:
        """What a client knows to have ended is in the totals: its end is noted before it is sent."""
        asked, reply = served.conversation, served.reply
        if not asked.streamed:
            self._whole(served, turn)
            return
        events = [_written(event) for event in SHAPES[asked.api].events(turn, asked)]
        half = len(events) // 2
        self._begin_stream()
        match reply:
            case Cut():
                self._chunks(events[:half])
                raise _Stopped
            case ErrorInStream(reason=reason):
                self._chunks(events[:half])
                self.server.owner.ended(served, "cut")
                self._chunks([_written(SHAPES[asked.api].error_event(reason)), b""])
                return
            case Hang(until=until):
                self._chunks(events[:half])
                self._hang(until)
                events = events[half:]
        self._chunks(events[:-1])
        self.server.owner.ended(served, "whole")
        self._chunks([events[-1], b""])

    def _whole(self, served: Served, turn: Turn) -> None:
        asked, reply = served.conversation, served.reply
        body = json.dumps(SHAPES[asked.api].whole(turn, asked)).encode()
        if isinstance(reply, Hang):
            self._hang(reply.until)
        if isinstance(reply, Cut | ErrorInStream):
            self._head(200, {"Content-Type": "application/json", "Content-Length": str(len(body))})
            self.wfile.write(body[: len(body) // 2])
            raise _Stopped
        self.server.owner.ended(served, "whole")
        self._json(200, body)

    def _hang(self, until: threading.Event | None) -> None:
        """Wait, and find out when the client goes away meanwhile."""
        owner = self.server.owner
        owner.hung.set()
        while not (until and until.wait(POLL)):
            if owner.stopping.wait(0 if until else POLL):
                raise _Stopped
            if select.select([self.connection], [], [], 0)[0] and not self.connection.recv(1, socket.MSG_PEEK):
                raise ConnectionResetError

    def _begin_stream(self) -> None:
        self._head(200, {"Content-Type": "text/event-stream; charset=utf-8", "Transfer-Encoding": "chunked"})

    def _chunks(self, events: list[bytes]) -> None:
        for event in events:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(event), event))
            self.wfile.flush()

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _json(self, status: int, body: Mapping[str, Any] | bytes, retry_after: int | None = None) -> None:
        written = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "Content-Length": str(len(written)), "request-id": "req_1"}
        self._head(status, headers | ({} if retry_after is None else {"Retry-After": str(retry_after)}))
        if self.command != "HEAD":
            self.wfile.write(written)

    def _key(self) -> str:
        return self.headers.get("x-api-key") or self.headers.get("Authorization", "").removeprefix("Bearer ")

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on stderr."""


class _Stopped(Exception):
    """The reply ends here, on purpose."""


def _written(event: Event) -> bytes:
    name, data = event
    line = data if isinstance(data, str) else json.dumps(data)
    return (f"event: {name}\n" if name else "").encode() + f"data: {line}\n\n".encode()
