"""API keys in the app database (port `app.ports.api_keys`)."""

# ruff: noqa: S608 - what is put into queries are names of columns, all written here

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from app.database.connections import Connection, Connections
from app.database.rows import storable
from app.domain.api_keys import ApiKey, Scope

_TEXT = re.compile(r"mason_([0-9a-f]{8})_[\w-]{43}", re.ASCII)
"""A key: its prefix, by which it is looked up, and 256 bits that nobody guesses."""

_COLUMNS = "prefix, name, scope, created_at, last_used_at, revoked_at"

_CREATE = f"""
insert into api_keys as stored (prefix, name, scope, digest)
values (%(prefix)s, %(name)s, %(scope)s, %(digest)s)
on conflict (prefix) do update set name = excluded.name where stored.digest = excluded.digest
returning {_COLUMNS}
"""
"""No row when another key has the prefix; the same key is stored once, however often this is repeated."""

_FIND = f"""
select {_COLUMNS}, digest,
  coalesce(last_used_at <= clock_timestamp() - interval '1 minute', true) as unnoted
from api_keys where prefix = %(prefix)s and revoked_at is null
"""

_NOTE_USE = """
update api_keys set last_used_at = clock_timestamp()
where prefix = %(prefix)s and coalesce(last_used_at <= clock_timestamp() - interval '1 minute', true)
"""
"""At most one write a minute, however many processes ask."""

_REVOKE = """
update api_keys set revoked_at = clock_timestamp() where prefix = %(prefix)s and revoked_at is null returning prefix
"""


class PostgresApiKeys:
    """Connects at its first call, so it may be made before a fork. Usable from any thread."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def create(self, name: str, scope: Scope) -> tuple[ApiKey, str]:
        while True:
            prefix = secrets.token_hex(4)
            text = f"mason_{prefix}_{secrets.token_urlsafe(32)}"
            row = {"prefix": prefix, "name": storable(name), "scope": scope.value, "digest": _digest(text)}
            if rows := self._rows(_CREATE, row):
                return _read(rows[0]), text

    def verified(self, text: str) -> ApiKey | None:
        form = _TEXT.fullmatch(text)
        rows = self._rows(_FIND, {"prefix": form[1]}) if form else []
        if not form or not rows or not hmac.compare_digest(bytes(rows[0]["digest"]), _digest(text)):
            return None
        if rows[0]["unnoted"]:
            self._do(_NOTE_USE, {"prefix": form[1]})
        return _read(rows[0])

    def all(self) -> Sequence[ApiKey]:
        return [_read(row) for row in self._rows(f"select {_COLUMNS} from api_keys order by created_at, prefix")]

    def revoke(self, prefix: str) -> bool:
        """Whether it was good until now: a repetition after a broken connection may say no to its own work."""
        return bool(self._rows(_REVOKE, {"prefix": storable(prefix)}))

    def close(self) -> None:
        """Give back every connection."""
        self._connections.close()

    def _rows(self, query: str, parameters: Mapping[str, object] | None = None) -> list[dict[str, Any]]:
        def ask(there: Connection, _: bool) -> list[dict[str, Any]]:
            return there.execute(query.encode(), parameters).fetchall()

        return self._connections.use(ask)

    def _do(self, query: str, parameters: Mapping[str, object]) -> None:
        def ask(there: Connection, _: bool) -> None:
            there.execute(query.encode(), parameters)

        self._connections.use(ask)


def api_keys(dsn: str, *, pool_size: int = 4) -> PostgresApiKeys:
    """The keys in the app database of a DSN, which `schema.prepare` has brought up."""
    return PostgresApiKeys(Connections(dsn, pool_size=pool_size))


def _digest(text: str) -> bytes:
    """What is stored of a key. Its secret is random and long, so a quick hash is as good as a slow one."""
    return hashlib.sha256(text.encode()).digest()


def _read(row: Mapping[str, Any]) -> ApiKey:
    names = ("prefix", "name", "created_at", "last_used_at", "revoked_at")
    return ApiKey(**{name: row[name] for name in names}, scope=Scope(row["scope"]))
