"""Who gets in at `/setup`: the link's token for a cookie, and what is signed with it.

Cookie, forms and the way back from GitHub are signed with the setup's token, so they end with it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qs

from flask import Request, Response, g, request
from itsdangerous import BadSignature, SignatureExpired, URLSafeTimedSerializer

from app.domain.api_keys import ApiKey
from app.errors import NotAllowed, SetupClosed, SetupMistake
from app.flows import setup
from app.flows.setup import SetupPorts, Standing
from app.ports.api_keys import ApiKeys
from app.web.errors import Malformed
from app.web.pages.sign_in import require_same_origin

PATH, COOKIE = "/setup", "mason_setup"

SESSION, WAY_BACK = 12 * 3600, 3600
"""Seconds for which a browser stays admitted, and for which GitHub may take to send somebody back."""

HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "same-origin"}
"""A form must come with its origin, which the referrer policy of other pages takes away."""

_NO_ENTRY = "Open the link that Mason printed when it was started (`mason serve` or `mason web`)."


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
class Admitted:
    """Somebody who has shown the token. ``signs`` signs for this setup alone, ``session`` is this browser."""

    standing: Standing
    signs: URLSafeTimedSerializer = field(repr=False)
    session: str = field(repr=False)

    @property
    def form(self) -> str:
        """What proves that a form is ours, and this browser's."""
        signed: str = self.signs.dumps(self.session, salt="form")
        return signed

    def is_ours(self, form: str) -> bool:
        try:
            of = str(self.signs.loads(form, salt="form", max_age=SESSION))
        except BadSignature:
            return False
        return secrets.compare_digest(of, self.session)

    def way_back(self, nonce: str) -> str:
        """The ``state`` that GitHub gives back."""
        signed: str = self.signs.dumps(nonce, salt="state")
        return signed

    def came_back(self, state: str) -> str:
        """The nonce of a way back. Raises SetupMistake."""
        try:
            return str(self.signs.loads(state, salt="state", max_age=WAY_BACK))
        except SignatureExpired:
            raise SetupMistake("GitHub sent you back after more than an hour: begin again.") from None
        except BadSignature:
            raise SetupMistake("This way back from GitHub was not begun here.") from None


def let_in(pages: SetupPages, token: str) -> Response:
    """The token leaves the address for a cookie. Raises SetupClosed, NotAllowed."""
    record = _open(pages).record
    if not setup.admitted(pages.ports, token):
        raise NotAllowed(f"This link is not (or no longer) good. {_NO_ENTRY}")
    session = signer(pages.ports.token(record.number)).dumps(secrets.token_urlsafe(16), salt="session")
    answer, secure = to(PATH), origin(request).startswith("https:")
    answer.set_cookie(COOKIE, session, max_age=SESSION, path=PATH, httponly=True, samesite="Lax", secure=secure)
    return answer


def admitted(pages: SetupPages, said: dict[str, str] | None = None) -> Admitted:
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
    there = Admitted(standing=standing, signs=signs, session=session)
    if said is not None and not there.is_ours(said.get("form", "")):
        raise NotAllowed("This form was not made for this browser: load the page again.")
    g.admitted = True
    return there


def is_admitted() -> bool:
    """Whether the request's sender is nobody to hide anything from."""
    return bool(g.get("admitted"))


def _open(pages: SetupPages) -> Standing:
    """Raises SetupClosed."""
    standing = setup.standing(pages.ports)
    if not setup.is_open(pages.ports.given, standing.record):
        raise SetupClosed
    return standing


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


def origin(asking: Request) -> str:
    """Where the person's browser is, as it says itself; a proxy in front may speak TLS for us."""
    said = asking.headers.get("Origin", "")
    if said in (f"http://{asking.host}", f"https://{asking.host}"):
        return said
    forwarded = asking.headers.get("X-Forwarded-Proto", "")
    return f"{'https' if forwarded == 'https' else asking.scheme}://{asking.host}"


def to(path: str) -> Response:
    """A page of ours, to be loaded now."""
    return Response(status=HTTPStatus.SEE_OTHER, headers={"Location": path, **HEADERS})
