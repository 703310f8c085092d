"""Connections to the app database: pooled, opened late, impatient, and speaking in Mason's errors."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import DictRow, TupleRow, dict_row
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from app.errors import DatabaseRefused, DatabaseUnreachable

SCHEMA = "mason_app"
"""Where all tables of the app database are. It may be shared with others, and no API exposes this schema."""

OPTIONS: dict[str, Any] = {
    "autocommit": True,
    "prepare_threshold": None,  # a pooler may stand between
    "connect_timeout": 3,
    "application_name": "mason",
    # A peer that vanished without a word is noticed soon: a webhook's sender waits for ten seconds at most.
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 2,
    "tcp_user_timeout": 5_000,
}

SEARCH_PATH = f"set search_path to {SCHEMA}"

_WAIT_SECONDS = 3.0
"""For how long a call waits for a connection while all are in use."""

T = TypeVar("T")
Connection = psycopg.Connection[DictRow]


class Connections:
    """A pool that opens at its first use, which has to be after a fork. Usable from any thread.

    Raises DatabaseRefused when the DSN is none.
    """

    def __init__(self, dsn: str, *, pool_size: int) -> None:
        self._dsn = dsn
        self._opening = threading.Lock()
        self._closed = False
        self._away = True
        logging.getLogger("psycopg.pool").setLevel(logging.ERROR)  # what it warns of is raised here
        try:
            conninfo_to_dict(dsn)
        except psycopg.ProgrammingError:
            raise DatabaseRefused("The app database's connection string cannot be read.") from None
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            dsn,
            connection_class=psycopg.Connection[DictRow],
            kwargs={**OPTIONS, "row_factory": dict_row},
            configure=_configure,
            min_size=0,
            max_size=pool_size,
            timeout=_WAIT_SECONDS,
            reconnect_timeout=0,
            open=False,
        )

    def use(self, work: Callable[[Connection, bool], T]) -> T:
        """What ``work`` makes of a connection outside a transaction; it is told whether it is called again.

        A connection that breaks meanwhile (a server that was restarted) is replaced once, so work has to be idempotent.
        Raises DatabaseUnreachable within seconds, and DatabaseRefused with the server's sentence.
        """
        try:
            return self._try(work, again=False)
        except (psycopg.OperationalError, psycopg.InterfaceError) as problem:
            if isinstance(problem, PoolClosed) or (problem.sqlstate and not _broke(problem)):
                raise _error(problem) from None
            self._away = True
        except psycopg.Error as problem:
            raise _error(problem) from None
        try:
            return self._try(work, again=True)
        except psycopg.Error as problem:
            raise _error(problem) from None

    def close(self) -> None:
        """Give back every connection; later calls raise DatabaseUnreachable."""
        with self._opening:
            self._closed = True
            self._pool.close()

    def _try(self, work: Callable[[Connection, bool], T], *, again: bool) -> T:
        if self._away and not self._closed:
            connect(self._dsn).close()  # only a connection of its own tells at once, and why, it cannot be made
        with self._opening:
            if self._closed:
                raise PoolClosed("the connections were given back")
            if self._pool.closed:
                self._pool.open()
        if self._away:
            self._pool.check()
            self._away = False
        with self._pool.connection() as connection:
            return work(connection, again)


def connect(dsn: str) -> psycopg.Connection[TupleRow]:
    """One connection, ready for use. Raises DatabaseUnreachable or DatabaseRefused."""
    try:
        connection = psycopg.connect(dsn, **OPTIONS)
        _configure(connection)
    except psycopg.Error as problem:
        raise _error(problem) from None
    return connection


def unreachable(problem: psycopg.Error) -> DatabaseUnreachable:
    return DatabaseUnreachable(f"The app database did not answer: {_sentence(problem)}")


def refused(problem: psycopg.Error) -> DatabaseRefused:
    return DatabaseRefused(f"The app database refused: {_sentence(problem)}")


def _configure(connection: psycopg.Connection[Any]) -> None:
    connection.execute(SEARCH_PATH.encode() + b"; set statement_timeout to '30s'; set lock_timeout to '10s'")


def _broke(problem: psycopg.Error) -> bool:
    """Connection exceptions, a shutdown, too many connections: no word about what was asked."""
    return (problem.sqlstate or "").startswith(("08", "57P", "53300"))


def _error(problem: psycopg.Error) -> DatabaseUnreachable | DatabaseRefused:
    passing = isinstance(problem, psycopg.OperationalError | psycopg.InterfaceError)
    if passing and (not problem.sqlstate or problem.sqlstate.startswith(("08", "57", "53", "40", "55"))):
        return unreachable(problem)
    if problem.sqlstate in ("3F000", "42P01", "42883"):
        return DatabaseRefused("The app database lacks its tables: start Mason's web app or worker by `mason serve`.")
    return refused(problem)


def _sentence(problem: psycopg.Error) -> str:
    """One line; the library's messages hold the host, and never the password."""
    if isinstance(problem, PoolTimeout):
        return "no connection was free in time"
    text = problem.diag.message_primary or str(problem)
    return text.strip().partition("\n")[0].rstrip(".")
