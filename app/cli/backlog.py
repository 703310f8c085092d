"""Commands on the backlog's items."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO
from uuid import UUID

import click

from app.cli.options import DIRECTORY, Function
from app.domain.items import ItemStatus
from app.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from app.flows.decide_items import Decided


def _where(command: Function) -> Function:
    """Which backlog, and of which repository."""
    for option in (
        click.option("--repository", type=DIRECTORY, default=".", help="The repository.  [default: this directory]"),
        click.option(
            "--dsn", metavar="DSN", help="The backlog's Postgres.  [default: $MASON_DSN, else the embedded one]"
        ),
    ):
        command = option(command)
    return command


@click.command()
@click.argument("file", type=click.File("r", encoding="utf-8"))
@click.option("--new", is_flag=True, help="Add it as new: it has to be approved before it runs.")
@_where
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


@click.command("list")
@click.option(
    "--status",
    "states",
    multiple=True,
    metavar="STATE",
    type=click.Choice([state.value for state in ItemStatus]),
    help=f"Only items in this state (repeatable): {', '.join(ItemStatus)}.",
)
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, metavar="N", help="At most N.  [default: 50]")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON on standard output.")
@_where
def list_items(states: tuple[str, ...], limit: int, as_json: bool, dsn: str | None, repository: Path) -> None:
    """Show the backlog's items.

    First those that are worked on, then what would run next, in its order, then what waits for a person. Where N leaves
    room, those that ended last follow, ten at most; --status shows more.
    """
    from app import wiring
    from app.settings import read_settings
    from app.signals import stop_on_signals

    asked = tuple(state for state in ItemStatus if state.value in states)
    with stop_on_signals():
        settings = wiring.with_stored(read_settings(dsn=dsn, repository=repository), repository)
        found = wiring.list_items(settings, repository, asked, limit)
    click.echo(wiring.show_items(found, as_json=as_json))


@click.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...", type=click.UUID)
@_where
def approve(ids: tuple[UUID, ...], dsn: str | None, repository: Path) -> None:
    """Approve items that are new, deferred or rejected.

    The next `mason run` takes them; where Mason serves, they start by themselves. Ids are those of `mason list`.
    """
    from app import wiring
    from app.settings import read_settings
    from app.signals import stop_on_signals

    with stop_on_signals():
        settings = wiring.with_stored(read_settings(dsn=dsn, repository=repository), repository)
        _tell(wiring.approve_items(settings, repository, ids))


@click.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...", type=click.UUID)
@click.option(
    "--reason", default="Deferred at a terminal", show_default=True, metavar="TEXT", help="Why; `mason list` shows it."
)
@_where
def defer(ids: tuple[UUID, ...], reason: str, dsn: str | None, repository: Path) -> None:
    """Put items off until they are approved again.

    They must be new, approved or rejected. Ids are those of `mason list`.
    """
    from app import wiring
    from app.commands.comment import REASON_LIMIT
    from app.settings import read_settings
    from app.signals import stop_on_signals

    if len(reason) > REASON_LIMIT:
        raise UsageError(f"--reason has {len(reason)} characters: {REASON_LIMIT} are the most that are kept")
    with stop_on_signals():
        settings = wiring.with_stored(read_settings(dsn=dsn, repository=repository), repository)
        _tell(wiring.defer_items(settings, repository, ids, reason))


def _tell(decisions: Iterable[Decided]) -> None:
    """A line an item, as each is decided; what cannot be done keeps nothing from the others, and exits with 2."""
    from app import wiring

    refused = False
    for decided in decisions:
        line = wiring.show_decided(decided)
        if decided.done:
            click.echo(line)
        else:
            click.echo(f"mason: {line}", err=True)
            refused = True
    if refused:
        sys.exit(UsageError.exit_code)
