"""Webhooks: what happens at the fake is queued as signed deliveries, which a test sends, drops, doubles or shuffles."""

from __future__ import annotations

import hashlib
import hmac
import json
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx

from tests.fakes.github_api import payloads
from tests.fakes.github_api.records import CheckRun, Comment, Push, User, WorkflowRun

if TYPE_CHECKING:
    from tests.fakes.github_api.hub import Hub
    from tests.fakes.github_api.repository import FakeRepository

TIMEOUT = 10.0
"""Seconds after which GitHub calls a delivery a failure; it does not send it again."""


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """``body`` are the bytes that are signed. ``action`` is empty for events that have none."""

    id: str
    event: str
    action: str
    body: bytes

    def headers(self, secret: str) -> dict[str, str]:
        return {
            "Content-Type": "application/json",
            "User-Agent": "GitHub-Hookshot/fake",
            "X-GitHub-Delivery": self.id,
            "X-GitHub-Event": self.event,
            "X-GitHub-Hook-ID": "1",
            "X-Hub-Signature-256": "sha256=" + hmac.new(secret.encode(), self.body, hashlib.sha256).hexdigest(),
        }


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A delivery and how it was answered: HTTP's status, 0 for not at all."""

    delivery: Delivery
    status: int


class Webhooks:
    """Nothing is queued before `to` says where. ``pending`` may be changed by a test; ``sent`` is what went out."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._url = ""
        self._secret = ""
        self._more = threading.Condition(hub.lock)
        self._thread: threading.Thread | None = None
        self._closed = False
        self.pending: list[Delivery] = []
        self.sent: list[Sent] = []

    def to(self, url: str, secret: str) -> None:
        """Queue what happens from now on for this address."""
        self._url, self._secret = url, secret

    def deliver(self, *, seed: int | None = None, rate: float = 0.3) -> list[Sent]:
        """Send what waits, in order. With a seed a share of ``rate`` is dropped, of the rest as much is sent twice, and
        all of it is shuffled; the same seed does the same to the same events.
        """
        with self._hub.lock:
            waiting, self.pending = self.pending, []
        if seed is not None:
            chance = random.Random(seed)
            waiting = [each for each in waiting if chance.random() >= rate]
            waiting += [each for each in waiting if chance.random() < rate]
            chance.shuffle(waiting)
        return [self.send(each) for each in waiting]

    def send(self, delivery: Delivery) -> Sent:
        """Send one, again if need be: a redelivery has the same id."""
        try:
            headers = delivery.headers(self._secret)
            status = httpx.post(self._url, content=delivery.body, headers=headers, timeout=TIMEOUT).status_code
        except httpx.HTTPError:
            status = 0
        sent = Sent(delivery=delivery, status=status)
        self.sent.append(sent)
        return sent

    def deliver_at_once(self) -> None:
        """From now on send everything as it happens, from a thread that ends with the fake."""
        self._thread = threading.Thread(target=self._keep_delivering, name="webhooks")
        self._thread.start()

    def close(self) -> None:
        with self._more:
            self._closed = True
            self._more.notify()
        if self._thread is not None:
            self._thread.join()

    def workflow_run(self, repository: FakeRepository, run: WorkflowRun, action: str) -> None:
        self._queue("workflow_run", lambda: payloads.of_workflow_run(repository, run, action))

    def issue_comment(self, repository: FakeRepository, comment: Comment, action: str, sender: User) -> None:
        self._queue("issue_comment", lambda: payloads.of_issue_comment(repository, comment, action, sender))

    def check_run(self, repository: FakeRepository, run: CheckRun, action: str, sender: User, **more: Any) -> None:
        self._queue("check_run", lambda: {**payloads.of_check_run(repository, run, action, sender), **more})

    def check_suite(self, repository: FakeRepository, run: CheckRun, action: str, sender: User) -> None:
        self._queue("check_suite", lambda: payloads.of_check_suite(repository, run, action, sender))

    def push(self, repository: FakeRepository, push: Push) -> None:
        self._queue("push", lambda: payloads.of_push(repository, push))

    def _queue(self, event: str, make: Callable[[], dict[str, Any]]) -> None:
        if not self._url:
            return
        with self._more:
            payload = make()
            body = json.dumps(payload).encode()
            self.pending.append(Delivery(id=str(uuid4()), event=event, action=payload.get("action", ""), body=body))
            self._more.notify()

    def _keep_delivering(self) -> None:
        while True:
            with self._more:
                self._more.wait_for(lambda: self.pending or self._closed)
                if self._closed:
                    return
            self.deliver()
