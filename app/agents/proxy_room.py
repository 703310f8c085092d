"""Room in the model proxy: how many connections and bytes there may be, so that no agent can keep the others out."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

HEAD_TIME = 5.0
"""Seconds in which a connection has to show a token that works."""

MOST_CONNECTIONS = 512
MOST_CONNECTIONS_OF_ONE = 32
"""Connections of one access, under way or idle."""

MOST_BYTES = 512 * 1024 * 1024
"""Bytes of the requests that are under way, together."""

MOST_BYTES_OF_ONE = 128 * 1024 * 1024
"""Of those, the bytes of one access."""


class Connections:
    """Those that are open, oldest first. Usable from any thread.

    Who has shown no token yet may be turned out: after `HEAD_TIME`, or at once when there is no room for a newcomer.
    """

    def __init__(self, most: int = MOST_CONNECTIONS, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = most, clock
        self._guard = threading.Lock()
        self._strangers: dict[socket.socket, float] = {}
        self._guests: dict[socket.socket, str] = {}

    def enter(self, connection: socket.socket) -> bool:
        """A connection begins; False when all the others have a token, and there is no room."""
        with self._guard:
            if len(self._strangers) + len(self._guests) >= self._most:
                if not self._strangers:
                    return False
                self._turn_out(next(iter(self._strangers)))
            self._strangers[connection] = self._clock() + HEAD_TIME
            return True

    def admit(self, connection: socket.socket, whose: str) -> bool:
        """It has shown a token of the access ``whose``; False when that has too many, or it was turned out already."""
        with self._guard:
            if self._guests.get(connection) == whose:
                return True
            many = sum(owner == whose for owner in self._guests.values()) >= MOST_CONNECTIONS_OF_ONE
            if many or (connection not in self._strangers and connection not in self._guests):
                return False
            self._strangers.pop(connection, None)
            self._guests[connection] = whose
            return True

    def leave(self, connection: socket.socket) -> None:
        with self._guard:
            self._strangers.pop(connection, None)
            self._guests.pop(connection, None)

    def turn_out_the_late(self) -> None:
        now = self._clock()
        with self._guard:
            for connection in [each for each, until in self._strangers.items() if until <= now]:
                self._turn_out(connection)

    def hang_up(self) -> None:
        with self._guard:
            for connection in (*self._strangers, *self._guests):
                _hang_up(connection)

    def _turn_out(self, connection: socket.socket) -> None:
        del self._strangers[connection]
        _hang_up(connection)


class Bytes:
    """How many bytes are held for each access. Usable from any thread."""

    def __init__(self) -> None:
        self._held: Counter[str] = Counter()
        self._guard = threading.Lock()

    def take(self, whose: str, size: int) -> bool:
        """Whether so many more may be held; if so, they are, until they are given back."""
        with self._guard:
            fits = self._held[whose] + size <= MOST_BYTES_OF_ONE and self._held.total() + size <= MOST_BYTES
            if fits:
                self._held[whose] += size
            return fits

    def give_back(self, whose: str, size: int) -> None:
        with self._guard:
            self._held[whose] -= size
            if self._held[whose] <= 0:
                del self._held[whose]


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
