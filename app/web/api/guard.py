"""Who may use the API: every route below `/api/` needs a key with its scope (contracts §4)."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import quote

from flask import Flask, Request, Response, current_app, g, redirect, request
from werkzeug.wrappers import Response as WsgiResponse

from app.domain.api_keys import ApiKey, Scope
from app.errors import NotAllowed
from app.ports.api_keys import ApiKeys
from app.web.errors import NoKey
from app.web.signatures import bearer

PREFIX = "/api/"
SIGN_IN = "/sign-in"

Session = Callable[[Request], ApiKey | None]
"""Whom a browser has signed in as, which cannot send a key of its own accord. It is good for GET alone: what changes
nothing cannot be forged by another site.
"""


def guard_api(app: Flask, keys: ApiKeys, session: Session | None = None) -> None:
    """Refuse what has no key before anything else is looked at; a path that nothing is at, too."""

    @app.before_request
    def identify() -> WsgiResponse | None:
        if not request.path.startswith(PREFIX):
            return None
        view = current_app.view_functions.get(request.endpoint or "")
        if getattr(view, "own_identity", False):
            return None
        key = _key(request, keys, session)
        if key is None:
            if session and request.method == "GET" and "text/html" in request.headers.get("Accept", ""):
                return redirect(f"{SIGN_IN}?next={quote(request.path)}", HTTPStatus.SEE_OTHER)  # a person at a browser
            raise NoKey
        needed = getattr(view, "scope", Scope.READ if view is None else Scope.ADMIN)
        if not key.scope.includes(needed):
            raise NotAllowed(f"This needs a key with the scope {needed.value}, and this one has {key.scope.value}.")
        g.api_key = key
        return None

    @app.after_request
    def keep_private(response: Response) -> Response:
        """Nothing of it is for whoever uses the browser next, and no text in it is taken for a page."""
        if request.path.startswith(PREFIX):
            response.headers["Cache-Control"] = "no-store"
            response.headers["X-Content-Type-Options"] = "nosniff"
        return response


def api_key() -> ApiKey:
    """The key of this request, which the guard has let in."""
    key: ApiKey = g.api_key
    return key


def _key(asking: Request, keys: ApiKeys, session: Session | None) -> ApiKey | None:
    """A key in the header counts alone, also when it is not good."""
    header = asking.headers.get("Authorization")
    if header is None:
        return session(asking) if session and asking.method == "GET" else None
    text = bearer(header)
    return keys.verified(text) if text else None
