"""The pages for people, put together: what they show, and who may look."""

from __future__ import annotations

from app.database.api_keys import api_keys
from app.web.pages.kept import KeptPages
from app.web.pages.links import Links
from app.web.pages.run_page import Pages
from app.web.pages.sign_in import Sessions
from app.web.pages.viewers import Viewers
from app.wiring.app_parts import AppParts
from app.wiring.databases import app_dsn


def run_pages(parts: AppParts) -> Pages:
    """The pages of one web process."""
    settings, views = parts.settings, parts.views
    keys = api_keys(app_dsn(settings))
    secure = (settings.app_url or "").startswith("https://")
    return Pages(
        views=views,
        viewers=Viewers(
            keys=keys,
            links=Links(keys=parts.signing_keys),
            sessions=Sessions(keys=keys, signing=parts.signing_keys, secure=secure),
        ),
        kept=KeptPages(views.run_version),
        workflow=lambda run_id: dispatch.url if (dispatch := parts.database.dispatch(run_id)) else "",
    )
