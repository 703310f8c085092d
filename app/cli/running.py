"""Commands that run items here, and change or check pull requests."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import click

from app.cli.options import DIRECTORY, Function
from app.errors import Cancelled


@click.command()
@click.option(
    "--item", "items", multiple=True, type=click.UUID, help="Run this item (repeatable). It must be approved."
)
@click.option("--limit", type=click.IntRange(min=1), help="Run at most this many items, highest priority first.")
@click.option("--dry-run", is_flag=True, help="Print the plan of every item; write nothing anywhere.")
@click.option("--auto", is_flag=True, help="Never ask; print AUTOPILOT_STATUS: lines for machines.")
@click.option("--smoke-test", is_flag=True, help="Also run the smoke test; its failure is only a warning.")
@click.option("--e2e", is_flag=True, help="Also run the end-to-end tests; their failure blocks.")
@click.option("--max-parallel", type=click.IntRange(1, 64), default=2, show_default=True, help="Items side by side.")
@click.option(
    "--agent",
    type=click.Choice(["claude", "codex", "gemini", "aider", "opencode", "command", "patch"]),
    help="Who edits the files.  [default: as .github/mason.yml says, else claude where its key is set, else patch]",
)
@click.option("--agent-command", metavar="COMMAND", help="The program of --agent command; it gets the prompt on stdin.")
@click.option("--model", help="The agent's model, by its provider's name; the command agent gets it as $MASON_MODEL.")
@click.option("--draft", is_flag=True, help="Open pull requests as drafts.")
@click.option("--sign-commits", is_flag=True, help="Make commits through GitHub's API, which signs them.")
@click.option("--max-cost-usd", type=click.FloatRange(min=0, min_open=True), help="The most that this run may cost.")
@click.option("--generate-prd", is_flag=True, help="Let the agent write a PRD for items that have none.")
@click.option("--base", metavar="BRANCH", help="Start from this branch.  [default: the repository's default branch]")
@click.option("--dsn", metavar="DSN", help="The backlog's Postgres.  [default: $MASON_DSN, else an embedded one]")
@click.option("--repository", type=DIRECTORY, default=".", help="The repository.  [default: the current directory]")
@click.option("--run-id", type=click.UUID, help="A run that the web app has opened; takes its items named with --item.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on standard output.")
def run(items: tuple[UUID, ...], dry_run: bool, dsn: str | None, as_json: bool, **options: Any) -> None:  # noqa: ANN401
    """Take approved items to branches whose checks pass; with a GitHub token, to pull requests.

    Each item is worked on in a tree of its own: your checkout is never touched. What fails its checks after five fix
    iterations gets no branch; the work is kept and a follow-up item tells you what was tried. Ctrl-C gives every item
    back.
    """
    from app import versions
    from app.settings import environment, read_settings

    settings = read_settings(dsn=dsn, repository=options["repository"])
    versions.enforce(settings, environment())

    from app import wiring
    from app.flows.run_items import run_items
    from app.signals import stop_on_signals

    request = wiring.RunRequest(items=items, as_json=as_json, dry_run=dry_run, **options)
    if request.run_id is None:  # what the web app starts is told everything
        settings = wiring.with_stored(settings, request.repository)
    if dry_run and not wiring.has_backlog(settings, request.repository):
        click.echo("Nothing to do: there is no backlog yet (`mason add FILE` makes one).")
        return
    with stop_on_signals() as stop, wiring.runner(settings, request) as ports:
        if dry_run:
            click.echo(wiring.show_plan(request.redactor, ports, wiring.run_options(request)))
            return
        result = run_items(ports, wiring.run_options(request), stop, heartbeat=settings.heartbeat)
    click.echo(wiring.show_result(request.redactor, result, as_json=as_json))
    if result.cancelled:
        raise Cancelled
    sys.exit(1 if result.failed or result.base_failed or result.unfinished else 0)


def _pull_request_options(command: Function) -> Function:
    """The options that `fix` and `validate` share."""
    for option in (
        click.option("--repository", type=DIRECTORY, default=".", help="The repository.  [default: this directory]"),
        click.option("--smoke-test", is_flag=True, help="Also run the smoke test; its failure is only a warning."),
        click.option("--e2e", is_flag=True, help="Also run the end-to-end tests; their failure blocks."),
    ):
        command = option(command)
    return command


@click.command()
@click.argument("number", type=click.IntRange(min=1))
@_pull_request_options
def validate(number: int, repository: Path, **options: Any) -> None:  # noqa: ANN401
    """Run the checks on pull request NUMBER, and report them there. A fork's code runs too: mind where you are."""
    from app import wiring
    from app.flows.pull_requests import validate_pull_request

    request = wiring.RunRequest(repository=repository, backlog=False, rows=False, **options)
    _judge(request, lambda ports, stop: validate_pull_request(ports, wiring.run_options(request), number, stop))


@click.command()
@click.argument("number", type=click.IntRange(min=1))
@click.argument("instructions", default="")
@click.option(
    "--agent",
    type=click.Choice(["claude", "codex", "gemini", "aider", "opencode", "command", "patch"]),
    help="Who edits the files.  [default: as .github/mason.yml says, else claude where its key is set, else patch]",
)
@click.option("--agent-command", metavar="COMMAND", help="The program of --agent command; it gets the prompt on stdin.")
@click.option("--model", help="The agent's model, by its provider's name.")
@_pull_request_options
def fix(number: int, instructions: str, repository: Path, **options: Any) -> None:  # noqa: ANN401
    """Change pull request NUMBER as INSTRUCTIONS say, until its checks pass; push only what passed.

    Without instructions only what fails is fixed. Forks, and branches that are not Mason's, are left alone.
    """
    from app import wiring
    from app.flows.pull_requests import fix_pull_request

    request = wiring.RunRequest(repository=repository, rows=False, **options)
    _judge(
        request, lambda ports, stop: fix_pull_request(ports, wiring.run_options(request), number, instructions, stop)
    )


def _judge(request: Any, judge: Any) -> None:  # noqa: ANN401 - imported when a command runs
    """The end of `fix` and `validate`."""
    from app import wiring
    from app.settings import read_settings
    from app.signals import stop_on_signals

    settings = read_settings(repository=request.repository)
    if request.run_id is None:  # what the web app starts is told everything
        settings = wiring.with_stored(settings, request.repository)
    with stop_on_signals() as stop, wiring.runner(settings, request) as ports:
        judgement = judge(ports, stop)
    click.echo(wiring.show_judgement(request.redactor, judgement))
    sys.exit(0 if judgement.passed else 1)


@click.command()
@click.option("--keep", type=click.Path(file_okay=False, path_type=Path), help="Leave everything in this directory.")
@click.option("--serve", is_flag=True, help="Keep the finished run's page there, until Ctrl-C.")
def demo(keep: Path | None, serve: bool) -> None:
    """Show Mason at work: six approved items in a sample repository, on a database of its own.

    Nothing has to be set up, no model is called, and nothing is left behind (unless you say --keep).
    """
    from app.demo.show import show
    from app.signals import stop_on_signals

    with stop_on_signals() as stop:
        sys.exit(show(keep, stop, serve=serve))
