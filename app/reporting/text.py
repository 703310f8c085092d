"""Text from outside (titles, reasons, output), made safe for one line of a terminal, Markdown or the database."""

from __future__ import annotations

import re

from app.domain.text import LONGEST, markdown, one_line

__all__ = ["code", "link", "markdown", "one_line", "storable"]


def code(text: str, limit: int = 2 * LONGEST) -> str:
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
