"""The console: a live table of the items on a terminal, one plain line a milestone otherwise."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from app.domain import events as ev
from app.domain.claims import Claim
from app.domain.progress import COLUMN_OF_CHECK, Progress, advance, first_progress
from app.domain.results import (
    MAX_FIX_ITERATIONS,
    REQUIRED_CHECKS,
    CheckStatus,
    Finding,
    Outcome,
    ValidatorResult,
    Verdict,
)
from app.domain.runs import RunResult
from app.ports.reporter import Reporter
from app.reporting.log_rows import CHECK_TITLE
from app.reporting.summary import reevaluation
from app.reporting.text import one_line

_ENDING = {
    Verdict.COMPLETED: ("completed", "green"),
    Verdict.ALREADY_RESOLVED: ("already resolved", "green"),
    Verdict.DEFERRED: ("deferred", "yellow"),
    Verdict.REJECTED: ("failed", "red"),
    Verdict.RELEASED: ("given back", "yellow"),
    Verdict.CHANGED: ("changed after approval", "yellow"),
    Verdict.LOST: ("left to another runner", "yellow"),
}
_MARK = {"pass": ("✓", "green"), "fail": ("✗", "red"), "running": ("…", "cyan"), "skipped": ("–", "dim")}


def console_reporter(stream: TextIO, *, no_color: bool | None = None) -> Reporter:
    """The live table when ``stream`` is a terminal that can show it, else plain lines.

    ``no_color`` None leaves it to rich, which honours NO_COLOR.
    """
    unicode = (stream.encoding or "").lower().replace("-", "").startswith("utf")
    console = Console(file=stream, no_color=no_color, highlight=False, markup=False, emoji=False)
    if console.is_terminal and not console.is_dumb_terminal and unicode:
        return LiveTable(console)
    return PlainLines(stream)


class PlainLines:
    """One line a milestone. What the stream's encoding cannot carry becomes a question mark."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._names: dict[Claim, str] = {}
        self._verdicts: list[tuple[str, str, str]] = []

    def report(self, event: ev.Event) -> None:
        with self._lock:
            if isinstance(event, ev.ItemStarted):
                self._names[event.claim] = f"[{event.position}/{event.total}] {one_line(event.item.title, 60)}"
            claim = event.claim if isinstance(event, ev.ItemEvent | ev.Noted) else None
            name = self._names.get(claim, "") if claim else ""
            if said := milestone(event):
                self._write(f"{name}: {said}" if name else said)
            if isinstance(event, ev.Reevaluated):
                self._verdicts.append((event.title, event.verdict, event.reason))
            if isinstance(event, ev.RunFinished) and self._verdicts:
                self._write("\n" + reevaluation(self._verdicts).rstrip())

    def flush(self) -> None:
        """Every line is flushed when it is written."""

    def close(self) -> None:
        """The stream is not ours to close."""

    def _write(self, line: str) -> None:
        encoding = self._stream.encoding or "utf-8"
        self._stream.write(line.encode(encoding, "replace").decode(encoding) + "\n")
        self._stream.flush()


def milestone(event: ev.Event) -> str | None:
    """What a plain console says of an event, on one line; None when it is no milestone."""
    match event:
        case ev.RunStarted(run=run):
            return f"Working on {_items(len(event.items))} from {one_line(run.base.branch)} at {run.base.commit[:12]}"
        case ev.ItemStarted():
            return f"started, branch {one_line(event.branch)}"
        case ev.Reevaluated():
            return f"re-evaluated: {one_line(event.verdict)} - {one_line(event.reason)}"
        case ev.Planned(plan=plan):
            return f"planned {_count(len(plan.tasks), 'task')} in {_count(len(plan.waves), 'wave')}"
        case ev.WaveStarted():
            return f"wave {event.wave}" + (f", {one_line(event.title)}" if event.title else "")
        case ev.CheckFinished(result=result):
            mark = {CheckStatus.PASS: "✓", CheckStatus.SKIPPED: "–"}.get(result.status, "✗")
            why = f" ({one_line(result.reason)})" if result.reason else ""
            return f"{mark} {CHECK_TITLE[result.kind]} {result.status.value}{why}"
        case ev.Validated(result=verdict):
            return _validated(verdict)
        case ev.IterationStarted():
            return f"fix iteration {event.number}/{event.limit}"
        case ev.ItemSettled(outcome=outcome):
            return _ending(outcome)
        case ev.Noted(level=ev.Level.WARN | ev.Level.ERROR):
            return f"{event.level.value}: {one_line(event.message)}"
        case ev.RunFinished(result=result):
            return _finished(result)
    return None


def _items(count: int) -> str:
    return f"{count} item{'' if count == 1 else 's'}"


def _validated(verdict: ValidatorResult) -> str | None:
    """What stops a change, else what is only to be known of it; None when there is nothing to say."""
    if failures := verdict.failures:
        found = [finding for tier in failures for finding in tier.findings]
        return f"✗ Validator, {failures[0].tier.words}: {_first(found)}"
    found = [finding for tier in verdict.tiers for finding in tier.findings]
    return f"! Validator, {_count(len(found), 'warning')}: {_first(found)}" if found else None


def _first(found: Sequence[Finding]) -> str:
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return (one_line(found[0].message) if found else "no reason was given") + more


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _ending(outcome: Outcome) -> str:
    word = _ENDING[outcome.verdict][0]
    if outcome.verdict is Verdict.COMPLETED:
        where = outcome.pull_request or outcome.branch or ""
        return f"{word}: {one_line(where)}" if where else word
    return f"{word}: {one_line(outcome.reason)}" if outcome.reason else word


def _finished(result: RunResult) -> str:
    word = "Cancelled" if result.cancelled else "Finished"
    return f"{word}: {len(result.succeeded)} of {_items(len(result.results))} succeeded"


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """What the table knows of an item."""

    title: str
    progress: Progress
    started: datetime
    limit: int = MAX_FIX_ITERATIONS
    ended: datetime | None = None
    outcome: Outcome | None = None


class LiveTable:
    """The items as a table that is drawn anew four times a second, warnings above it."""

    def __init__(self, console: Console, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._console = console
        self._now = now
        self._rows: dict[Claim, Row] = {}
        self._verdicts: list[tuple[str, str, str]] = []
        self._lock = threading.Lock()
        self._live = Live(
            console=console,
            get_renderable=self.table,
            refresh_per_second=4,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def report(self, event: ev.Event) -> None:
        with self._lock:
            self._fold(event)
        match event:
            case ev.RunStarted():
                self._say(event)
                self._live.start()
            case ev.Noted():
                self._say(event)
            case ev.RunFinished():
                self._live.stop()
                if self._verdicts:
                    self._console.print(Text("\n" + reevaluation(self._verdicts).rstrip()))
                self._say(event)

    def flush(self) -> None:
        """The table is drawn by its own thread."""

    def close(self) -> None:
        """Leave the terminal as it was, the last table standing."""
        self._live.stop()

    def table(self) -> Table:
        """The table as it is now: items at work first, then those that ended."""
        with self._lock:
            rows = sorted(self._rows.values(), key=lambda row: (row.ended is not None, row.started))
        table = Table(box=None, pad_edge=False, expand=True)
        table.add_column("Item", ratio=3, no_wrap=True, overflow="ellipsis", min_width=8)
        table.add_column("State", ratio=2, no_wrap=True, overflow="ellipsis", min_width=6)
        table.add_column("Now", ratio=3, no_wrap=True, overflow="ellipsis")
        table.add_column("T L B T", no_wrap=True)
        table.add_column("Fix", no_wrap=True)
        table.add_column("Time", no_wrap=True, justify="right")
        for row in rows:
            table.add_row(*_cells(row, self._now()))
        return table

    def _say(self, event: ev.Event) -> None:
        if line := milestone(event):
            self._console.print(Text(line))

    def _fold(self, event: ev.Event) -> None:
        if isinstance(event, ev.Reevaluated):
            self._verdicts.append((event.title, event.verdict, event.reason))
        if isinstance(event, ev.ItemStarted):
            title = one_line(event.item.title, 80)
            self._rows[event.claim] = Row(title=title, progress=first_progress(event.claim), started=event.at)
        row = self._rows.get(event.claim) if isinstance(event, ev.ItemEvent) else None
        if row is None or not isinstance(event, ev.ItemEvent):
            return
        row = replace(row, progress=advance(row.progress, event))
        match event:
            case ev.IterationStarted():
                row = replace(row, limit=event.limit)
            case ev.ItemSettled():
                row = replace(row, outcome=event.outcome, ended=event.at)
        self._rows[event.claim] = row


def _cells(row: Row, now: datetime) -> tuple[Text, ...]:
    progress = row.progress
    state, colour = _ENDING[row.outcome.verdict] if row.outcome else (progress.phase.value.replace("_", " "), "cyan")
    doing = f"{progress.percentage}% {one_line(progress.current_task, 80)}"
    if row.outcome:
        doing = one_line(row.outcome.pull_request or row.outcome.branch or row.outcome.reason, 80)
    marks = [_MARK.get(progress.validations[COLUMN_OF_CHECK[kind]], ("·", "dim")) for kind in REQUIRED_CHECKS]
    checks = Text(" ").join(Text(mark, style=style) for mark, style in marks)
    fix = f"{progress.fix_iteration}/{row.limit}" if progress.fix_iteration else ""
    elapsed = max(0, int(((row.ended or now) - row.started).total_seconds()))
    return (
        Text(row.title),
        Text(state, style=colour),
        Text(doing),
        checks,
        Text(fix),
        Text(f"{elapsed // 60}:{elapsed % 60:02}"),
    )
