"""A run as values for its templates (pure)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from urllib.parse import urlencode
from uuid import UUID

from app.domain.events import Level
from app.domain.run_views import ItemView, LogLine, RunView
from app.web.pages import words
from app.web.pages.links import RUNS
from app.web.pages.rendering import render
from app.web.pages.timeline import svg, timeline
from app.web.pages.viewers import Viewer

OPEN_AT_ONCE = 8
"""Items that are open when the page comes: those that run or have failed, but not a hundred of them."""

ROOM = 150_000
"""Characters of outputs and diffs on one page. A page of more is slow on a phone; each item has a page of its own."""

LEVELS: Mapping[str, frozenset[Level]] = {
    "": frozenset(Level),
    "warn": frozenset({Level.WARN, Level.ERROR}),
    "error": frozenset({Level.ERROR}),
}
"""By the ``level`` of an address."""


def address(path: str, viewer: Viewer, **query: str) -> str:
    """A path of ours for this viewer; what is empty is left out."""
    said = urlencode([(name, value) for name, value in (*query.items(), ("key", viewer.key)) if value])
    return f"{path}?{said}" if said else path


def common(viewer: Viewer) -> dict[str, object]:
    """What every page's frame has."""
    return {"runs_path": address(RUNS, viewer) if viewer.everything else "", "signed_in": viewer.signed_in}


def opened(items: Sequence[ItemView], *, ended: bool) -> frozenset[UUID]:
    if len(items) == 1:
        return frozenset({items[0].id})
    tones = {item.id: words.tone_of_item(item, ended=ended) for item in items}
    wanted = [item.id for tone in ("running", "bad") for item in items if tones[item.id] == tone]
    return frozenset(wanted[:OPEN_AT_ONCE])


def lightened(items: Sequence[ItemView], first: frozenset[UUID]) -> tuple[tuple[ItemView, ...], frozenset[UUID]]:
    """The items, those for whose outputs and diffs there is no room without them; and which those are. The ``first``
    are given room first.
    """
    left, light = ROOM, set()
    for item in sorted(items, key=lambda item: item.id not in first):
        weight = _weight(item)
        if weight > left:
            light.add(item.id)
        else:
            left -= weight
    return tuple(_without(item) if item.id in light else item for item in items), frozenset(light)


def _weight(item: ItemView) -> int:
    checks, fixes = item.checks, item.iterations
    return len(item.diff) + sum(len(check.output) for check in checks) + sum(len(fix.changed) for fix in fixes)


def _without(item: ItemView) -> ItemView:
    return replace(
        item,
        diff="",
        checks=tuple(replace(check, output="") for check in item.checks),
        iterations=tuple(replace(fix, changed="") for fix in item.iterations),
    )


def titles_of(view: RunView) -> dict[UUID, str]:
    """What lines of the log call the items; nothing where there is but one."""
    if len(view.items) < 2:
        return {}
    return {item.id: words.visible(item.title)[:40] for item in view.items}


def item_path_of(run_id: UUID, viewer: Viewer) -> Callable[[UUID], str]:
    return lambda item: address(f"{RUNS}/{run_id}/items/{item}", viewer)


def live(view: RunView, lines: Sequence[LogLine], viewer: Viewer, *, level: str, earlier: bool, workflow: str) -> str:
    """Everything of a run that changes, as HTML."""
    path = f"{RUNS}/{view.run.id}"
    picture = timeline(view)
    open_ones = opened(view.items, ended=view.ended)
    items, light = lightened(view.items, open_ones)
    return render(
        "live.html",
        items=items,
        light=light,
        view=view,
        title=words.title_of(view),
        status=words.RUN_WORDS[view.run.status],
        progress=words.progress_of(view),
        pulls=[item for item in view.items if words.web_address(item.pull_request_url)],
        workflow=workflow,
        lanes=picture.lanes if picture else (),
        picture=svg(view, picture) if picture else "",
        opened=open_ones,
        item_path=item_path_of(view.run.id, viewer),
        lines=lines,
        titles=titles_of(view),
        level=level,
        earlier=earlier,
        whole_log=address(f"{path}/log", viewer, level=level),
        link=lambda level: address(path, viewer, level=level) + "#log",
    )
