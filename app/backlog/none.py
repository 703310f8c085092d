"""No backlog: for what is about a pull request alone, in a job that has no key to any database."""

from __future__ import annotations

from collections.abc import Mapping

from app.backlog.session import Row
from app.backlog.store import SqlBacklog
from app.errors import UsageError


class _NoSession:
    def rows(self, name: str, args: Mapping[str, object]) -> list[Row]:  # noqa: ARG002 - the protocol's
        """Raises UsageError: there is nothing to call."""
        raise UsageError("No backlog is configured for this: give it a database")

    def close(self) -> None:
        """Nothing was opened."""


def no_backlog() -> SqlBacklog:
    """A backlog that refuses whatever it is asked."""
    return SqlBacklog(_NoSession())
