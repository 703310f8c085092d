"""API keys that are kept in memory; they pass `tests/contracts/test_api_keys.py`."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from app.domain.api_keys import ApiKey, Scope
from app.errors import DatabaseUnreachable


class MemoryKeys:
    """``away``: the database does not answer. ``tried`` are the texts that were looked at."""

    def __init__(self) -> None:
        self.stored: dict[str, ApiKey] = {}
        self.tried: list[str] = []
        self.away = False

    def create(self, name: str, scope: Scope) -> tuple[ApiKey, str]:
        prefix = secrets.token_hex(4)
        storable = name.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
        text = f"mason_{prefix}_{secrets.token_urlsafe(32)}"
        self.stored[text] = ApiKey(prefix=prefix, name=storable, scope=scope, created_at=datetime.now(UTC))
        return self.stored[text], text

    def verified(self, text: str) -> ApiKey | None:
        if self.away:
            raise DatabaseUnreachable("The app database at db.internal did not answer.")
        self.tried.append(text)
        key = self.stored.get(text)
        if key is None or key.revoked_at:
            return None
        self.stored[text] = replace(key, last_used_at=key.last_used_at or datetime.now(UTC))
        return self.stored[text]

    def all(self) -> Sequence[ApiKey]:
        return list(self.stored.values())

    def revoke(self, prefix: str) -> bool:
        for text, key in self.stored.items():
            if key.prefix == prefix and not key.revoked_at:
                self.stored[text] = replace(key, revoked_at=datetime.now(UTC))
                return True
        return False

    def close(self) -> None:
        """There is nothing to give back."""
