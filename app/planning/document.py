"""Markdown as a flat list of blocks, with the line each begins on: what waves and context are read from.

markdown-it-py does the parsing, tables on; what stands in code fences, HTML or comments never looks like a table here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from markdown_it import MarkdownIt
from markdown_it.token import Token

LIMIT = 500_000
"""Characters of a PRD that are read; a longer one is cut at a line end."""

_INLINE_LIMIT = 20_000
"""Characters of one paragraph or cell that are read."""


class Kind(StrEnum):
    HEADING = "heading"
    TEXT = "text"
    TABLE = "table"
    CODE = "code"


class Form(StrEnum):
    WORDS = "words"
    CODE = "code"
    LINK = "link"


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A piece of running text: plain words, inline code, or the address of a link."""

    form: Form
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A row of a table; the first row is its head. ``line`` counts from 1."""

    line: int
    cells: tuple[tuple[Span, ...], ...]

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(plain(cell).strip() for cell in self.cells)


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """One block. Lines count from 1, ``end`` is the line after it.

    ``level`` is a heading's; ``listed`` marks the first paragraph of a list item; ``info`` and ``code`` belong to a
    code fence, ``rows`` to a table, ``spans`` to headings and paragraphs.
    """

    kind: Kind
    line: int
    end: int
    spans: tuple[Span, ...] = ()
    level: int = 0
    listed: bool = False
    info: str = ""
    code: str = ""
    rows: tuple[Row, ...] = ()

    @property
    def text(self) -> str:
        return plain(self.spans)


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """``lines`` are the source's; ``cut_at`` is the last line read of a text that was too long, else None."""

    blocks: tuple[Block, ...]
    lines: tuple[str, ...]
    cut_at: int | None = None

    def source(self, first: int, end: int) -> str:
        """The source from line ``first`` up to, not with, line ``end``."""
        return "\n".join(self.lines[first - 1 : end - 1]).strip()


def plain(spans: tuple[Span, ...]) -> str:
    """The text a reader sees."""
    return "".join(span.text for span in spans if span.form is not Form.LINK)


def parse(markdown: str) -> Document:
    """Parse any text. Never raises; time is linear in its length, and at most LIMIT characters are read."""
    text = (
        markdown.encode("utf-8", "replace").decode().replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")
    )
    cut_at = None
    if len(text) > LIMIT:
        text = text[: text.rfind("\n", 0, LIMIT) + 1] or text[:LIMIT]
        cut_at = text.count("\n") + (not text.endswith("\n"))
    parser = MarkdownIt("commonmark", {"maxNesting": 20}).enable("table").disable(["inline", "text_join"])
    blocks = tuple(_blocks(parser, iter(parser.parse(text))))
    return Document(blocks=blocks, lines=tuple(text.split("\n")), cut_at=cut_at)


def _blocks(parser: MarkdownIt, tokens: Iterator[Token]) -> Iterator[Block]:
    opened: Token | None = None
    first_in_item = False
    for token in tokens:
        match token.type:
            case "list_item_open":
                first_in_item = True
            case "heading_open" | "paragraph_open":
                opened = token
            case "table_open":
                yield _table(parser, token, tokens)
            case "fence" | "code_block":
                first, end = _lines(token)
                yield Block(kind=Kind.CODE, line=first, end=end, info=token.info.strip(), code=token.content)
            case "inline" if opened:
                yield _running(parser, token, opened, listed=first_in_item)
                opened, first_in_item = None, False


def _running(parser: MarkdownIt, token: Token, opened: Token, *, listed: bool) -> Block:
    heading = opened.type == "heading_open"
    first, end = _lines(opened)
    return Block(
        kind=Kind.HEADING if heading else Kind.TEXT,
        line=first,
        end=end,
        spans=_spans(parser, token.content),
        level=int(opened.tag[1:]) if heading else 0,
        listed=listed,
    )


def _table(parser: MarkdownIt, opened: Token, tokens: Iterator[Token]) -> Block:
    rows: list[Row] = []
    cells: list[tuple[Span, ...]] = []
    line, end = _lines(opened)
    row_line = line
    for token in tokens:
        match token.type:
            case "tr_open":
                row_line, cells = _lines(token)[0], []
            case "inline":
                cells.append(_spans(parser, token.content))
            case "tr_close":
                rows.append(Row(line=row_line, cells=tuple(cells)))
            case "table_close":
                break
    return Block(kind=Kind.TABLE, line=line, end=end, rows=tuple(rows))


def _lines(token: Token) -> tuple[int, int]:
    first, end = token.map or (0, 0)
    return first + 1, end + 1


def _spans(parser: MarkdownIt, content: str) -> tuple[Span, ...]:
    found: list[Span] = []
    tokens: list[Token] = []
    parser.inline.parse(content[:_INLINE_LIMIT], parser, {}, tokens)
    for token in tokens:
        match token.type:
            case "text":
                found.append(Span(form=Form.WORDS, text=token.content))
            case "softbreak" | "hardbreak":
                found.append(Span(form=Form.WORDS, text="\n"))
            case "code_inline":
                found.append(Span(form=Form.CODE, text=token.content))
            case "link_open":
                found.append(Span(form=Form.LINK, text=str(token.attrGet("href") or "")))
    return tuple(found)
