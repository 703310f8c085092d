"""One call through the model proxy: passed on with the real key, answered as the answer comes, and counted."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping
from email.message import Message
from typing import Protocol
from urllib.parse import urlsplit

import httpx

from app.agents.model_access import TroubleKind
from app.agents.model_apis import (
    ApiTrouble,
    Endpoint,
    Provider,
    error_body,
    failed_in_stream,
    refused,
    seconds_to_wait,
)
from app.agents.model_meters import Meter
from app.agents.model_requests import Asked
from app.agents.proxy_access import Call
from app.agents.proxy_money import Spent
from app.agents.proxy_upstream import Calls

LARGEST_BODY = 64 * 1024 * 1024
"""Bytes of a request, and of an answer that is no stream."""

NOT_AGAIN = {"x-should-retry": "false"}
"""The clients of both vendors heed it."""

_REQUEST_HEADERS = frozenset(
    {"accept", "user-agent", "originator", "idempotency-key", "session-id", "session_id", "thread-id"}
    | {"conversation_id", "openai-beta", "x-app", "x-client-request-id"}
)
_REQUEST_PREFIXES = ("anthropic-", "x-stainless-", "x-claude-code-", "x-codex-", "x-openai-internal-codex-")
_ANSWER_HEADERS = frozenset(
    {"content-type", "retry-after", "retry-after-ms", "x-should-retry", "request-id", "x-request-id", "openai-model"}
)
_ANSWER_PREFIXES = ("anthropic-ratelimit-", "x-ratelimit-", "x-codex-")


class Client(Protocol):
    """Who asked: the request's path and headers, and how it is answered."""

    path: str
    headers: Message
    wfile: io.BufferedIOBase
    close_connection: bool

    def send_head(self, status: int, headers: Mapping[str, str]) -> None: ...

    def send_body(self, status: int, body: bytes, headers: Mapping[str, str]) -> None: ...


class Relay:
    """From a request that may be passed on to the end of its answer. Nothing is raised for what either side does."""

    def __init__(self, client: Client, endpoint: Endpoint, asked: Asked, call: Call, calls: Calls) -> None:
        self._to, self._endpoint, self._asked, self._call, self._calls = client, endpoint, asked, call, calls
        self._meter: Meter | None = None
        self._trouble: ApiTrouble | None = None
        self._begun = False
        """Whether the client was told a status."""

    def run(self) -> None:
        paid = self._endpoint.meter is not None
        try:
            if paid and not self._call.begin(self._asked):
                self._to.close_connection = True
                return
            self._pass_on()
        except Spent as spent:
            self._trouble = ApiTrouble(kind=TroubleKind.BUDGET, sentence=str(spent))
            self._call.access.note(self._trouble)
            self._refuse_for_money(str(spent))
        except httpx.HTTPError as problem:
            self._failed(problem)
        except OSError:  # of the client, who has gone
            self._call.cut.pull()
            self._to.close_connection = True
        finally:
            self._settle()

    def _pass_on(self) -> None:
        asked, path = self._asked, self._endpoint.upstream
        with self._calls.call(path + self._query(), asked.body, self._headers(), self._call.cut) as answer:
            kind = answer.headers.get("content-type", "")
            if answer.status_code == 200:
                self._meter = self._endpoint.meter() if self._endpoint.meter else None
            if answer.status_code == 200 and asked.streamed and "json" not in kind:
                self._stream(answer)
            else:
                self._whole(answer)

    def _stream(self, answer: httpx.Response) -> None:
        """Every piece goes on as it comes. What it cost is counted before the client can know that it was the last."""
        self._send_head(200, {**self._kept(answer), "Transfer-Encoding": "chunked"})
        for piece in answer.iter_bytes():
            if self._meter:
                self._meter.feed(piece)
                if self._meter.done:
                    self._settle()
            clean = self._calls.scrub(piece)
            if clean:
                self._to.wfile.write(b"%x\r\n%b\r\n" % (len(clean), clean))
        if self._meter:
            self._meter.end()
        self._settle()
        self._to.wfile.write(b"0\r\n\r\n")

    def _whole(self, answer: httpx.Response) -> None:
        pieces, size = [], 0
        for piece in answer.iter_bytes():
            pieces.append(piece)
            size += len(piece)
            if size > LARGEST_BODY:
                raise httpx.ReadError("the answer is too large")
        body = self._calls.scrub(b"".join(pieces))
        status = answer.status_code
        if status == 200 and self._meter:
            self._meter.read(body)
        elif status != 200:
            wait = seconds_to_wait(answer.headers.get("retry-after"), time.time())
            self._trouble = refused(status, body, wait, self._asked.model)
            status = status if status >= 400 else 502
        self._settle()
        self._begun = True
        hopeless = self._trouble is not None and self._trouble.kind is TroubleKind.REFUSED
        self._to.send_body(status, body, {**self._kept(answer), **(NOT_AGAIN if hopeless else {})})

    def _failed(self, problem: httpx.HTTPError) -> None:
        """The upstream could not be reached, or its answer broke off. Nobody is told when it was us who cut it."""
        sent = not isinstance(problem, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError)
        if sent and self._meter is None and self._endpoint.meter:
            self._meter = self._endpoint.meter()  # it may well be at work on it, and that is paid for
        if self._call.cut.pulled:
            self._to.close_connection = True
            return
        what = "broke off in the middle of an answer" if self._begun else "could not be reached"
        sentence = f"The model's API {what} ({type(problem).__name__})"
        self._trouble = ApiTrouble(kind=TroubleKind.TRANSIENT, sentence=sentence)
        self._settle()
        if self._begun:
            self._to.close_connection = True  # without its end, so that the client sees that there was none
            return
        body = error_body(self._endpoint.provider, "api_error", f"Mason: {sentence}.")
        self._to.send_body(502, body, {})

    def _refuse_for_money(self, sentence: str) -> None:
        provider = self._endpoint.provider
        status, kind = (402, "billing_error") if provider is Provider.ANTHROPIC else (400, "insufficient_quota")
        self._to.send_body(status, error_body(provider, kind, f"Mason: {sentence}"), NOT_AGAIN)

    def _settle(self) -> None:
        meter, model = self._meter, self._asked.model
        if self._trouble is None and meter and meter.error:
            self._trouble = failed_in_stream(meter.error, model)
        if self._trouble is None and meter and not meter.done and not self._call.cut.pulled and self._begun:
            sentence = "The model's API ended an answer before its end"
            self._trouble = ApiTrouble(kind=TroubleKind.TRANSIENT, sentence=sentence)
        self._call.end(self._asked, meter, self._trouble)

    def _send_head(self, status: int, headers: Mapping[str, str]) -> None:
        self._begun = True
        self._to.send_head(status, headers)

    def _query(self) -> str:
        return "?beta=true" if urlsplit(self._to.path).query == "beta=true" else ""

    def _headers(self) -> dict[str, str]:
        given = {name.lower(): value for name, value in self._to.headers.items()}
        known = {n: v for n, v in given.items() if n in _REQUEST_HEADERS or n.startswith(_REQUEST_PREFIXES)}
        known = {n: v for n, v in known.items() if v.isascii() and v.isprintable()}
        return {**known, "content-type": "application/json", "accept-encoding": "identity"}

    def _kept(self, answer: httpx.Response) -> dict[str, str]:
        """The headers that clients make use of, on one line each and without the key."""
        kept = [(n.lower(), v) for n, v in answer.headers.items()]
        kept = [(n, v) for n, v in kept if n in _ANSWER_HEADERS or n.startswith(_ANSWER_PREFIXES)]
        return {n: self._calls.scrub(v.encode("latin-1", "replace")).decode("latin-1") for n, v in kept}
