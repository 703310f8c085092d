"""`mason serve`, `mason web`, `mason worker`: the web app on one machine, or its two processes apart."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from app import users
from app.errors import DatabaseUnreachable, UsageError
from app.log import printable
from app.process import Stop
from app.serving.http_server import Address, HttpServer, Wsgi
from app.serving.supervisor import Part, supervise
from app.settings import Settings, environment, is_loopback, secret_list, state_dir
from app.wiring import app_place, app_worker, setting_up, web_app
from app.wiring.databases import keep_out_of_git
from app.wiring.signed_links import link_to_runs
from app.wiring.stored_settings import served_databases

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
    require_free(serving)
    state = state_dir(settings, serving.repository)
    keep_out_of_git(state)
    embedded = not settings.database_url or not (settings.dsn or settings.supabase_url)
    alone = only_one(state / "serving.lock", serving) if embedded else contextlib.nullcontext()
    with alone, served_databases(settings, state) as served:
        current = served.settings()
        if not setting_up.goes_on(served):
            app_place.require_checkout(current, serving.repository)
        say(announcement(settings, current, serving))
        stop.heeded = True
        # What they find running here they use, and what a setup stores later they see for themselves.
        parts = [Part(name=name, command=mason(name, serving), env=environment()) for name in ("web", "worker")]
        supervise(parts, stop, cwd=serving.repository)


def mason(name: str, serving: Serving) -> list[str]:
    """The command line of one of our processes. ``-P``: a checkout's own ``app`` (or ``flask``) is none of Mason's."""
    where = ["--host", serving.host, "--port", str(serving.port)] if name == "web" else []
    return [sys.executable, "-P", "-m", "app", name, "--repository", str(serving.repository), *where]


def local_url(serving: Serving) -> str:
    """The address of the web app on this machine."""
    every = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - who listens everywhere listens here
    host = every.get(serving.host, serving.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{serving.port}"


def web(settings: Settings, serving: Serving, say: Callable[[str], None]) -> None:
    """gunicorn, as this process, until a signal ends it. While Mason can be set up, the link that does it is said."""
    hide_keys(settings)
    require_secrets(settings)
    state = state_dir(settings, serving.repository)
    keep_out_of_git(state)
    metrics = Path(tempfile.mkdtemp(prefix="mason-metrics-"))
    try:
        with served_databases(settings, state) as served, contextlib.ExitStack() as stack:
            known = served.settings()

            def application() -> Wsgi:
                """In each of gunicorn's workers, which ends gracefully once something else is stored: the next has it.
                While the database is away, what was stored at our own start counts.
                """
                try:
                    current = served.settings()
                except DatabaseUnreachable:
                    current = known
                stack.enter_context(served.noticing(current, lambda: os.kill(os.getpid(), signal.SIGTERM)))
                return web_app.web_application(
                    current,
                    serving.repository,
                    metrics,
                    setup=lambda parts: setting_up.setup_pages(served.given, parts),
                )

            def ready() -> None:
                log.info("Listening on %s port %s", serving.host, serving.port)
                if path := setting_up.link(served):
                    say(f"Set Mason up: {(known.app_url or local_url(serving)).rstrip('/')}{path}")

            server = HttpServer(
                Address(host=serving.host, port=serving.port, workers=settings.workers, threads=settings.threads),
                application,
                when_ready=ready,
                at_exit=lambda pid: web_app.forget_metrics_of(metrics, pid),
            )
            server.run()
    finally:
        shutil.rmtree(metrics, ignore_errors=True)


def worker(settings: Settings, serving: Serving, stop: Stop) -> None:
    """A worker, as this process, until the stop; from the beginning whenever a setup has stored something else."""
    hide_keys(settings)
    state = state_dir(settings, serving.repository)
    keep_out_of_git(state)
    with served_databases(settings, state) as served:
        stop.heeded = True
        again = True
        while again and not stop.is_set():
            turn = Stop(stop)
            current = served.settings()
            with served.noticing(current, partial(turn.set, "The setup has changed")):
                app_worker.work_for(current, serving.repository, turn)
            again = turn.is_set()


def hide_keys(settings: Settings) -> None:
    """Runs on this machine may be of our own user: a model's key, and what opens the stored secrets, are kept from what
    they start.
    """
    if settings.anthropic_api_key or settings.openai_api_key or settings.encryption_key:
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
    url = served.app_url or local_url(serving)
    own = not (settings.dsn or served.supabase_url)
    backlog = "an embedded Postgres" if own else served.supabase_url or "the Postgres of MASON_DSN"
    nowhere = "not configured, so no endpoint: branches stay in this repository"
    github = "POST /webhooks/github" if app_place.on_github(served) else nowhere
    supabase = "POST /webhooks/supabase" if served.webhook_secret else "no MASON_WEBHOOK_SECRET, so no endpoint"
    local = app_place.dispatches_locally(served)
    lines = [
        f"Mason listens on {url}  (/healthz, /readyz, /metrics)",
        f"  Backlog   {backlog}, looked at every {app_worker.sweep_seconds(served):g} s",
        f"  Supabase  {supabase}",
        f"  GitHub    {github}",
        f"  Runs      {f'processes on this machine, in {serving.repository}' if local else 'workflow runs on GitHub'}",
        f"  Pages     {watch(settings, served, serving, url)}",
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
            "Add an approved item with `mason add prd.md`, or approve one that `mason list` shows:",
            "  mason approve ID",
            "or with SQL:",
            f"  {shown}",
            f"  {approve}",
        ]
    return "\n".join([*lines, "", "Ctrl-C stops it; what runs is given back."])


def watch(settings: Settings, served: Settings, serving: Serving, url: str) -> str:
    """Where runs are seen. Who starts everything on one machine, for this machine alone, is given a link that opens."""
    everything = not (settings.database_url or settings.dsn or served.supabase_url or served.app_url)
    if everything and is_loopback(serving.host):
        return link_to_runs(served, serving.repository, url)
    return f"{url}/runs  (sign in with a key of `mason api-key create`)"
