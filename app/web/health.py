"""What operators and their machines look at: `/healthz`, `/readyz`, `/metrics`."""

from __future__ import annotations

import hmac
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from flask import Flask, Response, request

from app.bounded import within
from app.errors import MasonError
from app.ports.job_queue import QueueView
from app.web.errors import NotSigned
from app.web.metrics import Samples, WebMetrics
from app.web.signatures import bearer

log = logging.getLogger("mason")

LATE = 120.0
"""Seconds that a due job may wait: with a living worker it is done at once, and a sweep comes each minute."""

PATIENCE = 4.0
"""Seconds for one probe."""

REMEMBERED = 15.0
"""Seconds for which GitHub is not asked again, whoever looks how often."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Probes:
    """``github`` raises a MasonError when GitHub does not answer; None: not configured."""

    queue: QueueView
    samples: Callable[[], Samples]
    github: Callable[[], None] | None = None
    metrics_token: bytes = field(default=b"", repr=False)
    clock: Callable[[], float] = time.monotonic


def add_health(app: Flask, probes: Probes, metrics: WebMetrics) -> None:
    github = _Remembered(probes.github, probes.clock) if probes.github else None

    @app.route("/healthz")
    def alive() -> dict[str, bool]:
        return {"ok": True}

    @app.route("/readyz")
    def ready() -> tuple[dict[str, dict[str, object]], int]:
        found = {"database": _answers("database", probes.queue.ping), "queue": _queue(probes.queue)}
        if github:
            found["github"] = {"ok": github.answers()}
        return found, 200 if all(each["ok"] for each in found.values()) else 503

    @app.route("/metrics")
    def figures() -> Response:
        given = bearer(request.headers.get("Authorization")).encode("latin-1")
        if probes.metrics_token and not hmac.compare_digest(given, probes.metrics_token):
            raise NotSigned("The metrics need their token (Authorization: Bearer).")
        return Response(metrics.text(probes.samples), content_type="text/plain; version=0.0.4; charset=utf-8")


def _answers(what: str, probe: Callable[[], object]) -> dict[str, object]:
    """Why not is for the log: anybody may ask."""
    try:
        within(PATIENCE, probe)
    except (MasonError, TimeoutError) as problem:
        log.warning("Not ready, %s: %s", what, problem or "no answer")
        return {"ok": False}
    return {"ok": True}


def _queue(queue: QueueView) -> dict[str, object]:
    seen: dict[str, object] = {}

    def look() -> None:
        age = queue.queue_state().age
        seen.update(age=round(age, 1), ok=age <= LATE)

    return {**_answers("queue", look), **seen}


class _Remembered:
    """A probe whose answer holds for a while; one thread asks, the others wait for it."""

    def __init__(self, probe: Callable[[], None], clock: Callable[[], float]) -> None:
        self._probe = probe
        self._clock = clock
        self._asking = threading.Lock()
        self._seen: tuple[float, bool] | None = None

    def answers(self) -> bool:
        with self._asking:
            if self._seen is None or self._clock() - self._seen[0] > REMEMBERED:
                self._seen = (self._clock(), bool(_answers("github", self._probe)["ok"]))
            return self._seen[1]
