"""Templates into Markdown. Every value is inert unless it was made Markdown on purpose (pure)."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from uuid import UUID

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.domain import text
from app.domain.check_runs import TEXT_LIMIT

COMMENT_LIMIT = 60_000
"""Characters of a reply: GitHub takes 65,536, and a marker and a little air come on top."""

_CUT = "\n\n… The rest is left out: it would not fit."
_ADDRESS = re.compile(r"https?://[A-Za-z0-9.-]+(?::[0-9]{1,5})?(?:/[A-Za-z0-9._/-]*)?(?:\?key=[0-9]+\.[A-Za-z0-9_-]+)?")
"""A plain one, or a signed link of ours."""


class Markdown(str):
    """Text that is Markdown already, and harmless."""

    __slots__ = ()


def prose(value: str, limit: int = text.LONGEST) -> Markdown:
    """One line that shows just these characters: no markup, HTML, mention, reference or link, and no marker of ours."""
    return Markdown(text.prose(value, limit).replace("\\<", "&lt;").replace("\\>", "&gt;"))


def sentence(value: str, limit: int = 600) -> Markdown:
    """The same, ending as a sentence does."""
    line = text.one_line(value, limit)
    return prose(line if not line or line[-1] in ".!?…" else f"{line}.", limit + 1)


def link(url: str, words: str) -> Markdown:
    """A link to an address that Mason made or a forge gave; only the words where the address is not a plain one."""
    shown = prose(words)
    return Markdown(f"[{shown}]({url})") if len(url) <= 300 and _ADDRESS.fullmatch(url) else shown


def pull_request(url: str, repository: str | None) -> Markdown:
    """A pull request by its number, when the address is one of this repository's: rows may hold any address."""
    found = re.fullmatch(r"https?://[^/\s]+/([^/\s]+/[^/\s]+)/pull/([0-9]{1,9})", url)
    if found and repository and found[1].lower() == repository.lower():
        return Markdown(f"#{found[2]}")
    return prose(url)


def render(name: str, **values: object) -> str:
    """A template of ``templates/``. Raises UndefinedError for a value that the template has and the caller has not."""
    return within(re.sub(r"\n{3,}", "\n\n", _templates().get_template(name).render(values)).strip(), TEXT_LIMIT)


def say(name: str, **values: object) -> str:
    """A macro of ``templates/sentences.md``: the sentences that answer one command."""
    macro: Callable[..., str] = getattr(_templates().get_template("sentences.md").module, name)
    return re.sub(r"\n{3,}", "\n\n", str(macro(**values))).strip()


def within(markdown: str, limit: int = COMMENT_LIMIT) -> str:
    """Cut at a line where it is too long: nothing that is written here goes over several lines."""
    return markdown if len(markdown) <= limit else markdown[: limit - len(_CUT)].rpartition("\n")[0] + _CUT


def moment(value: datetime) -> str:
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _inert(value: object) -> object:
    """What every expression of a template goes through."""
    return value if isinstance(value, Markdown | int | UUID) else prose(str(value))


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - Markdown: whatever is printed goes through "_inert"
        finalize=_inert,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "prose": prose,
        "sentence": sentence,
        "link": link,
        "pull_request": pull_request,
        "markdown": Markdown,
        "moment": moment,
        "count": count,
    }
    return environment
