"""Every text that people read in comments and in the check runs of the web app (pure).

The functions here make the answer to one command; ``reply`` makes the one reply of them. What they are given is plain
text from anywhere, what they return is Markdown in which nothing of it is markup, a mention, a link or HTML.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from app.domain.commands import OPTIONS, USAGES, Mistake
from app.domain.dispatches import Dispatch
from app.domain.items import Item
from app.replies.records import ItemLine, LineResult
from app.replies.rendering import render, say, sentence, within
from app.replies.words import item_status, state_of

__all__ = [
    "approved",
    "cancelled",
    "deferred",
    "dry_run",
    "help_table",
    "not_a_person",
    "not_permitted",
    "nothing_to_cancel",
    "nothing_to_retry",
    "nothing_to_run",
    "only_on_a_pull_request",
    "reply",
    "run_started",
    "sentence",
    "status_table",
    "unknown_item",
    "work_started",
    "wrong_state",
]


def reply(results: Sequence[LineResult]) -> str:
    """The one reply to a request: the answer to its line, or a list of them. At most 60,000 characters."""
    texts = [
        (result.line, say("mistake", line=result.line) if isinstance(result.line.asked, Mistake) else result.text)
        for result in results
    ]
    mistakes = any(isinstance(result.line.asked, Mistake) for result in results)
    return within(render("reply.md", texts=texts, mistakes=mistakes))


def run_started(items: Sequence[Item], dispatch: Dispatch) -> str:
    return say("run_started", items=items, dispatch=dispatch)


def dry_run(items: Sequence[Item], left: Sequence[tuple[Item, str]]) -> str:
    """``left`` are items that wait, each with the reason."""
    return say("dry_run", items=items, left=left)


def nothing_to_run(left: Sequence[tuple[Item, str]]) -> str:
    """``left`` are items that wait, each with the reason."""
    return say("nothing_to_run", left=left)


def work_started(dispatch: Dispatch) -> str:
    """A fix or a validation."""
    return say("work_started", dispatch=dispatch)


def cancelled(dispatches: Sequence[Dispatch]) -> str:
    return say("cancelled", dispatches=dispatches)


def nothing_to_cancel() -> str:
    return say("nothing_to_cancel")


def nothing_to_retry() -> str:
    return say("nothing_to_retry")


def approved(item: Item) -> str:
    return say("approved", item=item)


def deferred(item: Item, reason: str = "") -> str:
    return say("deferred", item=item, reason=reason)


def unknown_item(item_id: UUID) -> str:
    return say("unknown_item", item_id=item_id)


def wrong_state(item: Item, wanted: str) -> str:
    """``wanted`` are the states in which it would do: ``new, deferred or rejected``."""
    return say("wrong_state", item=item, state=item_status(item.status), wanted=wanted)


def only_on_a_pull_request(verb: str) -> str:
    return say("only_on_a_pull_request", verb=verb)


def not_permitted(login: str, level: str) -> str:
    return say("not_permitted", login=login, level=level)


def not_a_person(login: str) -> str:
    return say("not_a_person", login=login)


def help_table() -> str:
    return render("help.md", usages=USAGES, options=OPTIONS)


def status_table(dispatches: Sequence[Dispatch], items: Sequence[Item]) -> str:
    """The newest runs first, and their items."""
    rows = [
        ItemLine(
            title=item.title,
            status=item_status(item.status),
            reason=item.failure_reason or item.skip_reason or "",
        )
        for item in items
    ]
    return render("status.md", dispatches=[(one, state_of(one)) for one in dispatches], items=rows)
