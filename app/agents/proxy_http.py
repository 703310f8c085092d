"""The side of the model proxy that agents see: an HTTP server on 127.0.0.1 that lets in who has a token."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Protocol, Self
from urllib.parse import urlsplit

from app.agents.model_access import TroubleKind
from app.agents.model_apis import ENDPOINTS, ApiTrouble, Endpoint, Provider, error_body, read_request
from app.agents.model_requests import Unfit
from app.agents.proxy_access import Access, Call
from app.agents.proxy_relay import LARGEST_BODY, NOT_AGAIN, Relay
from app.agents.proxy_room import Bytes, Connections
from app.agents.proxy_upstream import Calls
from app.domain.results import Usage

log = logging.getLogger(__name__)

SILENCE = 120.0
"""Seconds that a client with a token may take for the next bytes of its request, or to take ours."""

_PIECE = 65536

_Request = socket.socket | tuple[bytes, socket.socket]


class Door(Protocol):
    """Whom the server asks: whose a token is (None: nobody's), and the way out to each API."""

    @property
    def calls(self) -> Mapping[Provider, Calls]: ...

    def access(self, token: str) -> Access | None: ...


class ProxyServer:
    """The server, as a context manager; when it ends, so do all its connections."""

    def __init__(self, door: Door) -> None:
        self._server = _Server(door)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="model-proxy", daemon=True
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.connections.hang_up()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = True
    request_queue_size = 128

    def __init__(self, door: Door) -> None:
        self.door = door
        self.connections, self.bytes = Connections(), Bytes()
        super().__init__(("127.0.0.1", 0), _Handler)

    def verify_request(self, request: _Request, client_address: object) -> bool:  # noqa: ARG002 - the base class's
        return isinstance(request, socket.socket) and self.connections.enter(request)

    def shutdown_request(self, request: _Request) -> None:
        if isinstance(request, socket.socket):
            self.connections.leave(request)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        self.connections.turn_out_the_late()

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - the base class's
        """Nothing an agent sends may fill our log; a defect of ours is told without what was sent."""
        log.debug("A request to the model proxy failed", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = SILENCE
    server: _Server

    def version_string(self) -> str:
        return "mason"

    def log_message(self, format: str, *args: object) -> None:
        """Agents may ask for what they like, as often as they like."""

    def do_POST(self) -> None:
        endpoint = ENDPOINTS.get(urlsplit(self.path).path)
        provider = endpoint.provider if endpoint else self._provider()
        access, size = self.server.door.access(self._token()), self._size()
        if size is None:
            self._refuse(provider, 411, "invalid_request_error", "A request needs one Content-Length.")
        elif access is None:
            self._drain(size)
            self._refuse(provider, 401, "authentication_error", "This token is not, or no longer, valid.")
        elif endpoint is None:
            self._drain(size)
            self._refuse(provider, 404, "not_found_error", "The model proxy knows no such path.")
        elif size > LARGEST_BODY:
            self._drain(size)
            self._refuse(provider, 413, "request_too_large", f"A request has at most {LARGEST_BODY} bytes.")
        elif not self.server.connections.admit(self.connection, access.token):
            self._drain(size)
            self._refuse(provider, 529, "overloaded_error", "Too many connections at once.", again=True)
        else:
            self._receive(endpoint, access, size)

    def do_GET(self) -> None:
        self._refuse(self._provider(), 404, "not_found_error", "The model proxy knows no such path.")

    do_HEAD = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_GET  # noqa: N815 - the base class's names

    def _receive(self, endpoint: Endpoint, access: Access, size: int) -> None:
        """Read the body and pass it on. Its bytes count as they come: a length that is only told takes no room."""
        pieces: list[bytes] = []
        held = 0
        try:
            while held < size and (piece := self.rfile.read1(min(size - held, _PIECE))):
                if not self.server.bytes.take(access.token, len(piece)):
                    self._drain(size - held - len(piece))
                    self._refuse(endpoint.provider, 529, "overloaded_error", "Too much at once.", again=True)
                    return
                pieces.append(piece)
                held += len(piece)
            body = b"".join(pieces)
            pieces.clear()
            self._received(endpoint, access, body)
        finally:
            self.server.bytes.give_back(access.token, held)

    def _received(self, endpoint: Endpoint, access: Access, body: bytes) -> None:
        provider, calls = endpoint.provider, self.server.door.calls.get(endpoint.provider)
        try:
            if self.headers.get("Content-Encoding"):
                raise Unfit("A request is not to be compressed.")
            asked = read_request(body, endpoint)
        except Unfit as unfit:
            self._refuse(provider, 400, "invalid_request_error", str(unfit))
            return
        if calls is None:
            message = f"There is no key for the API of {provider}, which the agent uses"
            if access.usage() == Usage():  # else its own API works, and this is nothing but some command's try
                access.note(ApiTrouble(kind=TroubleKind.REFUSED, sentence=message))
            self._refuse(provider, 404, "not_found_error", message)
            return
        call = Call(access, self.connection)
        if not access.add(call):
            self._refuse(provider, 529, "overloaded_error", "Too many calls at once.", again=True)
            return
        try:
            Relay(self, endpoint, asked, call, calls).run()
        finally:
            access.remove(call)

    def _token(self) -> str:
        return self.headers.get("x-api-key") or self.headers.get("Authorization", "").removeprefix("Bearer ").strip()

    def _provider(self) -> Provider:
        return Provider.ANTHROPIC if self.headers.get("anthropic-version") else Provider.OPENAI

    def _size(self) -> int | None:
        """The length of the body, None when it is not told in the one way that is understood."""
        given = self.headers.get_all("Content-Length", [])
        if len(given) != 1 or self.headers.get("Transfer-Encoding"):
            return None
        return int(given[0]) if given[0].isascii() and given[0].isdigit() and len(given[0]) <= 12 else None

    def _drain(self, size: int) -> None:
        """Read a body that nobody wants: a client that is still sending would not see the answer."""
        left = min(size, 2 * LARGEST_BODY)
        while left > 0 and (piece := self.rfile.read1(min(left, _PIECE))):
            left -= len(piece)

    def _refuse(self, provider: Provider, status: int, kind: str, said: str, *, again: bool = False) -> None:
        """An error of our own, after which the connection is closed."""
        self.close_connection = True
        headers = {"Connection": "close"} if again else {"Connection": "close", **NOT_AGAIN}
        self.send_body(status, error_body(provider, kind, f"Mason: {said}"), headers)

    def send_body(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_head(status, {"Content-Type": "application/json", **headers, "Content-Length": str(len(body))})
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
