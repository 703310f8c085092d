"""The outbox: rows that wait for the database. Nothing but old debug lines is given up while the database is away."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, Generic, TypeVar
from uuid import UUID

from app.domain.claims import Claim
from app.domain.events import Level, Phase
from app.domain.progress import Progress
from app.errors import DatabaseRefused, DatabaseUnreachable
from app.ports.backlog import Backlog, ItemEventRow, IterationRow, LogRow, TaskRow

log = logging.getLogger("mason")

BATCH = 500
"""Rows of one write."""

DEBUG_LIMIT = 5_000
"""Waiting debug rows; beyond that the oldest are given up. Rows of other levels never are."""

PROGRESS, TASKS, ITERATIONS, EVENTS, LOGS = "progress", "tasks", "iterations", "events", "logs"
"""The kinds of rows, by importance."""

Key = TypeVar("Key", bound=Hashable)
Row = TypeVar("Row")


class Waiting(Generic[Key, Row]):
    """Rows of one kind, the newest state of each key, in the order in which the keys came. A written row leaves."""

    def __init__(self, write: Callable[[Sequence[Row]], None]) -> None:
        self._write = write
        self._rows: dict[Key, Row] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._rows)

    def put(self, key: Key, row: Row) -> None:
        with self._lock:
            self._rows[key] = row

    def drop(self, key: Key) -> None:
        with self._lock:
            self._rows.pop(key, None)

    def rows(self) -> list[Row]:
        with self._lock:
            return list(self._rows.values())

    def flush(self) -> None:
        """Write what waits. Raises DatabaseUnreachable; the rows that were not written stay.

        Rows that the database refuses are given up, with DatabaseRefused at the end: asking again cannot help, and
        must not keep the rows behind them from being written.
        """
        with self._lock:
            waiting = list(self._rows.items())
        refused = None
        for batch in self._batches(waiting):
            try:
                self._write([row for _, row in batch])
            except DatabaseRefused as problem:
                refused = problem
            self._forget(batch)
        if refused:
            raise refused

    def _batches(self, waiting: list[tuple[Key, Row]]) -> Iterator[list[tuple[Key, Row]]]:
        """The rows in the order in which they are written; each batch is one write."""
        for start in range(0, len(waiting), BATCH):
            yield waiting[start : start + BATCH]

    def _forget(self, batch: list[tuple[Key, Row]]) -> None:
        with self._lock:
            for key, row in batch:
                if self._rows.get(key) is row:  # a newer state came while this one was written: it waits on
                    del self._rows[key]


class WaitingProgress(Waiting[tuple[Claim, Phase], Progress]):
    """Progress rows: the newest state of each phase, so that the dashboard sees every phase of the quickest item."""

    def keep(self, row: Progress) -> None:
        self.put((row.claim, row.phase), row)

    def forget(self, claim: Claim) -> None:
        for phase in Phase:
            self.drop((claim, phase))

    def _batches(
        self, waiting: list[tuple[tuple[Claim, Phase], Progress]]
    ) -> Iterator[list[tuple[tuple[Claim, Phase], Progress]]]:
        """One write takes one state of a row: a claim's second phase waits for the next one."""
        rounds: list[list[tuple[tuple[Claim, Phase], Progress]]] = []
        seen: Counter[Claim] = Counter()
        for key, row in waiting:
            if seen[row.claim] == len(rounds):
                rounds.append([])
            rounds[seen[row.claim]].append((key, row))
            seen[row.claim] += 1
        for each in rounds:
            yield from super()._batches(each)


class WaitingLogs(Waiting[UUID, LogRow]):
    """Log rows of every level in one queue, so that they share their writes; too many debug rows make room."""

    def __init__(self, write: Callable[[Sequence[LogRow]], None]) -> None:
        super().__init__(write)
        self._debug: dict[UUID, None] = {}

    def put(self, key: UUID, row: LogRow) -> None:
        super().put(key, row)
        if row.level is not Level.DEBUG:
            return
        with self._lock:
            self._debug[key] = None
            if len(self._debug) > DEBUG_LIMIT:
                oldest = next(iter(self._debug))
                del self._debug[oldest]
                self._rows.pop(oldest, None)

    def rows(self) -> list[LogRow]:
        """Debug rows last: they matter least."""
        return sorted(super().rows(), key=lambda row: row.level is Level.DEBUG)

    def _forget(self, batch: list[tuple[UUID, LogRow]]) -> None:
        super()._forget(batch)
        with self._lock:
            for key, _ in batch:
                self._debug.pop(key, None)


class Outbox:
    """The rows of all kinds. Every write of the backlog is idempotent, so a repeated one does no harm."""

    def __init__(self, backlog: Backlog) -> None:
        self.progress = WaitingProgress(backlog.save_progress)
        self.tasks = Waiting[UUID, TaskRow](backlog.save_tasks)
        self.iterations = Waiting[UUID, IterationRow](backlog.save_iterations)
        self.events = Waiting[UUID, ItemEventRow](backlog.note_events)
        self.logs = WaitingLogs(backlog.append_logs)
        self._kinds: dict[str, Waiting[Any, Any]] = {
            PROGRESS: self.progress,
            TASKS: self.tasks,
            ITERATIONS: self.iterations,
            EVENTS: self.events,
            LOGS: self.logs,
        }
        self._writing = threading.Lock()
        self._away = False
        self._refused = False

    def __len__(self) -> int:
        return sum(len(rows) for rows in self._kinds.values())

    def left(self) -> list[tuple[str, object]]:
        """What waits, the most important first: kind and row."""
        return [(kind, row) for kind, rows in self._kinds.items() for row in rows.rows()]

    def flush(self) -> None:
        """Write everything that waits before coming back, or as much as the database takes; say once what it does not.

        One flush at a time: who comes second finds the rows of the first one written.
        """
        with self._writing:
            try:
                for rows in self._kinds.values():
                    self._flush(rows)
                self._away = False
            except DatabaseUnreachable as problem:
                if not self._away:
                    log.warning("The database does not answer, progress and log rows wait for it: %s", problem)
                self._away = True

    def _flush(self, rows: Waiting[Any, Any]) -> None:
        try:
            rows.flush()
        except DatabaseRefused as problem:
            if not self._refused:
                log.warning("The database refused progress or log rows, they are left out: %s", problem)
            self._refused = True
