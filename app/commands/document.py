"""The lines of a comment that are addressed to Mason, after Markdown is parsed (pure; linear in its length).

A line counts when it begins, after at most three spaces, with the name of a command, and stands in a paragraph, also
one of a list. What stands in a quote, heading, table, code block or HTML block is not in such a paragraph; what stands
in a code span, a link, an image, an HTML tag or a comment that began on an earlier line does not count either.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

_ADDRESSED = re.compile(r" {0,3}/(?P<name>mason|execute-approved)(?!\S)(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
_DEEPEST = 20
"""Levels of blocks in each other: a quote is one, a list two. What is deeper is not read, nor the rest of its list."""

_DEEPEST_INLINE = 10
"""Brackets in each other. After deeper ones the rest of the paragraph is taken for plain text, or for theirs."""

_INLINE = ("text", "escape", "backticks", "link", "image", "autolink", "html_inline")
"""Rules that decide where code, links, tags and comments begin and end. Emphasis decides nothing here."""

_MARK = "\ue000"
"""Stands, with a number, for the slash of a line that may count: a private character, which means nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Addressed:
    """A line for Mason. ``number`` counts from 1, ``rest`` is what follows the name, ``below`` the lines after it.

    ``below`` goes to the end of the paragraph, and of a list that follows it at once, or to the next line for Mason.
    """

    number: int
    text: str
    name: str
    rest: str
    below: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Passage:
    """A paragraph: lines ``start`` up to ``end``; ``reach`` is where what may belong to it ends."""

    start: int
    end: int
    reach: int


def addressed_lines(source: str) -> list[Addressed]:
    """The lines for Mason, in order. ``source`` has no surrogates, no NUL, and ``\\n`` at its line ends."""
    lines = source.split("\n")
    may_count = {number: found for number, line in enumerate(lines) if (found := _ADDRESSED.fullmatch(line))}
    if not may_count:
        return []
    env: dict[str, Any] = {}
    passages = list(_passages(_block_parser().parse(source, env)))
    counting: dict[int, _Passage] = {}
    for passage in passages:
        numbers = [number for number in range(passage.start, passage.end) if number in may_count]
        if numbers:
            counting |= dict.fromkeys(_in_plain_text(lines, passage, numbers, env), passage)
    numbers = sorted(counting)
    return [
        Addressed(
            number=number + 1,
            text=lines[number],
            name=may_count[number]["name"].lower(),
            rest=may_count[number]["rest"],
            below=tuple(lines[number + 1 : min(counting[number].reach, following)]),
        )
        for number, following in zip(numbers, [*numbers[1:], len(lines)], strict=False)
    ]


def _passages(tokens: Sequence[Token]) -> Iterator[_Passage]:
    """Paragraphs outside of quotes."""
    lists = {token.map[0]: token.map[1] for token in tokens if token.map and token.type.endswith("_list_open")}
    quotes = 0
    for token in tokens:
        quotes += (token.type == "blockquote_open") - (token.type == "blockquote_close")
        if token.type == "paragraph_open" and token.map and not quotes:
            start, end = token.map
            yield _Passage(start=start, end=end, reach=lists.get(end, end))


def _in_plain_text(lines: Sequence[str], passage: _Passage, numbers: Sequence[int], env: dict[str, Any]) -> list[int]:
    """Those of the lines that begin in plain text: the mark of one in a code span, link or tag is found elsewhere."""
    marked = [line.replace(_MARK, "\ufffd") for line in lines[passage.start : passage.end]]
    for number in numbers:
        marked[number - passage.start] = marked[number - passage.start].replace("/", f"{_MARK}{number}{_MARK}", 1)
    parser, tokens = _inline_parser(), list[Token]()
    parser.inline.parse("\n".join(marked), parser, env, tokens)
    links, found = 0, list[int]()
    for token in tokens:
        links += (token.type == "link_open") - (token.type == "link_close")
        if token.type == "text" and not links:
            found += [int(mark) for mark in re.findall(f"{_MARK}([0-9]+){_MARK}", token.content)]
    return found


@cache
def _block_parser() -> MarkdownIt:
    """Blocks, with the text of paragraphs left alone: that is read only where a line may count."""
    return MarkdownIt("commonmark", {"maxNesting": _DEEPEST}).enable("table").disable(["inline", "text_join"])


@cache
def _inline_parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"maxNesting": _DEEPEST_INLINE})
    parser.inline.ruler.enableOnly(list(_INLINE))
    parser.inline.ruler2.enableOnly([])
    return parser
