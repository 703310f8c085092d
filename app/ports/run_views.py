"""What is read of runs to be shown. All methods raise DatabaseUnreachable and DatabaseRefused, as the backlog's do."""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

from app.domain.run_views import LogPage, RunLine, RunView


class RunViews(Protocol):
    def run_lines(self, *, limit: int, before: UUID | None = None) -> list[RunLine]:
        """The newest runs first, at most ``limit``; ``before``: those older than this run."""

    def run_view(self, run_id: UUID) -> RunView | None:
        """A run with its items in its order; None when there is none of this id."""

    def run_version(self, run_id: UUID) -> str | None:
        """A short text that differs whenever anything that `run_view` shows has changed, cheap to ask for."""

    def log_page(self, run_id: UUID, *, after: str | None, limit: int, item: UUID | None = None) -> LogPage:
        """Lines behind a cursor (None: from the first). Raises UsageError for a cursor that no page gave."""

    def last_log_page(self, run_id: UUID, *, limit: int, item: UUID | None = None) -> LogPage:
        """The newest ``limit`` lines, oldest first; its ``next`` is where later ones will be found."""
