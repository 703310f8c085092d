"""The pages for people, put together: what they show, and who may look."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from uuid import UUID

from app.database.api_keys import PostgresApiKeys
from app.domain.run_views import LogPage, RunLine, RunView
from app.ports.run_views import RunViews
from app.web.pages.kept import KeptPages
from app.web.pages.links import Links
from app.web.pages.run_page import Pages
from app.web.pages.sign_in import Sessions
from app.web.pages.viewers import Viewers
from app.wiring.app_parts import AppParts
from app.wiring.run_reading import run_reading


def run_pages(parts: AppParts) -> Pages:
    """The pages of one web process."""
    settings, reading = parts.settings, run_reading(parts)
    views = EachRunsViews(views_for=reading.views_for)
    keys = PostgresApiKeys(parts.connections)
    secure = (settings.app_url or "").startswith("https://")
    return Pages(
        views=views,
        viewers=Viewers(
            keys=keys,
            links=Links(keys=parts.signing_keys),
            sessions=Sessions(keys=keys, signing=parts.signing_keys, secure=secure),
        ),
        kept=KeptPages(views.run_version),
        workflow=reading.workflow,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class EachRunsViews:
    """``RunViews`` over the database that each run has its rows in."""

    views_for: Callable[[UUID | None], AbstractContextManager[RunViews]]

    def run_lines(self, *, limit: int, before: UUID | None = None) -> list[RunLine]:
        with self.views_for(None) as views:
            return views.run_lines(limit=limit, before=before)

    def run_view(self, run_id: UUID, *, item: UUID | None = None) -> RunView | None:
        with self.views_for(run_id) as views:
            return views.run_view(run_id, item=item)

    def run_version(self, run_id: UUID) -> str | None:
        with self.views_for(run_id) as views:
            return views.run_version(run_id)

    def log_page(self, run_id: UUID, *, after: str | None, limit: int, item: UUID | None = None) -> LogPage:
        with self.views_for(run_id) as views:
            return views.log_page(run_id, after=after, limit=limit, item=item)

    def last_log_page(self, run_id: UUID, *, limit: int, item: UUID | None = None) -> LogPage:
        with self.views_for(run_id) as views:
            return views.last_log_page(run_id, limit=limit, item=item)
