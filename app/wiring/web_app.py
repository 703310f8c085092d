"""The web app, put together: the ports of its flows, the WSGI application, the worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import httpx

from app import versions
from app.database import schema
from app.database.queue import PostgresQueue, job_queue
from app.database.store import PostgresApp
from app.domain.dispatches import Dispatch
from app.domain.runner_tokens import RunnerIdentity, RunnerToken
from app.flows.token_for_runner import token_for_runner
from app.settings import Settings, secret_list, state_dir
from app.web.app import WebParts, web_app
from app.web.health import Probes
from app.web.metrics import Latency, Samples, WebMetrics, forget_process
from app.web.pages.setup_entry import SetupPages
from app.web.runner_tokens import OidcVerifier, TokenExchange, jwks_of
from app.wiring.api import rest_api
from app.wiring.app_parts import AppParts, open_app
from app.wiring.app_place import Place, require_github
from app.wiring.databases import app_dsn
from app.wiring.pages import run_pages
from app.wiring.sealing import prepare_sealed

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication


PATIENCE = 3.0
"""Seconds for which a request waits for a backlog that is away."""

forget_metrics_of = forget_process


def prepare_app(settings: Settings, repository: Path) -> None:
    """Bring the app database up to date. Raises UsageError when its secrets are not ours to read."""
    schema.prepare(app_dsn(settings))
    prepare_sealed(settings, state_dir(settings, repository))


@contextmanager
def queue_view(settings: Settings) -> Iterator[PostgresQueue]:
    """The queue, for an operator to look at."""
    schema.prepare(app_dsn(settings))
    queue = job_queue(app_dsn(settings), pool_size=1)
    try:
        yield queue
    finally:
        queue.close()


def web_application(
    settings: Settings, repository: Path, metrics: Path, *, setup: Callable[[AppParts], SetupPages] | None = None
) -> WSGIApplication:
    """The WSGI application of one process, made after the fork; with the pages that ``setup`` makes, where it is."""
    parts = open_app(
        settings, repository, patience=min(settings.database_patience, PATIENCE), connections=settings.threads + 4
    )
    place, queue, database = parts.place, parts.queue, parts.database
    pages = run_pages(parts)
    return web_app(
        WebParts(
            jobs=queue,
            probes=Probes(
                queue=queue,
                samples=lambda: samples(queue, database, place),
                github=(lambda: require_github(place)) if place.github else None,
                metrics_token=(settings.metrics_token.get_secret_value() if settings.metrics_token else "").encode(),
            ),
            metrics=WebMetrics(metrics),
            github_secrets=tuple(one.encode() for one in secret_list(settings.github_webhook_secret)),
            supabase_secrets=tuple(one.encode() for one in secret_list(settings.webhook_secret)),
            exchange=token_exchange(settings, database, place, parts.ports.page_of),
            api=replace(rest_api(parts), session=pages.viewers.sessions.key),
            pages=pages,
            setup=setup(parts) if setup else None,
            version=versions.current(),
            debounce=0.0,  # the flow itself waits until nobody approves any more
        )
    )


def token_exchange(
    settings: Settings, database: PostgresApp, place: Place, page_of: Callable[[Dispatch], str]
) -> TokenExchange | None:
    """Tokens for runners are made with the App's key; the app has to know its own address, which they are for."""
    github = place.github
    if github is None or not (settings.github_app_id and settings.app_url):
        return None
    issuer = settings.oidc_issuer.rstrip("/")
    verifier = OidcVerifier(
        issuer=issuer, audience=settings.app_url.rstrip("/"), fetch_jwks=jwks_of(issuer, httpx.Client())
    )

    def give(repository: str) -> RunnerToken:
        grant = github.runner_token(repository)
        return RunnerToken(token=grant.token, expires_at=datetime.fromtimestamp(grant.ends, UTC))

    def exchange(run_id: UUID, identity: RunnerIdentity) -> RunnerToken:
        token = token_for_runner(database, place.dispatcher, give, settings.workflow, run_id, identity)
        dispatch = database.dispatch(run_id)
        return replace(token, page=page_of(dispatch) if dispatch else "")

    return TokenExchange(verifier=verifier, give=exchange)


def samples(queue: PostgresQueue, database: PostgresApp, place: Place) -> Samples:
    """What /metrics shows of the databases."""
    figures = database.figures()
    return Samples(
        queue=queue.queue_state(),
        dispatches=figures.dispatches,
        latency=Latency(at_most=figures.latency, total=figures.latency_total),
        cost_usd=figures.cost_usd,
        rate_limit_left=place.github.rate_left() if place.github else None,
    )
