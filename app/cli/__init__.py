"""The `mason` command. Each command is a few lines; everything heavy is imported when a command runs."""

from __future__ import annotations

import logging
import sys
from typing import Any

import click

from app.cli import backlog, running, serving, setting_up
from app.errors import MasonError
from app.log import Redactor, printable, set_up_logging

BUG = 70

COMMANDS = (
    running.run,
    running.validate,
    running.fix,
    running.demo,
    backlog.add,
    backlog.list_items,
    backlog.approve,
    backlog.defer,
    serving.serve,
    serving.web,
    serving.worker,
    serving.execute,
    serving.jobs,
    serving.api_key,
    setting_up.init,
    setting_up.migrate,
    setting_up.doctor,
    setting_up.update,
)


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


for command in COMMANDS:
    main.add_command(command)
