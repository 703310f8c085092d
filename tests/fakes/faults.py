"""How a fake server fails when a test tells it to: which request, in which way, before or after its effect."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

When = Literal["before", "after"]


class Fault(Enum):
    SERVER_ERROR = "500 with a JSON message"
    BAD_GATEWAY = "502 with an HTML page"
    UNAVAILABLE = "503 with a JSON message"
    SECONDARY_LIMIT = "403, retry-after"
    TOO_MANY = "429, retry-after"
    PRIMARY_LIMIT = "403, x-ratelimit-remaining: 0 and x-ratelimit-reset"
    TIMEOUT = "no answer until the server stops"
    HALF_RESPONSE = "fewer bytes than content-length says, then the connection is closed"
    DROPPED = "the connection is closed without an answer"


@dataclass(kw_only=True)
class Answer:
    """What goes back. ``json`` reads the body, None when there is none or it is something else."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def json(self) -> Any:
        try:
            return json.loads(self.body)
        except ValueError:
            return None


@dataclass(kw_only=True)
class Recorded:
    """A request that arrived, and what became of it.

    ``path`` is without the API's prefix and as it was sent (percent-encoded); ``route`` is the template it matched,
    empty for none; ``body`` is its JSON; ``at`` is monotonic seconds; ``status`` is what was sent, None for nothing.
    """

    method: str
    path: str
    route: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any
    actor: str | None
    write: bool
    at: float
    status: int | None = None
    fault: Fault | None = None

    @property
    def call(self) -> str:
        """Method and route: ``POST /repos/{owner}/{repo}/pulls``."""
        return f"{self.method} {self.route or self.path}"


Which = int | str | Callable[[Recorded], bool]
"""The n-th request from now (from 1), every call of a route (`Recorded.call`), or a predicate."""


@dataclass(kw_only=True)
class Rule:
    which: Callable[[Recorded], bool]
    fault: Fault
    when: When
    retry_after: int
    left: int | None
    """How many more times; None for always."""
    hit: threading.Event = field(default_factory=threading.Event)
    """Set once it has happened."""


class Faults:
    """The rules of one server, asked once for every request."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []
        self._lock = threading.Lock()

    def add(self, which: Which, fault: Fault, *, times: int | None, when: When, retry_after: int) -> Rule:
        rule = Rule(which=_predicate(which), fault=fault, when=when, retry_after=retry_after, left=times)
        with self._lock:
            self._rules.append(rule)
        return rule

    def clear(self) -> None:
        with self._lock:
            self._rules.clear()

    def take(self, request: Recorded) -> Rule | None:
        """The first rule that this request meets; every rule sees every request, so that counts stay right."""
        with self._lock:
            met = [rule for rule in self._rules if rule.which(request) and rule.left != 0]
            if not met:
                return None
            rule = met[0]
            if rule.left is not None:
                rule.left -= 1
        request.fault = rule.fault
        rule.hit.set()
        return rule


def _predicate(which: Which) -> Callable[[Recorded], bool]:
    if isinstance(which, str):
        return lambda request: request.call == which
    if not isinstance(which, int):
        return which
    seen = 0

    def counted(_: Recorded) -> bool:
        nonlocal seen
        seen += 1
        return seen >= which

    return counted


def faulty_answer(rule: Rule) -> Answer:
    """The answer of a fault that has one."""
    documentation = "https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api"
    retry = {"Retry-After": str(rule.retry_after)}
    match rule.fault:
        case Fault.BAD_GATEWAY:
            page = b"<html><head><title>502</title></head><body>Bad gateway</body></html>"
            return Answer(status=502, body=page, headers={"Content-Type": "text/html"})
        case Fault.SECONDARY_LIMIT:
            said = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
            return _message(403, said, retry, documentation)
        case Fault.TOO_MANY:
            return _message(429, "Too many requests: you have exceeded a rate limit.", retry, documentation)
        case Fault.PRIMARY_LIMIT:
            spent = {"X-RateLimit-Remaining": "0", "X-RateLimit-Limit": "5000", "X-RateLimit-Used": "5000"}
            spent["X-RateLimit-Reset"] = str(int(time.time()) + rule.retry_after)
            return _message(403, "API rate limit exceeded for installation ID 1.", spent, documentation)
        case Fault.UNAVAILABLE:
            return _message(503, "Service unavailable", {}, documentation)
        case _:
            return _message(500, "Server Error", {}, documentation)


def _message(status: int, said: str, headers: dict[str, str], documentation: str) -> Answer:
    body = json.dumps({"message": said, "documentation_url": documentation, "status": str(status)}).encode()
    return Answer(status=status, body=body, headers={"Content-Type": "application/json; charset=utf-8", **headers})
