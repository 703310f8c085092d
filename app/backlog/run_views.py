"""What is read of runs to be shown: each call is one function of the database, and one request."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from app.backlog import lenient
from app.backlog.run_view_rows import ROOM, log_page, run_line, run_view
from app.backlog.session import Row, Session
from app.domain.run_views import LogPage, RunLine, RunView
from app.errors import BadCursor


class StoredRunViews:
    """``app.ports.run_views.RunViews`` over a session."""

    _session: Session

    def run_lines(self, *, limit: int, before: UUID | None = None) -> list[RunLine]:
        answer = self._known("run_lines", {"limit": limit, "before": before})
        return [line for line in map(run_line, lenient.rows(answer.get("lines"), limit)) if line]

    def run_view(self, run_id: UUID, *, item: UUID | None = None) -> RunView | None:
        rows = self._session.rows("run_view", {"run": run_id, "item": item, "room": ROOM})
        return run_view(rows[0]) if rows else None

    def run_version(self, run_id: UUID) -> str | None:
        rows = self._session.rows("run_version", {"run": run_id})
        return str(rows[0]["version"]) if rows else None

    def log_page(self, run_id: UUID, *, after: str | None, limit: int, item: UUID | None = None) -> LogPage:
        behind = lenient.uuid(after) if after is not None else None
        if after is not None and (behind is None or str(behind) != after):
            raise BadCursor
        about = {"run": run_id, "after": behind, "limit": limit, "item": item}
        return log_page(self._known("log_lines", about))

    def last_log_page(self, run_id: UUID, *, limit: int, item: UUID | None = None) -> LogPage:
        return log_page(self._known("log_lines", {"run": run_id, "limit": limit, "item": item, "newest": True}))

    def _known(self, name: str, args: Mapping[str, object]) -> Row:
        """The answer to a call that starts behind something. Raises BadCursor when there is no such thing."""
        (answer,) = self._session.rows(name, args)
        if answer.get("known") is not True:
            raise BadCursor
        return answer
