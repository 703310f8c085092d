"""The web app: Flask behind a small front, the same for every platform that is configured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog
from flask import Flask, Response, request

from app.domain.deliveries import Asked, BacklogChanged, Delivery, RunChanged
from app.domain.jobs import ReconcileBacklog, ReconcileRun
from app.ports.api_keys import ApiKeys
from app.ports.job_queue import JobQueue
from app.web import notes, supabase_hook
from app.web.access import Access
from app.web.api.description import description_routes
from app.web.api.framework import ApiBlueprint, openapi_app
from app.web.api.guard import Session, guard_api
from app.web.api.health import health_routes
from app.web.bodies import FORM, JSON, Deadlines, content_type, read_body
from app.web.errors import NotSigned, answer_to
from app.web.front import PATH as GITHUB
from app.web.front import Front
from app.web.github_hook import Signed, form_payload, read_delivery
from app.web.health import Probes, add_health
from app.web.metrics import WebMetrics
from app.web.pages.run_page import Pages, add_pages
from app.web.pages.setup import add_setup
from app.web.pages.setup_entry import SetupPages
from app.web.runner_tokens import TokenExchange, add_runner_tokens
from app.web.signatures import supabase_signed

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

SUPABASE = "/webhooks/supabase"


@dataclass(frozen=True, kw_only=True, slots=True)
class Api:
    """The REST API: who may use it (``session``: what a browser may look at, see `guard`), and its groups of routes."""

    keys: ApiKeys
    routes: tuple[ApiBlueprint, ...]
    session: Session | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class WebParts:
    """What the web app is made of. A platform without secrets has no endpoint; ``exchange`` None: nor have runners.

    ``debounce`` in seconds is for how long a changed backlog waits, so that several changes are looked at once.
    """

    jobs: JobQueue
    probes: Probes
    metrics: WebMetrics
    github_secrets: tuple[bytes, ...] = field(default=(), repr=False)
    supabase_secrets: tuple[bytes, ...] = field(default=(), repr=False)
    exchange: TokenExchange | None = None
    api: Api | None = None
    pages: Pages | None = None
    setup: SetupPages | None = None
    version: str = "0"
    debounce: float = 5.0
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)


def web_app(parts: WebParts) -> WSGIApplication:
    """The WSGI application; made after the fork, used by many threads."""
    deadlines = Deadlines()
    # Routes that the API's description leaves out are made with `route`, which flask-openapi3 does not look at.
    app = openapi_app(deadlines, parts.version)
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    _add_borders(app)
    add_health(app, parts.probes, parts.metrics)
    if parts.exchange:
        add_runner_tokens(app, parts.exchange)
    if parts.api:
        guard_api(app, parts.api.keys, parts.api.session)
        for routes in (health_routes(parts.version), *parts.api.routes, description_routes()):
            app.register_api(routes)
    if parts.pages:
        add_pages(app, parts.pages, deadlines)
    if parts.setup:
        add_setup(app, parts.setup, deadlines)
    if parts.supabase_secrets:
        _add_supabase(app, parts, deadlines)
    if not parts.github_secrets:
        return Access(app, parts.metrics)
    _add_github(app, parts)
    return Access(Front(app, parts.github_secrets, deadlines), parts.metrics)


def _add_borders(app: Flask) -> None:
    """What every request has: its id in every line of the log, and one way in which errors are told."""

    @app.before_request
    def begin() -> None:
        noted = notes.of(request.environ)
        noted.route = noted.route or (request.url_rule.rule if request.url_rule else "")
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request=noted.request)
        if noted.delivery:
            structlog.contextvars.bind_contextvars(delivery=noted.delivery)

    @app.teardown_request
    def end(_: BaseException | None) -> None:
        structlog.contextvars.clear_contextvars()

    @app.errorhandler(Exception)
    def failed(problem: Exception) -> Response:
        noted = notes.of(request.environ)
        status, headers, body = answer_to(problem)
        if noted.platform and not noted.outcome:
            noted.outcome = _outcome(problem, status)
        return Response(body, status, headers)


def _outcome(problem: Exception, status: int) -> str:
    if isinstance(problem, NotSigned):
        return "unsigned"
    return "refused" if status < 500 else "unavailable" if status == 503 else "failed"


def _add_github(app: Flask, parts: WebParts) -> None:
    @app.route(GITHUB, methods=["POST"])
    def github() -> Response:
        """The front has verified it."""
        noted = notes.of(request.environ)
        form = content_type(request.environ, JSON, FORM) == FORM
        signed = Signed(
            event=noted.event,
            id=noted.delivery,
            body=form_payload(noted.body) if form else noted.body,
            received_at=parts.clock(),
        )
        return _accept(parts, noted, read_delivery(signed))


def _add_supabase(app: Flask, parts: WebParts, deadlines: Deadlines) -> None:
    @app.route(SUPABASE, methods=["POST"])
    def supabase() -> Response:
        noted = notes.of(request.environ)
        noted.platform, noted.event = "supabase", "change"
        body = read_body(request.environ, supabase_hook.LIMIT, deadlines)
        headers = {name.lower(): value for name, value in request.headers.items()}
        if not supabase_signed(body, headers, parts.supabase_secrets, parts.clock().timestamp()):
            raise NotSigned
        content_type(request.environ, JSON)
        return _accept(parts, noted, supabase_hook.read_change(body))


def _accept(parts: WebParts, noted: notes.Notes, delivery: Delivery | None) -> Response:
    """202 once the job is stored, so that nothing is lost that was accepted.

    Idempotent: jobs of one name are one job, a request's key is unique.
    """
    new = True
    match delivery:
        case None:
            noted.outcome = "irrelevant"
            return Response(status=HTTPStatus.NO_CONTENT)
        case BacklogChanged():
            parts.jobs.defer(ReconcileBacklog(), after=parts.debounce)
        case RunChanged(run_id=run_id):
            parts.jobs.defer(ReconcileRun(run_id=run_id))
        case Asked(request=asked):
            new = parts.jobs.hear(asked)
    noted.outcome = "accepted" if new else "heard before"
    return Response(status=HTTPStatus.ACCEPTED, mimetype="text/plain")
