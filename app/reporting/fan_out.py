"""One fan-out: every event goes to every sink, without secrets, and no sink can stop the run or another sink."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping

from app.domain.events import Event
from app.log import Redactor
from app.ports.reporter import Reporter

log = logging.getLogger("mason")


class FanOut:
    """A Reporter over named sinks, from any thread, as the sinks themselves. One that raises is dropped with a warning.

    Secrets leave an event once, before any sink sees it.
    """

    def __init__(self, sinks: Mapping[str, Reporter], redactor: Redactor) -> None:
        self._sinks = dict(sinks)
        self._dropped: dict[str, Reporter] = {}
        self._redactor = redactor
        self._dropping = threading.Lock()

    def report(self, event: Event) -> None:
        safe = self._redactor.value(event)
        self._each(lambda sink: sink.report(safe))

    def flush(self) -> None:
        self._each(lambda sink: sink.flush())

    def close(self) -> None:
        """Close every sink, the dropped ones too (they may hold a thread or rows). The second call does nothing."""
        dropped, self._dropped = self._dropped, {}
        self._each(lambda sink: sink.close())
        for name, sink in dropped.items():
            _try(name, sink, lambda sink: sink.close())
        self._sinks, self._dropped = {}, {}

    def _each(self, do: Callable[[Reporter], None]) -> None:
        for name, sink in list(self._sinks.items()):
            if problem := _try(name, sink, do):
                self._drop(name, sink, problem)

    def _drop(self, name: str, sink: Reporter, problem: Exception) -> None:
        with self._dropping:
            first = self._sinks.pop(name, None) is not None
            self._dropped[name] = sink
        if first:
            log.warning("Reporting to %s stopped: %s: %s", name, type(problem).__name__, problem)


def _try(name: str, sink: Reporter, do: Callable[[Reporter], None]) -> Exception | None:
    try:
        do(sink)
    except Exception as problem:  # the named border of reporting: its failure never fails an item
        log.debug("Sink %s failed", name, exc_info=True)
        return problem
    return None
