"""The web app, put together: the ports of its flows, the WSGI application, the worker."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import httpx

from app import versions
from app.database import schema
from app.database.connector import worker_connector
from app.database.queue import PostgresQueue, job_queue
from app.database.store import PostgresApp, app_database
from app.dispatch.github_actions import GithubActions
from app.dispatch.local import LocalProcesses, Runner
from app.domain.runner_tokens import RunnerIdentity, RunnerToken
from app.errors import BadRepository, ForgeUnreachable, UsageError
from app.flows.app_work import AppPorts
from app.flows.approval_to_run import reconcile_backlog
from app.flows.comment_to_command import answer_request
from app.flows.reconcile_run import reconcile_run
from app.flows.sweep import sweep
from app.flows.token_for_runner import token_for_runner
from app.forge.local_repository import LocalRepository
from app.forge.names import repository_name
from app.jobs.tasks import Flows
from app.jobs.worker import Rhythm, work
from app.json_log import bound, set_up_json_logging
from app.log import Redactor
from app.ports.dispatcher import Dispatcher
from app.ports.repository import Repositories
from app.process import Stop
from app.settings import Settings, environment, secret_list, state_dir
from app.web.app import WebParts, web_app
from app.web.health import Probes
from app.web.metrics import Latency, Samples, WebMetrics, forget_process
from app.web.runner_tokens import OidcVerifier, TokenExchange, jwks_of
from app.wiring.api import rest_api
from app.wiring.databases import app_dsn, open_backlog
from app.wiring.runs import is_dead
from app.wiring.sealing import prepare_sealed
from app.workspace.source import Source

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

    from app.forge.github.repositories import GithubRepositories

SWEEP = 60.0
"""Seconds between looks at everything, where webhooks tell of most."""

_STOP_RUNS = 10.0
"""Seconds that local runs have to give their items back when the worker stops."""

GRACE = 12.0
"""Seconds that jobs have to end when the worker stops; with those of the local runs, less than the supervisor's."""

_OURS = frozenset(
    {
        "DATABASE_URL",
        "MASON_DATABASE_URL",
        "MASON_ENCRYPTION_KEY",
        "MASON_GITHUB_WEBHOOK_SECRET",
        "MASON_METRICS_TOKEN",
        "MASON_WEBHOOK_SECRET",
    }
)

forget_metrics_of = forget_process


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where things are: ``repositories`` are GitHub's or the one on this machine, which ``home`` is the name of."""

    repositories: Repositories
    dispatcher: Dispatcher
    home: str | None
    github: GithubRepositories | None = None


def dispatches_locally(settings: Settings) -> bool:
    """Whether runs are processes on this machine. Raises UsageError for GitHub Actions without GitHub."""
    if settings.dispatcher == "github_actions" and not on_github(settings):
        raise UsageError("MASON_DISPATCHER is github_actions, but no GitHub App (or token) is configured")
    return settings.dispatcher == "local" or not on_github(settings)


def on_github(settings: Settings) -> bool:
    return bool(settings.github_app_id or settings.github_token)


def sweep_seconds(settings: Settings) -> float:
    return settings.sweep or SWEEP


def prepare_app(settings: Settings, repository: Path) -> None:
    """Bring the app database up to date. Raises UsageError when its secrets are not ours to read."""
    schema.prepare(app_dsn(settings))
    prepare_sealed(settings, state_dir(settings, repository))


def logged(settings: Settings) -> Redactor:
    """JSON logs from here on, without any secret."""
    redactor = Redactor(settings.secrets)
    set_up_json_logging(redactor, level=min(logging.getLogger().level or logging.INFO, logging.INFO))
    return redactor


def place_of(settings: Settings, repository: Path, redactor: Redactor) -> Place:
    """Where the runs go, and where they are told of."""
    home = settings.repository or home_of(repository)
    github = github_repositories(settings, redactor) if on_github(settings) else None
    repositories: Repositories = github or local_repository(repository)
    if github is None or dispatches_locally(settings):
        runner = Runner(
            mason=(sys.executable, "-P", "-m", "app"), repository=repository, environ=runner_environment(settings)
        )
        return Place(
            repositories=repositories,
            dispatcher=LocalProcesses(state_dir(settings, repository) / "local-runs", runner),
            home=home if github else None,
            github=github,
        )
    dispatcher = GithubActions(github.workflows, file=settings.workflow)
    return Place(repositories=repositories, dispatcher=dispatcher, home=home, github=github)


def runner_environment(settings: Settings) -> dict[str, str]:
    """What a local run inherits: not the app's own database and secrets, which are none of its business."""
    backlog = {"MASON_DSN": settings.dsn.get_secret_value()} if settings.dsn else {}
    return {name: value for name, value in environment().items() if name not in _OURS} | backlog


def github_repositories(settings: Settings, redactor: Redactor) -> GithubRepositories:
    from app.forge.github.repositories import GithubApp, GithubRepositories, WebOptions

    key, token = settings.github_app_key, settings.github_token
    if settings.github_app_id and not key:
        raise UsageError("MASON_GITHUB_APP_ID is set without MASON_GITHUB_APP_KEY")
    acts_as: GithubApp | str = (
        GithubApp(id=settings.github_app_id, private_key=key.get_secret_value())
        if settings.github_app_id and key
        else token.get_secret_value()
        if token
        else ""
    )
    return GithubRepositories(WebOptions(api_url=settings.github_api_url, acts_as=acts_as), redactor.learn)


def home_of(repository: Path) -> str | None:
    """``owner/name`` of the checkout's origin, where there is one."""
    try:
        return repository_name(Source.open(repository, environment().get("PATH", os.defpath)).origin_url)
    except BadRepository:
        return None


def require_checkout(settings: Settings, repository: Path) -> None:
    """Local runs need a repository with a commit. Raises BadRepository, a sentence, where there is none."""
    if dispatches_locally(settings):
        Source.open(repository, environment().get("PATH", os.defpath)).pin(None)


def local_repository(repository: Path) -> LocalRepository:
    """The checkout, which is opened anew for each question: it may have been made, or remade, meanwhile."""

    def source() -> Source:
        return Source.open(repository, environment().get("PATH", os.defpath))

    return LocalRepository(
        pin=lambda branch: source().pin(branch),
        read=lambda commit, path: source().read(commit, path),
        name=home_of(repository),
    )


@contextmanager
def app_ports(settings: Settings, repository: Path, redactor: Redactor) -> Iterator[tuple[AppPorts, PostgresQueue]]:
    """The ports of the web app's flows, and the queue that its worker takes jobs from."""
    with ExitStack() as stack:
        place = place_of(settings, repository, redactor)
        backlog = stack.enter_context(open_backlog(settings, state_dir(settings, repository)))
        database = app_database(app_dsn(settings), pool_size=settings.jobs + 4)
        stack.callback(database.close)
        queue = job_queue(app_dsn(settings), pool_size=settings.jobs + 4)
        stack.callback(queue.close)
        if isinstance(place.dispatcher, LocalProcesses):
            stack.callback(place.dispatcher.stop_all, _STOP_RUNS)
        yield (
            AppPorts(
                backlog=backlog,
                repositories=place.repositories,
                dispatcher=place.dispatcher,
                database=database,
                jobs=queue,
                home=place.home,
                quiet=settings.debounce,
                appears=settings.dispatch_patience,
                is_dead=is_dead,
            ),
            queue,
        )


def work_for(settings: Settings, repository: Path, stop: Stop) -> None:
    """A worker until the stop."""
    redactor = logged(settings)
    with app_ports(settings, repository, redactor) as (ports, queue):
        ports.backlog.require_ready()

        def about_run(run_id: UUID) -> float | None:
            with bound(run=str(run_id)):
                return reconcile_run(ports, run_id)

        def about_request(key: str) -> None:
            with bound(request=key):
                answer_request(ports, key)

        flows = Flows(
            reconcile_backlog=lambda: reconcile_backlog(ports),
            reconcile_run=about_run,
            answer_request=about_request,
            sweep=lambda: sweep(ports),
        )
        work(
            queue,
            lambda: worker_connector(app_dsn(settings)),
            flows,
            stop,
            concurrency=settings.jobs,
            rhythm=Rhythm(sweep=sweep_seconds(settings), grace=GRACE),
            redact=redactor.text,
        )


@contextmanager
def queue_view(settings: Settings) -> Iterator[PostgresQueue]:
    """The queue, for an operator to look at."""
    schema.prepare(app_dsn(settings))
    queue = job_queue(app_dsn(settings), pool_size=1)
    try:
        yield queue
    finally:
        queue.close()


def web_application(settings: Settings, repository: Path, metrics: Path) -> WSGIApplication:
    """The WSGI application of one process, made after the fork."""
    redactor = logged(settings)
    place = place_of(settings, repository, redactor)
    queue = job_queue(app_dsn(settings), pool_size=settings.threads)
    database = app_database(app_dsn(settings), pool_size=4)
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
            exchange=token_exchange(settings, database, place),
            api=rest_api(settings),
            version=versions.current(),
            debounce=0.0,  # the flow itself waits until nobody approves any more
        )
    )


def token_exchange(settings: Settings, database: PostgresApp, place: Place) -> TokenExchange | None:
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
        return token_for_runner(database, place.dispatcher, give, settings.workflow, run_id, identity)

    return TokenExchange(verifier=verifier, give=exchange)


def require_github(place: Place) -> None:
    if place.github is not None and not place.github.reachable():
        raise ForgeUnreachable


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
