"""What is read of runs, put together: which database has a run's rows, and what else is known of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from app.errors import DatabaseRefused, UnknownRun
from app.flows.own_projects import CredentialsGone, kept
from app.ports.run_views import RunViews
from app.web.api.runs import RunReading
from app.wiring.app_parts import AppParts

PATIENCE = 3.0
"""Seconds for which a request waits for a project that is away."""


def run_reading(parts: AppParts) -> RunReading:
    """For one web process."""

    @contextmanager
    def views_for(run_id: UUID | None) -> Iterator[RunViews]:
        """A run of a request with a project of its own has its rows there, and its credentials as long as it runs."""
        dispatch = parts.database.dispatch(run_id) if run_id else None
        if dispatch is None or not dispatch.project:
            yield parts.views
            return
        try:
            credentials = kept(parts.sealed, dispatch.id)
        except CredentialsGone:
            raise UnknownRun("This run has ended; what is known of it is in the project that it ran on.") from None
        from app.backlog.postgrest import supabase_backlog  # slow to import, and not always needed

        parts.redactor.learn(credentials.key)
        theirs = supabase_backlog(credentials.url, credentials.key, patience=PATIENCE)
        try:
            yield theirs
        except DatabaseRefused as problem:  # its owner may take the key away at any time
            raise UnknownRun(f"The project that this run is on does not let Mason in: {problem}") from None
        finally:
            theirs.close()

    def workflow(run_id: UUID) -> str:
        dispatch = parts.database.dispatch(run_id)
        return dispatch.url or "" if dispatch else ""

    return RunReading(views_for=views_for, page=parts.ports.page, workflow=workflow)
