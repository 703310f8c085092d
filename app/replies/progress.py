"""The one progress comment of a pull request or issue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from app.domain.dispatches import Dispatch, DispatchState, Work, WorkflowRun
from app.replies.records import ItemLine
from app.replies.rendering import count, render, within
from app.replies.words import OUTCOMES, item_status, state_of

__all__ = ["PROGRESS", "ItemLine", "progress"]

PROGRESS = "mason:progress"
"""The marker that the comment begins with."""


def progress(dispatch: Dispatch, workflow: WorkflowRun | None, items: Sequence[ItemLine], *, page: str = "") -> str:
    """What runs, since when, one line an item, and at the end how it ended. The same until something has happened.

    ``page`` is the address of the run's page, "" without one.
    """
    if workflow and workflow.url and not dispatch.url:
        dispatch = replace(dispatch, url=workflow.url)
    ended = dispatch.state is DispatchState.ENDED
    outcome = OUTCOMES.get(dispatch.outcome, dispatch.outcome or "Ended")
    text = render(
        "progress.md",
        dispatch=dispatch,
        page=page,
        headline=_headline(dispatch),
        state="Ended" if ended else state_of(dispatch, workflow),
        since=(dispatch.ended_at if ended else dispatch.dispatched_at) or dispatch.created_at,
        items=[replace(item, status=item_status(item.status)) for item in items],
        ended=outcome if ended else "",
        reason=dispatch.reason if dispatch.reason.rstrip(".") != outcome.rstrip(".") else "",
    )
    return within(text)


def _headline(dispatch: Dispatch) -> str:
    match dispatch.work:
        case Work.RUN:
            return f"Mason takes {count(len(dispatch.items), 'item')} to pull requests"
        case Work.FIX:
            return "Mason changes this pull request until its checks pass"
        case Work.VALIDATE:
            return "Mason checks this pull request"
