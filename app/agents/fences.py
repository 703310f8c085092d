"""What texts of people and agents hold: code fences with their addresses (fenced diffs and answers), JSON objects."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from markdown_it import MarkdownIt

PRD_LIMIT = 3_000_000
"""Characters of a PRD that are read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fence:
    """A code fence. ``words`` are those of its info string, ``line`` counts from 1."""

    line: int
    words: tuple[str, ...]
    content: str

    @property
    def kind(self) -> str:
        return self.words[0] if self.words else ""

    @property
    def attributes(self) -> dict[str, str]:
        """``task=2.1`` and the like, quotes taken off."""
        pairs = (word.partition("=") for word in self.words[1:])
        return {name: value.strip("\"'") for name, equals, value in pairs if equals}


def fences(markdown: str) -> list[Fence]:
    """Every code fence of a text, whatever it stands in, in order."""
    if "```" not in markdown and "~~~" not in markdown:
        return []
    parser = MarkdownIt("commonmark", {"maxNesting": 20}).disable(["inline", "text_join"])
    return [
        Fence(line=(token.map or [0])[0] + 1, words=tuple(token.info.split()), content=token.content)
        for token in parser.parse(markdown[:PRD_LIMIT])
        if token.type == "fence"
    ]


def json_object(text: str) -> Mapping[str, object] | None:
    """The JSON object that ``text`` is, or None. NaN and infinite numbers are no JSON."""
    try:
        found = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def last_object(text: str) -> Mapping[str, object] | None:
    """The JSON object on the last line of a text, or in its last code fence that holds one."""
    return next((found for piece in _pieces(text.strip()) if (found := json_object(piece)) is not None), None)


def _pieces(text: str) -> Iterator[str]:
    yield text.rpartition("\n")[2]
    yield from (fence.content for fence in reversed(fences(text)) if fence.kind in ("", "json"))


def _refuse(name: str) -> object:
    raise ValueError(f"{name} is no JSON")
