"""A comment into the commands in it (contracts §5). Never raises, for any text; linear in its length."""

from __future__ import annotations

import re
import unicodedata

from app.commands import mistakes
from app.commands.document import Addressed, addressed_lines
from app.commands.options import Wrong, item_id, run_command
from app.domain.commands import (
    MOST_COMMANDS,
    USAGES,
    ApproveCommand,
    CancelCommand,
    Command,
    DeferCommand,
    FixCommand,
    HelpCommand,
    Line,
    Mistake,
    RetryCommand,
    StatusCommand,
    Takes,
    ValidateCommand,
    Verb,
)
from app.domain.text import one_line

COMMENT_LIMIT = 65_536
"""Characters of a comment that GitHub takes. A longer text is none of its comments, and nothing in it is a command."""

INSTRUCTIONS_LIMIT = 8_000
REASON_LIMIT = 500

_ALONE: dict[Verb, Command] = {
    Verb.RETRY: RetryCommand(),
    Verb.VALIDATE: ValidateCommand(),
    Verb.CANCEL: CancelCommand(),
    Verb.STATUS: StatusCommand(),
    Verb.HELP: HelpCommand(),
}


def mentions(body: str) -> bool:
    """Whether there may be anything for Mason in a comment: a quick look, and never wrong when it says no."""
    lower = body.lower()
    return "/mason" in lower or "/execute-approved" in lower


def parse_comment(body: str) -> tuple[Line, ...]:
    """The lines of a comment that are for Mason, at most ten and one mistake for all that follow."""
    if len(body) > COMMENT_LIMIT or not mentions(body):
        return ()
    source = body.encode("utf-8", "replace").decode().replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")
    found = addressed_lines(source)
    lines = [_line(one, _asked(one)) for one in found[:MOST_COMMANDS]]
    if more := found[MOST_COMMANDS:]:
        lines.append(_line(more[0], mistakes.too_many(len(more))))
    return tuple(lines)


def _line(found: Addressed, asked: Command | Mistake) -> Line:
    return Line(number=found.number, text=one_line(found.text), asked=asked)


def _asked(found: Addressed) -> Command | Mistake:
    if found.name == "execute-approved":
        return _command(Verb.RUN, found.rest, ())
    word, _, rest = visible(found.rest).strip().partition(" ")
    if not word:
        return HelpCommand()
    try:
        verb = Verb(word.lower())
    except ValueError:
        return mistakes.unknown_verb(word)
    return _command(verb, rest, found.below)


def _command(verb: Verb, rest: str, below: tuple[str, ...]) -> Command | Mistake:
    """``rest`` is what follows the verb on its line, ``below`` what follows the line."""
    try:
        match USAGES[verb].takes:
            case Takes.NOTHING:
                return _ALONE[verb] if not rest.split() else mistakes.words_too_many(verb, rest)
            case Takes.OPTIONS:
                return run_command(visible(rest).split())
            case Takes.WORDS:
                return _fix("\n".join((rest, *below)))
            case Takes.ITEM | Takes.ITEM_AND_WORDS:
                return _about_an_item(verb, visible(rest).split(maxsplit=1))
    except Wrong as wrong:
        return mistakes.wrong(verb, str(wrong))


def _fix(words: str) -> Command | Mistake:
    instructions = visible(words).strip()
    if len(instructions) > INSTRUCTIONS_LIMIT:
        return mistakes.wrong(Verb.FIX, f"takes at most {INSTRUCTIONS_LIMIT:,} characters of instructions")
    return FixCommand(instructions=instructions)


def _about_an_item(verb: Verb, words: list[str]) -> Command | Mistake:
    item = item_id(words[0] if words else "")
    reason = words[1].strip() if len(words) > 1 else ""
    if USAGES[verb].takes is Takes.ITEM_AND_WORDS:
        return DeferCommand(item=item, reason=one_line(reason, REASON_LIMIT))
    return mistakes.words_too_many(verb, reason) if reason else ApproveCommand(item=item)


def visible(text: str) -> str:
    """Without control characters, zero-width ones and those that turn the direction of text; line ends stay."""
    return re.sub(r"[^\n -~]", lambda found: _shown(found[0]), text)


def _shown(char: str) -> str:
    if char.isspace():
        return " "
    return "" if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn") else char
