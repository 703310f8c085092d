"""Signed links: addresses that open without a key, until a day that is part of them (pure, but for the clock).

What is signed is a path; a link to it opens what lies below it too, and nothing else: `/runs` every run, `/runs/<id>`
that run and its log. It carries `?key=<expiry>.<mac>`, expiry in seconds since the epoch.
"""

from __future__ import annotations

import base64
import hmac
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from uuid import UUID

DAYS = 30
"""How long a link is good."""

RUNS = "/runs"

_DAY = 86_400
_KEY = re.compile(r"([0-9]{1,11})\.([A-Za-z0-9_-]{43})")


class Proof(Enum):
    GOOD = "good"
    EXPIRED = "expired"
    WRONG = "wrong"


@dataclass(frozen=True, kw_only=True, slots=True)
class Links:
    """``keys``: the first signs, all verify. ``base`` is the app's address without a slash at its end; ``clock`` gives
    seconds since the epoch.
    """

    keys: Sequence[bytes] = field(repr=False)
    base: str = ""
    clock: Callable[[], float] = time.time

    def to(self, path: str) -> str:
        """The signed address of a path. It is the same for a whole day: what it is written into does not change."""
        expiry = str((int(self.clock()) // _DAY + 1 + DAYS) * _DAY)
        return f"{self.base}{path}?key={expiry}.{_mac(self.keys[0], path, expiry)}"

    def to_run(self, run_id: UUID) -> str:
        return self.to(f"{RUNS}/{run_id}")

    def proof(self, path: str, key: str) -> Proof:
        """What a key says about a path: only for one that we signed do we tell that its time is over."""
        found = _KEY.fullmatch(key)
        if found is None:
            return Proof.WRONG
        expiry, given = found[1], found[2].encode()
        signed = False
        for secret in self.keys:
            for covered in _above(path):
                signed |= hmac.compare_digest(_mac(secret, covered, expiry).encode(), given)
        if not signed:
            return Proof.WRONG
        return Proof.GOOD if self.clock() < int(expiry) else Proof.EXPIRED


def _above(path: str) -> list[str]:
    """The path, and those that it lies below, at most four of them."""
    parts = path.strip("/").split("/")[:4]
    return ["/" + "/".join(parts[: count + 1]) for count in range(len(parts))]


def _mac(secret: bytes, path: str, expiry: str) -> str:
    """What is signed begins with its purpose, so that nothing else that the key signs can be taken for it."""
    digest = hmac.digest(secret, f"link\n{expiry}\n{path}".encode(), "sha256")
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
