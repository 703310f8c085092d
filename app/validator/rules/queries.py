"""Calls of a database where one for all would do: inside a loop, or inside a callback that is called for each."""

from __future__ import annotations

import re
from collections.abc import Iterator

from app.validator.rules.rule import Sighting
from app.validator.rules.source import Source
from app.validator.rules.syntax import Syntax

_LOOPS = (
    "for_statement",
    "for_in_statement",
    "while_statement",
    "do_statement",
    "list_comprehension",
    "set_comprehension",
    "dictionary_comprehension",
    "generator_expression",
)
_FUNCTIONS = (
    "function_definition",
    "function_declaration",
    "function_expression",
    "method_definition",
    "method_declaration",
    "arrow_function",
    "func_literal",
    "lambda",
)
_FOR_EACH = re.compile(r"\.(?:map|forEach|flatMap|filter|some|every|reduce)$")
_QUERY = re.compile(
    r"\b(?:supabase|prisma|db|tx|knex|client|pool|sql|conn|connection|cursor|cur|session|repository|repo|\w{1,40}Repository)"
    r"(?:\.|\b\s{0,5}\().{0,200}?\b(?:from|rpc|select|insert|update|upsert|delete|query|execute|fetch|fetchrow|fetchval"
    r"|findUnique|findFirst|findMany|findOne|find|create|aggregate|scalar|scalars|QueryRow|QueryContext"
    r"|QueryRowContext|Query|Exec|ExecContext)\b\s{0,3}(?:\(|<|$)"
    r"|\.objects\.(?:get|filter|create|exclude|all)\b|\bsql`",
    re.DOTALL,
)


def find_queries_in_loops(source: Source) -> Iterator[Sighting]:
    """Awaited queries (JavaScript), or calls of a cursor, session, connection or manager (Python, Go), for each."""
    syntax = source.syntax
    if not syntax:
        return
    kinds = {"python": ("call",), "go": ("call_expression",)}.get(source.language, ("await_expression",))
    done = 0
    for index in syntax.of(*kinds):
        node = syntax.nodes[index]
        if node.start < done:
            continue  # part of a call that was counted
        called = syntax.text(index if kinds[0] == "await_expression" else syntax.child(index, "function"), 300)
        if _QUERY.search(called) and _is_repeated(syntax, index):
            done = node.end
            yield Sighting(line=source.line_of(index), key="".join(syntax.text(index).split()))


def _is_repeated(syntax: Syntax, index: int) -> bool:
    """Whether the nearest function around it, or a loop in that, runs it for each of something."""
    below = index
    for above in syntax.above(index, 60):
        node = syntax.nodes[above]
        if node.kind in _LOOPS:
            # What is looped over is evaluated once.
            return syntax.nodes[below].field not in ("right", "iterable", "value") and not _is_head(syntax, below)
        if node.kind in _FUNCTIONS:
            return _is_called_for_each(syntax, above)
        below = above
    return False


def _is_head(syntax: Syntax, index: int) -> bool:
    """The clause of a comprehension or of Go's ``for … range``."""
    return syntax.nodes[index].kind in ("for_in_clause", "range_clause", "for_clause")


def _is_called_for_each(syntax: Syntax, function: int) -> bool:
    above = list(syntax.above(function, 2))
    if len(above) < 2 or syntax.nodes[above[0]].kind != "arguments":
        return False
    called = syntax.child(above[1], "function")
    if called < 0:
        return False
    node = syntax.nodes[called]
    return bool(_FOR_EACH.search(syntax.data[max(node.start, node.end - 40) : node.end].decode("utf-8", "replace")))
