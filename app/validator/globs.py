"""Path patterns, read as in a .gitignore file (without its negation)."""

from __future__ import annotations

import re
from functools import lru_cache


def matches(path: str, pattern: str) -> bool:
    """Whether a pattern names ``path`` or a directory above it. Upper and lower case are the same.

    ``*`` and ``?`` stay within a directory, ``**`` does not. A pattern without a slash (other than at its end) counts
    at any depth, another one from the root.
    """
    return bool(_compiled(pattern).fullmatch(path.casefold()))


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> re.Pattern[str]:
    text = pattern.strip().removeprefix("./").casefold().rstrip("/")
    anchored, text = "/" in text, text.lstrip("/")
    # Git reads "x/**" as everything inside x, which "x" and the tail below say too.
    body = "".join(map(_translated, re.findall(r"\*\*/|/\*\*$|\*\*|\*|\?|\[[^\]]+\]|.", text, re.DOTALL)))
    return re.compile(("" if anchored else "(?:.*/)?") + body + "(?:/.*)?" if body else r"(?!)", re.DOTALL)


def _translated(token: str) -> str:
    match token:
        case "**/":
            return "(?:.*/)?"
        case "/**":
            return "/.*"
        case "**":
            return ".*"
        case "*":
            return "[^/]*"
        case "?":
            return "[^/]"
        case _ if len(token) > 1:
            inner = token[1:-1].replace("\\", r"\\").replace("[", r"\[")
            return f"[^{inner[1:]}]" if inner.startswith("!") else f"[{inner}]"
    return re.escape(token)
