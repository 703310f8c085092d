"""Backlog items: what people approve, their legal moves, and the names derived from them."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

BRANCH_PREFIX = "mason/"
SLUG_LIMIT = 60


class ItemStatus(StrEnum):
    """The six values of ``mason_pm_backlog_items.status`` (contracts §1)."""

    NEW = "new"
    APPROVED = "approved"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    DEFERRED = "deferred"
    REJECTED = "rejected"


LEGAL_MOVES: dict[ItemStatus, frozenset[ItemStatus]] = {
    ItemStatus.NEW: frozenset({ItemStatus.APPROVED, ItemStatus.DEFERRED, ItemStatus.REJECTED}),
    ItemStatus.APPROVED: frozenset({ItemStatus.IN_PROGRESS, ItemStatus.NEW, ItemStatus.DEFERRED, ItemStatus.REJECTED}),
    ItemStatus.IN_PROGRESS: frozenset(
        {ItemStatus.APPROVED, ItemStatus.NEW, ItemStatus.COMPLETED, ItemStatus.DEFERRED, ItemStatus.REJECTED}
    ),
    ItemStatus.COMPLETED: frozenset(),
    ItemStatus.DEFERRED: frozenset({ItemStatus.APPROVED, ItemStatus.NEW}),
    ItemStatus.REJECTED: frozenset({ItemStatus.APPROVED, ItemStatus.NEW}),
}
"""What Mason and a person may do to an item; ``new`` from ``in_progress`` is a changed approval (design, Trust)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One row of the backlog, as far as Mason reads it.

    ``attempt`` is the stored ``execution_attempt``, the N that a claim raises by one. ``failed_base`` is the base
    commit whose own checks failed when the item was last given back; it is not claimed again before that branch moves.
    ``approved_at`` tells two approvals of one item apart; None for one from before Mason's migrations.
    ``complexity`` runs from 1 to 5; None where the row does not say. ``failure_reason`` says why Mason rejected it,
    ``skip_reason`` why it was put off.
    """

    id: UUID
    title: str
    status: ItemStatus
    problem: str = ""
    solution: str = ""
    type: str = ""
    area: str = ""
    priority_score: int = 0
    prd: str | None = None
    evidence_status: str | None = None
    evidence_summary: str | None = None
    branch: str | None = None
    approved_digest: str | None = None
    approved_at: datetime | None = None
    attempt: int = 0
    run_id: UUID | None = None
    failed_base: str | None = None
    complexity: int | None = None
    pull_request_url: str | None = None
    failure_reason: str | None = None
    skip_reason: str | None = None
    tags: tuple[str, ...] = field(default=())

    @property
    def has_prd(self) -> bool:
        """Whether there is any PRD text; white space alone is none."""
        return bool(self.prd and self.prd.strip())

    @property
    def approval(self) -> str:
        """What names this approval: the approved content and the time of the approval, so that a second one differs."""
        at = self.approved_at.astimezone(UTC).isoformat() if self.approved_at else ""
        return hashlib.sha256(f"{self.approved_digest}|{at}".encode()).hexdigest()

    @property
    def content_digest(self) -> str:
        """The digest of what the item says now, comparable with ``approved_digest``."""
        return approval_digest(self.title, self.problem, self.solution, self.type, self.prd)


@dataclass(frozen=True, kw_only=True, slots=True)
class NewItem:
    """An item to be added to the backlog, as a person writes it. Scores run from 1 to 10."""

    title: str
    problem: str
    solution: str
    type: str = "feature"
    area: str = "backend"
    complexity: int = 2
    impact_score: int = 5
    effort_score: int = 5
    status: ItemStatus = ItemStatus.APPROVED
    prd: str | None = None
    evidence_status: str | None = None
    evidence_summary: str | None = None


def approval_digest(title: str, problem: str | None, solution: str | None, type_: str | None, prd: str | None) -> str:
    """SHA-256 (hex) over the five approved fields (contracts §1, Approval digest).

    Each field is written as ``<octets>:<text>``, a null as ``-``, joined by ``,``: the same bytes that the database
    trigger ``mason_approval_digest`` hashes, and no two different items give the same bytes.
    """
    parts = (title, problem, solution, type_, prd)
    text = ",".join("-" if part is None else f"{len(part.encode())}:{part}" for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()


def slug(title: str, item_id: UUID) -> str:
    """A branch-safe name of at most 60 ASCII letters, digits and hyphens.

    A title with no letter or digit that ASCII can carry (only emoji, say) gives ``item-<8 hex digits of the id>``.
    """
    plain = unicodedata.normalize("NFKD", title[:2000]).encode("ascii", "ignore").decode().lower()
    words = re.findall(r"[a-z0-9]+", plain)
    text = ""
    for word in words:
        longer = f"{text}-{word}" if text else word
        if len(longer) > SLUG_LIMIT:
            break
        text = longer
    return text or (words[0][:SLUG_LIMIT] if words else f"item-{item_id.hex[:8]}")


def plain_branch(item: Item) -> str:
    """The branch an item gets when no other item wants the same one."""
    return BRANCH_PREFIX + slug(item.title, item.id)


def own_branch(item: Item) -> str:
    """The branch an item gets when its plain one belongs to another item."""
    return f"{plain_branch(item)}-{item.id.hex[:8]}"
