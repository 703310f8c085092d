"""Sources of GitHub tokens: given ones, and those that are fetched and renewed. No token is in a repr or an error."""

from __future__ import annotations

import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from app.errors import ForgeRefused, Unreachable, UsageError
from app.forge.github.limits import Pace
from app.forge.github.records import GrantAnswer

EARLY = 300.0
"""Seconds before its end at which a token is renewed (platform facts, App auth)."""

Learned = Callable[[str], None]
"""Told every new secret before anybody else sees it, so that it is masked everywhere."""


class Tokens(Protocol):
    def token(self) -> str:
        """A token that is good for the next minutes; from any thread. Raises Unreachable, UsageError, ForgeRefused."""

    def forget(self, token: str, /) -> bool:
        """GitHub does not take this token, which may have been revoked before its end. Whether there can be another."""


class PlainToken:
    """A token that somebody gave: ``GITHUB_TOKEN``, or a person's own. Raises UsageError when it cannot be one."""

    def __init__(self, token: str, learned: Learned) -> None:
        if not re.fullmatch(r"[\x21-\x7e]+", token.strip()):
            raise UsageError("the GitHub token is empty or holds characters that no token has")
        self._token = token.strip()
        learned(self._token)

    def token(self) -> str:
        return self._token

    def forget(self, _: str, /) -> bool:
        """A person gave it, and alone could give another."""
        return False


@dataclass(frozen=True, kw_only=True, slots=True)
class Grant:
    """A token and when it ends, in seconds since the epoch."""

    token: str = field(repr=False)
    ends: float


class RenewedTokens(ABC):
    """A token that is fetched when it is first needed, and again five minutes before it ends."""

    def __init__(self, learned: Learned, pace: Pace) -> None:
        self._learned = learned
        self._pace = pace
        self._grant: Grant | None = None
        self._lock = threading.Lock()

    def token(self) -> str:
        """The token; one thread fetches, the others wait for it."""
        with self._lock:
            grant = self._grant
            if grant is None or self._pace.clock() >= grant.ends - EARLY:
                grant = self._renewed(grant)
            return grant.token

    def forget(self, token: str, /) -> bool:
        """The next one is fetched anew, unless another thread has done so already."""
        with self._lock:
            if self._grant is not None and self._grant.token == token:
                self._grant = None
        return True

    def _renewed(self, old: Grant | None) -> Grant:
        try:
            new = self.fetch()
        except Unreachable:
            if old is None or self._pace.clock() >= old.ends:
                raise
            return old
        self._learned(new.token)
        self._grant = new
        return new

    @abstractmethod
    def fetch(self) -> Grant:
        """A new token. Raises Unreachable, UsageError, ForgeRefused."""


def grant(answer: GrantAnswer, giver: str) -> Grant:
    """The grant that an answer holds. Raises ForgeRefused when its end is no time."""
    try:
        ends = datetime.fromisoformat(answer.expires_at)
    except ValueError:
        raise ForgeRefused(f"{giver} gave a token without saying when it ends") from None
    return Grant(token=answer.token, ends=(ends if ends.tzinfo else ends.replace(tzinfo=UTC)).timestamp())
