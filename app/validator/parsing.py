"""Syntax trees of files that somebody else wrote, within bounds.

Tree-sitter reads anything, but not anything in little time or memory: a megabyte of open brackets keeps it busy for
minutes, and some nestings take a gigabyte. So a file is parsed only when it is of moderate size and depth, for at most
a second, and all files together for at most `PATIENCE`. What is not parsed is None, and its reader makes do.
"""

from __future__ import annotations

import time
from functools import lru_cache
from itertools import accumulate

import tree_sitter_go
import tree_sitter_javascript
import tree_sitter_python
import tree_sitter_typescript
from tree_sitter import Language, Node, Parser, Point, Query, QueryCursor

PARSED = 300_000
"""Bytes of a file that is parsed; longer ones are generated, and would take hundreds of megabytes."""

QUICK = 10_000
"""Bytes of a file that cannot take long, whatever is in it."""

DEEPEST = 300
"""Brackets within brackets."""

ONE_FILE = 1.0
"""Seconds for one file."""

PATIENCE = 20.0
"""Seconds for all files of one check."""

_CHUNK = 1 << 13
_NO_BRACKETS = bytes(set(range(256)) - set(b"([{)]}"))
_STEPS = bytes(2 if chr(byte) in "([{" else 0 for byte in range(256))

_GRAMMARS = {
    "typescript": tree_sitter_typescript.language_typescript,
    "tsx": tree_sitter_typescript.language_tsx,
    "javascript": tree_sitter_javascript.language,
    "python": tree_sitter_python.language,
    "go": tree_sitter_go.language,
}


class Parsing:
    """Parses files for one check and keeps count of the time."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._left = patience

    def tree(self, grammar: str, data: bytes) -> Node | None:
        """The root of the syntax tree; None when the file is too long, too deep or takes too much time."""
        if self._left <= 0 or len(data) > PARSED or _depth(data) > DEEPEST:
            return None
        started = time.monotonic()
        tree = Parser(_language(grammar)).parse(data) if len(data) <= QUICK or self._ends(grammar, data) else None
        self._left -= time.monotonic() - started
        return tree.root_node if tree else None

    def _ends(self, grammar: str, data: bytes) -> bool:
        """Whether parsing comes to its end in time: only a source that is read piece by piece can stop it.

        A tree made that way is of no use, its nodes would ask for the source again whenever their text is wanted.
        """
        deadline = time.monotonic() + min(ONE_FILE, self._left)

        def chunk(offset: int, _: Point | None) -> bytes:
            return data[offset : offset + _CHUNK] if time.monotonic() < deadline else b""

        Parser(_language(grammar)).parse(chunk, encoding="utf8")
        return time.monotonic() < deadline


def found(grammar: str, query: str, node: Node) -> list[dict[str, Node]]:
    """What a query matches below ``node``: for each match, the node of each capture."""
    matches = QueryCursor(_query(grammar, query)).matches(node)
    return [{name: nodes[0] for name, nodes in captures.items() if nodes} for _, captures in matches]


def text(node: Node | None) -> str:
    """A node's source text; invalid UTF-8 becomes U+FFFD."""
    return (node.text or b"").decode("utf-8", "replace") if node else ""


def line(node: Node) -> int:
    """Where it begins, from 1."""
    return int(node.start_point.row) + 1


def _depth(data: bytes) -> int:
    """How deep its brackets nest, strings and comments included."""
    brackets = data.translate(_STEPS, _NO_BRACKETS)
    return max(accumulate(brackets, lambda depth, step: max(depth + step - 1, 0), initial=0))


@lru_cache(maxsize=len(_GRAMMARS))
def _language(grammar: str) -> Language:
    return Language(_GRAMMARS[grammar]())


@lru_cache(maxsize=64)
def _query(grammar: str, query: str) -> Query:
    return Query(_language(grammar), query)
