"""A connection to one database: pooled, patient with outages, and speaking in Mason's errors."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import psycopg
import stamina
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool, PoolClosed

from app.backlog.queries import queries
from app.errors import DatabaseRefused, DatabaseUnreachable, NotMigrated

log = logging.getLogger("mason")

Row = dict[str, Any]
Connection = psycopg.Connection[Row]
T = TypeVar("T")

_CONNECT_SECONDS = 10
_POOL_SIZE = 8

_PASSING = ("08", "57P", "53300", "40001", "40P01", "55P03")
"""SQLSTATEs that may be gone in a moment: connection, shutdown, too many connections, deadlock, lock."""

_FINAL = (
    *("authentication failed", "does not exist", "pg_hba.conf", "Tenant or user not found", "not permitted"),
    *("invalid port number", "invalid integer value", "no password supplied"),
)
"""What is said when a connection can never work; a refused login carries no SQLSTATE."""

_NOT_MIGRATED = (
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedColumn,
    psycopg.errors.UndefinedFunction,
    psycopg.errors.UndefinedObject,
)


class Session:
    """Runs statements, each in a transaction of its own, retrying for ``patience`` seconds while the database is away.

    Nothing depends on a server session (no prepared statements, no settings), so a transaction-mode pooler may stand
    between. Raises DatabaseUnreachable, DatabaseRefused or NotMigrated, each one sentence without the password.
    """

    def __init__(self, dsn: str, *, patience: float) -> None:
        self._dsn = dsn
        self._patience = patience
        self._opening = threading.Lock()
        self._closed = False
        self._away = False
        for chatty in ("stamina", "psycopg.pool"):  # an outage is told once, below, in a sentence
            logging.getLogger(chatty).setLevel(logging.ERROR)
        try:
            self._password = str(conninfo_to_dict(dsn).get("password") or "")
        except psycopg.ProgrammingError:
            raise DatabaseRefused("The database's connection string cannot be read.") from None
        self._options: dict[str, Any] = {
            "autocommit": True,
            "prepare_threshold": None,
            "connect_timeout": _CONNECT_SECONDS,
            "application_name": "mason",
            # A peer that vanished without a word is noticed within a minute.
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "tcp_user_timeout": 60_000,
            "row_factory": dict_row,
        }
        self._pool = ConnectionPool(
            dsn,
            connection_class=psycopg.Connection[Row],
            kwargs=self._options,
            min_size=0,
            max_size=_POOL_SIZE,
            timeout=_CONNECT_SECONDS,
            reconnect_timeout=0,  # the retries are here, where they end with a sentence
            num_workers=1,
            open=False,
        )

    def rows(self, name: str, parameters: Mapping[str, object]) -> list[Row]:
        """Run a statement of ``queries.sql`` and return its rows. It gets ``again``: whether this is a repetition."""

        def work(connection: Connection, again: bool) -> list[Row]:
            return connection.execute(queries()[name], {**parameters, "again": again}).fetchall()

        return self.call(work)

    def run(self, name: str, parameters: Mapping[str, object]) -> None:
        """Run a statement that returns nothing."""
        self.call(lambda connection, _: connection.execute(queries()[name], parameters))

    def call(self, work: Callable[[Connection, bool], T]) -> T:
        """Do some work on one connection, again and again while the database is away."""
        try:
            for attempt in stamina.retry_context(
                on=_may_pass,
                attempts=None if self._patience else 1,
                timeout=self._patience or None,
                wait_initial=0.05,
                wait_max=5.0,
                wait_jitter=0.05,
            ):
                with attempt:
                    again = attempt.num > 1
                    if attempt.num == 2:
                        log.warning("The database did not answer; trying again for %.0f seconds.", self._patience)
                    self._ready(check=again or self._away)
                    with self._pool.connection() as connection:
                        result = work(connection, again)
                    self._away = False
                    return result
        except _NOT_MIGRATED as problem:
            raise NotMigrated from problem
        except psycopg.Error as problem:
            self._away = _may_pass(problem)  # the next call finds out at once, and does not wait for the pool to
            if self._away or isinstance(problem, PoolClosed):
                raise DatabaseUnreachable(f"The database did not answer: {self._sentence(problem)}") from None
            raise DatabaseRefused(f"The database refused: {self._sentence(problem)}") from None
        raise DatabaseUnreachable  # pragma: no cover - the loop returns or raises

    def close(self) -> None:
        """Give back every connection; later calls raise DatabaseUnreachable."""
        with self._opening:
            self._closed = True
            self._pool.close()

    def _ready(self, *, check: bool) -> None:
        """Open the pool; connect beside it first, because only that tells why a database cannot be reached."""
        if not self._closed and (check or self._pool.closed):
            psycopg.connect(self._dsn, **self._options).close()
        with self._opening:
            if self._closed:
                raise PoolClosed("the connections were given back")
            if self._pool.closed:
                self._pool.open()
        if check:
            self._pool.check()

    def _sentence(self, problem: psycopg.Error) -> str:
        text = (problem.diag.message_primary or str(problem)).strip().partition("\n")[0]
        return text.replace(self._password, "***") if self._password else text


def _may_pass(problem: Exception) -> bool:
    """Whether waiting may help."""
    if isinstance(problem, PoolClosed):
        return False
    if isinstance(problem, psycopg.Error) and problem.sqlstate:
        return problem.sqlstate.startswith(_PASSING)
    if isinstance(problem, psycopg.OperationalError):
        return not any(word in str(problem) for word in _FINAL)
    return isinstance(problem, psycopg.InterfaceError)
