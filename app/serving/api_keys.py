"""`mason api-key`: who may use the REST API, for its operator."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from app.domain.api_keys import ApiKey, Scope
from app.errors import UsageError
from app.log import printable
from app.settings import Settings
from app.wiring.api import key_store

LONGEST_NAME = 100

_HEADINGS = ("PREFIX", "SCOPE", "CREATED", "LAST USED", "STATE", "NAME")


def create_key(settings: Settings, repository: Path, name: str, scope: Scope) -> tuple[str, str]:
    """A new key's text, and what to say of it elsewhere. Raises UsageError for a name that no table can show."""
    name = name.strip()
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise UsageError(f"A key's name is one line of at most {LONGEST_NAME} characters")
    with key_store(settings, repository) as keys:
        key, text = keys.create(name, scope)
    return text, f"This is the key {key.prefix} ({name}, scope {scope.value}). It is shown this once: keep it safe."


def show_keys(settings: Settings, repository: Path) -> str:
    """A line a key, oldest first, revoked ones too; times are of UTC, to the minute."""
    with key_store(settings, repository) as keys:
        return as_text(keys.all())


def revoke_key(settings: Settings, repository: Path, prefix: str) -> str:
    """What was done. Raises UsageError when no key of this prefix is good."""
    with key_store(settings, repository) as keys:
        if not keys.revoke(prefix):
            raise UsageError(f"There is no key {prefix!r} that could be revoked (`mason api-key list` shows them)")
    return f"The key {prefix} is revoked."


def as_text(keys: Sequence[ApiKey]) -> str:
    if not keys:
        return "No keys yet: `mason api-key create NAME` makes one."
    rows = [_HEADINGS, *(_row(key) for key in keys)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(_HEADINGS) - 1)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]) for row in rows
    ]
    return "\n".join(printable(line) for line in lines)


def _row(key: ApiKey) -> tuple[str, ...]:
    state = "revoked" if key.revoked_at else "good"
    return (key.prefix, key.scope.value, _moment(key.created_at), _moment(key.last_used_at), state, key.name)


def _moment(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else "never"
