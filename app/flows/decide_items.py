"""A person at a terminal decides about items of the repository at hand: yes, or not now."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from app.domain.items import Item, ItemStatus
from app.ports.backlog import Backlog


@dataclass(frozen=True, kw_only=True, slots=True)
class Decided:
    """What became of one decision. ``item`` as it is now, None where there is none of this repository.

    ``done``: it is as was asked for, ``already``: and was so before. Where it is not, ``wanted`` are the states that
    the decision is for; "" where it is in one of them, and the database does not let it be moved.
    """

    item_id: UUID
    item: Item | None = None
    done: bool = False
    already: bool = False
    wanted: str = ""


def approve_items(backlog: Backlog, ids: Sequence[UUID], *, repository: str | None) -> Iterator[Decided]:
    """Approve each of these items. One that is at work already has been approved, and stays as it is."""
    decision = _Decision(
        move=backlog.approve,
        states=(ItemStatus.NEW, ItemStatus.DEFERRED, ItemStatus.REJECTED),
        good=(ItemStatus.APPROVED, ItemStatus.IN_PROGRESS),
    )
    return _decide(backlog, ids, decision, repository)


def defer_items(backlog: Backlog, ids: Sequence[UUID], reason: str, *, repository: str | None) -> Iterator[Decided]:
    """Put each of these items off. One that is put off already keeps its reason."""
    decision = _Decision(
        move=lambda item: backlog.defer(item, reason),
        states=(ItemStatus.NEW, ItemStatus.APPROVED, ItemStatus.REJECTED),
        good=(ItemStatus.DEFERRED,),
    )
    return _decide(backlog, ids, decision, repository)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Decision:
    """``states``: what it moves; ``good``: where what was asked for is so."""

    move: Callable[[UUID], Item | None]
    states: tuple[ItemStatus, ...]
    good: tuple[ItemStatus, ...]

    def moves(self, item: Item) -> bool:
        """Whether there is something to do: an approved item may wait for another base, which either decision ends."""
        waits = item.status is ItemStatus.APPROVED and item.failed_base is not None
        return waits or item.status in self.states

    def done(self, before: Item, now: Item) -> Decided:
        already = now.status is before.status and not self.moves(before)
        return Decided(item_id=now.id, item=now, done=True, already=already)

    def not_for(self, now: Item) -> Decided:
        *some, last = self.states
        return Decided(item_id=now.id, item=now, wanted=f"{', '.join(some)} or {last}")


def _decide(backlog: Backlog, ids: Sequence[UUID], decision: _Decision, repository: str | None) -> Iterator[Decided]:
    """One after the other: what is done is told before the next is begun. Nobody decides about another repository's
    items from here.
    """
    wanted = list(dict.fromkeys(ids))
    found = {item.id: item for item in backlog.own_items(wanted, repository=repository)}
    for item_id in wanted:
        before = found.get(item_id)
        yield _decided(backlog, before, decision, repository) if before else Decided(item_id=item_id)


def _decided(backlog: Backlog, before: Item, decision: _Decision, repository: str | None) -> Decided:
    """Move an item. One that was not moved is read again: others may have been at it since it was read.

    One that could still be moved may have come to its state only now, so it is tried twice; then the database's rules
    for rows are what hides it from the move, without an error.
    """
    for _ in range(2):
        if after := decision.move(before.id):
            return decision.done(before, after)
        now = next(iter(backlog.own_items([before.id], repository=repository)), None)
        if now is None:
            return Decided(item_id=before.id)
        if not decision.moves(now):
            return decision.done(before, now) if now.status in decision.good else decision.not_for(now)
    return Decided(item_id=before.id, item=now)
