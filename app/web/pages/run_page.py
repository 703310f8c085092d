"""`/runs` and what lies below it: the list, a run as it happens, one item, the log."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from http import HTTPStatus
from uuid import UUID

from flask import Flask, Response, redirect, request
from werkzeug.http import quote_etag

from app.domain.run_views import LogLine, RunView
from app.errors import MasonError, UnknownRun
from app.ports.run_views import RunViews
from app.web.bodies import Deadlines
from app.web.errors import answer_to
from app.web.pages import shown, words
from app.web.pages.kept import Kept, KeptPages, Made
from app.web.pages.links import RUNS
from app.web.pages.rendering import page, render, static_files, takes_gzip
from app.web.pages.shown import LEVELS, address, common
from app.web.pages.sign_in import add_sign_in
from app.web.pages.viewers import NotShown, Viewer, Viewers

NEWEST = 100
"""Lines of the log below a run."""

SEARCHED = 1_000
"""Lines that are looked through for those of a level, and at one time."""

PAGE = 500
"""Lines of one page of the log."""

RUNS_A_PAGE = 30

_PAGES_SEARCHED = 10

View = Callable[..., Response]


@dataclass(frozen=True, kw_only=True, slots=True)
class Pages:
    """What the pages are made of. ``workflow`` says where a run is carried out, "" where that has no address."""

    views: RunViews
    viewers: Viewers
    kept: KeptPages
    workflow: Callable[[UUID], str] = lambda _: ""


def add_pages(app: Flask, pages: Pages, deadlines: Deadlines) -> None:
    """The pages for people, signing in, and the files that they refer to."""
    add_sign_in(app, pages.viewers.sessions, deadlines)
    app.add_url_rule("/", "root", lambda: redirect(RUNS, HTTPStatus.SEE_OTHER))

    @app.route("/static/<name>")
    def static_file(name: str) -> Response:
        found = static_files().get(name)
        return found.answer() if found else Response(status=HTTPStatus.NOT_FOUND)

    def route(rule: str) -> Callable[[Callable[..., Response]], View]:
        """A page that only viewers see. Its function is given who looks, and the path's parts as ids."""

        def decorate(function: Callable[..., Response]) -> View:
            @app.route(rule, endpoint=function.__name__)
            @wraps(function)
            def view(**parts: str) -> Response:
                try:
                    viewer = pages.viewers.of(request)
                    return function(pages, viewer, **{name: _id(part) for name, part in parts.items()})
                except MasonError as problem:
                    return problem_page(problem)

            return view

        return decorate

    route(RUNS)(runs_list)
    route(f"{RUNS}/<run>")(run_page)
    route(f"{RUNS}/<run>/live")(run_live)
    route(f"{RUNS}/<run>/log")(run_log)
    route(f"{RUNS}/<run>/items/<item>")(run_item)


def _id(text: str) -> UUID:
    """Raises UnknownRun: what is no id is the id of nothing."""
    try:
        return UUID(text) if len(text) == 36 else UUID("")
    except ValueError:
        raise UnknownRun("There is no such run.") from None


def runs_list(pages: Pages, viewer: Viewer) -> Response:
    before = request.args.get("before", "")
    runs = pages.views.run_lines(limit=RUNS_A_PAGE + 1, before=_id(before) if before else None)
    older = address(RUNS, viewer, before=str(runs[RUNS_A_PAGE - 1].id)) if len(runs) > RUNS_A_PAGE else ""
    html = render(
        "runs.html",
        **common(viewer),
        runs=runs[:RUNS_A_PAGE],
        before=before,
        older=older,
        run_path=lambda run: address(f"{RUNS}/{run}", viewer),
    )
    return page(html, headers=_referrer(viewer))


def run_page(pages: Pages, viewer: Viewer, run: UUID) -> Response:
    level = _level()

    def make() -> Made | None:
        view = pages.views.run_view(run)
        if view is None:
            return None
        html = render(
            "run.html",
            **common(viewer),
            title=words.title_of(view),
            status=words.RUN_WORDS[view.run.status],
            live=_live(pages, view, viewer, level),
            live_path=address(f"{RUNS}/{run}/live", viewer, level=level),
            here=address(f"{RUNS}/{run}", viewer, level=level),
        )
        return Made(html=html, ended=view.ended)

    return _answer(pages.kept.get(run, _variant("page", viewer, level), make), viewer)


def run_live(pages: Pages, viewer: Viewer, run: UUID) -> Response:
    """What the script asks for every two seconds; mostly it is told that nothing has changed."""
    level = _level()

    def make() -> Made | None:
        view = pages.views.run_view(run)
        return Made(html=_live(pages, view, viewer, level), ended=view.ended) if view else None

    return _answer(pages.kept.get(run, _variant("live", viewer, level), make), viewer)


def run_item(pages: Pages, viewer: Viewer, run: UUID, item: UUID) -> Response:
    view = pages.views.run_view(run, item=item)
    if view is None or not view.items:
        raise UnknownRun("This run has no such item.")
    level = _level()
    lines, _ = _newest(pages, run, level, item)
    here = f"{RUNS}/{run}/items/{item}"
    html = render(
        "item_page.html",
        **common(viewer),
        view=view,
        light=frozenset(),
        title=words.visible(view.items[0].title)[:300] or "Untitled",
        item_path=shown.item_path_of(run, viewer),
        run_path=address(f"{RUNS}/{run}", viewer),
        whole_log=address(f"{RUNS}/{run}/log", viewer, level=level, item=str(item)),
        link=lambda level: address(here, viewer, level=level),
        level=level,
        lines=lines,
    )
    return page(html, headers=_referrer(viewer))


def run_log(pages: Pages, viewer: Viewer, run: UUID) -> Response:
    """From the beginning, page by page; each cursor leads to what comes behind it."""
    level, after, item = _level(), request.args.get("after", ""), request.args.get("item", "")
    view = pages.views.run_view(run)
    if view is None:
        raise UnknownRun("There is no such run.")
    lines, next_cursor = _from(pages, run, level, after or None, _id(item) if item else None)
    path = f"{RUNS}/{run}/log"
    html = render(
        "log.html",
        **common(viewer),
        title=words.title_of(view),
        titles=shown.titles_of(view),
        run_path=address(f"{RUNS}/{run}", viewer),
        link=lambda level: address(path, viewer, level=level, item=item),
        level=level,
        lines=lines,
        following=bool(after),
        first=address(path, viewer, level=level, item=item),
        next=address(path, viewer, level=level, item=item, after=next_cursor) if next_cursor else "",
        here=address(path, viewer, level=level, item=item, after=after),
    )
    return page(html, headers=_referrer(viewer))


def _live(pages: Pages, view: RunView, viewer: Viewer, level: str) -> str:
    lines, earlier = _newest(pages, view.run.id, level, None)
    workflow = pages.workflow(view.run.id)
    return shown.live(view, lines, viewer, level=level, earlier=earlier, workflow=workflow)


def _newest(pages: Pages, run: UUID, level: str, item: UUID | None) -> tuple[Sequence[LogLine], bool]:
    """The newest lines of a level, and whether there are earlier ones."""
    limit = SEARCHED if level else NEWEST
    found = pages.views.last_log_page(run, limit=limit, item=item).lines
    return [line for line in found if line.level in LEVELS[level]][-NEWEST:], len(found) == limit


def _from(
    pages: Pages, run: UUID, level: str, after: str | None, item: UUID | None
) -> tuple[Sequence[LogLine], str | None]:
    """Lines of a level behind a cursor, and the cursor behind them when there are more. It may be that it found none
    although there are: a page is found in bounded time, whatever the log holds.
    """
    lines: list[LogLine] = []
    for _ in range(_PAGES_SEARCHED if level else 1):
        found = pages.views.log_page(run, after=after, limit=PAGE, item=item)
        lines += [line for line in found.lines if line.level in LEVELS[level]]
        after = found.next
        if not found.more or len(lines) >= PAGE:
            break
    return lines, after if found.more else None


def _level() -> str:
    given = request.args.get("level", "")
    return given if given in LEVELS else ""


def _variant(part: str, viewer: Viewer, level: str) -> str:
    return f"{part} {level} {viewer.key} {viewer.everything} {viewer.signed_in}"


def _answer(kept: Kept | None, viewer: Viewer) -> Response:
    """The page, or that nothing has changed. Raises UnknownRun."""
    if kept is None:
        raise UnknownRun("There is no such run.")
    headers = _referrer(viewer) | {
        "ETag": quote_etag(kept.tag, weak=True),
        "Vary": "Accept-Encoding, Authorization, Cookie",
    }
    if request.if_none_match.contains_weak(kept.tag):
        return page(b"", HTTPStatus.NOT_MODIFIED, headers)
    if takes_gzip():
        return page(kept.packed, headers=headers | {"Content-Encoding": "gzip"})
    return page(kept.body, headers=headers)


def _referrer(viewer: Viewer) -> dict[str, str]:
    """The address of who has a signed link is told to nobody. The others' forms need an origin."""
    return {"Referrer-Policy": "no-referrer" if viewer.key else "same-origin"}


def problem_page(problem: MasonError) -> Response:
    """What is wrong, for people; for everybody else as everywhere. Raises what it was given then."""
    if "text/html" not in request.headers.get("Accept", ""):
        raise problem
    status, headers, body = answer_to(problem)
    known = dict(headers)
    here = shown.address(request.path, Viewer(key=""))
    html = render(
        "problem.html",
        title=HTTPStatus(status).phrase if not isinstance(problem, NotShown) else "Not public",
        sentence=json.loads(body)["error"],
        sign_in=f"/sign-in?next={here}" if isinstance(problem, NotShown) else "",
        again=request.full_path.rstrip("?") if status >= 500 else "",
    )
    more = {name: known[name] for name in ("Retry-After",) if name in known}
    return page(html, status, more | {"Cache-Control": "no-store"})
