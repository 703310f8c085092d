"""A gateway like Supabase's: it takes ``/rest/v1`` off, knows the new keys, and can misbehave on order."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PREFIX = "/rest/v1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """What happens to one request. ``forward``: its effect happens first; then the answer is replaced.

    ``status`` answers with ``body`` and ``headers`` instead. Without one the connection ends: after ``part`` of the
    real answer (0.0: without a word) when it was forwarded, at once when it was not. ``hang`` waits for the gateway's
    end first; ``pieces`` sends the real answer in that many writes.
    """

    forward: bool = False
    status: int | None = None
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    part: float = 0.0
    hang: bool = False
    pieces: int = 0


class Gateway:
    """Listens on loopback until ``close``. ``seen`` are the paths of all requests, ``headers`` those of the last."""

    def __init__(self, *, socket_path: str | None = None, port: int | None = None, keys: Mapping[str, str]) -> None:
        self.seen: list[str] = []
        self.headers: dict[str, str] = {}
        self.connections = 0
        self._socket_path, self._port, self._keys = socket_path, port, keys
        self._faults: dict[str, list[Fault]] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1
            disable_nagle_algorithm = True

            def setup(self) -> None:
                super().setup()
                gateway.connections += 1

            def do_POST(self) -> None:
                gateway.serve(self)

            do_GET = do_PATCH = do_POST  # noqa: N815

            def log_message(self, *_: object) -> None:
                """Nothing on standard error."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def order(self, function: str, *faults: Fault) -> None:
        """The next requests for ``mason_<function>`` go wrong, one after the other ("*": any request)."""
        self._faults.setdefault(function, []).extend(faults)

    def calls(self, function: str) -> int:
        return self.seen.count(f"{PREFIX}/rpc/mason_{function}")

    def close(self) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def serve(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        with self._lock:
            self.seen.append(request.path)
            self.headers = {name.lower(): value for name, value in request.headers.items()}
            fault = self._next_fault(request.path)
        if fault is None or fault.forward or fault.pieces:
            status, headers, answer = self._forward(request, body)
        if fault is None or fault.pieces:
            self._answer(request, status, headers, answer, fault.pieces if fault else 1)
            return
        if fault.hang:
            self._over.wait()
        if fault.status is not None:
            self._answer(request, fault.status, fault.headers, fault.body.encode(), 1)
            return
        request.close_connection = True
        if fault.part:
            request.send_response(status)
            request.send_header("Content-Type", "application/json")
            request.send_header("Content-Length", str(len(answer)))
            request.end_headers()
            request.wfile.write(answer[: int(len(answer) * fault.part)])
            request.wfile.flush()
        with contextlib.suppress(OSError):
            request.connection.shutdown(socket.SHUT_RDWR)

    def _next_fault(self, path: str) -> Fault | None:
        for name in (path.rpartition("/mason_")[2], "*"):
            if self._faults.get(name):
                return self._faults[name].pop(0)
        return None

    def _forward(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, dict[str, str], bytes]:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in ("host", "connection")}
        key = request.headers.get("apikey", "")
        if key.startswith("sb_"):
            if key not in self._keys or "Authorization" in headers:
                return 401, {"Content-Type": "application/json"}, b'{"message": "Unregistered API key"}'
            headers["Authorization"] = f"Bearer {self._keys[key]}"
        upstream = self._connect()
        try:
            upstream.request(request.command, request.path.removeprefix(PREFIX), body, headers)
            response = upstream.getresponse()
            kept = {n: v for n, v in response.getheaders() if n.lower() in ("content-type", "retry-after")}
            return response.status, kept, response.read()
        finally:
            upstream.close()

    def _connect(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("127.0.0.1", self._port)
        if self._socket_path:
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.connect(self._socket_path)
        return connection

    def _answer(
        self, request: BaseHTTPRequestHandler, status: int, headers: Mapping[str, str], body: bytes, pieces: int
    ) -> None:
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        if status != 204:
            request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        size = max(1, -(-len(body) // pieces))
        for start in range(0, len(body), size):
            request.wfile.write(body[start : start + size])
            request.wfile.flush()
