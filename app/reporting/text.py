"""Text from outside (titles, reasons, output), made safe for one line of a terminal, Markdown or the database."""

from __future__ import annotations

import re
import unicodedata

_JOINERS = "\u200c\u200d"
_LONGEST = 200


def one_line(text: str, limit: int = _LONGEST) -> str:
    """One line without control characters or anything that turns the direction of text, cut at ``limit``.

    White space of any kind becomes a single space; emoji sequences stay whole.
    """
    words = " ".join(text[: 4 * limit + 1000].split())
    line = "".join(char if _shows(char) else "\ufffd" for char in words)
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def _shows(char: str) -> bool:
    return char in _JOINERS or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp")


def markdown(text: str, limit: int = _LONGEST) -> str:
    """The text of one line, with everything escaped that Markdown would read as markup, also in a table cell."""
    line = re.sub(r"([\\`*_{}\[\]<>|~&$!#])", r"\\\1", one_line(text, limit))
    line = re.sub(r"^([-+=])", r"\\\1", line)
    return re.sub(r"^(\d{1,9})([.)])(?= |$)", r"\1\\\2", line)


def code(text: str, limit: int = 2 * _LONGEST) -> str:
    """A code span of one line that holds the text as it is, also in a table cell."""
    line = one_line(text, limit).replace("|", "\\|")
    fence = "`" * (max((len(run) for run in re.findall("`+", line)), default=0) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") or not line else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def link(url: str) -> str:
    """An address that Markdown shows as a link; anything that is no plain web address is only text."""
    return f"<{url}>" if re.fullmatch(r"https?://[!-~]+", url) and not re.search(r"[<>|\\`]", url) else markdown(url)


def storable(text: str, limit: int = 100_000) -> str:
    """Text that a Postgres column takes: no NUL, no lone surrogates, at most ``limit`` characters."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return cut.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
