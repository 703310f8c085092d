"""What the store needs of a way into the database: to call one of Mason's functions, patiently."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

import stamina

log = logging.getLogger("mason")

Row = dict[str, Any]
T = TypeVar("T")

PATIENCE = 300.0
"""Seconds for which a database that is away is tried again."""

_FIRST_WAIT, _LONGEST_WAIT, _JITTER = 0.05, 5.0, 0.5


class Session(Protocol):
    """A database whose functions can be called, from any thread."""

    def rows(self, name: str, args: Mapping[str, object]) -> list[Row]:
        """Call ``mason_<name>(args)``: its rows, none for a function that returns nothing.

        Each call is a transaction of its own. When its answer is lost it is called again, then with ``again`` among the
        arguments. Raises DatabaseUnreachable, DatabaseRefused or NotMigrated, each one sentence without a secret.
        """

    def close(self) -> None:
        """Give back every connection; later calls raise DatabaseUnreachable."""


class Patience:
    """How long an outage is waited for: ``seconds`` in all, however many calls of a thread fall into it.

    Each thread has its own: those that write progress and renew leases meet an outage first, and must not spend what
    the end of an item, minutes later, is to wait.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.away = False
        """Whether the last call, of whatever thread, found the database away."""
        self._own = threading.local()

    @property
    def left(self) -> float:
        """Seconds for which this thread's next call is tried again; every call is tried once."""
        since = getattr(self._own, "since", None)
        return max(self.seconds - (time.monotonic() - since), 0.0) if since is not None else self.seconds

    def found(self, away: bool) -> None:
        """Note what a call found."""
        self.away = away
        self._own.since = (getattr(self._own, "since", None) or time.monotonic()) if away else None


def patiently(work: Callable[[bool], T], *, passing: Callable[[Exception], bool | float], patience: Patience) -> T:
    """Do some work, again and again while it raises what may pass; told whether it is again.

    ``passing`` says whether waiting may help, or for how many seconds to wait. What does not pass is raised as it is.
    """

    def noted(problem: Exception) -> bool | float:
        verdict = passing(problem)
        patience.found(away=verdict is not False)
        return verdict

    stamina.instrumentation.set_on_retry_hooks(())  # an outage is told once, below, in a sentence
    attempts = stamina.retry_context(
        on=noted,
        attempts=None if patience.left else 1,
        timeout=patience.left or None,
        wait_initial=_FIRST_WAIT,
        wait_max=_LONGEST_WAIT,
        wait_jitter=_JITTER,
    )
    for attempt in attempts:
        with attempt:
            if attempt.num == 2:
                log.warning("The database did not answer; trying again for %.0f seconds.", patience.left)
            result = work(attempt.num > 1)
            patience.found(away=False)
            return result
    raise AssertionError("the loop returns or raises")
