"""Logs for machines: one JSON object a line, with the ids of what it is about, and without secrets in any field."""

from __future__ import annotations

import json
import logging
import sys
from contextlib import AbstractContextManager
from typing import Any, TextIO

import structlog
from structlog.types import EventDict, WrappedLogger

from app.log import RedactingFilter, Redactor, _PlainHandler

_QUIET = ("httpx", "httpcore", "procrastinate", "markdown_it")
"""Libraries that tell each of their steps; their warnings are heard."""


def bound(**ids: str) -> AbstractContextManager[Any]:
    """Every line that is logged inside, in this thread, carries these ids (``run``, ``item``, ``request``, …)."""
    return structlog.contextvars.bound_contextvars(**ids)


def set_up_json_logging(redactor: Redactor, *, level: int = logging.INFO, stream: TextIO | None = None) -> None:
    """Everything that is logged from ``level`` on goes to ``stream`` (stderr) as JSON.

    It replaces what it did before, and the lines for people of `set_up_logging`. A line has ``event``, ``level``,
    ``logger``, ``timestamp`` (ISO 8601, UTC), the fields that the call gave in ``extra``, the bound ids, and for an
    exception its traceback.
    """

    def redact(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        return redactor.value(event)

    def as_json(event: EventDict, **_: object) -> str:
        return json.dumps(event, default=lambda value: redactor.text(str(value)), skipkeys=True)

    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            redact,
            structlog.processors.JSONRenderer(serializer=as_json),
        ],
    )
    handler = _JsonHandler(stream or sys.stderr)
    handler.setFormatter(formatter)
    handler.addFilter(_Safe(redactor))
    root = logging.getLogger()
    for earlier in [each for each in root.handlers if isinstance(each, _JsonHandler | _PlainHandler)]:
        root.removeHandler(earlier)
    root.addHandler(handler)
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


class _Safe(RedactingFilter):
    """Redacts before logging itself can show what it cannot format, and keeps a traceback as a field."""

    def filter(self, record: logging.LogRecord) -> bool:
        passes = super().filter(record)
        if record.exc_text:
            record.exception = record.exc_text
        return passes


class _JsonHandler(logging.StreamHandler[TextIO]):
    """The handler that ``set_up_json_logging`` made, told apart from those of others."""
