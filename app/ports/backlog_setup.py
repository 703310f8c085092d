"""Making a Supabase project the backlog."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class Way(StrEnum):
    """How the tables are changed. Each takes a secret that is used once."""

    PASSWORD = "password"  # noqa: S105 - the name of one
    TOKEN = "token"  # noqa: S105
    CONNECTION = "connection"


@dataclass(frozen=True, kw_only=True, slots=True)
class NewBacklog:
    """``secret`` is a database password, an access token or a connection string, as ``way`` says."""

    url: str
    key: str = field(repr=False)
    way: Way
    secret: str = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """``lines`` tell what was done. ``announced``: whether the database will tell of approvals."""

    lines: tuple[str, ...]
    announced: bool


class BacklogSetup(Protocol):
    def check(self, backlog: NewBacklog) -> str:
        """The project's URL as it is to be stored. Raises UsageError with one sentence for a project or host that may
        not be used and for a key that is none or not secret, DatabaseUnreachable.
        """

    def prepare(self, backlog: NewBacklog, webhook_url: str, secret: str) -> Prepared:
        """Bring the tables up to date, and have approvals announced at the URL, signed with the secret; with "", only
        the tables. Any number of times.

        Raises UsageError (DatabaseRefused), DatabaseUnreachable.
        """

    def new_secret(self) -> str:
        """For signing announcements."""
