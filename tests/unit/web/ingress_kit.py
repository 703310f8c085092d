"""The web app in this process, with a queue that only remembers, and a client that signs."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from werkzeug.test import Client, TestResponse

from app.domain.commands import Request
from app.domain.jobs import Job
from app.errors import DatabaseUnreachable
from app.ports.job_queue import ParkedJob, QueueState, TaskState
from app.web.app import WebParts, web_app
from app.web.health import Probes
from app.web.metrics import Samples, WebMetrics

GITHUB_SECRET = b"a secret of GitHub's webhooks"
SUPABASE_SECRET = b"a secret of the database's webhooks"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
RUN = "7f1c4a52-90b1-4a0e-8a8e-0d6a8f6c2b11"
ITEM = "0b9f3a10-5f5e-4f5e-9d2c-3a1b2c3d4e5f"


class MemoryQueue:
    """A job queue and its view that keep everything here. ``away``: the database does not answer."""

    def __init__(self) -> None:
        self.jobs: list[tuple[Job, float]] = []
        self.requests: dict[str, Request] = {}
        self.state = QueueState(
            waiting=2,
            doing=1,
            parked=1,
            age=3.0,
            tasks=(TaskState(task="reconcile_run", waiting=2, doing=1, parked=1),),
        )
        self.away = False

    @property
    def stored(self) -> int:
        return len(self.jobs) + len(self.requests)

    def defer(self, job: Job, *, after: float = 0.0) -> None:
        self.ping()
        self.jobs.append((job, after))

    def hear(self, request: Request) -> bool:
        self.ping()
        if request.key in self.requests:
            return False
        self.requests[request.key] = request
        return True

    def queue_state(self) -> QueueState:
        self.ping()
        return self.state

    def parked(self) -> list[ParkedJob]:
        return []

    def retry_parked(self, job_id: int) -> bool:
        return False

    def ping(self) -> None:
        if self.away:
            raise DatabaseUnreachable("The app database at db.internal did not answer.")


@dataclass
class Door:
    """The way in. ``more`` is what `WebParts` is given besides."""

    queue: MemoryQueue = field(default_factory=MemoryQueue)
    more: dict[str, Any] = field(default_factory=dict)
    probes: dict[str, Any] = field(default_factory=dict)
    metrics: WebMetrics = field(default_factory=WebMetrics)

    def __post_init__(self) -> None:
        options = {"github_secrets": (GITHUB_SECRET,), "supabase_secrets": (SUPABASE_SECRET,)} | self.more
        probes = {"samples": lambda: Samples(queue=self.queue.queue_state())} | self.probes
        parts = WebParts(
            jobs=self.queue,
            probes=Probes(queue=self.queue, **probes),
            metrics=self.metrics,
            clock=lambda: NOW,
            **options,
        )
        self.client = Client(web_app(parts))

    def get(self, path: str, **headers: str) -> TestResponse:
        return self.client.get(path, headers=headers)

    def github(self, event: str, payload: object, **headers: str) -> TestResponse:
        """A delivery as GitHub makes it; ``payload`` is JSON, or bytes as they are."""
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        return self.client.post("/webhooks/github", data=body, headers=github_headers(event, body) | headers)

    def supabase(self, payload: object, **headers: str) -> TestResponse:
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        given = {"Content-Type": "application/json", "X-Mason-Secret": SUPABASE_SECRET.decode()} | headers
        return self.client.post("/webhooks/supabase", data=body, headers=given)


def github_headers(event: str, body: bytes, secret: bytes = GITHUB_SECRET) -> dict[str, str]:
    return {
        "Content-Type": "application/json",
        "X-GitHub-Event": event,
        "X-GitHub-Delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
        "X-Hub-Signature-256": signature(body, secret),
    }


def signature(body: bytes, secret: bytes = GITHUB_SECRET) -> str:
    return "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()


def error_of(answer: TestResponse) -> tuple[int, str]:
    """Status and sentence of an error, after a look at its shape."""
    body = answer.get_json()
    assert set(body) == {"error", "statusCode"}
    assert body["statusCode"] == answer.status_code
    assert answer.mimetype == "application/json"
    return answer.status_code, body["error"]


ADA = {"id": 7, "login": "ada", "type": "User"}
BOT = {"id": 8, "login": "mason[bot]", "type": "Bot"}
REPOSITORY = {"id": 3, "full_name": "octo/app", "default_branch": "main", "private": True}


def comment(body: str | None, *, action: str = "created", on: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """An ``issue_comment`` on pull request 5, or on an issue with ``on={}``."""
    pull = {"pull_request": {"url": "somewhere"}} if on is None else on
    return {
        "action": action,
        "issue": {"number": 5, "title": "A title", **pull},
        "comment": {"id": 99, "body": body, "user": ADA},
        "repository": REPOSITORY,
        "sender": ADA,
    }


def press(action: str, *, pull_request: int = 5, button: str | None = None) -> dict[str, Any]:
    """A ``check_run`` of Mason's that somebody pressed something on."""
    pressed = {"requested_action": {"identifier": button}} if button else {}
    subject = f"mason:{RUN}:{ITEM}:{pull_request}"
    return {"action": action, "check_run": {"id": 1, "external_id": subject}, **pressed} | {
        "repository": REPOSITORY,
        "sender": ADA,
    }
