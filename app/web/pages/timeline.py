"""The picture of a run: items as lanes, what they did as bars over time (pure: a RunView in, SVG out).

Widths and places along the time are in percent, so that the picture fits every screen without being scaled: its texts
keep their size. Names of items stand beside it as HTML (`timeline.html`), one row of `LANE` pixels each.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from markupsafe import Markup, escape

from app.domain.events import Phase, TaskStatus
from app.domain.items import ItemStatus
from app.domain.run_views import ItemView, RunView, TaskView
from app.web.pages.words import duration, tone_of_item, visible

LANE = 36
"""Pixels from one lane to the next, as in the style sheet."""

_TOP, _THICK = 17, 15
_AXIS = 22
_MOST_ROWS = 4
_LEAST_WIDTH = 0.5
_TICKS = 6
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """``left`` and ``width`` in percent of the time shown, ``top`` and ``height`` in pixels from the lane's top.

    ``kind`` is its class in the style sheet, ``words`` what it is, ``label`` what stands in it where there is room.
    """

    left: float
    width: float
    top: float
    height: float
    kind: str
    words: str
    label: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lane:
    item: ItemView
    tone: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeline:
    """``ticks`` are places in percent with their labels."""

    lanes: tuple[Lane, ...]
    ticks: tuple[tuple[float, str], ...]
    seconds: float
    going: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """The time that is shown."""

    start: datetime
    end: datetime

    @property
    def seconds(self) -> float:
        return (self.end - self.start).total_seconds()

    def place(self, moment: datetime) -> float:
        """In percent; what lies outside, because clocks differ, is at the edge."""
        return 100 * min(max((moment - self.start).total_seconds() / self.seconds, 0), 1)


def timeline(view: RunView) -> Timeline | None:
    """None while nothing has begun."""
    span = _span(view)
    if span is None:
        return None
    lanes = tuple(
        Lane(item=item, tone=tone_of_item(item, ended=view.ended), bars=tuple(_bars(item, span, ended=view.ended)))
        for item in view.items
    )
    return Timeline(lanes=lanes, ticks=_ticks(span), seconds=span.seconds, going=not view.ended)


def _span(view: RunView) -> Span | None:
    starts = [item.started_at for item in view.items if item.started_at]
    starts += [view.run.started_at] if view.run.started_at else []
    if not starts:
        return None
    start, end = min(starts), view.run.completed_at or view.seen_at
    return Span(start=start, end=max(end, start + timedelta(seconds=1)))


def _ticks(span: Span) -> tuple[tuple[float, str], ...]:
    step = next((step for step in _STEPS if span.seconds / step <= _TICKS), _STEPS[-1])
    while span.seconds / step > _TICKS:
        step *= 2
    count = int(span.seconds // step)
    return tuple((100 * number * step / span.seconds, duration(number * step)) for number in range(count + 1))


def _bars(item: ItemView, span: Span, *, ended: bool) -> Iterable[Bar]:
    if item.started_at is None:
        return
    end = item.completed_at or (item.updated_at if ended and item.updated_at else span.end)
    yield _bar(span, item.started_at, end, kind="whole", words=f"{duration(_seconds(item.started_at, end))} in all")
    tasks = [task for task in item.tasks if task.started_at]
    yield from _task_bars(tasks, span, end)
    quiet = max((task.completed_at or end for task in tasks), default=item.started_at)
    for iteration in item.iterations:
        after = max(iteration.created_at, quiet)
        words = f"Checks, and fix {iteration.number}, which {'passed' if iteration.passed else 'did not pass'}"
        kind = "fix passed" if iteration.passed else "fix"
        yield _bar(span, quiet, after, kind=kind, words=words, label=f"fix {iteration.number}")
        quiet = after
    if end > quiet and _checks_began(item):
        fixing = item.fix_iteration > len(item.iterations)
        words = f"Checks, and fix {item.fix_iteration}" if fixing else "Checks"
        label = f"fix {item.fix_iteration}" if fixing else "checks"
        yield _bar(span, quiet, end, kind="fix" if fixing else "check", words=words, label=label)


def _checks_began(item: ItemView) -> bool:
    late = item.phase in (Phase.INSPECTION, Phase.COMPLETE)
    return late and (bool(item.iterations) or any(check.status not in ("pending", "skipped") for check in item.checks))


def _task_bars(tasks: Sequence[TaskView], span: Span, end: datetime) -> Iterable[Bar]:
    """Tasks that ran beside each other lie below each other."""
    rows: list[datetime] = []
    placed: list[tuple[int, TaskView, datetime, datetime]] = []
    for task in sorted(tasks, key=lambda task: (task.started_at or end, task.wave, task.number)):
        start = task.started_at or end
        until = max(task.completed_at or end, start)
        free = next((row for row, busy in enumerate(rows) if busy <= start), None)
        if free is None:
            free = len(rows)
            rows.append(until)
        rows[free] = until
        placed.append((free % _MOST_ROWS, task, start, until))
    count = min(max(len(rows), 1), _MOST_ROWS)
    height = (_THICK - (count - 1)) / count
    for row, task, start, until in placed:
        yield _bar(
            span,
            start,
            until,
            kind=f"task {task.status.value}",
            words=f"Wave {task.wave}, task {task.number}, {_STATUS[task.status]}: {visible(task.description)[:160]}",
            top=_TOP + row * (height + 1),
            height=height,
        )


_STATUS = {
    TaskStatus.PENDING: "waiting",
    TaskStatus.IN_PROGRESS: "running",
    TaskStatus.COMPLETED: "completed",
    TaskStatus.FAILED: "failed",
    TaskStatus.SKIPPED: "skipped",
}


def _bar(
    span: Span,
    start: datetime,
    end: datetime,
    *,
    kind: str,
    words: str,
    label: str = "",
    top: float = _TOP,
    height: float = _THICK,
) -> Bar:
    left = min(span.place(start), 100 - _LEAST_WIDTH)
    width = max(span.place(end) - left, _LEAST_WIDTH)
    took = f" ({duration(_seconds(start, end))})" if kind != "whole" else ""
    roomy = width >= 2.2 * len(label)
    return Bar(
        left=left,
        width=width,
        top=top,
        height=height,
        kind=kind,
        words=words + took,
        label=label if roomy else "",
    )


def _seconds(start: datetime, end: datetime) -> float:
    return max((end - start).total_seconds(), 0)


def summary(view: RunView, shown: Timeline) -> str:
    """The picture in words, for who does not see it."""
    parts = [f"{len(shown.lanes)} items over {duration(shown.seconds)}."]
    for lane in shown.lanes[:50]:
        item = lane.item
        if item.started_at is None:
            continue
        begin = _seconds(view.run.started_at or item.started_at, item.started_at)
        end = item.completed_at or view.run.completed_at or view.seen_at
        state = {ItemStatus.IN_PROGRESS: "still running"}.get(item.status, item.status.value.replace("_", " "))
        took = duration(_seconds(item.started_at, end))
        parts.append(f"{visible(item.title)[:120]}: from {duration(begin)}, for {took}, {state}.")
    return " ".join(parts)


def svg(view: RunView, shown: Timeline) -> Markup:
    """The picture. All of its looks are the style sheet's."""
    height = _AXIS + LANE * len(shown.lanes) + 4
    out = [
        f'<svg class="picture" width="100%" height="{height}" role="img"'
        ' aria-labelledby="timeline-title timeline-desc">'
        '<title id="timeline-title">Timeline of the run</title>'
        f'<desc id="timeline-desc">{escape(summary(view, shown))}</desc>'
    ]
    for place, label in shown.ticks:
        anchor = ' class="tick first"' if place == 0 else ' class="tick last"' if place > 92 else ' class="tick"'
        out.append(
            f'<line class="grid" x1="{place:.2f}%" x2="{place:.2f}%" y1="{_AXIS}" y2="{height}"/>'
            f'<text{anchor} x="{place:.2f}%" y="14">{label}</text>'
        )
    for number, (lane, following) in enumerate(pairwise([*shown.lanes, None])):
        if lane is None:
            break
        base = _AXIS + LANE * number
        out.append(f'<g class="lane {lane.tone}">')
        out += [_drawn(bar, base) for bar in lane.bars]
        out.append("</g>")
        if following is not None:
            out.append(f'<line class="between" x1="0" x2="100%" y1="{base + LANE}" y2="{base + LANE}"/>')
    if shown.going:
        out.append(f'<line class="now" x1="100%" x2="100%" y1="{_AXIS}" y2="{height}"/>')
    out.append("</svg>")
    return Markup("".join(out))  # noqa: S704 - numbers, words of ours, and what was escaped


def _drawn(bar: Bar, base: int) -> str:
    rounded = min(3, bar.height / 2)
    label = (
        f'<text class="label" x="{bar.left + bar.width / 2:.2f}%" y="{base + bar.top + bar.height - 4:.1f}">'
        f"{escape(bar.label)}</text>"
        if bar.label
        else ""
    )
    return (
        f'<rect class="{bar.kind}" x="{bar.left:.2f}%" width="{bar.width:.2f}%" y="{base + bar.top:.1f}"'
        f' height="{bar.height:.1f}" rx="{rounded:.1f}"><title>{escape(bar.words)}</title></rect>{label}'
    )
