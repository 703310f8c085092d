"""The store reporter: events become progress, log, task, iteration and item event rows, written in the background."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from uuid import UUID, uuid4, uuid5

from app.bounded import within
from app.domain import events as ev
from app.domain.claims import Claim
from app.domain.events import Phase, TaskStatus
from app.domain.plans import Task
from app.domain.progress import Progress, advance, first_progress
from app.log import map_text
from app.ports.backlog import Backlog, ItemEventRow, IterationRow, LogRow, TaskRow
from app.reporting.log_rows import log_text
from app.reporting.outbox import Outbox
from app.reporting.spool import Spool
from app.reporting.text import storable

log = logging.getLogger("mason")

INTERVAL = 1.0
"""Seconds between two flushes."""

FULL = 50
"""Waiting rows that are worth a flush at once."""

LONGEST_WAIT = 5.0
"""Seconds for which the work waits for rows to be written; a flush that takes longer goes on behind its back."""

_GATHER = 0.3
"""Seconds in which what follows on the heels of such an event still joins its flush."""

_ENDED = (TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.SKIPPED)


class StoreReporter:
    """Reports to the backlog store. The work never waits for its writes: a thread of its own makes them.

    It writes every ``interval`` seconds, when 50 rows wait, at each change of phase, and before it comes back on
    ItemSettled (reported just before the claim ends, after which the item's rows match no fence), ``flush()`` and
    ``close()``, for each of which the work waits a few seconds at most. What is left at the end is kept in the
    ``spool``; ``flush()`` also writes what lies there from earlier runs.

    The first progress row of an attempt, its last state, and the events of a stored PRD and a moved item are not its
    business: ``Backlog.claim``, ``settle`` and ``store_prd`` write them.
    """

    def __init__(
        self,
        backlog: Backlog,
        *,
        spool: Spool | None = None,
        interval: float = INTERVAL,
        longest_wait: float = LONGEST_WAIT,
    ) -> None:
        self._backlog = backlog
        self._spool = spool
        self._longest_wait = longest_wait
        self._outbox = Outbox(backlog)
        self._progress: dict[Claim, Progress] = {}
        self._settled: set[Claim] = set()
        self._tasks: dict[UUID, TaskRow] = {}
        self._run_id: UUID | None = None
        self._interval = interval
        self._folding = threading.Lock()
        self._wake = threading.Event()
        self._closed = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._work, name="mason-store-reporter", daemon=True)
        self._thread.start()

    def report(self, event: ev.Event) -> None:
        """Take one event. Raises what ended the background thread, should anything but the database have done so."""
        if self._failure:
            raise self._failure
        with self._folding:
            urgent = self._fold(map_text(event, storable))
        if isinstance(event, ev.ItemSettled):
            self._briefly(self._outbox.flush)
            # From here on the row is the settling write's: a late flush of an older state must not undo that.
            self._outbox.progress.forget(event.claim)
        elif urgent or len(self._outbox) >= FULL:
            self._wake.set()

    def flush(self) -> None:
        """Write everything that waits, before coming back. What an unreachable database cannot take waits on."""
        self._briefly(self._write_all)

    def close(self) -> None:
        """End the thread and write the rest, to the spool what the database does not take."""
        self._closed.set()
        self._wake.set()
        self._briefly(self._finish)
        if not (left := self._outbox.left()):
            return
        if self._spool:
            self._spool.keep(str(self._run_id or uuid4()), left)
        else:
            log.warning("%d rows of progress and log could not be written to the database", len(left))

    def _briefly(self, work: Callable[[], None]) -> None:
        with suppress(TimeoutError):
            within(self._longest_wait, work)

    def _write_all(self) -> None:
        self._outbox.flush()
        if self._spool:
            self._spool.write_back(self._backlog)

    def _finish(self) -> None:
        self._thread.join()
        self._outbox.flush()

    def _work(self) -> None:
        while not self._closed.is_set():
            if self._wake.wait(self._interval):
                self._closed.wait(_GATHER)
            self._wake.clear()
            try:
                self._outbox.flush()
            except Exception as problem:  # noqa: BLE001 - the named border of this thread: report() raises it
                self._failure = problem
                return

    def _fold(self, event: ev.Event) -> bool:
        """Turn an event into rows; whether they should be written at once."""
        if isinstance(event, ev.RunStarted):
            self._run_id = event.run.id
        if isinstance(event, ev.ItemEvent) and event.claim not in self._settled:
            urgent = self._fold_item(event)
        else:
            urgent = isinstance(event, ev.RunFinished)
        self._log(event)
        return urgent

    def _fold_item(self, event: ev.ItemEvent) -> bool:
        if isinstance(event, ev.ItemSettled):
            self._settle(event)
            return True
        before = self._progress.get(event.claim) or first_progress(event.claim)
        after = advance(before, event)
        self._progress[event.claim] = after
        if after != before:
            self._outbox.progress.keep(after)
        match event:
            case ev.Planned():
                self._plan(event)
            case ev.TaskChanged():
                self._task(event)
            case ev.IterationFinished():
                self._iteration(event)
            case ev.ItemStarted():
                self._item_event(event, "branch_created", {"new_value": event.branch})
        return after.phase is not before.phase

    def _plan(self, event: ev.Planned) -> None:
        for wave in event.plan.waves:
            for number, task in enumerate(wave.tasks, start=1):
                row_id = task_id(event.claim, task)
                row = TaskRow(
                    id=row_id,
                    claim=event.claim,
                    wave=wave.number,
                    number=number,
                    task=task,
                    status=TaskStatus.PENDING,
                )
                self._tasks[row_id] = row
                self._outbox.tasks.put(row_id, row)

    def _task(self, event: ev.TaskChanged) -> None:
        row_id = task_id(event.claim, event.task)
        before = self._tasks.get(row_id) or TaskRow(
            id=row_id,
            claim=event.claim,
            wave=event.wave,
            number=_number(event.task),
            task=event.task,
            status=TaskStatus.PENDING,
        )
        row = _changed(before, event.status, event.error, event.at)
        self._tasks[row_id] = row
        self._outbox.tasks.put(row_id, row)

    def _iteration(self, event: ev.IterationFinished) -> None:
        row_id = _stable(event.claim, f"iteration/{event.iteration.number}")
        row = IterationRow(id=row_id, claim=event.claim, iteration=event.iteration, created_at=event.at)
        self._outbox.iterations.put(row_id, row)

    def _settle(self, event: ev.ItemSettled) -> None:
        self._progress.pop(event.claim, None)
        self._settled.add(event.claim)
        outcome = event.outcome
        if outcome.pull_request:
            self._item_event(event, "pr_created", {"new_value": outcome.pull_request})
        if outcome.kept:
            self._item_event(event, "note_added", {"notes": f"The unfinished work is kept: {outcome.kept}"})

    def _item_event(self, event: ev.ItemEvent, event_type: str, payload: Mapping[str, object]) -> None:
        row = ItemEventRow(
            id=_stable(event.claim, f"{event.claim.attempt}/{event_type}"),
            item_id=event.claim.item_id,
            event_type=event_type,
            payload=dict(payload),
            created_at=event.at,
        )
        self._outbox.events.put(row.id, row)

    def _log(self, event: ev.Event) -> None:
        claim = event.claim if isinstance(event, ev.ItemEvent | ev.Noted) else None
        run_id = claim.run_id if claim else (isinstance(event, ev.Noted) and event.run_id) or self._run_id
        progress = self._progress.get(claim) if claim else None
        text = log_text(event, progress.phase if progress else Phase.SITE_REVIEW)
        if text is None or run_id is None:
            return
        row = LogRow(
            id=uuid4(),
            run_id=run_id,
            level=text.level,
            message=text.message,
            metadata=dict(text.metadata),
            created_at=event.at,
        )
        self._outbox.logs.put(row.id, row)


def task_id(claim: Claim, task: Task) -> UUID:
    """The id of a task's row: the same for the same run, item and task, whoever computes it."""
    return _stable(claim, task.id)


def _stable(claim: Claim, name: str) -> UUID:
    return uuid5(claim.run_id, f"{claim.item_id}/{name}")


def _number(task: Task) -> int:
    """The task's place in its wave, from its id ``<wave>.<task>``."""
    last = task.id.rpartition(".")[2]
    return int(last) if last.isdecimal() else 0


def _changed(row: TaskRow, status: TaskStatus, error: str, at: datetime) -> TaskRow:
    """The task's next state. A task that is run again keeps its first start."""
    return replace(
        row,
        status=status,
        error=error,
        started_at=row.started_at or (None if status is TaskStatus.PENDING else at),
        completed_at=at if status in _ENDED else None,
    )
