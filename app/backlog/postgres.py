"""The backlog store on Postgres: one statement a call wherever possible (``queries.sql``)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from uuid import UUID, uuid4

from psycopg import Connection
from psycopg.rows import DictRow

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
    to_json,
)
from app.backlog.outcomes import STATUS_OF_VERDICT, follow_up, run_columns, settlement
from app.backlog.queries import queries
from app.backlog.session import Row, Session
from app.domain.claims import LEASE, MAX_ATTEMPTS, Claim, DeadClaim
from app.domain.items import Item, NewItem
from app.domain.progress import Progress, first_progress
from app.domain.results import Outcome, Verdict
from app.domain.runs import Run, RunResult
from app.errors import NotMigrated
from app.ports.backlog import Claimed, ItemEventRow, IterationRow, LogRow, TaskRow

PATIENCE = 300.0
"""Seconds for which an unreachable database is tried again."""

_LOST = f"The runner was lost {MAX_ATTEMPTS} times while it worked on this item."


class PostgresBacklog:
    """``app.ports.backlog.Backlog`` on a DSN. Safe to share between threads; connects at the first call."""

    def __init__(self, dsn: str, *, patience: float = PATIENCE) -> None:
        self._session = Session(dsn, patience=patience)

    def close(self) -> None:
        self._session.close()

    def require_ready(self) -> None:
        if self._session.call(lambda connection, _: migrate.plan(connection)):
            raise NotMigrated

    def approved_items(self, *, repository: str | None) -> list[Item]:
        rows = self._session.rows("approved_items", {"repository": repository})
        return parse_items(row["item"] for row in rows)

    def items(self, ids: Sequence[UUID]) -> list[Item]:
        rows = self._session.rows("items", {"ids": list(ids)})
        order = {item: place for place, item in enumerate(ids)}
        return sorted(parse_items(row["item"] for row in rows), key=lambda item: order[item.id])

    def add_item(self, item: NewItem, *, repository: str | None) -> UUID:
        item_id = uuid4()
        self._session.run("add_item", {"repository": repository, "own": to_json(new_item_document(item_id, item))})
        return item_id

    def branch_owner(self, branch: str) -> UUID | None:
        rows = self._session.rows("branch_owner", {"branch": clean(branch)})
        return rows[0]["id"] if rows else None

    def open_run(self, run: Run, *, repository: str | None) -> None:
        self._session.run(
            "open_run",
            {
                "run": run.id,
                "items": list(run.item_ids),
                "base_branch": clean(run.base.branch),
                "repository": repository,
            },
        )

    def close_run(self, result: RunResult) -> None:
        if result.run_id is None:
            return
        columns = run_columns(result)
        columns |= {name: to_json(columns[name]) for name in ("item_results", "summary")}
        self._session.run("close_run", columns | {"run": result.run_id})

    def claim(self, item: Item, *, run_id: UUID, claimed_by: str, branch: str) -> Claimed | None:
        claim = Claim(item_id=item.id, run_id=run_id, attempt=item.attempt + 1, claimed_by=claimed_by)
        rows = self._session.rows(
            "claim",
            _fence(claim)
            | {
                "claimed_by": claimed_by,
                "branch": clean(branch),
                "event": event_id(claim, "claimed"),
                "progress": to_json(progress_document(first_progress(claim))),
            },
        )
        return Claimed(claim=claim, item=parse_item(rows[0]["item"])) if rows else None

    def heartbeat(self, claims: Sequence[Claim]) -> list[Claim]:
        if not claims:
            return []
        rows = self._session.rows("heartbeat", _fences(claims))
        held = {row["id"] for row in rows}
        return [claim for claim in claims if claim.item_id in held]

    def dead_claims(self, is_dead: Callable[[str], bool]) -> list[DeadClaim]:
        seen = self._session.rows("claimed_now", {"lease": LEASE})
        dead = [(row, not row["expired"]) for row in seen if row["expired"] or is_dead(row["claimed_by"])]
        parameters = _taken_back(dead)

        def take_back(connection: Connection[Row], _: bool) -> list[DictRow]:
            with connection.transaction():
                taken = connection.execute(queries()["take_back"], parameters).fetchall() if dead else []
                runs = [row["run"] for row in taken if row["run"]]
                connection.execute(queries()["end_lost_runs"], {"runs": runs, "lease": LEASE})
                return taken

        return [
            DeadClaim(item_id=row["id"], title=row["title"], run_id=row["run"], rejected=row["rejected"])
            for row in self._session.call(take_back)
        ]

    def settle(self, claim: Claim, outcome: Outcome) -> bool:
        if outcome.verdict not in STATUS_OF_VERDICT:
            return False
        writes = settlement(claim, outcome)
        columns = {name: clean(value) if isinstance(value, str) else value for name, value in writes.item.items()}
        return self._held(
            "settle",
            _fence(claim)
            | columns
            | {
                "given_back": outcome.verdict is Verdict.RELEASED,
                "succeeded": outcome.succeeded,
                "hide": writes.progress is None,
                "progress": to_json(writes.progress or {}),
                "events": to_json(writes.events),
                "event": writes.event,
            },
        )

    def store_prd(self, claim: Claim, prd: str) -> bool:
        return self._held("store_prd", _fence(claim) | {"prd": clean(prd), "event": event_id(claim, "prd")})

    def create_follow_up(self, claim: Claim, item: Item, outcome: Outcome) -> UUID | None:
        own = follow_up(claim, item, outcome)
        held = self._held("create_follow_up", _fence(claim) | {"own": to_json(own)})
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

    def _write(self, name: str, documents: Iterable[Document]) -> None:
        """Write any number of rows by one statement."""
        if batch := list(documents):
            self._session.run(name, {"rows": to_json(batch)})

    def _held(self, name: str, parameters: Document) -> bool:
        return bool(self._session.rows(name, parameters)[0]["held"])


def _fence(claim: Claim) -> Document:
    return {"item": claim.item_id, "run": claim.run_id, "attempt": claim.attempt}


def _fences(claims: Sequence[Claim]) -> Document:
    return {
        "items": [claim.item_id for claim in claims],
        "runs": [claim.run_id for claim in claims],
        "attempts": [claim.attempt for claim in claims],
    }


def _taken_back(dead: Sequence[tuple[Row, bool]]) -> Document:
    """What is to be taken back: each claim as it was seen, and whether its process (not its lease) ended."""
    claims = [
        Claim(item_id=row["id"], run_id=row["run"] or row["id"], attempt=row["attempt"], claimed_by=row["claimed_by"])
        for row, _ in dead
    ]
    return {
        "items": [row["id"] for row, _ in dead],
        "runs": [row["run"] for row, _ in dead],
        "attempts": [row["attempt"] for row, _ in dead],
        "claimants": [row["claimed_by"] for row, _ in dead],
        "gone": [gone for _, gone in dead],
        "events": [event_id(claim, "lost") for claim in claims],
        "most": MAX_ATTEMPTS,
        "reason": _LOST,
        "lease": LEASE,
    }
