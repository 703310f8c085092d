"""Comment commands: the closed set of what a person may ask for in a comment or with a button (contracts §5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from app.domain.check_runs import Subject

MOST_COMMANDS = 10
"""Commands of one comment."""

MOST_ITEMS = 256
"""Items that one command names or asks for at most: the jobs of one matrix (platform facts, Actions)."""


class Verb(StrEnum):
    RUN = "run"
    FIX = "fix"
    RETRY = "retry"
    VALIDATE = "validate"
    CANCEL = "cancel"
    STATUS = "status"
    APPROVE = "approve"
    DEFER = "defer"
    HELP = "help"


@dataclass(frozen=True, kw_only=True, slots=True)
class RunCommand:
    """Take approved items of this repository to pull requests: those named, or all up to ``limit``."""

    items: tuple[UUID, ...] = ()
    limit: int | None = None
    dry_run: bool = False
    smoke_test: bool = False
    e2e: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class FixCommand:
    """Change this pull request until its checks pass. ``instructions`` are the person's words, possibly none."""

    instructions: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryCommand:
    """Approve the item that this is about again, and run it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ValidateCommand:
    """Run the checks on this pull request again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CancelCommand:
    """Stop what Mason does for this pull request or issue."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StatusCommand:
    """Show the runs of this pull request or issue."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ApproveCommand:
    item: UUID


@dataclass(frozen=True, kw_only=True, slots=True)
class DeferCommand:
    item: UUID
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class HelpCommand:
    """List the commands."""


Command = (
    RunCommand
    | FixCommand
    | RetryCommand
    | ValidateCommand
    | CancelCommand
    | StatusCommand
    | ApproveCommand
    | DeferCommand
    | HelpCommand
)


class Takes(StrEnum):
    """What follows a verb."""

    NOTHING = "nothing"
    OPTIONS = "options"
    WORDS = "words"
    ITEM = "item"
    ITEM_AND_WORDS = "item and words"


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """A verb as it is parsed (``takes``) and as help shows it. ``sentence`` says what it does."""

    takes: Takes
    arguments: str = ""
    sentence: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    """An option of ``run``; ``value`` names what it takes, "" for one that takes nothing."""

    value: str = ""
    sentence: str


OPTIONS: Mapping[str, Option] = {
    "--item": Option(value="ID", sentence="this approved item; may be given several times"),
    "--limit": Option(value="N", sentence=f"at most so many items, 1 to {MOST_ITEMS}"),
    "--dry-run": Option(sentence="only say what would run"),
    "--smoke-test": Option(sentence="run the smoke test of each item too"),
    "--e2e": Option(sentence="run the end-to-end tests too; they have to pass"),
    "--auto": Option(sentence="accepted; here nobody is ever asked"),
}
USAGES: Mapping[Verb, Usage] = {
    Verb.RUN: Usage(
        takes=Takes.OPTIONS,
        arguments=" ".join(
            f"[{name} {option.value}]" if option.value else f"[{name}]" for name, option in OPTIONS.items()
        ),
        sentence="Take approved items of this repository to pull requests: those named, or all that its limits allow.",
    ),
    Verb.FIX: Usage(
        takes=Takes.WORDS,
        arguments="[what to change]",
        sentence="Change this pull request until its checks pass. The words may go on to the end of the paragraph.",
    ),
    Verb.RETRY: Usage(takes=Takes.NOTHING, sentence="Approve the item that this is about again, and run it."),
    Verb.VALIDATE: Usage(takes=Takes.NOTHING, sentence="Run the checks on this pull request again."),
    Verb.CANCEL: Usage(takes=Takes.NOTHING, sentence="Stop what Mason does for this pull request or issue."),
    Verb.STATUS: Usage(takes=Takes.NOTHING, sentence="Show the runs of this pull request or issue."),
    Verb.APPROVE: Usage(takes=Takes.ITEM, arguments="ID", sentence="Approve an item."),
    Verb.DEFER: Usage(takes=Takes.ITEM_AND_WORDS, arguments="ID [reason]", sentence="Put an item off."),
    Verb.HELP: Usage(takes=Takes.NOTHING, sentence="Show these commands."),
}
"""The closed set of commands, from which the parser and the help text are made."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mistake:
    """A line that was meant for Mason and cannot be understood. ``reason`` is one kind sentence for its writer.

    ``nearest`` is the verb that was probably meant, if any comes near.
    """

    reason: str
    nearest: Verb | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One line of a comment that is addressed to Mason: its number in the comment, from 1, and its text."""

    number: int
    text: str
    asked: Command | Mistake


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """A GitHub account. Its login can change hands, its id cannot; ``is_user`` is false for bots and organisations."""

    id: int
    login: str
    is_user: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What a person asked for, by a comment, or by a press in the Checks UI (which is the same as a comment).

    ``key`` names it once and for all, whatever is delivered how often: ``comment <id> <digest of the body>``, or
    ``press <delivery id>``. ``number`` is the issue or pull request, 0 for a check run that belongs to none.
    ``body`` is the comment, or the command that the press stands for. ``subject`` is what a pressed check run is about,
    ``comment_id`` None for a press.
    """

    key: str
    repository: str
    number: int
    on_pull_request: bool
    person: Person
    body: str
    received_at: datetime
    comment_id: int | None = None
    subject: Subject | None = None
