"""The backlog on a DSN: pooled connections, patient with outages, speaking in Mason's errors."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.json import set_json_loads
from psycopg_pool import ConnectionPool, PoolClosed

from app.backlog.documents import jsonable
from app.backlog.refusals import Refusal, explain, one_line
from app.backlog.session import PATIENCE, Patience, Row, patiently
from app.backlog.store import Safe, SqlBacklog, unchanged
from app.errors import DatabaseRefused, DatabaseUnreachable

_CONNECT_SECONDS = 10
_LONGEST_NUMBER = 400
"""Digits of an integer; Python refuses to read one of more than 4,300, with an error of its own."""
_POOL_SIZE = 8

_PASSING = ("08", "57P", "53300", "40001", "40P01", "55P03")
"""SQLSTATEs that may be gone in a moment: connection, shutdown, too many connections, deadlock, lock."""

_FINAL = (
    *("authentication failed", "does not exist", "pg_hba.conf", "Tenant or user not found", "not permitted"),
    *("invalid port number", "invalid integer value", "no password supplied"),
)
"""What is said when a connection can never work; a refused login carries no SQLSTATE."""


def postgres_backlog(dsn: str, *, patience: float = PATIENCE, safe: Safe = unchanged) -> SqlBacklog:
    """The backlog of a DSN; it connects at the first call. Raises DatabaseRefused when the DSN is none."""
    return SqlBacklog(PostgresSession(dsn, patience=patience), safe)


class PostgresSession:
    """``app.backlog.session.Session`` with psycopg.

    Nothing depends on a server session (no prepared statements, no settings), so a transaction-mode pooler may stand
    between.
    """

    def __init__(self, dsn: str, *, patience: float) -> None:
        self._dsn = dsn
        self._patience = Patience(patience)
        self._opening = threading.Lock()
        self._closed = False
        logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
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
        }
        self._pool = ConnectionPool(
            dsn,
            kwargs=self._options,
            min_size=0,
            max_size=_POOL_SIZE,
            timeout=_CONNECT_SECONDS,
            reconnect_timeout=0,  # the retries are here, where they end with a sentence
            num_workers=1,
            open=False,
            configure=lambda connection: set_json_loads(_loads, connection),
        )

    def rows(self, name: str, args: Mapping[str, object]) -> list[Row]:
        try:
            return patiently(
                lambda again: self._call(name, {**args, "again": again}, again),
                passing=_may_pass,
                patience=self._patience,
            )
        except psycopg.Error as problem:
            if _may_pass(problem) or isinstance(problem, PoolClosed):
                raise DatabaseUnreachable(f"The database did not answer: {self._said(problem)}") from None
            refusal = Refusal(
                code=problem.sqlstate or "",
                message=self._said(problem),
                detail=problem.diag.message_detail or "",
            )
            raise explain(refusal, args, self.rows) from None

    def _call(self, name: str, args: Mapping[str, object], again: bool) -> list[Row]:
        query = sql.SQL("select {}(%s::jsonb)").format(sql.Identifier(f"mason_{name}"))
        self._ready(check=again or self._patience.away)
        with self._pool.connection() as connection:
            row = connection.execute(query, (json.dumps(jsonable(args), ensure_ascii=False),)).fetchone()
        return (row[0] if row else None) or []

    def close(self) -> None:
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

    def _said(self, problem: psycopg.Error) -> str:
        text = one_line(problem.diag.message_primary or str(problem))
        return text.replace(self._password, "***") if self._password else text


def _loads(document: str | bytes) -> Any:  # noqa: ANN401 - JSON
    """JSON in which no number is too long for Python: one hostile row must not keep anybody from the others."""
    return json.loads(document, parse_int=lambda digits: int(digits) if len(digits) < _LONGEST_NUMBER else float("inf"))


def _may_pass(problem: Exception) -> bool:
    """Whether waiting may help."""
    if isinstance(problem, PoolClosed):
        return False
    if isinstance(problem, psycopg.Error) and problem.sqlstate:
        return problem.sqlstate.startswith(_PASSING)
    if isinstance(problem, psycopg.OperationalError):
        return not any(word in str(problem) for word in _FINAL)
    return isinstance(problem, psycopg.InterfaceError)
