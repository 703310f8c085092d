"""What is read of runs to be shown. All methods raise DatabaseUnreachable and DatabaseRefused, as the backlog's do."""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

from app.domain.run_views import LogPage, RunLine, RunView


class RunViews(Protocol):
    def run_lines(self, *, limit: int, before: UUID | None = None) -> list[RunLine]:
        """The newest runs first, at most ``limit``; ``before``: those older than this run.

        Raises BadCursor when there is no such run.
        """

    def run_view(self, run_id: UUID, *, item: UUID | None = None) -> RunView | None:
        """A run with its items in its order; None when there is none of this id.

        The items share the room for diffs and outputs, so in a large run they are cut short, with a sentence that says
        so. ``item``: only this one, with all that is stored of it (no items, where the run has it not).
        """

    def run_version(self, run_id: UUID) -> str | None:
        """A short text that differs whenever anything that `run_view` or the log shows has changed, cheap to ask for.

        None when there is no such run.
        """

    def log_page(self, run_id: UUID, *, after: str | None, limit: int, item: UUID | None = None) -> LogPage:
        """Lines behind a cursor (None: from the first), ``item``: only this one's. An unknown run has none.

        Raises BadCursor for a cursor that no page of this run gave.
        """

    def last_log_page(self, run_id: UUID, *, limit: int, item: UUID | None = None) -> LogPage:
        """The newest ``limit`` lines, oldest first; its ``next`` is where later ones will be found."""
