"""What is noted about a request while it is answered, for its line in the log and for the metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

_KEY = "mason.notes"


@dataclass(kw_only=True, slots=True)
class Notes:
    """``platform``, ``event``, ``delivery`` and ``outcome`` are those of a webhook's delivery, "" otherwise.

    ``route`` is the path's pattern, "" while none matches. ``body`` is a verified one, which nobody reads twice.
    """

    request: str
    route: str = ""
    platform: str = ""
    event: str = ""
    delivery: str = ""
    outcome: str = ""
    body: bytes = b""


def begin(environ: WSGIEnvironment, request: str) -> Notes:
    notes = Notes(request=request)
    environ[_KEY] = notes
    return notes


def of(environ: WSGIEnvironment) -> Notes:
    return cast(Notes, environ[_KEY])
