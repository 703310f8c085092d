"""The backlog store, for people at a terminal (``migrations/012_lists.sql``)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from app.backlog import lenient
from app.backlog.documents import parse_items
from app.backlog.session import Row, Session
from app.domain.items import Item, ItemStatus
from app.domain.results import Verdict
from app.ports.backlog import ItemList, ListedItem

_REASON = 1000


class StoredLists:
    """The part of ``app.ports.backlog.Backlog`` that people list items with."""

    _session: Session

    def own_items(self, ids: Sequence[UUID], *, repository: str | None) -> list[Item]:
        order = {item: place for place, item in enumerate(ids)}
        found = parse_items(self._session.rows("own_items", {"ids": list(ids), "repository": repository}))
        return sorted(found, key=lambda item: order[item.id])

    def listed_items(
        self, *, repository: str | None, states: Collection[ItemStatus], limit: int, ended: int
    ) -> ItemList:
        about = {"repository": repository, "states": sorted(states), "limit": limit, "ended": ended}
        (found,) = self._session.rows("listed_items", about)
        rows = {row["id"]: row for row in found["items"]}
        counts = {state: lenient.number(found["counts"].get(state)) for state in ItemStatus}
        given = [row["status"] for row in found["items"]]
        return ItemList(
            items=tuple(_listed(item, rows[str(item.id)]) for item in parse_items(found["items"])),
            counts=counts,
            more={state: counts[state] - given.count(state) for state in ItemStatus if state in states},
        )


def _listed(item: Item, row: Row) -> ListedItem:
    """``reason`` comes one character longer than it is shown, so that a cut is seen."""
    resolved = item.status is ItemStatus.COMPLETED and row["verdict"] == Verdict.ALREADY_RESOLVED
    return ListedItem(item=item, resolved=resolved, reason=lenient.text(row["reason"], _REASON))
