"""Heartbeats: one thread renews the leases of a run's items, and stops an item whose claim is lost."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from app.domain.claims import Claim
from app.errors import MasonError
from app.flows.work import LOST
from app.ports.backlog import Backlog
from app.process import Stop

INTERVAL = 20.0
"""Seconds between two renewals: a lease outlives several that fail."""


class Leases:
    """The claims that a runner holds, and the stop of each."""

    def __init__(self, backlog: Backlog) -> None:
        self._backlog = backlog
        self._held: dict[Claim, Stop] = {}
        self._lock = threading.Lock()

    def hold(self, claim: Claim, stop: Stop) -> None:
        with self._lock:
            self._held[claim] = stop

    def drop(self, claim: Claim) -> None:
        """The item is settled: nothing is left to renew."""
        with self._lock:
            self._held.pop(claim, None)

    def renew(self) -> None:
        """Renew all of them; a claim that matches no row stops its item at once."""
        with self._lock:
            held = dict(self._held)
        if not held:
            return
        alive = set(self._backlog.heartbeat(list(held)))
        with self._lock:
            for claim in held.keys() - alive:
                if claim in self._held:
                    self._held[claim].set(LOST)

    @contextmanager
    def renewed(self, interval: float = INTERVAL) -> Iterator[None]:
        """Renew in the background while the block runs."""
        done = threading.Event()

        def beat() -> None:
            while not done.wait(interval):
                try:
                    self.renew()
                except MasonError as problem:  # the next beat tries again; publishing asks for itself
                    logging.getLogger("mason").warning("The leases could not be renewed: %s", problem)

        thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join(timeout=interval)
