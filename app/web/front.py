"""In front of Flask: GitHub's deliveries are verified here, and those that mean nothing to Mason are answered here.

An App is sent far more than Mason wants to know. What an event's name alone settles costs a signature and no more: no
parsing, no framework, no database.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from app.errors import MasonError
from app.web import notes
from app.web.bodies import FORM, JSON, Deadlines, content_type, read_body
from app.web.errors import Malformed, MethodNotAllowed, NotSigned, tell
from app.web.github_hook import RELEVANT
from app.web.signatures import github_signed

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

PATH = "/webhooks/github"
LIMIT = 25 * 1024 * 1024
"""Bytes of a payload (platform facts, Webhooks)."""

_DELIVERY = re.compile(r"[0-9A-Za-z-]{1,64}")
_EVENT = re.compile(r"[0-9a-z_]{1,64}")


class Front:
    """WSGI: everything but `PATH` goes on to ``inner``, and what of that is verified and may matter."""

    def __init__(self, inner: WSGIApplication, secrets: Sequence[bytes], deadlines: Deadlines) -> None:
        self._inner = inner
        self._secrets = secrets
        self._deadlines = deadlines

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] != PATH:
            return self._inner(environ, start_response)
        noted = notes.of(environ)
        noted.route, noted.platform = PATH, "github"
        try:
            matters = self._verified(environ, noted)
        except MasonError as problem:
            noted.outcome = "unsigned" if isinstance(problem, NotSigned) else "refused"
            return tell(problem, start_response)
        if matters:
            return self._inner(environ, start_response)
        noted.outcome = "irrelevant"
        start_response("204 No Content", [])
        return []

    def _verified(self, environ: WSGIEnvironment, noted: notes.Notes) -> bool:
        """Whether the event may matter; its body is noted then. Raises what is answered instead."""
        if environ["REQUEST_METHOD"] != "POST":
            raise MethodNotAllowed
        body = read_body(environ, LIMIT, self._deadlines)
        if not github_signed(body, environ.get("HTTP_X_HUB_SIGNATURE_256"), self._secrets):
            raise NotSigned
        content_type(environ, JSON, FORM)
        event, delivery = environ.get("HTTP_X_GITHUB_EVENT", ""), environ.get("HTTP_X_GITHUB_DELIVERY", "")
        if not _EVENT.fullmatch(event) or not _DELIVERY.fullmatch(delivery):
            raise Malformed("X-GitHub-Event or X-GitHub-Delivery is missing.")
        noted.event, noted.delivery = event, delivery
        if event not in RELEVANT:
            return False
        noted.body = body
        return True
