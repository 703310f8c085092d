"""A time limit for work that may hang where no time limit of its own reaches: name look-ups, slow servers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def within(seconds: float, work: Callable[[], T]) -> T:
    """What ``work`` returns or raises; TimeoutError when it takes longer.

    It runs in a daemon thread. One that hangs is left to itself and never keeps the process from ending.
    """
    return start(work).result(seconds)


def start(work: Callable[[], T]) -> Future[T]:
    """The same without waiting."""
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()  # who waits may give up, the work cannot

    def go() -> None:
        try:
            future.set_result(work())
        except BaseException as problem:  # noqa: BLE001 - it is raised where the result is asked for
            future.set_exception(problem)

    threading.Thread(target=go, name="bounded", daemon=True).start()
    return future
