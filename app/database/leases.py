"""Keys that one process holds at a time: a lease on the database's clock, and a number that fences its writes."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from uuid import uuid4

from app.database.connections import Connections
from app.errors import Busy, DatabaseRefused, DatabaseUnreachable, FenceFell
from app.ports.app_database import Fence

log = logging.getLogger("mason")

LEASE = 8.0
"""Seconds without renewal after which a key is anybody's."""

RENEWAL = 2.0

LONGEST = 600.0
"""Seconds after which a key is renewed no more: who holds it for so long hangs. Every call of a flow has a limit of
seconds, and the longest flow makes some dozens of them. What it still writes when it wakes up falls at the fence.
"""

_TAKE = """
insert into locks as held (key, holder, expires_at)
values (%(key)s, %(holder)s, clock_timestamp() + make_interval(secs => %(lease)s))
on conflict (key) do update
set number = excluded.number, holder = excluded.holder, expires_at = excluded.expires_at
where held.expires_at <= clock_timestamp() or held.holder = excluded.holder
returning number
"""

_RENEW = """
update locks set expires_at = clock_timestamp() + make_interval(secs => %(lease)s)
where number = any (%(numbers)s)
"""

_RELEASE = "delete from locks where key = %(key)s and number = %(number)s"

STANDS = "select number from locks where key = %(fence_key)s and number = %(fence_number)s for share"
"""A query of the fence's row, which nobody can take over while the transaction that reads it lasts."""


class Leases:
    """The keys that this process holds, renewed by one thread for as long as there are any, each at most ``longest``
    seconds.
    """

    def __init__(
        self, connections: Connections, *, lease: float = LEASE, renewal: float = RENEWAL, longest: float = LONGEST
    ) -> None:
        self._connections = connections
        self._lease = lease
        self._renewal = renewal
        self._longest = longest
        self._held: dict[int, tuple[float, str]] = {}
        self._changed = threading.Condition()
        self._renewer: threading.Thread | None = None

    @contextmanager
    def hold(self, key: str) -> Iterator[Fence]:
        """See ``AppDatabase.locked``."""
        fence = self._take(key)
        try:
            yield fence
        finally:
            self._release(fence)

    def require(self, fence: Fence) -> None:
        parameters = {"fence_key": fence.key, "fence_number": fence.number}
        if not self._connections.use(lambda there, _: there.execute(STANDS, parameters).fetchall()):
            raise fell(fence)

    def _take(self, key: str) -> Fence:
        parameters = {"key": key, "holder": uuid4(), "lease": self._lease}
        rows = self._connections.use(lambda there, _: there.execute(_TAKE, parameters).fetchall())
        if not rows:
            raise Busy(f"Somebody else is at {key} right now.")
        fence = Fence(key=key, number=int(rows[0]["number"]))
        with self._changed:
            self._held[fence.number] = (time.monotonic(), key)
            if self._renewer is None:
                self._renewer = threading.Thread(target=self._renew, name="leases", daemon=True)
                self._renewer.start()
        return fence

    def _release(self, fence: Fence) -> None:
        """A key that cannot be given back is free once its lease has run out."""
        with self._changed:
            self._held.pop(fence.number, None)
            if not self._held:
                self._changed.notify()
        with contextlib.suppress(DatabaseUnreachable, DatabaseRefused):
            self._execute(_RELEASE, {"key": fence.key, "number": fence.number})

    def _renew(self) -> None:
        """The one thread; it ends when nothing is held any more."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: not self._held, self._renewal)
                self._let_go()
                if not self._held:
                    self._renewer = None
                    return
                parameters = {"numbers": sorted(self._held), "lease": self._lease}
            try:
                self._execute(_RENEW, parameters)
            except (DatabaseUnreachable, DatabaseRefused) as problem:
                log.warning("Keys are not renewed now: %s", problem)

    def _let_go(self) -> None:
        """Leave to others what has been held for too long."""
        now = time.monotonic()
        for number, (taken, key) in list(self._held.items()):
            if now - taken > self._longest:
                log.warning("%s has been held for %.0f seconds, and is anybody's from now on", key, now - taken)
                del self._held[number]

    def _execute(self, statement: str, parameters: Mapping[str, object]) -> None:
        self._connections.use(lambda there, _: there.execute(statement.encode(), parameters))


def fell(fence: Fence) -> FenceFell:
    return FenceFell(f"Somebody else has taken over {fence.key}.")
