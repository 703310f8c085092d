"""Pages of runs that are kept for a moment, so that two hundred viewers of one run cost what one does."""

from __future__ import annotations

import gzip
import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from app.web.pages.rendering import look

HOLD = 1.0
"""Seconds for which nobody asks the database anew whether a run has changed."""

MOVES = 10
"""Seconds after which a run that is going on is drawn anew, for its bars grow though nothing is written."""

_MOST_RUNS = 512
_MOST_BYTES = 32 * 1024 * 1024
_LOCKS = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """A body and the tag that stands for it. ``ended``: it changes only with its run's version."""

    tag: str
    body: bytes
    packed: bytes
    ended: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """What is to be kept: HTML, and whether its run has ended."""

    html: str
    ended: bool


class KeptPages:
    """Of one process, for all its threads. ``version`` is `RunViews.run_version`; ``clock`` gives seconds of the day's
    clock, by which all processes draw anew at the same time, ``ticks`` those of one that is never set.
    """

    def __init__(
        self,
        version: Callable[[UUID], str | None],
        *,
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = version
        self._clock = clock
        self._ticks = ticks
        self._one_at_a_time = [threading.Lock() for _ in range(_LOCKS)]
        self._lock = threading.Lock()
        self._versions: OrderedDict[UUID, tuple[float, str | None]] = OrderedDict()
        self._pages: OrderedDict[tuple[UUID, str], tuple[str, Kept]] = OrderedDict()
        self._bytes = 0

    def get(self, run_id: UUID, variant: str, make: Callable[[], Made | None]) -> Kept | None:
        """The page as it is now; ``variant`` is all that makes it differ from others of its run. None: no such run.

        Raises what asking for the version and ``make`` raise.
        """
        one_at_a_time = self._one_at_a_time[hash(run_id) % _LOCKS]
        _, found = self._found(run_id, variant)
        # While somebody else looks, what was kept is good enough: nobody's thread is held for it.
        if not one_at_a_time.acquire(blocking=found is None):
            return found
        try:
            version = self._version(run_id)
            if version is None:
                return None
            seen, found = self._found(run_id, variant)
            if found and seen == version and found.tag == self._tag(version, variant, ended=found.ended):
                return found
            made = make()
            return self._keep(run_id, variant, version, made) if made else None
        finally:
            one_at_a_time.release()

    def _found(self, run_id: UUID, variant: str) -> tuple[str, Kept | None]:
        with self._lock:
            return self._pages.get((run_id, variant), ("", None))

    def _version(self, run_id: UUID) -> str | None:
        with self._lock:
            asked, version = self._versions.get(run_id, (float("-inf"), None))
        if self._ticks() - asked < HOLD:
            return version
        version = self._ask(run_id)
        with self._lock:
            self._versions[run_id] = (self._ticks(), version)
            self._versions.move_to_end(run_id)
            while len(self._versions) > _MOST_RUNS:
                self._versions.popitem(last=False)
        return version

    def _keep(self, run_id: UUID, variant: str, version: str, made: Made) -> Kept:
        body = made.html.encode("utf-8", "replace")
        kept = Kept(
            tag=self._tag(version, variant, ended=made.ended),
            body=body,
            packed=gzip.compress(body, 5, mtime=0),
            ended=made.ended,
        )
        with self._lock:
            _, old = self._pages.pop((run_id, variant), ("", None))
            self._pages[run_id, variant] = (version, kept)
            self._bytes += _size(kept) - (_size(old) if old else 0)
            while self._bytes > _MOST_BYTES and len(self._pages) > 1:
                _, (_, oldest) = self._pages.popitem(last=False)
                self._bytes -= _size(oldest)
        return kept

    def _tag(self, version: str, variant: str, *, ended: bool) -> str:
        drawn = 0 if ended else int(self._clock() // MOVES)
        return hashlib.sha256(f"{look()}\n{version}\n{variant}\n{drawn}".encode()).hexdigest()[:32]


def _size(kept: Kept) -> int:
    return len(kept.body) + len(kept.packed)
