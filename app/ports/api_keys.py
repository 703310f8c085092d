"""API keys, in the app database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from app.domain.api_keys import ApiKey, Scope


class ApiKeys(Protocol):
    """All methods raise DatabaseUnreachable."""

    def create(self, name: str, scope: Scope) -> tuple[ApiKey, str]:
        """A new key, and its text, which is shown this once: only its SHA-256 is stored."""

    def verified(self, text: str) -> ApiKey | None:
        """The key that this is the text of, unless it was revoked. Its last use is noted, to the minute."""

    def all(self) -> Sequence[ApiKey]:
        """Every key, oldest first, revoked ones too."""

    def revoke(self, prefix: str) -> bool:
        """False when there is none that is good."""
