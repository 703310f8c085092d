"""Text from outside (titles, reasons, logins), made safe for one line of a terminal, a name, or Markdown (pure)."""

from __future__ import annotations

import re
import unicodedata

LONGEST = 200
"""Characters of a line that is not given a limit of its own."""

_BREAK = "&#8203;"
"""A zero width space, as an entity: it ends what GitHub would otherwise take for a mention, a reference or a link."""

_JOINERS = "\u200c\u200d"


def one_line(text: str, limit: int = LONGEST) -> str:
    """One line without control characters or anything that turns the direction of text, cut at ``limit``.

    White space of any kind becomes a single space; emoji sequences stay whole.
    """
    words = " ".join(text[: 4 * limit + 1000].split())
    line = "".join(char if _shows(char) else "\ufffd" for char in words)
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def _shows(char: str) -> bool:
    return char in _JOINERS or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp")


def markdown(text: str, limit: int = LONGEST) -> str:
    """The text of one line, with everything escaped that Markdown would read as markup, also in a table cell."""
    line = re.sub(r"([\\`*_{}\[\]<>|~&$!#])", r"\\\1", one_line(text, limit))
    line = re.sub(r"^([-+=])", r"\\\1", line)
    return re.sub(r"^(\d{1,9})([.)])(?= |$)", r"\1\\\2", line)


def prose(text: str, limit: int = LONGEST) -> str:
    """One line of Markdown, in a table cell too, that shows just these characters.

    GitHub looks for mentions, references and links in the rendered text, where an escape counts for nothing: hence
    the breaks.
    """
    escaped = re.sub(r"(@|\\#|(?i:\bGH-|\bwww\.))", rf"\1{_BREAK}", markdown(text, limit))
    return escaped.replace("://", f":{_BREAK}//")
