"""Signals of a process that is Mason's alone: the first asks for a stop, a second one interrupts at once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from app.descendants import adopted_orphans
from app.errors import Cancelled
from app.process import Stop


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """A stop that SIGINT and SIGTERM set. A second SIGINT interrupts at once.

    What runs in here may have run-away children of its own: this process adopts them, so that they can be ended.
    """
    stop = Stop()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(_number: int, _frame: object) -> None:
        stop.set("Cancelled")
        if not stop.heeded:
            raise KeyboardInterrupt
        signal.signal(signal.SIGINT, signal.default_int_handler)

    for number in before:
        signal.signal(number, ask)
    try:
        with adopted_orphans():
            yield stop
    except KeyboardInterrupt:
        raise Cancelled from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
