"""Commands that run the web app, and look after it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import click

from app.cli.options import DIRECTORY, Function


def _serving(*, listens: bool) -> Callable[[Function], Function]:
    """The options that `serve`, `web` and `worker` share."""

    def decorate(command: Function) -> Function:
        command = click.option(
            "--repository",
            type=DIRECTORY,
            default=".",
            help="The checkout that local runs work on.  [default: this one]",
        )(command)
        if listens:
            command = click.option(
                "--port", type=click.IntRange(1, 65535), default=8000, envvar="MASON_PORT", show_default=True
            )(command)
            command = click.option("--host", default="127.0.0.1", envvar="MASON_HOST", show_default=True)(command)
        return command

    return decorate


@click.command()
@_serving(listens=True)
def serve(**options: Any) -> None:  # noqa: ANN401
    """Run the web app on one machine: approved items start by themselves.

    Web server and worker, kept running. Without DATABASE_URL its database is an embedded Postgres, without a backlog
    of yours that one too; without GitHub settings, runs are processes on this machine and branches stay in this
    repository. `mason web` and `mason worker` run the two apart, with one DATABASE_URL.

    \b
    MASON_SUPABASE_URL, _KEY, MASON_WEBHOOK_SECRET               the backlog, and who speaks for it
    MASON_GITHUB_APP_ID, _APP_KEY, MASON_GITHUB_WEBHOOK_SECRET   the GitHub App
    MASON_APP_URL                                                where the world reaches this app
    """
    from app.serving.serve import Serving
    from app.serving.serve import serve as run_all
    from app.settings import read_settings
    from app.signals import stop_on_signals

    serving = Serving(**options)
    with stop_on_signals() as stop:
        run_all(read_settings(repository=serving.repository), serving, stop, click.echo)


@click.command()
@_serving(listens=True)
def web(**options: Any) -> None:  # noqa: ANN401
    """Run the web app's HTTP server alone (`mason serve` runs it beside a worker)."""
    from app.serving.serve import Serving
    from app.serving.serve import web as run_web
    from app.settings import read_settings

    serving = Serving(**options)
    run_web(read_settings(repository=serving.repository), serving, click.echo)


@click.command()
@_serving(listens=False)
def worker(**options: Any) -> None:  # noqa: ANN401
    """Run one worker of the web app: it claims, dispatches, and answers. Start as many as you like."""
    from app.serving.serve import Serving
    from app.serving.serve import worker as run_worker
    from app.settings import read_settings
    from app.signals import stop_on_signals

    serving = Serving(**options)
    with stop_on_signals() as stop:
        run_worker(read_settings(repository=serving.repository), serving, stop)


@click.command(hidden=True)
@click.argument("execution", type=click.UUID)
@click.option("--repository", type=DIRECTORY, default=".")
def execute(execution: UUID, repository: Path) -> None:
    """Carry out one execution of the agent runtime: the worker starts this by itself."""
    from app.settings import read_settings
    from app.signals import stop_on_signals
    from app.wiring.executions import run_execution

    with stop_on_signals() as stop:
        run_execution(read_settings(repository=repository), repository, execution, stop)


@click.command()
@click.option("--retry", "again", metavar="ID", type=int, help="Have this parked job done again.")
@click.option("--repository", type=DIRECTORY, default=".", help="Whose embedded database.  [default: this directory]")
def jobs(again: int | None, repository: Path) -> None:
    """Show the web app's jobs: how many wait, and those that kept failing and are parked.

    A parked job is tried again whenever something hints at its subject, the sweep included, and with --retry.
    """
    from app.serving.queue import show_jobs
    from app.settings import read_settings

    click.echo(show_jobs(read_settings(repository=repository), repository, again))


@click.group("api-key")
def api_key() -> None:
    """Keys of the REST API: make, show and revoke them. Every route below /api/ needs one."""


_embedded_of = click.option(
    "--repository", type=DIRECTORY, default=".", help="Whose embedded database.  [default: this directory]"
)


@api_key.command("create")
@click.argument("name")
@click.option(
    "--scope",
    type=click.Choice(["read", "run", "admin"]),
    default="read",
    show_default=True,
    help="read looks; run also starts and stops; admin also sets up.",
)
@_embedded_of
def create_api_key(name: str, scope: str, repository: Path) -> None:
    """Make a key and print it, this once, alone on standard output: KEY=$(mason api-key create ci --scope run)."""
    from app.domain.api_keys import Scope
    from app.serving.api_keys import create_key
    from app.settings import read_settings

    text, said = create_key(read_settings(repository=repository), repository, name, Scope(scope))
    click.echo(said, err=True)
    click.echo(text)


@api_key.command("list")
@_embedded_of
def list_api_keys(repository: Path) -> None:
    """Show every key, and when it was last used."""
    from app.serving.api_keys import show_keys
    from app.settings import read_settings

    click.echo(show_keys(read_settings(repository=repository), repository))


@api_key.command("revoke")
@click.argument("prefix")
@_embedded_of
def revoke_api_key(prefix: str, repository: Path) -> None:
    """End the key of this PREFIX, at once and for good."""
    from app.serving.api_keys import revoke_key
    from app.settings import read_settings

    click.echo(revoke_key(read_settings(repository=repository), repository, prefix))
