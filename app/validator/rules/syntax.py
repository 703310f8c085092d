"""A file's syntax as one flat list, so that nobody who looks at it recurses on how deep a stranger nested it."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator
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
        self.nodes = _flat(tree.walk())
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


def _flat(cursor: TreeCursor) -> list[Node]:
    """Every node but signs without a role (brackets, commas): in columns first, records are slow to change."""
    columns: tuple[list[str], list[int], list[int], list[int], list[str], list[int]] = ([], [], [], [], [], [])
    kinds, starts, ends, parents, fields, afters = columns
    open_nodes = [-1]
    while len(kinds) < MOST_NODES and (node := cursor.node):
        field = cursor.field_name
        if node.is_named or field:
            parents.append(open_nodes[-1])
            open_nodes.append(len(kinds))
            kinds.append(node.type)
            starts.append(node.start_byte)
            ends.append(node.end_byte)
            fields.append(field or "")
            afters.append(0)
        else:
            open_nodes.append(open_nodes[-1])  # it has no children, and is closed next
        if cursor.goto_first_child():
            continue
        if not _to_next(cursor, open_nodes, afters):
            break
    for index in open_nodes[1:]:
        afters[index] = len(kinds)
    return list(map(Node, *columns))


def _to_next(cursor: TreeCursor, open_nodes: list[int], afters: list[int]) -> bool:
    """Close nodes until one has a sibling; False at the end."""
    while True:
        index = open_nodes.pop()
        if index >= 0 and (not open_nodes or open_nodes[-1] != index):
            afters[index] = len(afters)
        if cursor.goto_next_sibling():
            return True
        if not cursor.goto_parent():
            return False


class Lines:
    """Which line, from 1, an offset lies in."""

    def __init__(self, data: bytes | str) -> None:
        lines = data.split("\n") if isinstance(data, str) else data.split(b"\n")
        self._starts = list(accumulate((len(line) + 1 for line in lines[:-1]), initial=0))

    def at(self, offset: int) -> int:
        return bisect_right(self._starts, offset)
