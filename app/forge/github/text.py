"""Texts for GitHub: what strangers wrote, made harmless for Markdown, titles and API fields (pure)."""

from __future__ import annotations

import re
import unicodedata

ZERO_WIDTH = "&#8203;"
"""A zero width space, as an entity: it ends what GitHub would otherwise take for a mention or a reference."""

_SPECIAL = re.compile(r"[\\`*_{}\[\]()#~|$!]")
_LINE_START = re.compile(r"^(?:[-+=]|\d{1,9}(?=[.)]))")
_CLOSING = re.compile(r"(?i)clos|fix|resolv")


def clean(text: str) -> str:
    """Text that every API takes: lines end in ``\\n``, no other control, format or lone surrogate character."""
    return "".join(_harmless(char) for char in text.replace("\r\n", "\n").replace("\r", "\n"))


def _harmless(char: str) -> str:
    if char.isprintable() or char == "\n":
        return char
    if char.isspace():
        return " "
    return "" if unicodedata.category(char) == "Cf" else "\ufffd"


def one_line(text: str, limit: int) -> str:
    """Clean text on one line of at most ``limit`` characters."""
    return head(re.sub(r"\s+", " ", clean(text)).strip(), limit)


def head(text: str, limit: int) -> str:
    """The first ``limit`` characters; the last of them tells that there was more."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def tail(text: str, limit: int) -> str:
    """The last ``limit`` characters of Markdown. A text that starts with a code fence goes on doing so."""
    if len(text) <= limit:
        return text
    fence = re.match(r"(?:`{3,20}|~{3,20})[^\n`]{0,40}\n", text)
    start = f"{fence[0] if fence else ''}…\n"
    return start + text[len(text) - (limit - len(start)) :]


def prose(text: str, limit: int = 4000) -> str:
    """A stranger's text as Markdown that shows just these characters, line for line.

    Nothing in it is markup, HTML, a mention, a link, an image, a reference to an issue, or one of Mason's markers.
    """
    lines = head(clean(text).strip(), limit).split("\n")
    return "\n".join(_prose_line(line.strip()) for line in lines)


def _prose_line(line: str) -> str:
    escaped = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    escaped = _SPECIAL.sub(r"\\\g<0>", escaped)
    escaped = escaped.replace("#", f"#{ZERO_WIDTH}").replace("@", f"@{ZERO_WIDTH}").replace("://", f":{ZERO_WIDTH}//")
    escaped = re.sub(r"(?i)\b(GH-|www\.)(?=\w)", rf"\1{ZERO_WIDTH}", escaped)
    start = _LINE_START.match(escaped)
    return escaped if start is None else _unlisted(escaped, start[0])


def _unlisted(line: str, start: str) -> str:
    """No list, rule or underlined heading begins with an escaped mark (``\\-``, ``1\\.``)."""
    return f"{start}\\{line[len(start) :]}" if start[0].isdigit() else f"\\{line}"


def cell(text: str, limit: int = 300) -> str:
    """Prose for a cell of a table: one line."""
    return prose(one_line(text, limit), limit)


def code(text: str, limit: int = 300) -> str:
    """A code span, in a table too; nothing in it is a marker of ours or closes an issue."""
    line = one_line(text, limit).replace("<!--", "<\u200b!--").replace("|", "\\|")
    if _CLOSING.search(line):
        line = re.sub(r"(#|GH-|://)(?=\w)", "\\1\u200b", line)
    if not line:
        return "—"
    ticks = "`" * (max((len(run) for run in re.findall("`+", line)), default=0) + 1)
    space = " " if line[0] == "`" or line[-1] == "`" else ""
    return f"{ticks}{space}{line}{space}{ticks}"


def title(text: str, limit: int = 256) -> str:
    """A pull request's title: one line that mentions nobody; empty when nothing of the text can be shown."""
    return one_line(re.sub(r"(?<!\w)@(?=\w)", "@ ", clean(text)), limit)
