"""The `mason` command. Each command is a few lines; everything heavy is imported when a command runs."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO, TypeVar
from uuid import UUID

import click

from app.errors import Cancelled, MasonError, UsageError
from app.log import Redactor, printable, set_up_logging

Function = TypeVar("Function", bound=Callable[..., Any])

BUG = 70
DIRECTORY = click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path)


class Mason(click.Group):
    """The one border that turns errors into a sentence and an exit code (contracts §3)."""

    def main(self, *args: Any, **extra: Any) -> Any:  # noqa: ANN401 - click's own signature
        try:
            return super().main(*args, **extra)
        except MasonError as problem:
            click.echo(f"mason: {printable(str(problem))}", err=True)
            sys.exit(problem.exit_code)
        except OSError as problem:
            named = f" {problem.filename}" if problem.filename else ""
            click.echo(f"mason: {printable(f'cannot use{named}: {problem.strerror or problem}')}", err=True)
            sys.exit(2)
        except Exception as problem:  # the named border of the command line
            logging.getLogger("mason").debug("Internal error", exc_info=True)
            message = printable(f"a bug: {type(problem).__name__}: {problem} (mason -v … shows where)")
            click.echo(f"mason: {message}", err=True)
            sys.exit(BUG)


@click.group(cls=Mason, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="mason-bot", prog_name="mason")
@click.option("-v", "--verbose", is_flag=True, help="Show what Mason does in detail, on standard error.")
def main(verbose: bool) -> None:
    """Turn approved backlog items into validated branches and pull requests.

    \b
    Try it:             mason demo
    See what would run: mason run --dry-run
    Run it:             mason run

    Exit codes: 0 all passed or nothing to do, 1 an item failed, 2 bad usage or configuration, 3 database or forge
    unreachable, 4 cancelled, 70 a bug.
    """
    set_up_logging(Redactor(()), level=logging.DEBUG if verbose else logging.WARNING)


@main.command()
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


@main.command()
@click.argument("number", type=click.IntRange(min=1))
@_pull_request_options
def validate(number: int, repository: Path, **options: Any) -> None:  # noqa: ANN401
    """Run the checks on pull request NUMBER, and report them there. A fork's code runs too: mind where you are."""
    from app import wiring
    from app.flows.pull_requests import validate_pull_request

    request = wiring.RunRequest(repository=repository, backlog=False, rows=False, **options)
    _judge(request, lambda ports, stop: validate_pull_request(ports, wiring.run_options(request), number, stop))


@main.command()
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
    with stop_on_signals() as stop, wiring.runner(settings, request) as ports:
        judgement = judge(ports, stop)
    click.echo(wiring.show_judgement(request.redactor, judgement))
    sys.exit(0 if judgement.passed else 1)


@main.command()
@click.option("--dsn", metavar="DSN", help="The database.  [default: $MASON_DSN, else the embedded one]")
@click.option("--supabase-url", metavar="URL", help="Or the Supabase project, https://<ref>.supabase.co, and one of:")
@click.option("--database-password", metavar="WORD", help="its database password;  [$MASON_DATABASE_PASSWORD]")
@click.option("--access-token", metavar="TOKEN", help="a token for the Management API.  [$MASON_ACCESS_TOKEN]")
@click.option("--rls", type=click.Choice(["default", "strict"]), help="Who may use the tables.  [default: as it is]")
@click.option("--webhook-url", metavar="URL", help="Have the database tell Mason's web app what is approved.")
@click.option(
    "--webhook-secret", metavar="SECRET", help="What it signs with.  [$MASON_WEBHOOK_SECRET, else a new one is shown]"
)
@click.option("--check", is_flag=True, help="Only say what would change.")
@click.option("--repository", type=DIRECTORY, default=".", help="Whose embedded database.  [default: this directory]")
def migrate(
    dsn: str | None,
    database_password: str | None,
    access_token: str | None,
    webhook_secret: str | None,
    **options: Any,  # noqa: ANN401
) -> None:
    """Bring a database up to what this Mason needs.

    Safe to run at any time and from several places at once; nothing of yours is dropped or changed.

    \b
    --rls default   the anon key can do everything, as in the dashboard's own tables
    --rls strict    only service_role and authenticated can; the anon key sees nothing
    """
    from app.settings import read_migrate_settings
    from app.wiring.migrating import MigrateRequest
    from app.wiring.migrating import migrate as bring_up_to_date

    settings = read_migrate_settings(
        {"dsn": dsn, "database_password": database_password, "access_token": access_token},
        webhook_secret=webhook_secret,
        repository=None if options["supabase_url"] else options["repository"],
    )
    lines = bring_up_to_date(settings, MigrateRequest(**options))
    click.echo("\n".join(lines) or "the database is up to date")


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


@main.command()
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


@main.command()
@_serving(listens=True)
def web(**options: Any) -> None:  # noqa: ANN401
    """Run the web app's HTTP server alone (`mason serve` runs it beside a worker)."""
    from app.serving.serve import Serving
    from app.serving.serve import web as run_web
    from app.settings import read_settings

    serving = Serving(**options)
    run_web(read_settings(repository=serving.repository), serving, click.echo)


@main.command()
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


@main.command(hidden=True)
@click.argument("execution", type=click.UUID)
@click.option("--repository", type=DIRECTORY, default=".")
def execute(execution: UUID, repository: Path) -> None:
    """Carry out one execution of the agent runtime: the worker starts this by itself."""
    from app.settings import read_settings
    from app.signals import stop_on_signals
    from app.wiring.executions import run_execution

    with stop_on_signals() as stop:
        run_execution(read_settings(repository=repository), repository, execution, stop)


@main.command()
@click.option("--retry", "again", metavar="ID", type=int, help="Have this parked job done again.")
@click.option("--repository", type=DIRECTORY, default=".", help="Whose embedded database.  [default: this directory]")
def jobs(again: int | None, repository: Path) -> None:
    """Show the web app's jobs: how many wait, and those that kept failing and are parked.

    A parked job is tried again whenever something hints at its subject, the sweep included, and with --retry.
    """
    from app.serving.queue import show_jobs
    from app.settings import read_settings

    click.echo(show_jobs(read_settings(repository=repository), repository, again))


@main.group("api-key")
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


@main.command()
@click.argument("file", type=click.File("r", encoding="utf-8"))
@click.option("--new", is_flag=True, help="Add it as new: it has to be approved before it runs.")
@click.option("--dsn", metavar="DSN", help="The backlog's Postgres.  [default: $MASON_DSN, else the embedded one]")
@click.option("--repository", type=DIRECTORY, default=".", help="The repository.  [default: the current directory]")
def add(file: TextIO, new: bool, dsn: str | None, repository: Path) -> None:
    """Add an approved item to the backlog from FILE, a PRD in Markdown ("-" reads standard input).

    What the PRD does not say can stand in YAML front matter: title, type (ui, ux, api, data, security, performance,
    code-quality, feature), problem, solution, area, complexity, impact_score, effort_score.
    """
    from app import wiring
    from app.planning.item_file import read_item_file
    from app.settings import read_settings
    from app.signals import stop_on_signals

    try:
        text = file.read()
    except UnicodeDecodeError as problem:
        raise UsageError(f"{file.name} is no text in UTF-8 (byte {problem.start})") from problem
    item = read_item_file(text, approved=not new)
    with stop_on_signals():
        settings = wiring.with_stored(read_settings(dsn=dsn, repository=repository), repository)
        click.echo(wiring.add_item(settings, repository, item))


@main.command()
@click.option("--production", is_flag=True, help="Also require what production needs: strict row level security.")
@click.option("--dsn", metavar="DSN", help="The backlog's Postgres.  [default: as configured]")
@click.option("--repository", type=DIRECTORY, default=".", help="The repository.  [default: the current directory]")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(production: bool, dsn: str | None, repository: Path, as_json: bool) -> None:
    """Check everything a run needs, and say how to mend what fails. Exit code 0, or 1 when something failed."""
    from app.doctor import report
    from app.flows.doctor import healthy
    from app.wiring.stored_settings import with_stored

    findings = report.check_up(
        repository,
        dsn=dsn,
        production=production,
        complete=lambda given: with_stored(given, repository),
    )
    well = healthy(findings)
    if as_json:
        click.echo(report.as_json(findings, healthy=well))
    else:
        report.print_table(findings, sys.stdout)
    sys.exit(0 if well else 1)


@main.command()
@click.option("--action", metavar="OWNER/REPO@TAG", help="What to pin.  [default: the pin in place, else this version]")
@click.option("--force", is_flag=True, help="Replace a workflow that differs.")
@click.option("--repository", type=DIRECTORY, default=".", help="The repository.  [default: the current directory]")
def init(action: str | None, force: bool, repository: Path) -> None:
    """Set a repository up for Mason on GitHub Actions.

    Writes .github/workflows/mason.yml, which calls Mason's own workflow at a commit (a tag is looked up once, now), and
    keeps mason.config.json out of git; then lists the secrets to set. Nothing is committed. Run again, it changes
    nothing; a workflow that you changed stays as it is unless you say --force.

    \b
    mason init                                   pin the release of this version
    mason init --action you/mason@v1.2.3         pin a fork's release
    mason init --action you/mason@<40 digits>    pin a commit, without asking the server
    """
    from app.onboarding.start import find_action, own_release, start, written_action
    from app.settings import environment, read_settings

    pinned = None if action or force else written_action(repository)
    if pinned is None:
        pinned = find_action(action or own_release(), read_settings().github_server_url, environment())
    click.echo(start(repository, pinned, force=force))


@main.command()
def update() -> None:
    """Update Mason with the installer that it was installed with (pip, pipx or uv)."""
    from app import versions
    from app.settings import environment, read_settings

    click.echo(versions.update(read_settings(), environment()))


@main.command()
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
