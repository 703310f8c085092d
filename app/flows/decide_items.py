"""A person at a terminal decides about items of the repository at hand: yes, or not now."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from app.domain.items import Item, ItemStatus
from app.ports.backlog import Backlog


@dataclass(frozen=True, kw_only=True, slots=True)
class Decided:
    """What became of one decision. ``before`` is the item as it was found, None where there is none of this repository;
    ``after`` as it is now, None where it is in no state for the decision. ``wanted`` are those states.
    """

    item_id: UUID
    wanted: str
    before: Item | None = None
    after: Item | None = None


def approve_items(backlog: Backlog, ids: Sequence[UUID], *, repository: str | None) -> Iterator[Decided]:
    """Approve each of these items. One that is at work already has been approved, and stays as it is."""
    decision = _Decision(move=backlog.approve, wanted="new, deferred or rejected", as_good=ItemStatus.IN_PROGRESS)
    return _decide(backlog, ids, decision, repository)


def defer_items(backlog: Backlog, ids: Sequence[UUID], reason: str, *, repository: str | None) -> Iterator[Decided]:
    """Put each of these items off. One that is put off already keeps its reason."""
    decision = _Decision(
        move=lambda item: backlog.defer(item, reason),
        wanted="new, approved or rejected",
        as_good=ItemStatus.DEFERRED,
    )
    return _decide(backlog, ids, decision, repository)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Decision:
    """``as_good``: where an item is in this state, what was asked for is so already."""

    move: Callable[[UUID], Item | None]
    wanted: str
    as_good: ItemStatus


def _decide(backlog: Backlog, ids: Sequence[UUID], decision: _Decision, repository: str | None) -> Iterator[Decided]:
    """One after the other: what is done is told before the next is begun. Nobody decides about another repository's
    items from here.
    """
    wanted = list(dict.fromkeys(ids))
    found = {item.id: item for item in backlog.own_items(wanted, repository=repository)}
    for item_id in wanted:
        before = found.get(item_id)
        after = decision.move(item_id) if before else None
        if before and before.status is decision.as_good:
            after = after or before
        yield Decided(item_id=item_id, wanted=decision.wanted, before=before, after=after)
