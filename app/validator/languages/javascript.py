"""TypeScript, TSX, JavaScript and JSX."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tree_sitter import Node

from app.validator.languages.records import Import, Module, Parameters, When
from app.validator.parsing import Parsing, found, line, text

SUFFIXES = (".ts", ".tsx", ".mts", ".cts", ".js", ".jsx", ".mjs", ".cjs")

_USES = """
(member_expression object: (identifier) @object property: (property_identifier) @member)
(call_expression function: [(identifier) (member_expression)] @callee arguments: (arguments) @arguments)
"""
_TYPES_USED = "(nested_type_identifier module: (identifier) @object name: (type_identifier) @member)"

_COMMENT = rb"//[^\n]*|/\*(?:[^*]|\*(?!/))*+(?:\*/)?"
_STATEMENT = re.compile(
    rb"(?:im|ex)port(?=[\s{*'\"/])((?:[\s\w$*{},]|" + _COMMENT + rb")*+)(?:(['\"])([^'\"\n]{1,500})\2)?"
)
_REQUIRE = re.compile(rb"require\s*\(\s*(['\"])([^'\"\n]{1,500})\1")
_ANY = re.compile(rb"(?:from|import|require)\s*+\(?\s*+(['\"])([^'\"\n]{1,500})\1")
_TYPES_ALONE = re.compile(rb"(?:.*\b(?:im|ex)port\b)?\s++type\s++(?!from\s*$|,)", re.DOTALL)

_CALLS = "(call_expression function: [(identifier) (import)] @callee arguments: (arguments . (string) @source)) @call"
_FUNCTIONS = "[{}] @function".format(
    " ".join(
        f"({kind})"
        for kind in (
            "function_declaration",
            "function_expression",
            "arrow_function",
            "method_definition",
            "generator_function_declaration",
            "generator_function",
        )
    )
)
_ASSIGNMENTS = "(assignment_expression left: (member_expression) @left right: (_) @right)"
_VALUES = ("function_declaration", "generator_function_declaration", "function_expression", "arrow_function")


def scan(data: bytes) -> Iterator[tuple[str, str]]:
    """(specifier, name) of what a file may import as it is loaded: all that it does, and more (comments, say).

    Reading 100 MB a second, it is a fifth of what parsing costs.
    """
    for statement in _STATEMENT.finditer(data):
        if statement[3] and not _TYPES_ALONE.match(statement[1]):
            yield statement[3].decode("utf-8", "replace"), ""
    if b"require" in data:
        for call in _REQUIRE.finditer(data):
            yield call[2].decode("utf-8", "replace"), ""


def loose(data: bytes) -> Iterator[tuple[str, str]]:
    """(specifier, name) of what a file may import, whenever that is."""
    return ((match[2].decode("utf-8", "replace"), "") for match in _ANY.finditer(data))


def grammar(path: str) -> str:
    if path.endswith((".ts", ".mts", ".cts")):
        return "typescript"
    return "tsx" if path.endswith(".tsx") else "javascript"


def uses(path: str) -> str:
    """The query that finds ``object.member`` and ``callee(arguments)``."""
    return _USES if grammar(path) == "javascript" else _USES + _TYPES_USED


def read(path: str, data: bytes, parsing: Parsing) -> Module | None:
    """Imports and exports of a file; None when it cannot be parsed."""
    root = parsing.tree(grammar(path), data)
    if root is None:
        return None
    imports: list[Import] = []
    exports: dict[str, Parameters | None] = {}
    opaque = False
    for node in root.named_children:
        if node.type == "import_statement":
            imports += _imported(node)
        elif node.type == "export_statement":
            imports += _passed_on(node)
            exports.update(_exported(node))
            opaque = opaque or any(child.type == "=" for child in node.children)
    imports += _called(path, root, data)
    if b"exports" in data:
        common, unclear = _common_js(path, root)
        exports.update(common)
        opaque = opaque or unclear
    if path.endswith((".d.ts", ".d.mts", ".d.cts")):
        imports = [_never(one) for one in imports]
    return Module(imports=tuple(imports), exports=exports, opaque=opaque)


def arguments(node: Node) -> int | None:
    """How many arguments a call passes; None when that cannot be seen."""
    given = [child for child in node.named_children if child.type != "comment"]
    return None if any(child.type == "spread_element" for child in given) else len(given)


def _never(one: Import) -> Import:
    return Import(specifier=one.specifier, line=one.line, name=one.name, local=one.local, when=When.NEVER)


def _imported(node: Node) -> Iterator[Import]:
    source, types = _string(node.child_by_field_name("source")), _is_type(node)
    clauses = [child for child in node.named_children if child.type in ("import_clause", "import_require_clause")]
    for clause in clauses:
        when = When.NEVER if types else When.LOADED
        if clause.type == "import_require_clause":
            required = _string(clause.child_by_field_name("source"))
            yield Import(specifier=required, line=line(node), local=text(clause.named_children[0]), when=when)
        for part in clause.named_children:
            if part.type == "identifier" and clause.type == "import_clause":
                yield Import(specifier=source, line=line(part), name="default", local=text(part), when=when)
            elif part.type == "namespace_import":
                yield Import(specifier=source, line=line(part), local=text(part.named_children[0]), when=when)
            elif part.type == "named_imports":
                for one in _specifiers(part):
                    name, local, own_types = one
                    this = When.NEVER if types or own_types else When.LOADED
                    yield Import(specifier=source, line=line(part), name=name, local=local, when=this)
                if not part.named_children:
                    yield Import(specifier=source, line=line(node), when=when)
    if source and not clauses:
        yield Import(specifier=source, line=line(node))


def _passed_on(node: Node) -> Iterator[Import]:
    source = _string(node.child_by_field_name("source"))
    if not source:
        return
    when = When.NEVER if _is_type(node) else When.LOADED
    clause = next((child for child in node.named_children if child.type == "export_clause"), None)
    space = next((child for child in node.named_children if child.type == "namespace_export"), None)
    if clause is not None:
        for name, local, types in _specifiers(clause):
            this = When.NEVER if types else when
            yield Import(specifier=source, line=line(clause), name=name, local=local, when=this, passed_on=True)
        if not clause.named_children:
            yield Import(specifier=source, line=line(node), when=when)
    else:
        name = "" if space is not None else "*"
        yield Import(specifier=source, line=line(node), name=name, local=name, when=when, passed_on=True)


def _specifiers(clause: Node) -> Iterator[tuple[str, str, bool]]:
    """(name, what it is called afterwards, whether it is a type) of each part of ``{a, type b as c}``."""
    for part in clause.named_children:
        name = text(part.child_by_field_name("name")).strip("'\"")
        if name:
            alias = text(part.child_by_field_name("alias")).strip("'\"")
            yield name, alias or name, _is_type(part)


def _is_type(node: Node) -> bool:
    return any(child.type in ("type", "typeof") for child in node.children)


def _exported(node: Node) -> Iterator[tuple[str, Parameters | None]]:
    default = any(child.type == "default" for child in node.children)
    value = node.child_by_field_name("value")
    declared = node.child_by_field_name("declaration")
    if declared is not None and declared.type == "ambient_declaration":
        declared = declared.named_children[0] if declared.named_children else None
    if default:
        yield "default", _parameters(value or declared)
    elif declared is not None:
        yield from _declared(declared)
    for child in node.named_children:
        if child.type == "export_clause":
            for _, local, _ in _specifiers(child):
                yield local, None
        elif child.type == "namespace_export":
            yield text(child.named_children[0]).strip("'\""), None


def _declared(node: Node) -> Iterator[tuple[str, Parameters | None]]:
    if node.type in ("lexical_declaration", "variable_declaration"):
        for one in node.named_children:
            name = one.child_by_field_name("name")
            if name is None:
                continue
            if name.type == "identifier":
                yield text(name), _parameters(one.child_by_field_name("value"))
            else:
                yield from ((bound, None) for bound in _bound(name))
    elif declared := text(node.child_by_field_name("name")):
        # The signatures of an overloaded function stand before it, in statements of their own.
        overloaded = node.type == "function_signature" or _follows_signature(node)
        yield declared.strip("'\""), None if overloaded else _parameters(node)


def _bound(pattern: Node) -> Iterator[str]:
    """The names in ``{a, b: c, ...d}``."""
    waiting = [pattern]
    while waiting:
        node = waiting.pop()
        if node.type in ("shorthand_property_identifier_pattern", "identifier"):
            yield text(node)
        waiting += node.named_children


def _follows_signature(node: Node) -> bool:
    statement = node.parent
    before = statement.prev_named_sibling if statement is not None else None
    declared = before.child_by_field_name("declaration") if before is not None else None
    return declared is not None and declared.type == "function_signature"


def _parameters(node: Node | None) -> Parameters | None:
    if node is None or node.type not in _VALUES:
        return None
    if node.child_by_field_name("parameter") is not None:
        return Parameters(required=1, most=1)
    listed = node.child_by_field_name("parameters")
    if listed is None:
        return None
    required = most = 0
    for one in listed.named_children:
        pattern = one.child_by_field_name("pattern") or one
        if one.type == "comment" or pattern.type == "this":
            continue
        if pattern.type == "rest_pattern":
            return Parameters(required=required, most=None)
        most += 1
        optional = one.type in ("optional_parameter", "assignment_pattern") or one.child_by_field_name("value")
        required = required if optional else most
    return Parameters(required=required, most=most)


def _called(path: str, root: Node, data: bytes) -> Iterator[Import]:
    """``require("x")`` and ``import("x")``."""
    if b"require" not in data and b"import(" not in data:
        return
    functions = _outermost(path, root)
    for match in found(grammar(path), _CALLS, root):
        callee, source = text(match["callee"]), _string(match["source"])
        if callee not in ("require", "import") or not source:
            continue
        later = callee == "import" or any(start <= match["call"].start_byte < end for start, end in functions)
        when = When.LATER if later else When.LOADED
        at, declarator = line(match["call"]), match["call"].parent
        bound = (
            declarator.child_by_field_name("name") if declarator and declarator.type == "variable_declarator" else None
        )
        if bound is None or bound.type == "identifier":
            yield Import(specifier=source, line=at, local=text(bound), when=when)
            continue
        for part in bound.named_children:
            name = text(part.child_by_field_name("key") or part)
            local = text(part.child_by_field_name("value") or part)
            yield Import(specifier=source, line=at, name=name, local=local, when=when)


def _outermost(path: str, root: Node) -> list[tuple[int, int]]:
    """The bytes that functions cover."""
    spans: list[tuple[int, int]] = []
    for match in found(grammar(path), _FUNCTIONS, root):
        start, end = match["function"].start_byte, match["function"].end_byte
        if not spans or start >= spans[-1][1]:
            spans.append((start, end))
    return spans


def _common_js(path: str, root: Node) -> tuple[dict[str, Parameters | None], bool]:
    """What ``exports.a = …`` and ``module.exports = {a}`` export, and whether there is more than that."""
    names: dict[str, Parameters | None] = {}
    unclear = False
    for match in found(grammar(path), _ASSIGNMENTS, root):
        left, right = text(match["left"]), match["right"]
        if left == "module.exports":
            names["default"] = None
            if right.type != "object":
                unclear = True
                continue
            for part in right.named_children:
                key = part.child_by_field_name("key") or part.child_by_field_name("name") or part
                unclear = unclear or part.type == "spread_element"
                names[text(key).strip("'\"")] = _parameters(part.child_by_field_name("value"))
        elif left.startswith(("exports.", "module.exports.")):
            names[left.removeprefix("module.").removeprefix("exports.")] = _parameters(right)
    return names, unclear


def _string(node: Node | None) -> str:
    return text(node)[1:-1]
