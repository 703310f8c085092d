"""Signals of a process that is Mason's alone: the first asks for a stop, a second one interrupts at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Collection, Iterator
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
        with adopted_orphans(), _heard_at_once(before, stop):
            yield stop
    except KeyboardInterrupt:
        raise Cancelled from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _heard_at_once(numbers: Collection[int], stop: Stop) -> Iterator[None]:
    """Set the stop from a thread of its own, as soon as the kernel tells of a signal.

    Python runs its handlers in the main thread alone. That one may wait for others without an end, and is not woken
    where the kernel has given the signal to another thread: https://docs.python.org/3/library/signal.html
    """
    hears, tells = os.pipe()
    os.set_blocking(tells, False)
    former = signal.set_wakeup_fd(tells, warn_on_full_buffer=False)

    def hear() -> None:
        while told := os.read(hears, 1):
            if told[0] in numbers:
                stop.set("Cancelled")

    listener = threading.Thread(target=hear, name="signals", daemon=True)
    listener.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(former)
        os.close(tells)
        listener.join()
        os.close(hears)
