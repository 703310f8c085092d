"""Sealed secrets in the app database (port `app.ports.sealed`): Fernet tokens, by name.

The row without a name is the witness: whoever cannot open it has another master secret than the one that everything
else was sealed with, and does nothing. Each write locks it for sharing and each change of the master secret as a whole,
so nothing is ever left behind under a master secret that is about to go.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TypeVar

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from app.database.connections import Connection, Connections
from app.errors import UsageError

WITNESS = ""

T = TypeVar("T")


class WrongEncryptionKey(UsageError):
    """The app database has secrets that another MASON_ENCRYPTION_KEY (or file encryption-key of a state directory) has
    sealed: name that one too, after a comma, or delete them all from mason_app.sealed.
    """

    def __init__(self) -> None:
        super().__init__(" ".join((type(self).__doc__ or "").split()))


class PostgresSealed:
    """Connects at its first call; usable from any thread. The first of ``keys`` (Fernet's) seals, all open."""

    def __init__(self, connections: Connections, keys: Sequence[bytes]) -> None:
        self._connections = connections
        self._first = Fernet(keys[0])
        self._fernet = MultiFernet([Fernet(key) for key in keys])

    def prepare(self) -> None:
        """Make the witness where there is none, and seal everything anew that an older key has sealed.

        Raises WrongEncryptionKey. One transaction, so the older keys may go once it has returned.
        """

        def ask(there: Connection) -> None:
            there.execute(
                "insert into sealed (name, token) values (%s, %s) on conflict do nothing",
                (WITNESS, self._seal(WITNESS, "mason")),
            )
            if self._is_first(self._witness(there, "for update")):
                return
            rows = there.execute("select name, token from sealed").fetchall()
            for row in rows:
                token = self._seal(row["name"], self._open(row["name"], row["token"]))
                there.execute("update sealed set token = %s where name = %s", (token, row["name"]))

        self._transaction(ask)

    def put(self, name: str, text: str) -> None:
        def ask(there: Connection) -> None:
            self._witness(there, "for share")
            there.execute(
                "insert into sealed (name, token) values (%s, %s) on conflict (name) do update"
                " set token = excluded.token, put_at = excluded.put_at",
                (_named(name), self._seal(name, text)),
            )

        self._transaction(ask)

    def get(self, name: str) -> str | None:
        def ask(there: Connection) -> str | None:
            self._witness(there, "for share")
            row = there.execute("select token from sealed where name = %s", (_named(name),)).fetchone()
            return self._open(name, row["token"]) if row else None

        return self._transaction(ask)

    def remove(self, name: str) -> None:
        self._transaction(lambda there: there.execute("delete from sealed where name = %s", (_named(name),)))

    def names(self, prefix: str, *, older: float = 0.0) -> Sequence[str]:
        query = (
            "select name from sealed where name <> '' and starts_with(name, %s)"
            " and put_at <= clock_timestamp() - make_interval(secs => %s) order by name"
        )
        return self._transaction(lambda there: [row["name"] for row in there.execute(query, (prefix, older))])

    def close(self) -> None:
        self._connections.close()

    def _witness(self, there: Connection, lock: str) -> str:
        """The witness's token. Raises WrongEncryptionKey when it is not ours."""
        row = there.execute(f"select token from sealed where name = '' {lock}".encode()).fetchone()  # noqa: S608
        if row is None:
            raise UsageError("The app database is not prepared for secrets: start Mason's web app or worker.")
        token: str = row["token"]
        self._open(WITNESS, token)
        return token

    def _seal(self, name: str, text: str) -> str:
        """The name is sealed too: a row that was given another name does not open."""
        return self._first.encrypt(json.dumps([name, text]).encode()).decode()

    def _open(self, name: str, token: str) -> str:
        try:
            sealed_name, text = json.loads(self._fernet.decrypt(token.encode()))
        except InvalidToken:
            raise WrongEncryptionKey from None
        if sealed_name != name:
            raise WrongEncryptionKey
        return str(text)

    def _is_first(self, token: str) -> bool:
        try:
            self._first.decrypt(token.encode())
        except InvalidToken:
            return False
        return True

    def _transaction(self, ask: Callable[[Connection], T]) -> T:
        def work(there: Connection, _: bool) -> T:
            with there.transaction():
                return ask(there)

        return self._connections.use(work)


def _named(name: str) -> str:
    """Raises ValueError for the witness's name."""
    if not name:
        raise ValueError("a secret needs a name")
    return name


def sealed_secrets(dsn: str, keys: Sequence[bytes], *, pool_size: int = 2) -> PostgresSealed:
    """The sealed secrets of an app database, which `schema.prepare` has brought up and `prepare` has to begin with."""
    return PostgresSealed(Connections(dsn, pool_size=pool_size), keys)
