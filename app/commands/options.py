"""The options of ``run``, and ids of items (pure)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from uuid import UUID

from app.domain.commands import MOST_ITEMS, OPTIONS, RunCommand
from app.domain.text import one_line

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class Wrong(Exception):
    """What is wrong with a command's arguments; the text goes on a sentence that begins with the command's name."""


def run_command(words: Sequence[str]) -> RunCommand:
    """The command that these words ask for. An option given twice means the last. Raises Wrong."""
    items: dict[UUID, None] = {}
    limit: int | None = None
    given: set[str] = set()
    for name, value in _given(words):
        match name:
            case "--item":
                items[item_id(value)] = None
            case "--limit":
                limit = _number(value)
            case flag:
                given.add(flag)
    if len(items) > MOST_ITEMS:
        raise Wrong(f"takes at most {MOST_ITEMS} items")
    return RunCommand(
        items=tuple(items),
        limit=limit,
        dry_run="--dry-run" in given,
        smoke_test="--smoke-test" in given,
        e2e="--e2e" in given,
    )


def _given(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each option with its value, "" for one that takes none."""
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        name = name.lower()
        option = OPTIONS.get(name)
        if option is None:
            raise Wrong(_unknown(word, name))
        if option.value and not equals:
            value = next(rest, "")
        if option.value and (not value or value.startswith("--")):
            raise Wrong(f"needs a value after {name}: {name} {option.value}")
        if equals and not option.value:
            raise Wrong(f"takes no value for {name}")
        yield name, value


def _unknown(word: str, name: str) -> str:
    if _UUID.fullmatch(word):
        return f"takes an item as --item {word.lower()}"
    if not name.startswith("-"):
        return f"takes only options, and “{one_line(word, 40)}” is none"
    near = get_close_matches(name[:20], OPTIONS, n=1)
    return f"has no option “{one_line(name, 40)}”" + (f"; did you mean {near[0]}?" if near else "")


def item_id(word: str) -> UUID:
    """Raises Wrong for anything but a UUID in its usual form."""
    if not word:
        raise Wrong("needs the id of an item")
    if not _UUID.fullmatch(word):
        raise Wrong(f"needs the id of an item, and “{one_line(word, 40)}” is none")
    return UUID(word)


def _number(word: str) -> int:
    if re.fullmatch("[0-9]{1,9}", word) and 1 <= int(word) <= MOST_ITEMS:
        return int(word)
    raise Wrong(f"takes a --limit from 1 to {MOST_ITEMS}, and “{one_line(word, 40)}” is none")
