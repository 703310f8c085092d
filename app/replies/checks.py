"""Texts of the check runs that the web app makes."""

from __future__ import annotations

from uuid import UUID

from app.domain.check_runs import Button, CheckRun, Subject, item_check_name
from app.domain.items import Item
from app.replies.rendering import render


def queued_check(item: Item, commit: str, run_id: UUID, *, page: str = "") -> CheckRun:
    """The check run of a claimed item on its base commit, until a runner goes on with the one of this name."""
    return CheckRun(
        name=item_check_name(item),
        commit=commit,
        subject=Subject(run_id=run_id, item_id=item.id),
        title="Waiting for a runner",
        summary=render("queued_check.md", item=item, run_id=run_id),
        buttons=(Button.CANCEL,),
        page=page,
    )
