"""`mason serve`, `mason web`, `mason worker`: the web app on one machine, or its two processes apart."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app import users
from app.errors import UsageError
from app.log import printable
from app.process import Stop
from app.serving.http_server import Address, HttpServer
from app.serving.supervisor import Part, supervise
from app.settings import Settings, environment, secret_list, state_dir
from app.wiring import app_place, app_worker, web_app
from app.wiring.databases import keep_out_of_git, served_databases

log = logging.getLogger("mason")


@dataclass(frozen=True, kw_only=True, slots=True)
class Serving:
    """What `mason serve` was asked: where to listen, and the checkout that local runs work on."""

    repository: Path
    host: str = "127.0.0.1"
    port: int = 8000


def serve(settings: Settings, serving: Serving, stop: Stop, say: Callable[[str], None]) -> None:
    """Databases, web and worker, until the stop. Raises UsageError before anything starts."""
    hide_keys(settings)
    require_secrets(settings)
    app_place.require_checkout(settings, serving.repository)
    require_free(serving)
    state = state_dir(settings, serving.repository)
    keep_out_of_git(state)
    embedded = not settings.database_url or not (settings.dsn or settings.supabase_url)
    alone = only_one(state / "serving.lock", serving) if embedded else contextlib.nullcontext()
    with alone, served_databases(settings, state) as served:
        web_app.prepare_app(served, serving.repository)
        say(announcement(settings, served, serving))
        stop.heeded = True
        parts = [
            Part(name=name, command=mason(name, serving), env=child_environment(served)) for name in ("web", "worker")
        ]
        supervise(parts, stop, cwd=serving.repository)


def mason(name: str, serving: Serving) -> list[str]:
    """The command line of one of our processes. ``-P``: a checkout's own ``app`` (or ``flask``) is none of Mason's."""
    where = ["--host", serving.host, "--port", str(serving.port)] if name == "web" else []
    return [sys.executable, "-P", "-m", "app", name, "--repository", str(serving.repository), *where]


def child_environment(served: Settings) -> Mapping[str, str]:
    """Our environment, with the databases that we have opened."""
    named = {"MASON_DSN": served.dsn, "MASON_DATABASE_URL": served.database_url}
    sweep = {"MASON_SWEEP": str(served.sweep)} if served.sweep else {}
    return environment() | sweep | {name: secret.get_secret_value() for name, secret in named.items() if secret}


def web(settings: Settings, serving: Serving) -> None:
    """gunicorn, as this process, until a signal ends it."""
    hide_keys(settings)
    require_secrets(settings)
    state = state_dir(settings, serving.repository)
    keep_out_of_git(state)
    metrics = Path(tempfile.mkdtemp(prefix="mason-metrics-"))
    try:
        with served_databases(settings, state) as served:
            web_app.prepare_app(served, serving.repository)
            server = HttpServer(
                Address(host=serving.host, port=serving.port, workers=settings.workers, threads=settings.threads),
                lambda: web_app.web_application(served, serving.repository, metrics),
                when_ready=lambda: log.info("Listening on %s port %s", serving.host, serving.port),
                at_exit=lambda pid: web_app.forget_metrics_of(metrics, pid),
            )
            server.run()
    finally:
        shutil.rmtree(metrics, ignore_errors=True)


def worker(settings: Settings, serving: Serving, stop: Stop) -> None:
    """A worker, as this process, until the stop."""
    hide_keys(settings)
    state = state_dir(settings, serving.repository)
    keep_out_of_git(state)
    with served_databases(settings, state) as served:
        web_app.prepare_app(served, serving.repository)
        stop.heeded = True
        app_worker.work_for(served, serving.repository, stop)


def hide_keys(settings: Settings) -> None:
    """Runs on this machine may be of our own user: a model's key is kept from what they start."""
    if settings.anthropic_api_key or settings.openai_api_key:
        users.hide_memory()


def require_secrets(settings: Settings) -> None:
    """A platform without its webhook secret is refused: anybody could speak for it (design, Trust)."""
    if (settings.github_app_id or settings.github_token) and not secret_list(settings.github_webhook_secret):
        raise UsageError(
            "GitHub is configured, but not the secret of its webhooks: set MASON_GITHUB_WEBHOOK_SECRET to the one that "
            "the GitHub App (or the repository's webhook) has"
        )
    if settings.supabase_url and not secret_list(settings.webhook_secret):
        raise UsageError(
            "Supabase is configured, but not the secret of its webhooks: set MASON_WEBHOOK_SECRET to the one that "
            "`mason migrate --webhook-url` has shown"
        )


def require_free(serving: Serving) -> None:
    """A port that cannot be had is told now; a web server that never comes up would be started again and again."""
    try:
        with socket.create_server((serving.host, serving.port)):
            pass
    except OSError as problem:
        where = f"{serving.host} port {serving.port}"
        raise UsageError(
            f"Cannot listen on {where}: {os.strerror(problem.errno or 0)} (see --host and --port)"
        ) from None


@contextmanager
def only_one(lock: Path, serving: Serving) -> Iterator[None]:
    """Hold the file, whose text says who serves here. Raises UsageError when somebody else does: of two on one embedded
    server, the one that has started it could not stop before the other.
    """
    with lock.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            who = printable(file.read(200).strip()) or "starting"
            raise UsageError(
                f"`mason serve` runs here already ({who}): stop it first, or give both a database"
            ) from None
        file.truncate(0)
        file.write(f"process {os.getpid()}, {serving.host} port {serving.port}")
        file.flush()
        yield


def announcement(settings: Settings, served: Settings, serving: Serving) -> str:
    """What is served, and what is not, for the person who started it."""
    url = settings.app_url or f"http://{serving.host}:{serving.port}"
    own = not (settings.dsn or settings.supabase_url)
    backlog = "an embedded Postgres" if own else settings.supabase_url or "the Postgres of MASON_DSN"
    nowhere = "not configured, so no endpoint: branches stay in this repository"
    github = "POST /webhooks/github" if settings.github_app_id or settings.github_token else nowhere
    supabase = "POST /webhooks/supabase" if settings.webhook_secret else "no MASON_WEBHOOK_SECRET, so no endpoint"
    local = app_place.dispatches_locally(settings)
    lines = [
        f"Mason listens on {url}  (/healthz, /readyz, /metrics)",
        f"  Backlog   {backlog}, looked at every {app_worker.sweep_seconds(served):g} s",
        f"  Supabase  {supabase}",
        f"  GitHub    {github}",
        f"  Runs      {f'processes on this machine, in {serving.repository}' if local else 'workflow runs on GitHub'}",
    ]
    if own and served.dsn:
        shown = (
            f'psql "{served.dsn.get_secret_value()}"'
            if sys.stdout.isatty()
            else "psql (its DSN is shown on a terminal)"
        )
        approve = "update mason_pm_backlog_items set status = 'approved' where title = '...'"
        lines += [
            "",
            "Add an approved item with `mason add prd.md`, or approve one with SQL:",
            f"  {shown}",
            f"  {approve}",
        ]
    return "\n".join([*lines, "", "Ctrl-C stops it; what runs is given back."])
