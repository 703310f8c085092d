"""What Markdown holds but its reader is not shown: comments and their kin, and notes put into link definitions."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import accumulate

from markdown_it import MarkdownIt
from markdown_it.token import Token

_MARK = re.compile(r"<!--|<\?|<!\[CDATA\[|<![A-Za-z]")
_ENDS = {"<!--": re.compile(r"--!?>"), "<?": re.compile(r"\?>"), "<![CDATA[": re.compile(r"\]\]>")}
_BRACKET = re.compile(r">")
_LONGEST_LABEL = 60


@dataclass(frozen=True, slots=True)
class _Block:
    """Where a leaf of the document lies, in characters; ``kind`` is the parser's word for it."""

    start: int
    end: int
    kind: str
    definition: str = ""


@dataclass(slots=True)
class _Ends:
    """The next end of each kind of mark. Asked with growing positions only, so that all of it takes linear time."""

    text: str
    seen: dict[re.Pattern[str], re.Match[str] | None] = field(default_factory=dict)

    def after(self, end: re.Pattern[str], position: int) -> re.Match[str] | None:
        found = self.seen.get(end)
        if end not in self.seen or (found and found.start() < position):
            found = self.seen[end] = end.search(self.text, position)
        return found


def without_hidden(text: str, *, is_cut: bool = False) -> str:
    """``text`` without what a browser would not show of it, rendered as Markdown (CommonMark 0.31, HTML blocks).

    Comments, CDATA, processing instructions and declarations go, with everything after one that never ends where HTML
    begins; code blocks stay as they are. Link definitions keep label and address, or go where they lead nowhere
    (``[//]: # (like this)``). Tags and their attributes stay: what a style hides, no parser can tell. Of a text that
    ``is_cut`` its end may be missing: what its last paragraph leaves open goes too. Linear in time.
    """
    if _MARK.search(text):
        text = _without_marks(text, is_cut=is_cut)
    return _without_notes(text) if "]:" in text else text


def _without_marks(text: str, *, is_cut: bool) -> str:
    blocks, ends = _blocks(text), _Ends(text)
    starts = [block.start for block in blocks]
    parts: list[str] = []
    kept = at = 0
    while match := _MARK.search(text, at):
        block = _around(blocks, starts, match.start()) or _Block(0, len(text), "inline")
        if block.kind in ("fence", "code_block"):
            at = block.end
            continue
        end = _end(match, block, blocks, starts, ends)
        if end is None and is_cut and block.end == len(text):
            end = len(text)
        if end is None:
            at = match.end()
            continue
        indented = block.kind == "html_block" and not text[block.start : match.start()].strip()
        parts.append(text[kept : block.start if indented else match.start()])
        kept = at = end
    return "".join(parts) + text[kept:]


def _end(match: re.Match[str], block: _Block, blocks: list[_Block], starts: list[int], ends: _Ends) -> int | None:
    """Where the hidden part that begins with ``match`` ends; None when it is no hidden part but shown as it stands.

    In running text it has to end in its own paragraph. In an HTML block it goes on until HTML ends it.
    """
    pattern = _ENDS.get(match[0], _BRACKET)
    begin = match.start() + 2 if match[0] == "<!--" else match.end()  # <!--> and <!---> are whole comments
    found = ends.after(pattern, begin)
    if block.kind != "html_block":
        return found.end() if found and found.end() <= block.end else None
    while found and getattr(_around(blocks, starts, found.start()), "kind", "") != "html_block":
        found = ends.after(pattern, found.end())
    if not found and match[0] != "<!--":
        found = ends.after(_BRACKET, begin)
    return found.end() if found else len(ends.text)


def _without_notes(text: str) -> str:
    parts: list[str] = []
    kept = 0
    for block in _blocks(text):
        if block.kind == "definition":
            parts += [text[kept : block.start], block.definition]
            kept = block.end
    return "".join(parts) + text[kept:]


def _around(blocks: list[_Block], starts: list[int], position: int) -> _Block | None:
    index = bisect_right(starts, position) - 1
    return blocks[index] if index >= 0 and position < blocks[index].end else None


def _blocks(text: str) -> list[_Block]:
    """The leaves of the document, in order."""
    lines = text.split("\n")
    offsets = [0, *accumulate(len(line) + 1 for line in lines)]
    parser = MarkdownIt("commonmark", {"maxNesting": 20, "inline_definitions": True}).disable(["inline", "text_join"])
    found: list[_Block] = []
    for token in parser.parse(text):
        if token.map and token.type in ("fence", "code_block", "html_block", "inline", "definition"):
            start, end = (min(offsets[line], len(text)) for line in token.map)
            last = lines[min(token.map[1], len(lines)) - 1]
            found.append(_Block(start, end, _kind(token, last), _definition(token.meta) if token.meta else ""))
    return found


def _kind(token: Token, last_line: str) -> str:
    """A fence that is never closed is taken for text: not every reader may take it for code."""
    ended = last_line.strip(" \t>")
    if token.type == "fence" and not (ended.startswith(token.markup) and not ended.strip(token.markup[0])):
        return "inline"
    return token.type


def _definition(meta: dict[str, str]) -> str:
    """A link definition without its title, which nobody sees; empty when it leads nowhere or its label is long."""
    label, url = meta.get("label", ""), meta.get("url", "")
    if url.startswith("#") or not url or len(label) > _LONGEST_LABEL or "\n" in label:
        return ""
    return f"[{label}]: {url}\n"
