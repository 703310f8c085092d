"""Secrets that the web app keeps for others: encrypted where they lie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Sealed(Protocol):
    """Small texts by name. All methods raise DatabaseUnreachable; `put` and `get` raise UsageError where the secrets
    were sealed with another master secret than ours: nothing is read or written then.
    """

    def put(self, name: str, text: str) -> None:
        """Keep a text under a name, in place of what was there."""

    def get(self, name: str) -> str | None:
        """None when there is none."""

    def remove(self, name: str) -> None:
        """Forget one; there need not be any."""

    def names(self, prefix: str, *, older: float = 0.0) -> Sequence[str]:
        """The names that begin so and were put so many seconds ago or earlier, by the database's clock."""
