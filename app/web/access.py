"""Around the whole web app: an id, a line in the log, a figure in the metrics and safe headers for each request."""

from __future__ import annotations

import logging
import random
import re
import time
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING

from app.web import notes
from app.web.errors import Headers, tell
from app.web.metrics import WebMetrics

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from _typeshed import OptExcInfo

log = logging.getLogger("mason.access")

SECURITY = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
)
"""For an answer that has content, each unless it has one of its own."""

NO_CONTENT = HTTPStatus.NO_CONTENT.value

_REQUEST_ID = re.compile(r"[0-9A-Za-z._-]{8,64}")
_LONGEST_PATH = 200


class Access:
    """WSGI: the outermost layer. The border for what ``inner`` itself did not turn into an answer."""

    def __init__(self, inner: WSGIApplication, metrics: WebMetrics) -> None:
        self._inner = inner
        self._metrics = metrics

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        started, status = time.perf_counter(), 500
        given = environ.get("HTTP_X_REQUEST_ID", "")
        noted = notes.begin(environ, given if _REQUEST_ID.fullmatch(given) else f"{random.getrandbits(64):016x}")

        def start(line: str, headers: Headers, exc_info: OptExcInfo | None = None) -> Callable[[bytes], object]:
            nonlocal status
            status = int(line[:3])
            safe = () if status == NO_CONTENT else _safe(headers)
            return start_response(line, [*headers, *safe, ("X-Request-Id", noted.request)], exc_info)

        try:
            return self._inner(environ, start)
        except Exception as problem:  # noqa: BLE001 - whatever it is: this is the border, and it is logged there
            return tell(problem, start)
        finally:
            self._note(environ, noted, status, time.perf_counter() - started)

    def _note(self, environ: WSGIEnvironment, noted: notes.Notes, status: int, seconds: float) -> None:
        self._metrics.answered(route=noted.route, status=status, seconds=seconds)
        if noted.platform:
            self._metrics.delivered(platform=noted.platform, event=noted.event, outcome=noted.outcome)
        # Most deliveries mean nothing. A line for each would hide the others, and cost more than its answer.
        level = logging.DEBUG if status == NO_CONTENT else logging.INFO
        if log.isEnabledFor(level):
            log.log(
                level,
                "%s %s %d",
                environ["REQUEST_METHOD"],
                environ["PATH_INFO"][:_LONGEST_PATH],
                status,
                extra={
                    "request": noted.request,
                    "ms": round(1000 * seconds, 2),
                    **{
                        name: value
                        for name in ("platform", "event", "delivery", "outcome")
                        if (value := getattr(noted, name))
                    },
                },
            )


def _safe(headers: Headers) -> Headers:
    present = {name.lower() for name, _ in headers}
    return [header for header in SECURITY if header[0].lower() not in present]
