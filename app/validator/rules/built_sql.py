"""SQL that is put together from strings and values, told by the syntax: f-strings, templates, format, %, +, Sprintf."""

from __future__ import annotations

import re
from collections.abc import Iterator

from app.validator.rules.rule import Sighting
from app.validator.rules.source import Source
from app.validator.rules.syntax import Syntax

_STATEMENT = re.compile(
    r"""\s{0,100}
    (?:   SELECT\s[^;]{1,600}?\sFROM\s    | INSERT\s{1,20}INTO\s   | UPDATE\s{1,20}\S{1,80}\s{1,20}SET\s
        | DELETE\s{1,20}FROM\s
        | (?:CREATE|DROP|ALTER|TRUNCATE)\s{1,20}(?:TABLE|DATABASE|USER|ROLE|SCHEMA|VIEW)\s
        | SELECT\s{1,20}\*
        | WITH\s{1,20}\w{1,60}\s{1,20}AS\s{0,20}\(
        | (?:SELECT|select)\s[^;]{1,600}?\s(?:WHERE|where)\s
        | select\s[^;]{1,600}?\sfrom\s    | insert\s{1,20}into\s   | update\s{1,20}\S{1,80}\s{1,20}set\s
        | delete\s{1,20}from\s
    )""",
    re.VERBOSE,
)
_BEGINNING = re.compile(r"\s{0,100}(?:SELECT|INSERT|UPDATE|DELETE)\s")
_SEAM = re.compile(r"[\"'`]\s{0,50}\+\s{0,50}[\"'`]")
_CONSTANT = re.compile(r"[\s$({]*[A-Z][A-Z0-9_]*(?:(?:\.|\[['\"]?)[A-Za-z0-9_]+['\"]?\]?)*[\s)}]*")
_QUOTED_WITH_CARE = re.compile(r"[\s${]*(?:\w+\.)?(?:sql\.|Prisma\.|(?:Identifier|Literal|quote_ident|escapeId)\()")
_PLACEHOLDER = re.compile(r"%[sdvqr]|%\(")
_OPERATORS = ("binary_operator", "binary_expression")
_LITERALS = ("string", "template_string", "interpreted_string_literal", "raw_string_literal")
_VALUES = ("interpolation", "template_substitution")


def find_built_sql(source: Source) -> Iterator[Sighting]:
    """Each string that reads as a statement and has somebody's values put into it."""
    syntax = source.syntax
    if not syntax:
        return
    for index in syntax.of(*_LITERALS):
        text = syntax.text(index, 1500)
        body = text.lstrip("rRbBuUfF").lstrip("\"'`")
        if _BEGINNING.match(body) and not _STATEMENT.match(body):
            body = _joined(syntax, index).lstrip("\"'`")
        if _STATEMENT.match(body) and (_has_values(syntax, index) or _is_completed(syntax, index, body)):
            yield Sighting(line=source.line_of(index), key="".join(text.split()))


def _joined(syntax: Syntax, index: int) -> str:
    """The sum that a literal begins, its literals as one."""
    top = index
    for above in syntax.above(index):
        if syntax.nodes[above].kind not in _OPERATORS:
            break
        top = above
    return _SEAM.sub("", syntax.text(top, 1500))


def _has_values(syntax: Syntax, index: int) -> bool:
    """An interpolation of something else than a constant, in a string that no tag takes care of."""
    values = [child for child in syntax.children(index) if syntax.nodes[child].kind in _VALUES]
    if not values:
        return False
    parent = next(syntax.above(index, 1), -1)
    tagged = syntax.nodes[index].kind == "template_string" and syntax.nodes[parent].kind == "call_expression"
    return not tagged and any(not _is_safe(syntax.text(value)) for value in values[:200])


def _is_safe(value: str) -> bool:
    return bool(_CONSTANT.fullmatch(value) or _QUOTED_WITH_CARE.match(value))


def _is_completed(syntax: Syntax, index: int, body: str) -> bool:
    """Whether what stands around a literal puts values into it: ``+ x``, ``% x``, ``.format(x)``, ``Sprintf(…, x)``."""
    below = index
    for above in syntax.above(index):
        kind = syntax.nodes[above].kind
        if kind in _OPERATORS:
            if _operator_adds(syntax, above, below, body):
                return True
        elif kind in ("attribute", "member_expression"):
            return syntax.text(syntax.child(above, "attribute")) == "format"
        elif kind == "argument_list":
            call = next(syntax.above(above, 1), -1)
            name = syntax.text(syntax.child(call, "function"))
            return name == "fmt.Sprintf" and bool(_PLACEHOLDER.search(body))
        elif kind not in ("parenthesized_expression", "concatenated_string"):
            return False
        below = above
    return False


def _operator_adds(syntax: Syntax, operation: int, operand: int, body: str) -> bool:
    operator = syntax.text(syntax.child(operation, "operator"))
    right = syntax.child(operation, "right")
    if operator == "%":
        return right != operand and bool(_PLACEHOLDER.search(body))
    others = (side for side in (syntax.child(operation, "left"), right) if side != operand)
    return operator == "+" and any(
        syntax.nodes[side].kind not in (*_LITERALS, *_OPERATORS) and not _is_safe(syntax.text(side)) for side in others
    )
