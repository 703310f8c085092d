"""The backlog store, for starts of runs: many items by one call each (``migrations/011_starts.sql``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID, uuid4

from app.backlog.documents import Document, parse_item, parse_items, progress_document
from app.backlog.session import Session
from app.domain.claims import Claim
from app.domain.items import Item
from app.domain.progress import first_progress
from app.ports.backlog import Claimed, Placed, PlacedItem


class StoredStarts:
    """The part of ``app.ports.backlog.Backlog`` that starts runs."""

    _session: Session

    def placed_items(self, ids: Sequence[UUID], *, repository: UUID | None) -> Placed:
        (found,) = self._session.rows("placed_items", {"ids": list(ids), "repository": repository})
        beside = {row["item"]["id"]: row for row in found["items"]}
        items = parse_items(row["item"] for row in found["items"])
        placed = {
            item.id: PlacedItem(
                item=item, placed=beside[str(item.id)]["placed"], repository=beside[str(item.id)]["repository"]
            )
            for item in items
        }
        return Placed(repository=found["repository"], items=placed)

    def branch_owners(self, branches: Sequence[str]) -> Mapping[str, UUID]:
        rows = self._session.rows("branch_owners", {"branches": list(branches)}) if branches else []
        return {row["branch"]: UUID(row["id"]) for row in rows}

    def claim_all(
        self, items: Sequence[Item], branches: Sequence[str], *, run_id: UUID, claimed_by: str
    ) -> list[Claimed]:
        wanted = {
            item.id: claim_document(
                Claim(item_id=item.id, run_id=run_id, attempt=item.attempt + 1, claimed_by=claimed_by), branch
            )
            for item, branch in zip(items, branches, strict=True)
        }
        rows = self._session.rows("claim_all", {"claims": list(wanted.values())}) if wanted else []
        taken = {item.id: item for item in map(parse_item, rows)}
        return [
            Claimed(
                claim=Claim(item_id=item_id, run_id=run_id, attempt=taken[item_id].attempt, claimed_by=claimed_by),
                item=taken[item_id],
            )
            for item_id in wanted
            if item_id in taken
        ]


def claim_document(claim: Claim, branch: str) -> Document:
    """What `claim` is called with."""
    return {
        "item": claim.item_id,
        "run": claim.run_id,
        "attempt": claim.attempt,
        "claimed_by": claim.claimed_by,
        "branch": branch,
        "event": uuid4(),
        "progress": progress_document(first_progress(claim)),
    }
