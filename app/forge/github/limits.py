"""How often GitHub is asked, how long it is waited for, and what its answers say about its limits.

The figures are those of the platform facts: 80 content-creating writes a minute and 500 an hour for one account.
"""

from __future__ import annotations

import itertools
import logging
import math
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from app.errors import ForgeUnreachable

_log = logging.getLogger(__name__)

T = TypeVar("T")

HOURLY_WRITES = 300
"""Writes in the last hour from which on those that can be spared are left out."""

LONG_WAIT = 10.0
"""Seconds of a wait from which on people are told."""


class Later(Exception):
    """An attempt in vain that may be made again. ``seconds``: not before; ``limited``: GitHub asked for the pause."""

    def __init__(self, why: str, *, seconds: float | None = None, limited: bool = False) -> None:
        super().__init__(why)
        self.seconds = seconds
        self.limited = limited


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """How long to insist. ``patience`` in seconds for one call; ``jitter`` gives numbers from 0 to 1."""

    patience: float = 600.0
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random

    def insist(self, attempt: Callable[[], T], service: str = "GitHub") -> T:
        """Repeat ``attempt`` while it raises Later. Raises ForgeUnreachable when that takes longer than patience."""
        start, limits = self.clock(), 0
        for turn in itertools.count():
            try:
                return attempt()
            except Later as later:
                if later.seconds is not None:
                    wait = later.seconds
                elif later.limited:
                    wait = 60.0 * 2.0**limits
                else:
                    wait = min(30.0, 0.5 * 2.0 ** min(turn, 10)) * (0.5 + self.jitter() / 2)
                limits += later.limited
                now = self.clock()
                if now + wait > start + self.patience:
                    asked = wait if later.limited else None
                    raise ForgeUnreachable(self._given_up(service, later, now + wait), retry_after=asked) from later
                self.pause(wait, f"{service}: {later}")
        raise AssertionError("unreachable")

    def pause(self, seconds: float, why: str) -> None:
        if seconds >= LONG_WAIT:
            _log.warning("%s; going on in %.0f seconds", why, seconds)
        if seconds > 0:
            self.sleep(seconds)

    def _given_up(self, service: str, later: Later, until: float) -> str:
        if later.limited:
            ends = datetime.fromtimestamp(until, UTC).isoformat(timespec="seconds")
            return f"{service} asks to wait until {ends}, longer than Mason may ({self.patience:.0f} seconds): {later}"
        return f"{service} did not answer as it should for {self.patience:.0f} seconds: {later}"


class Limits:
    """The writes of this process, and a pause that GitHub asked for; from any thread.

    ``spread``: writes are kept apart evenly, from the first one on. A job of a matrix needs that: the next one in its
    place is a new process, which knows nothing of the minute before.
    """

    def __init__(self, writes_per_minute: int, clock: Callable[[], float], *, spread: bool = False) -> None:
        self._a_minute = writes_per_minute
        self._apart = 60.0 / writes_per_minute if spread else 0.0
        self._newest = clock()
        self._clock = clock
        self._writes: deque[float] = deque()
        self._paused_until = 0.0
        self._left: tuple[float, int] | None = None
        self._lock = threading.Lock()

    def reserve_write(self, most: float = math.inf) -> float:
        """Take the next free place in the sliding minute: the seconds until it comes, 0 for now.

        Raises Later, and takes none, when that is more than ``most`` seconds.
        """
        with self._lock:
            now = self._forget()
            at = now
            if len(self._writes) >= self._a_minute:
                at = max(now, self._writes[-self._a_minute] + 60.0)
            at = max(at, self._newest + self._apart)
            if at - now > most:
                raise Later("Mason's own limit of writes a minute is reached", seconds=at - now, limited=True)
            self._newest = at
            self._writes.append(at)
            return at - now

    def hear(self, headers: Mapping[str, str]) -> None:
        """Note what an answer says about the calls that are left."""
        if (left := _number(headers.get("x-ratelimit-remaining"))) is not None:
            with self._lock:
                self._left = (self._clock(), int(left))

    @property
    def left(self) -> int | None:
        """Calls that are left until GitHub's next reset; None when the last hour's answers did not say."""
        with self._lock:
            known = self._left
            return known[1] if known and known[0] > self._clock() - 3600.0 else None

    @property
    def roomy(self) -> bool:
        """Whether there is room for writes that can be spared."""
        with self._lock:
            now = self._forget()
            lately = sum(at > now - 60.0 for at in self._writes)
            return len(self._writes) < HOURLY_WRITES and lately * 3 < self._a_minute * 2 and self._paused_until <= now

    def ask_for_pause(self, seconds: float) -> None:
        with self._lock:
            self._paused_until = max(self._paused_until, self._clock() + seconds)

    def paused_for(self) -> float:
        """Seconds that every caller has to wait, 0 for none."""
        with self._lock:
            return max(0.0, self._paused_until - self._clock())

    def _forget(self) -> float:
        now = self._clock()
        while self._writes and self._writes[0] <= now - 3600.0:
            self._writes.popleft()
        return now


def asked_to_wait(status: int, headers: Mapping[str, str], said: str, now: float) -> Later | None:
    """The pause that an answer asks for, None when it is about no limit (platform facts, Rate limits).

    Times of reset are compared with the answer's own ``date``: this machine's clock may be wrong.
    """
    words = said.lower()
    spent = headers.get("x-ratelimit-remaining") == "0"
    limited = "retry-after" in headers or spent or "rate limit" in words or "abuse detection" in words
    if status != 429 and not (status == 403 and limited):
        return None
    after, reset = _number(headers.get("retry-after")), _number(headers.get("x-ratelimit-reset"))
    if after is not None:
        seconds: float | None = max(1.0, after)
    elif spent and reset is not None:
        seconds = max(1.0, reset - (_date(headers.get("date")) or now) + 1.0)
    else:
        seconds = None
    return Later("a rate limit was reached", seconds=seconds, limited=True)


def _number(text: str | None) -> float | None:
    return float(text) if text and text.isascii() and text.isdigit() and len(text) < 12 else None


def _date(text: str | None) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except (ValueError, OverflowError):
        return None
