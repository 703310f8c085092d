"""Bringing up a database that somebody names in a request. What proves that they may is used once, and kept nowhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class ProjectToken:
    """A Supabase project, by its ref, with an access token for the Management API."""

    ref: str
    token: str = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class ProjectPassword:
    """A Supabase project, by its ref, with its database's password."""

    ref: str
    password: str = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectionString:
    """A Postgres, wherever it is."""

    dsn: str = field(repr=False)


Target = ProjectToken | ProjectPassword | ConnectionString


@dataclass(frozen=True, kw_only=True, slots=True)
class Migrated:
    """``applied`` are names of migrations, in order; none when the database was up to date.

    ``publication``: whether the database has Supabase's realtime at all. ``unpublished`` and ``partial`` are the tables
    whose changes it does not tell, or not whole.
    """

    applied: tuple[str, ...]
    publication: bool
    unpublished: tuple[str, ...]
    partial: tuple[str, ...]


class Migrator(Protocol):
    def __call__(self, target: Target) -> Migrated:
        """Apply what the database lacks; within two minutes.

        Raises BadTarget for a database that may not be used or does not let in, MigrationFailed with the SQL error,
        MigrationConflict, TargetUnreachable, Busy.
        """
