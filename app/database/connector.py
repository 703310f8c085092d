"""The library's own way into the app database, for its worker."""

from __future__ import annotations

from typing import Any

import psycopg
from procrastinate import PsycopgConnector

from app.database.connections import OPTIONS, SEARCH_PATH

_WAIT_SECONDS = 5.0


def worker_connector(dsn: str, *, pool_size: int = 4) -> PsycopgConnector:
    """A connector for one opening; a worker that starts again takes a fresh one.

    It holds a connection more than its pool, which listens: a pooler in transaction mode cannot stand between.
    """
    return PsycopgConnector(
        conninfo=dsn,
        kwargs={name: value for name, value in OPTIONS.items() if name != "autocommit"},  # the library sets it itself
        configure=_configure,
        min_size=1,
        max_size=pool_size,
        timeout=_WAIT_SECONDS,
        reconnect_timeout=_WAIT_SECONDS,
    )


async def _configure(connection: psycopg.AsyncConnection[Any]) -> None:
    await connection.set_autocommit(True)
    await connection.execute(SEARCH_PATH.encode())
