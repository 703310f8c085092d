"""The way out of the model proxy: calls of one upstream, with its key, each of which can be cut off at any time."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from app.agents.model_apis import Provider
from app.errors import UsageError

TIMEOUT = httpx.Timeout(connect=10, read=600, write=60, pool=10)
"""Seconds. An answer may be silent for long while the model thinks."""

_SHORTEST_SECRET = 8
"""A shorter key (``none``, for a model on one's own machine) is no secret, but part of innocent words."""

_BASE_URL = re.compile(r"https?://(\[[0-9a-fA-F:.]+\]|[\w.-]+)(:\d{1,5})?(/[\w./~-]*)?", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class Upstream:
    """A model's API: its base URL (for OpenAI-compatible ones with the ``/v1`` at its end) and the real key.

    White space around the key (the newline of a file that it was read from) is left out. ``provider`` is named in the
    sentence about a key. Raises UsageError when either cannot be used; the key is never shown.
    """

    base_url: str
    key: str = field(repr=False)
    provider: Provider | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", self.key.strip())
        whose = f"The API key for {self.provider}" if self.provider else "The model's API key"
        if not self.key:
            raise UsageError(f"{whose} is empty")
        if not self.key.isascii() or not self.key.isprintable() or " " in self.key:
            raise UsageError(f"{whose} has characters that no key has")
        if not _BASE_URL.fullmatch(self.base_url):
            raise UsageError("The base URL of the model's API must look like https://api.example.com")

    @property
    def on_this_machine(self) -> bool:
        host = urlsplit(self.base_url).hostname or ""
        try:
            return host == "localhost" or host.endswith(".localhost") or ip_address(host).is_loopback
        except ValueError:
            return False


def checked_outbound(url: str | None) -> str | None:
    """The URL of the HTTP proxy on the way out; None where there is none. Raises UsageError; it may hold a password."""
    url = (url or "").strip()
    if not url:
        return None
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        httpx.Proxy(url)
    except (ValueError, httpx.InvalidURL):
        fits = False
    if not fits:
        raise UsageError("The HTTP proxy (HTTPS_PROXY) must be a URL like http://proxy.example.com:3128")
    return url


def key_headers(provider: Provider, key: str) -> dict[str, str]:
    """How each API wants its key."""
    return {"x-api-key": key} if provider is Provider.ANTHROPIC else {"authorization": f"Bearer {key}"}


class Calls:
    """Makes calls of one upstream. Usable from any thread; use it as a context manager.

    TLS is verified. Nothing is taken from the environment (no HTTP proxy, no .netrc): ``outbound`` is the URL of the
    HTTP proxy to go through, where there is one and the upstream is on another machine. Redirects are not followed.
    """

    def __init__(self, provider: Provider, upstream: Upstream, context: ssl.SSLContext, outbound: str | None) -> None:
        base = upstream.base_url.rstrip("/")
        self._base = base.removesuffix("/v1") if provider is Provider.ANTHROPIC else base
        self._secret = upstream.key.encode()
        self._headers = key_headers(provider, upstream.key)
        self._context, self._outbound = context, None if upstream.on_this_machine else outbound
        self._idle: list[_Line] = []
        self._guard = threading.Lock()
        self._closed = False

    @contextmanager
    def call(self, path: str, body: bytes, headers: Mapping[str, str], cut: Cut) -> Iterator[httpx.Response]:
        """Post and give the answer once its head is there; its body is read by `httpx.Response.iter_bytes`.

        Raises httpx.TransportError, also where ``cut`` was pulled.
        """
        with self._guard:
            line = self._idle.pop() if self._idle else None
        line = line or _Line(self._context, self._outbound)
        kept = False
        try:
            with cut.holding(line), line.post(self._base + path, body, {**headers, **self._headers}) as response:
                yield response
                kept = not cut.pulled
        finally:
            self._put_back(line, kept=kept)

    def scrub(self, data: bytes) -> bytes:
        """Without the key, should the API echo it."""
        return data.replace(self._secret, b"***") if len(self._secret) >= _SHORTEST_SECRET else data

    def _put_back(self, line: _Line, *, kept: bool) -> None:
        with self._guard:
            kept = kept and not self._closed
            if kept:
                self._idle.append(line)
        if not kept:
            line.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        with self._guard:
            self._closed, idle, self._idle = True, self._idle, []
        for line in idle:
            line.close()


class Cut:
    """Ends a call from another thread, wherever it is: before its connection, before its answer, in the middle."""

    def __init__(self) -> None:
        self.pulled = False
        self._line: _Line | None = None
        self._guard = threading.Lock()

    def pull(self) -> None:
        with self._guard:
            self.pulled = True
            if self._line:
                self._line.hang_up()

    @contextmanager
    def holding(self, line: _Line) -> Iterator[None]:
        with self._guard:
            self._line = line
            line.cut = self
        try:
            yield
        finally:
            with self._guard:
                self._line = line.cut = None


class _Line:
    """A client with one connection, used by one call at a time: so its socket is known, and nobody else's."""

    def __init__(self, context: ssl.SSLContext, outbound: str | None) -> None:
        self.cut: Cut | None = None
        self._socket: socket.socket | None = None
        self._client = httpx.Client(
            verify=context,
            trust_env=False,
            proxy=outbound,
            timeout=TIMEOUT,
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=30),
        )

    @contextmanager
    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
        extensions = {"trace": self._trace}
        with self._client.stream("POST", url, content=body, headers=headers, extensions=extensions) as response:
            yield response

    def hang_up(self) -> None:
        """Make whoever reads or writes stop at once: closing alone would not wake them."""
        if self._socket is not None:
            with suppress(OSError):
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def close(self) -> None:
        self._client.close()

    def _trace(self, name: str, info: Mapping[str, Any]) -> None:
        """Learns the socket of a new connection: httpcore tells of it (its extension ``trace``)."""
        if name.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._socket = info["return_value"].get_extra_info("socket")
            if self.cut and self.cut.pulled:
                self.hang_up()
