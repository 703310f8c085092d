"""Texts of check runs: what strangers wrote, made harmless for GitHub's Markdown, within its limits (pure)."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.domain.check_runs import TEXT_LIMIT
from app.domain.text import prose
from app.reporting import text

_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_CUT = "\n\n… The rest is left out: it would not fit."


def plain(output: str) -> str:
    """A command's output without colours and other control sequences; a line that was drawn again stands once."""
    lines = _ESCAPE.sub("", output).replace("\r\n", "\n").split("\n")
    drawn = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)
    kept = "".join(char if char.isprintable() or char in "\n\t" else "\ufffd" for char in drawn)
    return kept.encode("utf-8", "replace").decode()


def fenced_tail(output: str, limit: int = TEXT_LIMIT) -> str:
    """The end of an output in a code fence that it cannot close; empty without output. ``limit`` in octets."""
    shown = plain(output).strip("\n")
    if not shown.strip():
        return ""
    fence = "`" * (max((len(run) for run in re.findall("`+", shown)), default=0) + 1)
    fence = fence if len(fence) > 3 else "```"
    if len(fence) > 100:  # nothing that a check says needs so many
        shown, fence = shown.replace("`", "'"), "```"
    room = limit - 2 * len(fence) - len("text\n\n") - len("…\n".encode())
    if len(shown.encode()) > room:
        shown = "…\n" + shown.encode()[-room:].decode("utf-8", "ignore")
    return f"{fence}text\n{shown}\n{fence}"


def within_limit(markdown: str, limit: int = TEXT_LIMIT) -> str:
    """Markdown without fences, cut at a line where it is too long. ``limit`` in octets: the stricter reading."""
    if len(markdown.encode()) <= limit:
        return markdown
    kept = markdown.encode()[: limit - len(_CUT.encode())].decode("utf-8", "ignore")
    return kept.rpartition("\n")[0] + _CUT


def seconds(value: float) -> str:
    """A duration for people: ``3.2 s``, ``2 min 5 s``."""
    return f"{value:.1f} s" if value < 60 else f"{int(value) // 60} min {int(value) % 60} s"


def count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def render(name: str, **values: object) -> str:
    """A template of ``templates/``, within what GitHub takes."""
    rendered = _templates().get_template(name).render(values)
    return within_limit(re.sub(r"\n{3,}", "\n\n", rendered).strip())


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - Markdown: whatever comes from outside goes through "md", "code" or "link"
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(md=prose, code=text.code, link=text.link, seconds=seconds)
    return environment
