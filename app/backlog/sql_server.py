"""What a migration needs of a database: something that runs a script, by whatever way it is reached."""

from __future__ import annotations

from typing import Any, Protocol

from app.errors import DatabaseRefused


class SqlRefused(DatabaseRefused):
    """The database answered a script with an error: the message is its sentence, ``sqlstate`` its five characters."""

    def __init__(self, message: str, *, sqlstate: str | None = None) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class SqlServer(Protocol):
    def run(self, script: str) -> list[dict[str, Any]]:
        """Run a script as one transaction (it holds no BEGIN); the rows of its last statement.

        Raises SqlRefused, after which nothing of it happened, and DatabaseUnreachable, after which anything may have.
        """
