"""Text from elsewhere (rows, comments, output) as data in a prompt: bounded, visible, fenced."""

from __future__ import annotations

import re
import unicodedata

_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\u180b\u180c\u180d\u180f")
_UNUSUAL = re.compile(r"[^\n\t -~]")
_OPEN_COMMENT = re.compile(r"^ {0,3}<!--", re.MULTILINE)


def visible(text: str) -> str:
    """The text that a person who reads it would see: no HTML comment, no invisible or direction-changing character.

    Line ends become ``\\n``; other control characters but the tab are dropped. Linear in its length.
    """
    text = _without_comments(text.replace("\r\n", "\n").replace("\r", "\n"))
    return _UNUSUAL.sub(lambda match: match[0] if _is_visible(match[0]) else "", text)


def _is_visible(char: str) -> bool:
    code = ord(char)
    selector = 0xFE00 <= code <= 0xFE0F or 0xE0000 <= code <= 0xE0FFF
    return not selector and char not in _INVISIBLE and unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Cn")


def _without_comments(text: str) -> str:
    """A comment that never ends hides the rest only where Markdown would: at the beginning of a line."""
    parts: list[str] = []
    at = 0
    while (start := text.find("<!--", at)) >= 0 and (end := text.find("-->", start + 4)) >= 0:
        parts.append(text[at:start])
        at = end + 3
    rest = text[at:]
    unended = _OPEN_COMMENT.search(rest)
    parts.append(rest[: unended.start()] if unended else rest)
    return "".join(parts)


def bounded(text: str, limit: int) -> str:
    """The first and the last part of a text that is longer than ``limit`` characters."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"


def line(text: str, limit: int = 300) -> str:
    """The text on one line, for a heading or a list."""
    return bounded(" ".join(visible(text).split()), limit).replace("\n", " ").replace("`", "'")


def fenced(text: str, limit: int = 20_000) -> str:
    """The text between fences that nothing in it can close; ``(nothing)`` for an empty one."""
    content = bounded(visible(text), limit).strip("\n")
    if not content.strip():
        return "(nothing)"
    longest = max((len(run) for run in re.findall(r"`+", content)), default=0)
    fence = "`" * max(longest + 1, 4)
    return f"{fence}data\n{content}\n{fence}"
