"""Text from elsewhere (rows, comments, diffs, output) as data in a prompt: bounded, visible, fenced."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from app.prompts.hidden import without_hidden

LONGEST = 2_000_000
MOST_LINES = 5_000
"""Characters of one text that are looked at, and lines of one that is read as Markdown."""

_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\u180b\u180c\u180d\u180f\U00016fe4\U0001d159")
_UNUSUAL = re.compile(r"[^\n\t -~]+")
_LINE_END = re.compile(r"\r\n?|[\v\f\x1c-\x1e\x85\u2028\u2029]")
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})(.*)$", re.MULTILINE)
_LONGEST_RUN = 40
_LONG_RUN = re.compile(r"`{41,}")
"""Backticks in a row; a fence is one longer than what it holds, and need not be longer than the text itself."""

_MOST_MARKS = 4
"""Combining marks on one letter; scripts that are written need no more, and a flood of them hides the lines around."""


def visible(text: str, most: int = LONGEST) -> str:
    """The text that a person who reads it rendered would see, as far as its first ``most`` characters go.

    No HTML comment or note hidden in Markdown (see `without_hidden`), no invisible or direction-changing character.
    Line ends become ``\\n``, other spaces a plain one, other control characters go. Linear in its length.
    """
    first = _lines(text[:most])
    kept = "\n".join(first.split("\n", MOST_LINES)[:MOST_LINES])
    is_cut = len(text) > most or len(kept) < len(first)
    seen = _cleaned(without_hidden(kept, is_cut=is_cut), lambda _: "")
    return f"{seen}\n… the rest was not read …" if is_cut else seen


def shown(text: str) -> str:
    """A program's text (diff, source, output) as it is: nothing left out, invisible characters as ``<U+202E>``."""
    return _cleaned(_lines(text), lambda char: "" if unicodedata.category(char) == "Cc" else f"<U+{ord(char):04X}>")


def readable(text: str) -> str:
    """Instructions that are trusted, without characters that nobody sees in them."""
    return _cleaned(_lines(text), lambda _: "")


def fences_closed(text: str) -> str:
    """The text with its last code fence closed, where it was left open: what follows is no part of it."""
    fence = ""
    for match in _FENCE.finditer(text):
        if not fence:
            fence = match[1] if match[1][0] not in match[2] else ""
        elif match[1].startswith(fence) and not match[2].strip():
            fence = ""
    return f"{text}\n{fence}" if fence else text


def _lines(text: str) -> str:
    return _LINE_END.sub("\n", text[:LONGEST].encode("utf-8", "ignore").decode())


def _cleaned(text: str, instead: Callable[[str], str]) -> str:
    return _UNUSUAL.sub(lambda match: "".join(_clean(match[0], instead)), text)


def _clean(run: str, instead: Callable[[str], str]) -> list[str]:
    parts: list[str] = []
    marks = 0
    for char in run:
        category = unicodedata.category(char)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if category == "Zs":
            parts.append(" ")
        elif _is_visible(char, category):
            parts.append(char if marks <= _MOST_MARKS else "")
        else:
            parts.append(instead(char))
    return parts


def _is_visible(char: str, category: str) -> bool:
    code = ord(char)
    selector = 0xFE00 <= code <= 0xFE0F or 0xE0000 <= code <= 0xE0FFF
    return not selector and char not in _INVISIBLE and category not in ("Cc", "Cf", "Cs", "Co", "Cn")


def bounded(text: str, limit: int) -> str:
    """The first and the last part of a text that is longer than ``limit`` characters."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"


def line(text: str | None, limit: int = 300) -> str:
    """The text on one line, for a list."""
    return bounded(" ".join(visible(text or "", 100 * limit).split()), limit).replace("\n", " ").replace("`", "'")


def fenced(text: str | None, limit: int = 20_000) -> str:
    """What people or agents wrote, `visible`, between fences that nothing in it can close; ``(nothing)`` when empty."""
    return _between_fences(visible(text or "", 10 * limit), limit)


def code(text: str | None, limit: int = 20_000) -> str:
    """What programs wrote and what stands in files, `shown`, between such fences."""
    return _between_fences(shown(bounded(text or "", limit)), limit)


def _between_fences(text: str, limit: int) -> str:
    content = _LONG_RUN.sub("`" * _LONGEST_RUN, bounded(text, limit).strip("\n"))
    if not content.strip():
        return "(nothing)"
    longest = max((len(run) for run in re.findall(r"`+", content)), default=0)
    fence = "`" * max(longest + 1, 4)
    return f"{fence}data\n{content}\n{fence}"
