"""``AUTOPILOT_STATUS: {json}`` lines for machines: exactly the five shapes of contracts §3, one line each."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import TextIO

from app.domain import events as ev
from app.domain.results import CheckKind, Verdict
from app.reporting.log_rows import CHECK_NAME
from app.reporting.summary import executed

PREFIX = "AUTOPILOT_STATUS: "

_NO_ERROR = (Verdict.COMPLETED, Verdict.ALREADY_RESOLVED, Verdict.DEFERRED)


class StatusLines:
    """Writes the lines to ``stream``, each whole and flushed. Raises OSError or ValueError when the stream is gone."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def report(self, event: ev.Event) -> None:
        if (shape := status(event)) is not None:
            # ASCII only: a title's line separators and lone surrogates become escapes, so a line stays a line.
            line = f"{PREFIX}{json.dumps(shape, ensure_ascii=True)}\n"
            with self._lock:
                self._stream.write(line)
                self._stream.flush()

    def flush(self) -> None:
        """Every line is flushed when it is written."""

    def close(self) -> None:
        """The stream is not ours to close."""


def status(event: ev.Event) -> Mapping[str, object] | None:
    """The shape that an event is told in, None when it is none of the five."""
    match event:
        case ev.RunStarted():
            return {"phase": "starting", "items_count": len(event.items)}
        case ev.ItemStarted(item=item):
            progress = f"{event.position}/{event.total}"
            return {"phase": "executing", "item_id": str(item.id), "item_title": item.title, "progress": progress}
        case ev.CheckStarted(kind=kind) if kind not in (CheckKind.FRONTEND, CheckKind.BACKEND):  # the seed has no name
            return {"phase": "validating", "item_id": str(event.claim.item_id), "check": CHECK_NAME[event.kind]}
        case ev.ItemSettled(outcome=outcome) if outcome.verdict not in _NO_ERROR:
            message = outcome.reason or outcome.verdict.value
            return {"phase": "error", "message": message, "item_id": str(event.claim.item_id)}
        case ev.RunFinished(result=result):
            pulls = sum(bool(r.outcome.pull_request) for r in result.results)
            return {"phase": "complete", "items_executed": len(executed(result)), "prs_created": pulls}
    return None
