"""What the store needs of a way into the database: to call one of Mason's functions, patiently."""

from __future__ import annotations

import logging
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


def patiently(work: Callable[[bool], T], *, passing: Callable[[Exception], bool | float], patience: float) -> T:
    """Do some work, again and again for ``patience`` seconds while it raises what may pass; told whether it is again.

    ``passing`` says whether waiting may help, or for how many seconds to wait. What does not pass is raised as it is.
    """
    logging.getLogger("stamina").setLevel(logging.ERROR)  # an outage is told once, below, in a sentence
    attempts = stamina.retry_context(
        on=passing,
        attempts=None,
        timeout=patience or 0.001,
        wait_initial=_FIRST_WAIT,
        wait_max=_LONGEST_WAIT,
        wait_jitter=_JITTER,
    )
    for attempt in attempts:
        with attempt:
            if attempt.num == 2:
                log.warning("The database did not answer; trying again for %.0f seconds.", patience)
            return work(attempt.num > 1)
    raise AssertionError("the loop returns or raises")
