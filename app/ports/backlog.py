"""The backlog store: what Mason asks of it, as intents. Every write for an item is fenced by its claim.

A method that takes a claim and returns ``bool`` says whether the fence still held: False means that the claim belongs
to another runner now and nothing was written. All methods raise DatabaseUnreachable when the store stays away after
retries, DatabaseRefused when it answers with an error. Writes are idempotent, so a retry after a lost answer is safe.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from app.domain.claims import Claim, DeadClaim, SeenClaim
from app.domain.events import Level, TaskStatus
from app.domain.items import Item, ItemStatus, NewItem
from app.domain.plans import Task
from app.domain.progress import Progress
from app.domain.results import Iteration, Outcome
from app.domain.runs import ItemResult, Run, RunResult

UNKNOWN_AGE = 1e9
"""Seconds, some thirty years: the age of an approval that nobody stamped."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LogRow:
    """``id`` is made by the writer, so that a repeated insert changes nothing. ``metadata`` is a JSON object."""

    id: UUID
    run_id: UUID
    level: Level
    message: str
    metadata: dict[str, object]
    created_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskRow:
    """The newest state of one task; ``id`` stays the same from pending to the end."""

    id: UUID
    claim: Claim
    wave: int
    number: int
    task: Task
    status: TaskStatus
    error: str = ""
    started_at: datetime | None = None
    completed_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class IterationRow:
    id: UUID
    claim: Claim
    iteration: Iteration
    created_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemEventRow:
    """``event_type`` is one of status_changed, prd_generated, branch_created, pr_created, note_added.

    ``cost_usd`` is what was spent on the item outside of its runs; ``spent_since`` counts it from when it is written.
    """

    id: UUID
    item_id: UUID
    event_type: str
    payload: dict[str, object]
    created_at: datetime
    cost_usd: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Claimed:
    """A claim, and the item as the claiming update returned it."""

    claim: Claim
    item: Item


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """An approved item, without its PRD. ``repository`` is the "owner/name" that it is for, None where no repository is
    connected. ``age`` in seconds since its approval.
    """

    item: Item
    repository: str | None
    age: float


@dataclass(frozen=True, kw_only=True, slots=True)
class PlacedItem:
    """An item, without its PRD. ``repository`` as in ``Waiting``; not ``placed``: it is for none, as it names none and
    several are connected.
    """

    item: Item
    placed: bool
    repository: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Placed:
    """Items by their ids, and the "owner/name" of the repository that was asked for, None when there is none."""

    repository: str | None
    items: Mapping[UUID, PlacedItem]


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedItem:
    """An item as a list shows it, without its texts, reasons, PRD, approval and tags. ``resolved``: it was completed
    without a change, so its branch was never made. ``reason`` says why it stands where it does, "" where nothing says
    so.
    """

    item: Item
    resolved: bool = False
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemList:
    """``counts``: how many items there are of each status, listed or not; ``more``: how many of each that was asked
    for are beyond the limits. Rows that cannot be used are counted, and within the limits; they are not listed.
    """

    items: tuple[ListedItem, ...]
    counts: Mapping[ItemStatus, int]
    more: Mapping[ItemStatus, int]


class Backlog(Protocol):
    def require_ready(self) -> None:
        """Raise NotMigrated unless every migration of this Mason is applied."""

    def approved_items(self, *, repository: str | None) -> list[Item]:
        """All approved items of the repository ("owner/name", None: unknown), highest priority first, then oldest.

        Whose items they are: contracts §1. Rows that cannot be used are left out and named in a warning log.
        """

    def waiting_items(self) -> list[Waiting]:
        """All approved items of all repositories, in the order of ``approved_items``.

        An item that names no repository is for the only connected one; where several are connected it is for none, and
        left out (contracts §1, Whose items). One that nobody stamped with a time has the age UNKNOWN_AGE.
        """

    def item_of(self, repository: str | None, item_id: UUID) -> Item | None:
        """This item, whatever its status, if it is for this repository (as in ``waiting_items``).

        Where no repository is connected, items are for whichever asks.
        """

    def item_of_branch(self, repository: str | None, branch: str) -> Item | None:
        """The newest item for this repository (as in ``item_of``) whose row names this branch."""

    def items_of_run(self, run_id: UUID) -> list[Item]:
        """The items of a run, in its order, as they are now; none for an unknown run."""

    def approve(self, item_id: UUID) -> Item | None:
        """A person's yes: ``new``, ``deferred`` or ``rejected`` → ``approved``, its attempts counted anew. The item as
        it is now; None when there is none, or in no state for it.

        One that is approved already only stops waiting for another base commit than its ``failed_base``.
        """

    def defer(self, item_id: UUID, reason: str) -> Item | None:
        """A person's not now: ``new``, ``approved`` or ``rejected`` → ``deferred``, with the reason. The item as it is
        now; None when there is none, or in no state for it: one in progress is cancelled by settling its claim.
        """

    def spent_since(self, repository: str | None, hours: float) -> float:
        """US dollars that items for this repository (as in ``item_of``) have cost, over all settled in so many hours,
        and what ``note_events`` was told of in them.

        An item that was settled several times counts each time; what a lost runner spent is not known.
        """

    def items(self, ids: Sequence[UUID]) -> list[Item]:
        """These items, whatever their status; unknown ids are left out."""

    def placed_items(self, ids: Sequence[UUID], *, repository: UUID | None) -> Placed:
        """These items, whatever their status, and the connected repository with this id; unknown ids are left out."""

    def add_item(self, item: NewItem, *, repository: str | None) -> UUID:
        """Add an item, of the connected repository with this name if there is one; its id."""

    def own_items(self, ids: Sequence[UUID], *, repository: str | None) -> list[Item]:
        """Those of these items that are for this repository as in ``approved_items``, in this order, whatever their
        status: id, title, status and ``failed_base`` alone, so that no other column keeps one from being decided about.
        """

    def listed_items(
        self, *, repository: str | None, states: Collection[ItemStatus], limit: int, ended: int
    ) -> ItemList:
        """The items of the repository (as in ``approved_items``) in these states: at most ``limit``, and at most
        ``ended`` that are completed or rejected.

        First what is in progress, then approved, new and deferred ones, each in the order of ``approved_items``; last
        what has ended, the latest first. Rows that cannot be used are left out as there.
        """

    def branch_owner(self, branch: str) -> UUID | None:
        """The item whose row names this branch, if any."""

    def branch_owners(self, branches: Sequence[str]) -> Mapping[str, UUID]:
        """The items whose rows name these branches, by branch; those that nobody has are left out."""

    def open_run(self, run: Run, *, repository: str | None) -> None:
        """Insert the run's two rows (contracts §1, A run), in progress. The same run twice is one."""

    def run(self, run_id: UUID) -> Run | None:
        """A run as it was opened by this Mason or its web app, with the status that it has now."""

    def open_runs(self) -> list[UUID]:
        """Mason's runs that have not ended, oldest first."""

    def results(self, run: Run) -> list[ItemResult]:
        """How the items of a run ended, in its order; an item that never began, or was lost, comes as ``released``.

        A result is what settling stored: check outputs and diagnostics are not in it.
        """

    def close_run(self, result: RunResult) -> None:
        """Write status, counts, error_message, validation_summary, total_fix_iterations, item_results, the end time."""

    def claim(self, item: Item, *, run_id: UUID, claimed_by: str, branch: str) -> Claimed | None:
        """Take an approved item by one conditional update, or None when somebody else did.

        The item's branch is recorded with the claim, a null ``approved_digest`` is filled; its first progress row is
        written at once and alone. The item comes back as it is now, in ``in_progress``.

        The claim's attempt is the item's plus one; a greater one for a run that has had the item before, so that no two
        claims ever have the same fence.
        """

    def claim_all(
        self, items: Sequence[Item], branches: Sequence[str], *, run_id: UUID, claimed_by: str
    ) -> list[Claimed]:
        """Each of these items as ``claim`` does, each with its branch, in one call: those that are ours now, in this
        order, without their PRDs.
        """

    def take_over(self, item_id: UUID, *, run_id: UUID, claimed_by: str) -> Claimed | None:
        """Take an item that was claimed for this run (by ``dispatch``), or None: a copy of this job has it.

        Idempotent by its condition on ``claimed_by``.
        """

    def heartbeat(self, claims: Sequence[Claim]) -> list[Claim]:
        """Renew the leases with the database's clock; the claims that are still ours."""

    def claims(self) -> list[SeenClaim]:
        """Every claim of Mason's, of whatever run."""

    def dead_claims(
        self, is_dead: Callable[[str], bool], on_found: Callable[[Sequence[SeenClaim]], None] = lambda _: None
    ) -> list[DeadClaim]:
        """Take back every claim whose lease ran out or whose ``claimed_by`` is dead; end runs that have no item left.

        ``on_found`` is told of them before anything changes: what only they lead to can be cleared away.
        Its item goes back to ``approved``, or to ``rejected`` after MAX_ATTEMPTS; its progress row goes with it.
        """

    def take_back(self, lost: Sequence[SeenClaim]) -> list[DeadClaim]:
        """Take back these claims, whose runners are known to be gone, as ``dead_claims`` does."""

    def settle(self, claim: Claim, outcome: Outcome) -> bool:
        """Write how the item ended: status, reason, branch, validation columns, and end the claim.

        ``released`` gives the attempt back (``execution_attempt`` is what it was before). The progress row is deleted
        for deferred, released and changed items; an already resolved item gets a ``note_added`` event.
        """

    def store_prd(self, claim: Claim, prd: str) -> bool:
        """Store a generated PRD with its time and digest it anew (contracts §1, Approval digest)."""

    def create_follow_up(self, claim: Claim, item: Item, outcome: Outcome) -> UUID | None:
        """A new item for a person (contracts §3), one for each approval of an item; None when the fence fell."""

    def save_progress(self, rows: Sequence[Progress]) -> None:
        """Write the newest state of each row, as an update, or an upsert where no row matched; never past the fence."""

    def save_tasks(self, rows: Sequence[TaskRow]) -> None: ...

    def save_iterations(self, rows: Sequence[IterationRow]) -> None: ...

    def append_logs(self, rows: Sequence[LogRow]) -> None: ...

    def note_events(self, rows: Sequence[ItemEventRow]) -> None: ...

    def close(self) -> None:
        """Give back every connection."""
