"""A file's syntax as one flat list, so that nobody who looks at it recurses on how deep a stranger nested it."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import accumulate, islice
from typing import NamedTuple

import tree_sitter_go
import tree_sitter_javascript
import tree_sitter_python
import tree_sitter_typescript
from tree_sitter import Language, Parser, TreeCursor

MOST_NODES = 500_000
"""What a person writes stays far below: ten thousand lines have a hundred thousand."""

GRAMMARS: dict[str, Callable[[], object]] = {
    "python": tree_sitter_python.language,
    "javascript": tree_sitter_javascript.language,
    "typescript": tree_sitter_typescript.language_typescript,
    "tsx": tree_sitter_typescript.language_tsx,
    "go": tree_sitter_go.language,
}


class Node(NamedTuple):
    """One node. ``start`` and ``end`` are byte offsets; ``parent`` is its index, -1 for the root.

    ``field`` is the name that the parent knows it by. ``after`` is the index that follows its last descendant.
    """

    kind: str
    start: int
    end: int
    parent: int
    field: str
    after: int


class Syntax:
    """The nodes of one file, parents before children, in the order of the text."""

    def __init__(self, language: str, data: bytes) -> None:
        self.data = data
        tree = Parser(_grammar(language)).parse(data)
        self.nodes = list(_flat(tree.walk()))
        self.whole = len(self.nodes) < MOST_NODES
        """False: only the first nodes are here."""
        self._kinds: dict[str, list[int]] = defaultdict(list)
        for index, node in enumerate(self.nodes):
            self._kinds[node.kind].append(index)

    def of(self, *kinds: str) -> list[int]:
        """The indexes of all nodes of these kinds, in order."""
        found = (self._kinds.get(kind, ()) for kind in kinds)
        return sorted(index for indexes in found for index in indexes)

    def children(self, index: int) -> Iterator[int]:
        """The indexes of a node's children."""
        child, end = index + 1, self.nodes[index].after
        while child < end:
            yield child
            child = self.nodes[child].after

    def child(self, index: int, field: str) -> int:
        """The child with this field's name, -1 when there is none (among the first hundred)."""
        return next((c for c in islice(self.children(index), 100) if self.nodes[c].field == field), -1)

    def above(self, index: int, most: int = 40) -> Iterator[int]:
        """A node's ancestors, the nearest first, at most so many."""
        for _ in range(most):
            index = self.nodes[index].parent
            if index < 0:
                return
            yield index

    def text(self, index: int, most: int = 400) -> str:
        """A node's text, cut at ``most`` bytes; empty for the index -1."""
        if index < 0:
            return ""
        node = self.nodes[index]
        return self.data[node.start : min(node.end, node.start + most)].decode("utf-8", "replace")


@cache
def _grammar(language: str) -> Language:
    return Language(GRAMMARS[language]())


def _flat(cursor: TreeCursor) -> Iterable[Node]:
    nodes: list[Node] = []
    open_nodes = [-1]
    while len(nodes) < MOST_NODES:
        node = cursor.node
        if node is None:
            break
        field = cursor.field_name or ""
        nodes.append(Node(node.type, node.start_byte, node.end_byte, open_nodes[-1], field, 0))
        open_nodes.append(len(nodes) - 1)
        if cursor.goto_first_child():
            continue
        _close(nodes, open_nodes)
        while not cursor.goto_next_sibling():
            if not cursor.goto_parent():
                return nodes
            _close(nodes, open_nodes)
    while len(open_nodes) > 1:
        _close(nodes, open_nodes)
    return nodes


def _close(nodes: list[Node], open_nodes: list[int]) -> None:
    index = open_nodes.pop()
    nodes[index] = nodes[index]._replace(after=len(nodes))


class Lines:
    """Which line, from 1, an offset lies in."""

    def __init__(self, data: bytes | str) -> None:
        lines = data.split("\n") if isinstance(data, str) else data.split(b"\n")
        self._starts = list(accumulate((len(line) + 1 for line in lines[:-1]), initial=0))

    def at(self, offset: int) -> int:
        return bisect_right(self._starts, offset)
