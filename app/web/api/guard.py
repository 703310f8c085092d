"""Who may use the API: every route below `/api/` needs a key with its scope (contracts §4)."""

from __future__ import annotations

from flask import Flask, current_app, request

from app.domain.api_keys import Scope
from app.errors import NotAllowed
from app.ports.api_keys import ApiKeys
from app.web.errors import NotSigned
from app.web.signatures import bearer

PREFIX = "/api/"


def guard_api(app: Flask, keys: ApiKeys) -> None:
    """Refuse what has no key before anything else is looked at; a path that nothing is at, too."""

    @app.before_request
    def identify() -> None:
        if not request.path.startswith(PREFIX):
            return
        view = current_app.view_functions.get(request.endpoint or "")
        if getattr(view, "own_identity", False):
            return
        text = bearer(request.headers.get("Authorization"))
        key = keys.verified(text) if text else None
        if key is None:
            raise NotSigned("The API needs a key (Authorization: Bearer); `mason api-key create` makes one.")
        needed = getattr(view, "scope", Scope.READ if view is None else Scope.ADMIN)
        if not key.scope.includes(needed):
            raise NotAllowed(f"This needs a key with the scope {needed.value}, and this one has {key.scope.value}.")
