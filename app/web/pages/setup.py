"""`/setup`: from nothing to a working bot, for whoever has the link that Mason has printed. The story is in the flow.

Who that is, `setup_entry` finds out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode, urlsplit

from flask import Flask, Request, Response, jsonify, request
from werkzeug.exceptions import HTTPException

from app.domain.api_keys import Scope
from app.errors import BadCode, MasonError, NotAllowed, SetupClosed, SetupMistake
from app.flows import setup
from app.flows.doctor import Finding, Status, healthy
from app.flows.setup import AskedApp, is_loopback
from app.ports.backlog_setup import NewBacklog, Way
from app.web.bodies import FORM, Deadlines, content_type, read_body
from app.web.errors import NotSigned, answer_to
from app.web.pages.rendering import POLICY, page, render
from app.web.pages.setup_entry import (
    COOKIE,
    HEADERS,
    PATH,
    Admitted,
    SetupPages,
    admitted,
    form_fields,
    is_admitted,
    let_in,
    origin,
    to,
)
from app.web.pages.sign_in import require_same_origin
from app.web.signatures import bearer

FORM_LIMIT = 32 * 1024
"""Bytes of a form."""

_TONES = {Status.OK: "good", Status.WARN: "warn", Status.FAIL: "bad", Status.SKIPPED: "off"}
_LOST_APP = (
    " If GitHub made the App all the same, delete it there (in the settings, Developer settings) and begin again."
)


def add_setup(app: Flask, pages: SetupPages, deadlines: Deadlines) -> None:
    """All of `/setup`. No route is part of the API."""

    def route(rule: str, *methods: str) -> Callable[[Callable[[], Response]], None]:
        def decorate(view: Callable[[], Response]) -> None:
            def safe() -> Response:
                try:
                    return view()
                except (MasonError, HTTPException) as problem:
                    return _refused(pages, problem)

            app.add_url_rule(rule, f"setup {rule}", safe, methods=methods, provide_automatic_options=False)

        return decorate

    def fields() -> dict[str, str]:
        content_type(request.environ, FORM)
        return form_fields(read_body(request.environ, FORM_LIMIT, deadlines))

    route(PATH, "GET")(lambda: _show(pages))
    route(f"{PATH}/checks", "GET")(lambda: _shown(pages, admitted(pages), findings=setup.check_everything(pages.ports)))
    route(f"{PATH}/app", "POST")(lambda: _ask_for_app(pages, fields()))
    route(setup.RETURN, "GET")(lambda: _take_app(pages))
    route(f"{PATH}/supabase", "POST")(lambda: _connect(pages, fields()))
    route(f"{PATH}/finish", "POST")(lambda: _finish(pages, fields()))
    route(f"{PATH}/open", "POST")(lambda: _open_again(pages))


def _show(pages: SetupPages) -> Response:
    token = request.args.get("token")
    return _shown(pages, admitted(pages)) if token is None else let_in(pages, token)


def _ask_for_app(pages: SetupPages, said: dict[str, str]) -> Response:
    """Idempotent: the newest way back is the one that counts."""
    there = admitted(pages, said)
    app_url = pages.ports.given.app_url or said.get("app_url", "")
    asked = AskedApp(name=said.get("name", ""), organisation=said.get("organisation", ""), app_url=app_url)
    try:
        made = setup.ask_for_app(pages.ports, asked, origin(request))
    except SetupMistake as mistake:
        return _shown(pages, there, problem=str(mistake), asked=asked)
    html = render(
        "setup_app.html",
        action=f"{made.page}?{urlencode({'state': there.way_back(made.nonce)})}",
        manifest=made.manifest,
        unreachable=_is_local(asked.app_url),
    )
    github = urlsplit(pages.server_url)
    policy = POLICY.replace("form-action 'self'", f"form-action 'self' {github.scheme}://{github.netloc}")
    # GitHub is told where the form comes from, as of any form, and nothing more.
    return page(html, headers=HEADERS | {"Content-Security-Policy": policy, "Referrer-Policy": "strict-origin"})


def _take_app(pages: SetupPages) -> Response:
    there = admitted(pages)
    nonce = there.came_back(request.args.get("state", ""))
    setup.take_app(pages.ports, nonce, request.args.get("code", ""))
    return to(f"{PATH}#github")


def _connect(pages: SetupPages, said: dict[str, str]) -> Response:
    """Idempotent: whatever is there already stays."""
    there = admitted(pages, said)
    url, way = said.get("url", ""), said.get("way", "")
    try:
        if way not in list(Way) or not said.get("key") or not said.get("secret"):
            raise SetupMistake("The project needs its URL, a secret key, and one way to its tables.")
        asked = NewBacklog(url=url, key=said["key"].strip(), way=Way(way), secret=said["secret"].strip())
        done = setup.connect_backlog(pages.ports, asked)
    except MasonError as problem:
        if isinstance(problem, SetupClosed):
            raise
        return _shown(pages, there, problem=str(problem), url=url, way=way)
    return _shown(pages, replace(there, standing=setup.standing(pages.ports)), done=done.lines)


def _finish(pages: SetupPages, said: dict[str, str]) -> Response:
    """Twice is once: the second one finds it closed."""
    admitted(pages, said)
    setup.finish(pages.ports)
    sentence = "This page is closed now. What is stored counts already."
    answer = page(_closed("Mason is set up", sentence, done="yes"), headers=HEADERS)
    answer.delete_cookie(COOKIE, path=PATH, httponly=True, samesite="Lax")
    return answer


def _open_again(pages: SetupPages) -> Response:
    """With a key in its header, or signed in, of the scope admin. The setup that went on is closed by that."""
    text = bearer(request.headers.get("Authorization"))
    if not text:
        require_same_origin(request)
    key = pages.keys.verified(text) if text else pages.session(request)
    if key is None:
        raise NotSigned("Opening the setup needs a key with the scope admin (Authorization: Bearer).")
    if not key.scope.includes(Scope.ADMIN):
        raise NotAllowed("Opening the setup needs a key with the scope admin.")
    path = f"{PATH}?{urlencode({'token': setup.open_again(pages.ports)})}"
    if not text:
        return to(path)
    answer = jsonify({"url": f"{pages.ports.given.app_url or origin(request)}{path}"})
    answer.headers.update(HEADERS)
    return answer


def _shown(
    pages: SetupPages,
    there: Admitted,
    *,
    problem: str = "",
    asked: AskedApp | None = None,
    url: str = "",
    way: str = "",
    done: Sequence[str] = (),
    findings: Sequence[Finding] | None = None,
) -> Response:
    """The page as it stands. ``asked``, ``url`` and ``way`` are what was filled in; secrets never are."""
    ports, app, backlog = pages.ports, there.standing.app, there.standing.backlog
    looked: Any = setup.installed_at(ports, app) if app and not ports.given.github else ()
    html = render(
        "setup.html",
        form=there.form,
        problem=pages.redact(problem),
        given=ports.given,
        app=app,
        accounts=pages.redact(looked) if isinstance(looked, str) else looked,
        install=ports.github.installation_page(app.slug) if app else "",
        unreachable=app is not None and _is_local(app.app_url),
        asked=asked or AskedApp(name="Mason", organisation="", app_url=_public(request)),
        address=ports.given.app_url or (app.app_url if app else ""),
        backlog=backlog,
        url=url,
        way=way,
        done=[pages.redact(line) for line in done],
        findings=findings,
        healthy=healthy(findings or ()),
        TONES=_TONES,
    )
    return page(html, HTTPStatus.BAD_REQUEST if problem else HTTPStatus.OK, HEADERS)


def _refused(pages: SetupPages, problem: MasonError | HTTPException) -> Response:
    """A page that says what is wrong, and how to go on; nothing that was stored is lost."""
    status, headers, told = answer_to(problem)
    # Strangers are told no more than anywhere else.
    sentence = str(problem) if is_admitted() else str(json.loads(told)["error"])
    again = back = admin = ""
    if isinstance(problem, SetupClosed):
        key = pages.session(request)
        admin = "yes" if key and key.scope.includes(Scope.ADMIN) else ""
    elif request.path == setup.RETURN and not isinstance(problem, NotAllowed):
        sentence += _LOST_APP if isinstance(problem, BadCode) else ""
        again = request.full_path if status == HTTPStatus.SERVICE_UNAVAILABLE else ""
        back = "yes"
    sentence = pages.redact(sentence)
    title = "The setup is closed" if isinstance(problem, SetupClosed) else "This did not work"
    if isinstance(problem, NotSigned | NotAllowed):
        title = "This is not public"
    kept = {name: value for name, value in headers if name in ("Retry-After", "Allow")}
    return page(_closed(title, sentence, again=again, back=back, admin=admin), status, HEADERS | kept)


def _closed(title: str, sentence: str, *, again: str = "", back: str = "", admin: str = "", done: str = "") -> str:
    shown = {"again": again, "back": back, "admin": admin, "done": done}
    return render("setup_closed.html", title=title, sentence=sentence, **shown)


def _public(asking: Request) -> str:
    """What Mason's address probably is."""
    here = origin(asking)
    return here if _is_local(here) else f"https://{asking.host}"


def _is_local(url: str) -> bool:
    """Whether a URL is of this machine, which GitHub cannot reach."""
    try:
        return is_loopback(urlsplit(url).hostname or "")
    except ValueError:
        return False
