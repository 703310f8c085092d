"""The context of an item: what its PRD says about the problem, the place, the evidence and success."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from app.domain.items import Item
from app.domain.plans import Criterion, PrdContext
from app.planning.document import Block, Document, Form, Kind, Span, parse
from app.planning.paths import link_path, repository_path, split_line

SECTION_LIMIT = 8_000
"""Characters of a section that are kept."""

MAX_CRITERIA = 200
MAX_FILES = 1_000

_BOX = re.compile(r"\[([ xX])\][ \t]+(\S.*)", re.DOTALL)
_TARGET_FIELD = re.compile(r"(?:target(?: file)?|files?|location)\s*:\s*", re.IGNORECASE)
_SUCCESS = ("success criteria", "acceptance", "definition of done")


WRITTEN_BY_AGENT = "<!-- mason: an agent wrote this; remove this line once a person stands for it -->"
"""At the end of a PRD that Mason had written. Whoever approves it as their own takes the line out."""


def read_context(item: Item) -> PrdContext:
    """What the prompts and the validator need, from the item's PRD; its own fields fill what the PRD leaves out.

    Never raises. Sections keep their Markdown and are cut at SECTION_LIMIT characters.
    """
    document = parse(item.prd or "")
    return PrdContext(
        target=_target(document),
        problem=_section(document, ("problem",)) or item.problem[:SECTION_LIMIT],
        solution=_section(document, ("solution", "proposed solution", "approach")) or item.solution[:SECTION_LIMIT],
        evidence=_section(document, ("evidence",)) or (item.evidence_summary or "")[:SECTION_LIMIT],
        criteria=tuple(_criteria(document)),
        files=tuple(_files(document)),
        by_agent=WRITTEN_BY_AGENT in (item.prd or ""),
    )


def _name(heading: Block) -> str:
    """A heading's words without numbering and emphasis: ``2. Problem Statement`` is ``problem statement``."""
    return heading.text.strip().lower().lstrip("0123456789.) :-")


def _section(document: Document, names: tuple[str, ...]) -> str:
    """The source below the first heading that begins with one of ``names``, up to the next of its rank."""
    start: Block | None = None
    for block in document.blocks:
        if block.kind is not Kind.HEADING:
            continue
        if start and block.level <= start.level:
            return document.source(start.end, block.line)[:SECTION_LIMIT]
        if not start and _name(block).startswith(names):
            start = block
    return document.source(start.end, len(document.lines) + 1)[:SECTION_LIMIT] if start else ""


def _target(document: Document) -> str | None:
    """The place named by a Target or File field, else the first ``path.ext:line`` in the text."""
    first: str | None = None
    named = False
    for block in document.blocks:
        if block.kind is Kind.HEADING:
            named = _name(block).startswith("target")
        for spans, field in _fields(block, named):
            for path, line in map(split_line, _words(spans)):
                if path and field:
                    return _place(path, line)
                if path and line and first is None:
                    first = _place(path, line)
    return first


def _fields(block: Block, named: bool) -> Iterator[tuple[tuple[Span, ...], bool]]:
    """The block's running texts, each with whether it is the value of a Target or File field."""
    for row in block.rows:
        label = row.texts[0].strip().lower() if row.cells else ""
        field = label in ("target", "target file", "file", "location") and row is not block.rows[0]
        for cell in row.cells[field:]:
            yield cell, field
    for line in _by_line(block.spans):
        text = "".join(span.text for span in line if span.form is not Form.LINK).lstrip()
        yield line, block.kind is Kind.TEXT and (named or bool(_TARGET_FIELD.match(text)))


def _by_line(spans: tuple[Span, ...]) -> Iterator[tuple[Span, ...]]:
    line: list[Span] = []
    for span in spans:
        if span.text == "\n":
            yield tuple(line)
            line = []
        else:
            line.append(span)
    yield tuple(line)


def _place(path: str, line: int | None) -> str:
    return f"{path}:{line}" if line else path


def _words(spans: Iterable[Span]) -> Iterator[str]:
    for span in spans:
        if span.form is Form.WORDS:
            yield from (word.strip("()[]<>,;.!?*_\"'") for word in span.text.split())
        elif span.form is Form.CODE:
            yield span.text
            if " " in span.text.strip():
                yield from span.text.split()


def _criteria(document: Document) -> Iterator[Criterion]:
    """Every item with a check box, and every list item under a heading about success."""
    count = 0
    rank = 0
    for block in document.blocks:
        if block.kind is Kind.HEADING:
            if _name(block).startswith(_SUCCESS):
                rank = block.level
            elif block.level <= rank:
                rank = 0
        if not block.listed or count == MAX_CRITERIA:
            continue
        text = block.text.strip()
        match = _BOX.fullmatch(text)
        if match or (rank and text):
            count += 1
            yield Criterion(
                text=(match[2] if match else text).replace("\n", " ").strip()[:500],
                checked=bool(match and match[1] != " "),
            )


def _files(document: Document) -> list[str]:
    found: dict[str, None] = {}
    for block in document.blocks:
        for path in _paths(block):
            if path and len(found) < MAX_FILES:
                found.setdefault(path)
    return list(found)


def _paths(block: Block) -> Iterator[str | None]:
    if block.kind is Kind.CODE:
        if block.info.split()[:1] == ["diff"] or block.code.startswith("diff --git "):
            yield from _diff_paths(block.code)
        return
    for row in block.rows:
        for cell in row.cells:
            yield from map(repository_path, _words(cell))
            yield from _marked(cell)
    yield from _marked(block.spans)
    for line in _by_line(block.spans):
        text = "".join(span.text for span in line if span.form is not Form.LINK).lstrip()
        if block.kind is Kind.TEXT and _TARGET_FIELD.match(text):
            yield from map(repository_path, _words(line))


def _marked(spans: tuple[Span, ...]) -> Iterator[str | None]:
    for span in spans:
        if span.form is Form.LINK:
            yield link_path(span.text)
        elif span.form is Form.CODE:
            yield repository_path(span.text)


def _diff_paths(diff: str) -> Iterator[str | None]:
    for line in diff.split("\n"):
        match line.split(None, 2):
            case ["---" | "+++", name, *_]:
                yield repository_path(name[2:] if name[:2] in ("a/", "b/") else name)
            case ["rename" | "copy", "from" | "to", name]:
                yield repository_path(name)
