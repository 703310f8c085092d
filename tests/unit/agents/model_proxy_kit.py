"""For tests of the model proxy: one in front of the scripted APIs, or of an upstream that answers with any bytes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self
from uuid import UUID, uuid4

import httpx

from app.agents.model_apis import Provider
from app.agents.proxy import ModelProxy
from app.agents.proxy_access import Access
from app.agents.proxy_upstream import Upstream
from tests.fakes.model_api import ModelApi, Scenario

KEY = "sk-the-real-key-0123456789"
MODEL = "claude-opus-5-5"


class RawUpstream:
    """Answers every connection with what ``talk`` writes after it has read the request's head and body."""

    def __init__(self, talk: Callable[[socket.socket], None]) -> None:
        self._talk = talk
        self.requests: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(20)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines:
            head = b"".join(iter(lines.readline, b"\r\n"))
            if not head:
                return
            size = next(int(line[15:]) for line in head.lower().splitlines() if line.startswith(b"content-length:"))
            self.requests.append(head + b"\r\n" + lines.read(size))
            try:
                self._talk(connection)
            except OSError:
                return


def says(body: bytes, status: str = "200 OK", headers: str = "Content-Type: text/event-stream") -> bytes:
    """An answer that ends with its connection."""
    return f"HTTP/1.1 {status}\r\n{headers}\r\nConnection: close\r\n\r\n".encode() + body


def upstreams(url: str) -> dict[Provider, Upstream]:
    return {
        Provider.ANTHROPIC: Upstream(base_url=url, key=KEY),
        Provider.OPENAI: Upstream(base_url=f"{url}/v1", key=KEY),
    }


@contextmanager
def proxied(scenario: Scenario, **options: Any) -> Iterator[tuple[ModelApi, ModelProxy]]:
    """The scripted APIs, which take the real key only, and a proxy in front of them."""
    with ModelApi(scenario, keys=(KEY,)) as api, ModelProxy(upstreams(api.url), **options) as proxy:
        yield api, proxy


@contextmanager
def raw(answer: bytes | Callable[[socket.socket], None], **options: Any) -> Iterator[tuple[RawUpstream, Access]]:
    """An upstream with one answer, and an access to it."""
    talk = answer if callable(answer) else lambda connection: connection.sendall(answer)
    with (
        RawUpstream(talk) as upstream,
        ModelProxy(upstreams(upstream.url), **options) as proxy,
        proxy.open(spender=uuid4(), budget_usd=None) as access,
    ):
        yield upstream, access


@contextmanager
def opened(proxy: ModelProxy, budget: float | None = None, spender: UUID | None = None) -> Iterator[Access]:
    with proxy.open(spender=spender or uuid4(), budget_usd=budget) as access:
        yield access


def messages(**more: Any) -> dict[str, Any]:
    asked = [{"role": "user", "content": "Do it"}]
    return {"model": MODEL, "max_tokens": 99, "stream": True, "tools": [{"name": "T"}], "messages": asked, **more}


def chat(**more: Any) -> dict[str, Any]:
    tools = [{"type": "function", "function": {"name": "T"}}]
    return {"model": "gpt-5", "stream": True, "tools": tools, "messages": [{"role": "user", "content": "x"}], **more}


def responses(**more: Any) -> dict[str, Any]:
    return {"model": "gpt-5", "stream": True, "tools": [{"type": "function", "name": "T"}], "input": "Do it", **more}


def ask(
    access: Access, body: Mapping[str, Any] | None = None, path: str = "/v1/messages", **more: Any
) -> httpx.Response:
    """One call as Claude Code makes it; ``path`` may be another API's."""
    headers = {"x-api-key": access.token, "anthropic-version": "2023-06-01", **more.pop("headers", {})}
    with httpx.Client(trust_env=False, timeout=20) as client:
        return client.post(access.anthropic_url + path, json=body or messages(), headers=headers, **more)
