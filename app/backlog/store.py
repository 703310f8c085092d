"""The backlog store: each call is one function of the database (``migrations/*_functions.sql``), and one request."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from uuid import UUID, uuid4

from app.backlog import migrate
from app.backlog.documents import (
    Document,
    clean,
    event_document,
    event_id,
    iteration_document,
    log_document,
    new_item_document,
    parse_item,
    parse_items,
    progress_document,
    task_document,
)
from app.backlog.lists import StoredLists
from app.backlog.outcomes import STATUS_OF_VERDICT, follow_up, item_result, run_columns, settlement
from app.backlog.refusals import denied
from app.backlog.run_views import StoredRunViews
from app.backlog.session import Row, Session
from app.backlog.starts import StoredStarts, claim_document
from app.domain.claims import DISPATCHED, LEASE, MAX_ATTEMPTS, Claim, DeadClaim, SeenClaim
from app.domain.items import Item, NewItem
from app.domain.progress import Progress
from app.domain.results import Outcome, Verdict
from app.domain.runs import Base, ItemResult, Run, RunResult, RunStatus
from app.errors import NotMigrated
from app.ports.backlog import UNKNOWN_AGE, Claimed, ItemEventRow, IterationRow, LogRow, TaskRow, Waiting

_LEASE = {"lease": LEASE.total_seconds()}
_LOST = f"The runner was lost {MAX_ATTEMPTS} times while it worked on this item."


Safe = Callable[[Outcome], Outcome]
"""Takes the secrets out of an outcome."""


def unchanged(outcome: Outcome) -> Outcome:
    return outcome


class SqlBacklog(StoredLists, StoredRunViews, StoredStarts):
    """``app.ports.backlog.Backlog`` and ``app.ports.run_views.RunViews`` over a session. Safe to share between threads;
    connects at the first call. ``safe`` takes the secrets out of an outcome before anything of it is written.
    """

    def __init__(self, session: Session, safe: Safe = unchanged) -> None:
        self._session = session
        self._safe = safe

    def close(self) -> None:
        self._session.close()

    def require_ready(self) -> None:
        (found,) = self._session.rows("ready", {})
        if found["denied"]:
            raise denied(f"{found['role']} may not use {', '.join(found['denied'])}")
        if lacking := migrate.missing(found["applied"]):
            names = ", ".join(migration.name for migration in lacking)
            raise NotMigrated(f"The database lacks {names}: run `mason migrate` (or POST /api/setup/migrations) first.")

    def approved_items(self, *, repository: str | None) -> list[Item]:
        return parse_items(self._session.rows("approved_items", {"repository": repository}))

    def waiting_items(self) -> list[Waiting]:
        rows = self._session.rows("waiting_items", {})
        beside = {row["item"]["id"]: row for row in rows}
        items = parse_items(row["item"] for row in rows)
        return [_waiting(item, beside[str(item.id)]) for item in items]

    def item_of(self, repository: str | None, item_id: UUID) -> Item | None:
        return self._only("item_of", {"repository": repository, "item": item_id})

    def item_of_branch(self, repository: str | None, branch: str) -> Item | None:
        return self._only("item_of_branch", {"repository": repository, "branch": branch})

    def items_of_run(self, run_id: UUID) -> list[Item]:
        return parse_items(self._session.rows("items_of_run", {"run": run_id}))

    def approve(self, item_id: UUID) -> Item | None:
        return self._only("approve", {"item": item_id, "event": uuid4()})

    def defer(self, item_id: UUID, reason: str) -> Item | None:
        return self._only("defer", {"item": item_id, "reason": reason, "event": uuid4()})

    def spent_since(self, repository: str | None, hours: float) -> float:
        (answer,) = self._session.rows("spent_since", {"repository": repository, "hours": hours})
        return float(answer["spent"])

    def items(self, ids: Sequence[UUID]) -> list[Item]:
        order = {item: place for place, item in enumerate(ids)}
        found = parse_items(self._session.rows("items", {"ids": list(ids)}))
        return sorted(found, key=lambda item: order[item.id])

    def add_item(self, item: NewItem, *, repository: str | None) -> UUID:
        item_id = uuid4()
        self._session.rows("add_item", {"repository": repository, "own": new_item_document(item_id, item)})
        return item_id

    def branch_owner(self, branch: str) -> UUID | None:
        rows = self._session.rows("branch_owner", {"branch": branch})
        return UUID(rows[0]["id"]) if rows else None

    def open_run(self, run: Run, *, repository: str | None) -> None:
        about = {"run": run.id, "items": run.item_ids, "repository": repository, "planned": run.planned}
        base = {"base_branch": run.base.branch, "base_commit": run.base.commit, "branch_name": run.branch_name or None}
        self._session.rows("open_run", about | base)

    def run(self, run_id: UUID) -> Run | None:
        for row in self._session.rows("run", {"run": run_id}):
            base = Base(commit=row["base_commit"] or "", branch=row["base_branch"] or "")
            ids = tuple(UUID(item) for item in row["items"] or ())
            return Run(id=run_id, base=base, item_ids=ids, planned=row["planned"], status=_status(row["status"]))
        return None

    def open_runs(self) -> list[UUID]:
        return [UUID(row["id"]) for row in self._session.rows("open_runs", {})]

    def results(self, run: Run) -> list[ItemResult]:
        order = {item: place for place, item in enumerate(run.item_ids)}
        rows = self._session.rows("results", {"run": run.id})
        by_id = {UUID(str(row["id"])): row for row in rows}
        items = sorted(parse_items(rows), key=lambda item: order[item.id])
        return [item_result(item, by_id[item.id], run.id) for item in items]

    def close_run(self, result: RunResult) -> None:
        if result.run_id is not None:
            results = tuple(ItemResult(item=one.item, outcome=self._safe(one.outcome)) for one in result.results)
            columns = run_columns(replace(result, results=results))
            self._session.rows("close_run", columns | {"run": result.run_id})

    def claim(self, item: Item, *, run_id: UUID, claimed_by: str, branch: str) -> Claimed | None:
        claim = Claim(item_id=item.id, run_id=run_id, attempt=item.attempt + 1, claimed_by=claimed_by)
        rows = self._session.rows("claim", claim_document(claim, branch))
        for claimed in map(parse_item, rows):
            return Claimed(claim=replace(claim, attempt=claimed.attempt), item=claimed)
        return None

    def take_over(self, item_id: UUID, *, run_id: UUID, claimed_by: str) -> Claimed | None:
        about = {"item": item_id, "run": run_id, "claimed_by": claimed_by, "from": DISPATCHED}
        for row in self._session.rows("take_over", about):
            item = parse_item(row)
            return Claimed(
                claim=Claim(item_id=item_id, run_id=run_id, attempt=item.attempt, claimed_by=claimed_by), item=item
            )
        return None

    def heartbeat(self, claims: Sequence[Claim]) -> list[Claim]:
        if not claims:
            return []
        rows = self._session.rows("heartbeat", {"claims": [_fence(claim) for claim in claims]})
        held = {UUID(row["id"]) for row in rows}
        return [claim for claim in claims if claim.item_id in held]

    def claims(self) -> list[SeenClaim]:
        return [_seen(row) for row in self._session.rows("claimed_now", _LEASE)]

    def dead_claims(
        self, is_dead: Callable[[str], bool], on_found: Callable[[Sequence[SeenClaim]], None] = lambda _: None
    ) -> list[DeadClaim]:
        dead = [seen for seen in self.claims() if seen.expired or is_dead(seen.claim.claimed_by)]
        on_found(dead)
        return self.take_back(dead)

    def take_back(self, lost: Sequence[SeenClaim]) -> list[DeadClaim]:
        claims = [_lost_claim(seen) for seen in lost]
        taken = self._session.rows("take_back", _LEASE | {"claims": claims, "most": MAX_ATTEMPTS, "reason": _LOST})
        return [
            DeadClaim(
                item_id=UUID(row["item"]),
                title=row["title"],
                run_id=UUID(row["run"]) if row["run"] else None,
                rejected=row["rejected"],
            )
            for row in taken
        ]

    def settle(self, claim: Claim, outcome: Outcome) -> bool:
        if outcome.verdict not in STATUS_OF_VERDICT:
            return False
        writes = settlement(claim, self._safe(outcome))
        return self._held(
            "settle",
            _fence(claim)
            | writes.item
            | {
                "given_back": outcome.verdict is Verdict.RELEASED and not outcome.unfinished,
                "succeeded": outcome.succeeded,
                "progress": writes.progress,
                "evidence": writes.evidence,
                "diff": writes.diff,
                "events": writes.events,
                "event": writes.event,
            },
        )

    def store_prd(self, claim: Claim, prd: str) -> bool:
        return self._held("store_prd", _fence(claim) | {"prd": clean(prd), "event": event_id(claim, "prd")})

    def create_follow_up(self, claim: Claim, item: Item, outcome: Outcome) -> UUID | None:
        own = follow_up(claim, item, self._safe(outcome))
        held = self._held("create_follow_up", _fence(claim) | {"own": own})
        return UUID(str(own["id"])) if held else None

    def save_progress(self, rows: Sequence[Progress]) -> None:
        self._write("save_progress", {row.claim.item_id: progress_document(row) for row in rows}.values())

    def save_tasks(self, rows: Sequence[TaskRow]) -> None:
        self._write("save_tasks", {row.id: task_document(row) for row in rows}.values())

    def save_iterations(self, rows: Sequence[IterationRow]) -> None:
        self._write("save_iterations", map(iteration_document, rows))

    def append_logs(self, rows: Sequence[LogRow]) -> None:
        self._write("append_logs", map(log_document, rows))

    def note_events(self, rows: Sequence[ItemEventRow]) -> None:
        self._write("note_events", map(event_document, rows))

    def _only(self, name: str, args: Document) -> Item | None:
        """The one item that a call answers with, if it does."""
        items = parse_items(self._session.rows(name, args))
        return items[0] if items else None

    def _write(self, name: str, documents: Iterable[Document]) -> None:
        """Write any number of rows by one call."""
        if batch := list(documents):
            self._session.rows(name, {"rows": batch})

    def _held(self, name: str, args: Document) -> bool:
        (answer,) = self._session.rows(name, args)
        return bool(answer["held"])


def _fence(claim: Claim) -> Document:
    return {"item": claim.item_id, "run": claim.run_id, "attempt": claim.attempt}


def _waiting(item: Item, row: Row) -> Waiting:
    age = row["age"]
    return Waiting(item=item, repository=row["repository"], age=UNKNOWN_AGE if age is None else float(age))


def _status(written: str | None) -> RunStatus:
    """A run's status; one that Mason does not know is not taken for a run that goes on."""
    return RunStatus(written) if written in set(RunStatus) else RunStatus.PENDING


def _seen(row: Row) -> SeenClaim:
    """One claim; of an item that names no run, the item's own id stands in for it."""
    item = UUID(row["item"])
    run = UUID(row["run"]) if row["run"] else item
    claim = Claim(item_id=item, run_id=run, attempt=row["attempt"], claimed_by=row["claimed_by"])
    return SeenClaim(claim=claim, expired=row["expired"], base_commit=row["base_commit"])


def _lost_claim(seen: SeenClaim) -> Document:
    """A claim to be taken back, as it was seen; ``gone`` says that its process, not its lease, ended."""
    claim = seen.claim
    return {
        "item": claim.item_id,
        "run": None if claim.run_id == claim.item_id else claim.run_id,
        "attempt": claim.attempt,
        "claimed_by": claim.claimed_by,
        "gone": not seen.expired,
        "event": event_id(claim, "lost"),
    }
