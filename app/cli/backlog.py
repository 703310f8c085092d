"""Commands on the backlog's items."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

import click

from app.cli.options import DIRECTORY
from app.errors import UsageError


@click.command()
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
