"""Commands that set Mason up, check it and update it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from app.cli.options import DIRECTORY


@click.command()
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


@click.command()
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


@click.command()
def update() -> None:
    """Update Mason with the installer that it was installed with (pip, pipx or uv)."""
    from app import versions
    from app.settings import environment, read_settings

    click.echo(versions.update(read_settings(), environment()))


@click.command()
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
