"""`/setup`: from nothing to a working bot, for whoever has the link that Mason has printed. The story is in the flow.

The link's token is exchanged for a cookie at once, so that it stands in no address. Cookie, forms and the way back from
GitHub are signed with the token: they end with the setup.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from flask import Flask, Request, Response, g, jsonify, request
from itsdangerous import BadSignature, SignatureExpired, URLSafeTimedSerializer
from werkzeug.exceptions import HTTPException

from app.domain.api_keys import ApiKey, Scope
from app.errors import BadCode, MasonError, NotAllowed, SetupClosed, SetupMistake
from app.flows import setup
from app.flows.doctor import Finding, Status, healthy
from app.flows.setup import AskedApp, SetupPorts, Standing, is_loopback
from app.ports.api_keys import ApiKeys
from app.ports.backlog_setup import NewBacklog, Way
from app.web.bodies import FORM, Deadlines, content_type, read_body
from app.web.errors import Malformed, NotSigned, answer_to
from app.web.pages.rendering import POLICY, page, render
from app.web.pages.sign_in import require_same_origin
from app.web.signatures import bearer

PATH, COOKIE = "/setup", "mason_setup"

SESSION, WAY_BACK = 12 * 3600, 3600
"""Seconds for which a browser stays admitted, and for which GitHub may take to send somebody back."""

FORM_LIMIT = 32 * 1024
"""Bytes of a form."""

_TONES = {Status.OK: "good", Status.WARN: "warn", Status.FAIL: "bad", Status.SKIPPED: "off"}
_HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "same-origin"}
"""A form must come with its origin, which the referrer policy of other pages takes away."""

_NO_ENTRY = "Open the link that Mason printed when it was started (`mason serve` or `mason web`)."
_LOST_APP = (
    " If GitHub made the App all the same, delete it there (in the settings, Developer settings) and begin again."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class SetupPages:
    """``server_url`` is GitHub's, without a slash at its end. ``session`` tells whose key somebody has signed in with.
    ``redact`` takes secrets out of what is shown.
    """

    ports: SetupPorts
    keys: ApiKeys
    server_url: str
    session: Callable[[Request], ApiKey | None] = lambda _: None
    redact: Callable[[str], str] = field(default=lambda text: text, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Admitted:
    """Somebody who has shown the token. ``signs`` signs for this setup alone, ``session`` is this browser."""

    standing: Standing
    signs: URLSafeTimedSerializer = field(repr=False)
    session: str = field(repr=False)

    @property
    def form(self) -> str:
        signed: str = self.signs.dumps(self.session, salt="form")
        return signed


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
    route(f"{PATH}/checks", "GET")(
        lambda: _shown(pages, _admitted(pages), findings=setup.check_everything(pages.ports))
    )
    route(f"{PATH}/app", "POST")(lambda: _ask_for_app(pages, fields()))
    route(setup.RETURN, "GET")(lambda: _take_app(pages))
    route(f"{PATH}/supabase", "POST")(lambda: _connect(pages, fields()))
    route(f"{PATH}/finish", "POST")(lambda: _finish(pages, fields()))
    route(f"{PATH}/open", "POST")(lambda: _open_again(pages))


def _show(pages: SetupPages) -> Response:
    token = request.args.get("token")
    if token is None:
        return _shown(pages, _admitted(pages))
    record = _open(pages).record
    if not setup.admitted(pages.ports, token):
        raise NotAllowed(f"This link is not (or no longer) good. {_NO_ENTRY}")
    answer = _to(PATH)
    session = signer(pages.ports.token(record.number)).dumps(secrets.token_urlsafe(16), salt="session")
    secure = _origin(request).startswith("https:")
    answer.set_cookie(COOKIE, session, max_age=SESSION, path=PATH, httponly=True, samesite="Lax", secure=secure)
    return answer


def _ask_for_app(pages: SetupPages, said: dict[str, str]) -> Response:
    """Idempotent: the newest way back is the one that counts."""
    admitted = _admitted(pages, said)
    app_url = pages.ports.given.app_url or said.get("app_url", "")
    asked = AskedApp(name=said.get("name", ""), organisation=said.get("organisation", ""), app_url=app_url)
    try:
        made = setup.ask_for_app(pages.ports, asked, _origin(request))
    except SetupMistake as mistake:
        return _shown(pages, admitted, problem=str(mistake), asked=asked)
    state = admitted.signs.dumps(made.nonce, salt="state")
    html = render(
        "setup_app.html",
        action=f"{made.page}?{urlencode({'state': state})}",
        manifest=made.manifest,
        unreachable=_is_local(asked.app_url),
    )
    github = urlsplit(pages.server_url)
    policy = POLICY.replace("form-action 'self'", f"form-action 'self' {github.scheme}://{github.netloc}")
    # GitHub is told where the form comes from, as of any form, and nothing more.
    return page(html, headers=_HEADERS | {"Content-Security-Policy": policy, "Referrer-Policy": "strict-origin"})


def _take_app(pages: SetupPages) -> Response:
    admitted = _admitted(pages)
    try:
        nonce = admitted.signs.loads(request.args.get("state", ""), salt="state", max_age=WAY_BACK)
    except SignatureExpired:
        raise SetupMistake("GitHub sent you back after more than an hour: begin again.") from None
    except BadSignature:
        raise SetupMistake("This way back from GitHub was not begun here.") from None
    setup.take_app(pages.ports, str(nonce), request.args.get("code", ""))
    return _to(f"{PATH}#github")


def _connect(pages: SetupPages, said: dict[str, str]) -> Response:
    """Idempotent: whatever is there already stays."""
    admitted = _admitted(pages, said)
    url, way = said.get("url", ""), said.get("way", "")
    try:
        if way not in list(Way) or not said.get("key") or not said.get("secret"):
            raise SetupMistake("The project needs its URL, a secret key, and one way to its tables.")
        asked = NewBacklog(url=url, key=said["key"].strip(), way=Way(way), secret=said["secret"].strip())
        done = setup.connect_backlog(pages.ports, asked)
    except MasonError as problem:
        if isinstance(problem, SetupClosed):
            raise
        return _shown(pages, admitted, problem=str(problem), url=url, way=way)
    return _shown(pages, replace(admitted, standing=setup.standing(pages.ports)), done=done.lines)


def _finish(pages: SetupPages, said: dict[str, str]) -> Response:
    """Twice is once: the second one finds it closed."""
    _admitted(pages, said)
    setup.finish(pages.ports)
    sentence = "This page is closed now. What is stored counts already."
    answer = page(_closed("Mason is set up", sentence, done="yes"), headers=_HEADERS)
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
        return _to(path)
    answer = jsonify({"url": f"{pages.ports.given.app_url or _origin(request)}{path}"})
    answer.headers.update(_HEADERS)
    return answer


def _open(pages: SetupPages) -> Standing:
    """Raises SetupClosed."""
    standing = setup.standing(pages.ports)
    if not setup.is_open(pages.ports.given, standing.record):
        raise SetupClosed
    return standing


def _admitted(pages: SetupPages, said: dict[str, str] | None = None) -> _Admitted:
    """Whoever has shown the token. With ``said``, the fields of a form: it is one that we gave to this browser.

    Raises SetupClosed, NotAllowed.
    """
    if said is not None:
        require_same_origin(request)
    standing = _open(pages)
    signs = signer(pages.ports.token(standing.record.number))
    try:
        session = str(signs.loads(request.cookies.get(COOKIE, ""), salt="session", max_age=SESSION))
    except BadSignature:
        raise NotAllowed(_NO_ENTRY) from None
    if said is not None:
        try:
            right = secrets.compare_digest(
                str(signs.loads(said.get("form", ""), salt="form", max_age=SESSION)), session
            )
        except BadSignature:
            right = False
        if not right:
            raise NotAllowed("This form was not made for this browser: load the page again.")
    g.admitted = True
    return _Admitted(standing=standing, signs=signs, session=session)


def _shown(
    pages: SetupPages,
    admitted: _Admitted,
    *,
    problem: str = "",
    asked: AskedApp | None = None,
    url: str = "",
    way: str = "",
    done: Sequence[str] = (),
    findings: Sequence[Finding] | None = None,
) -> Response:
    """The page as it stands. ``asked``, ``url`` and ``way`` are what was filled in; secrets never are."""
    ports, app, backlog = pages.ports, admitted.standing.app, admitted.standing.backlog
    looked: Any = setup.installed_at(ports, app) if app and not ports.given.github else ()
    html = render(
        "setup.html",
        form=admitted.form,
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
    return page(html, HTTPStatus.BAD_REQUEST if problem else HTTPStatus.OK, _HEADERS)


def _refused(pages: SetupPages, problem: MasonError | HTTPException) -> Response:
    """A page that says what is wrong, and how to go on; nothing that was stored is lost."""
    status, headers, told = answer_to(problem)
    # Strangers are told no more than anywhere else.
    sentence = str(problem) if g.get("admitted") else str(json.loads(told)["error"])
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
    return page(_closed(title, sentence, again=again, back=back, admin=admin), status, _HEADERS | kept)


def _closed(title: str, sentence: str, *, again: str = "", back: str = "", admin: str = "", done: str = "") -> str:
    shown = {"again": again, "back": back, "admin": admin, "done": done}
    return render("setup_closed.html", title=title, sentence=sentence, **shown)


def signer(token: str) -> URLSafeTimedSerializer:
    """Signs what belongs to the setup with this token; each use has its salt."""
    return URLSafeTimedSerializer(token, salt="mason setup")


def form_fields(body: bytes) -> dict[str, str]:
    """Each field once. Raises Malformed."""
    try:
        found = parse_qs(body.decode(), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=20)
    except ValueError:
        raise Malformed("The form cannot be read.") from None
    if any(len(values) != 1 or "\0" in values[0] for values in found.values()):
        raise Malformed("The form cannot be read.")
    return {name: values[0] for name, values in found.items()}


def _origin(asking: Request) -> str:
    """Where the person's browser is, as it says itself; a proxy in front may speak TLS for us."""
    said = asking.headers.get("Origin", "")
    if said in (f"http://{asking.host}", f"https://{asking.host}"):
        return said
    forwarded = asking.headers.get("X-Forwarded-Proto", "")
    return f"{'https' if forwarded == 'https' else asking.scheme}://{asking.host}"


def _public(asking: Request) -> str:
    """What Mason's address probably is."""
    origin = _origin(asking)
    return origin if _is_local(origin) else f"https://{asking.host}"


def _is_local(url: str) -> bool:
    """Whether a URL is of this machine, which GitHub cannot reach."""
    try:
        return is_loopback(urlsplit(url).hostname or "")
    except ValueError:
        return False


def _to(path: str) -> Response:
    return Response(status=HTTPStatus.SEE_OTHER, headers={"Location": path, **_HEADERS})
