"""One state of one file, as the rules see it: its text, without its comments, without its strings, its syntax."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from functools import cached_property

from app.validator.rules.sql_text import masked
from app.validator.rules.syntax import GRAMMARS, Lines, Syntax

LANGUAGES = {
    ".py": "python",
    ".pyi": "python",
    ".ts": "typescript",
    ".mts": "typescript",
    ".cts": "typescript",
    ".tsx": "tsx",
    ".js": "javascript",
    ".jsx": "javascript",
    ".mjs": "javascript",
    ".cjs": "javascript",
    ".go": "go",
    ".sql": "sql",
    ".html": "markup",
    ".htm": "markup",
    ".vue": "markup",
    ".svelte": "markup",
    ".astro": "markup",
}
TYPESCRIPT = frozenset({"typescript", "tsx"})
JAVASCRIPT = frozenset({"javascript"}) | TYPESCRIPT

_COMMENTS = ("comment", "html_comment")
_STRINGS = (
    "string_content",
    "string_fragment",
    "regex_pattern",
    "jsx_text",
    "interpreted_string_literal_content",
    "raw_string_literal_content",
)


class Source:
    """Views of one file's text. All have its line breaks where they were, so a line has one number in all of them.

    Where there is no grammar for the language, nothing is known to be a comment or a string: all views are the text.
    """

    def __init__(self, path: str, data: bytes) -> None:
        self.path = path
        self.language = LANGUAGES.get(posixpath.splitext(path)[1].lower(), "")
        self.is_text = b"\0" not in data[:8000]
        self.data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    @cached_property
    def syntax(self) -> Syntax | None:
        return Syntax(self.language, self.data) if self.language in GRAMMARS else None

    @cached_property
    def text(self) -> str:
        return self.data.decode("utf-8", "replace")

    @cached_property
    def uncommented(self) -> str:
        """With blanks for its comments."""
        if self.language == "sql":
            return masked(self.text)
        return self._without(_COMMENTS)

    @cached_property
    def code(self) -> str:
        """With blanks for its comments and for what its strings hold."""
        return self.uncommented if self.language == "sql" else self._without((*_COMMENTS, *_STRINGS))

    @cached_property
    def comments(self) -> list[tuple[int, str]]:
        """Each comment with the line that it begins in; every line where comments cannot be told."""
        if not self.syntax:
            return list(enumerate(self.lines, 1))
        return [(self.line_of(index), self.syntax.text(index, 2000)) for index in self.syntax.of(*_COMMENTS)]

    @cached_property
    def lines(self) -> list[str]:
        return self.text.split("\n")

    def line(self, number: int) -> str:
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""

    def line_of(self, index: int) -> int:
        """The line that a node of the syntax begins in."""
        return self._byte_lines.at(self.syntax.nodes[index].start) if self.syntax else 0

    @cached_property
    def _byte_lines(self) -> Lines:
        return Lines(self.data)

    def _without(self, kinds: Iterable[str]) -> str:
        if not self.syntax:
            return self.text
        data = bytearray(self.data)
        done = 0
        for index in self.syntax.of(*kinds):
            node = self.syntax.nodes[index]
            if node.end > done:
                start = max(node.start, done)
                data[start : node.end] = re.sub(rb"[^\n]", b" ", data[start : node.end])
                done = node.end
        return data.decode("utf-8", "replace")
