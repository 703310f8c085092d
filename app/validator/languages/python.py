"""Python."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tree_sitter import Node

from app.validator.languages.records import Import, Module, Parameters, When
from app.validator.parsing import Parsing, line, text

SUFFIXES = (".py", ".pyi")

_USES = """
(attribute object: [(identifier) (attribute)] @object attribute: (identifier) @member)
(call function: [(identifier) (attribute)] @callee arguments: (argument_list) @arguments)
"""

_NAMES = rb"\((?:[^()#]|#[^\n]*)*+\)?|(?:[^\n;#\\]|\\\r?\n)*+"
_FROM = re.compile(rb"^[ \t]*+from[ \t]++([.\w][.\w \t]{0,500})[ \t]import\b[ \t]*(" + _NAMES + rb")", re.MULTILINE)
_IMPORT = re.compile(rb"^[ \t]*+import[ \t]++((?:[^\n;#\\]|\\\r?\n)*+)", re.MULTILINE)
_INDENTED = re.compile(
    rb"^[ \t]+(?:import|from)[ \t]|;[ \t]*(?:import|from)[ \t]|:[ \t]+(?:import|from)[ \t]", re.MULTILINE
)
_NAME = re.compile(rb"(\w+|\*)(?:\s+as\s+\w+)?")
_BLOCKS = frozenset({"block", "else_clause", "elif_clause", "except_clause", "finally_clause", "with_statement",
                     "try_statement", "if_statement", "for_statement", "while_statement", "match_statement",
                     "case_clause", "except_group_clause"})  # fmt: skip


def grammar(_: str) -> str:
    return "python"


def uses(_: str) -> str:
    """The query that finds ``object.member`` and ``callee(arguments)``."""
    return _USES


def scan(data: bytes) -> Iterator[tuple[str, str]] | None:
    """(module, name) of what a file imports as it is loaded; a docstring's examples too.

    None when there are imports inside of blocks: only a parser can tell which of them are inside functions.
    """
    return None if _INDENTED.search(data) else loose(data)


def loose(data: bytes) -> Iterator[tuple[str, str]]:
    """(module, name) of what a file may import, whenever that is."""
    for match in _FROM.finditer(data):
        module = b"".join(match[1].split()).decode("utf-8", "replace")
        names = re.sub(rb"#[^\n]*|\\", b"", match[2])
        for name in _NAME.finditer(names):
            yield module, name[1].decode("utf-8", "replace")
    for match in _IMPORT.finditer(data):
        for part in match[1].split(b","):
            words = part.split()
            if words:
                yield words[0].decode("utf-8", "replace"), ""


def read(path: str, data: bytes, parsing: Parsing) -> Module | None:
    """Imports and module-level names of a file; None when it cannot be parsed."""
    root = parsing.tree("python", data)
    if root is None:
        return None
    stub = When.NEVER if path.endswith(".pyi") else When.LOADED
    imports: list[Import] = []
    exports: dict[str, Parameters | None] = {}
    opaque = False
    waiting = [(child, stub, False) for child in reversed(root.named_children)]
    while waiting:
        node, when, inside = waiting.pop()
        kind = node.type
        if kind in ("import_statement", "import_from_statement"):
            found = list(_imported(node, when, inside))
            imports += found
            if not inside:
                exports.update(dict.fromkeys(one.local.partition(".")[0] for one in found if one.local != "*"))
        elif kind == "expression_statement" and not inside:
            exports.update(dict.fromkeys(_assigned(node)))
        elif kind in ("function_definition", "class_definition", "decorated_definition", "type_alias_statement"):
            if not inside:
                name, parameters = _defined(node)
                opaque = opaque or name == "__getattr__"
                exports[name] = None if name in exports else parameters
            waiting += _below(node, when, inside=True)
        elif kind in _BLOCKS:
            waiting += _below(node, when, inside=inside)
    opaque = opaque or b"globals()" in data
    return Module(imports=tuple(imports), exports=exports, opaque=opaque)


def arguments(node: Node) -> int | None:
    """How many arguments a call passes; None when that cannot be seen."""
    given = [child for child in node.named_children if child.type != "comment"]
    return None if any(child.type in ("list_splat", "dictionary_splat") for child in given) else len(given)


def _below(node: Node, when: When, *, inside: bool) -> list[tuple[Node, When, bool]]:
    """What stands in a statement, last first, with when its imports take place and whether it binds module names."""
    if node.type == "decorated_definition":
        node = node.child_by_field_name("definition") or node
    if node.type == "function_definition" and when is When.LOADED:
        when = When.LATER
    types = node.type == "if_statement" and text(node.child_by_field_name("condition")).endswith("TYPE_CHECKING")
    below = []
    for child in reversed(node.named_children):
        first = types and child.type == "block"
        below.append((child, When.NEVER if first else when, inside))
    return below


def _imported(node: Node, when: When, inside: bool) -> Iterator[Import]:
    module = node.child_by_field_name("module_name")
    source = "".join(text(module).split())
    names = node.children_by_field_name("name")
    for part in names:
        plain = part.child_by_field_name("name") or part
        name, alias = "".join(text(plain).split()), text(part.child_by_field_name("alias"))
        if module is None:
            yield Import(specifier=name, line=line(part), local=alias or name, when=when)
        else:
            yield Import(specifier=source, line=line(part), name=name, local=alias or name, when=when)
    if module is not None and any(child.type == "wildcard_import" for child in node.named_children):
        yield Import(specifier=source, line=line(node), name="*", local="*", when=when, passed_on=not inside)


def _assigned(statement: Node) -> Iterator[str]:
    waiting = [child for child in statement.named_children if child.type in ("assignment", "augmented_assignment")]
    while waiting:
        node = waiting.pop()
        if node.type == "identifier":
            yield text(node)
        elif node.type in ("assignment", "augmented_assignment"):
            right = node.child_by_field_name("right")
            left = node.child_by_field_name("left")
            waiting += [left] if left is not None else []
            waiting += [right] if right is not None and right.type == "assignment" else []
        elif node.type in ("pattern_list", "tuple_pattern", "list_pattern", "list_splat_pattern"):
            waiting += node.named_children


def _defined(node: Node) -> tuple[str, Parameters | None]:
    """A definition's name, and its parameters when it is a plain function: a decorator may change them."""
    inner = node.child_by_field_name("definition") if node.type == "decorated_definition" else node
    if inner is None:
        return "", None
    name = text(inner.child_by_field_name("name") or inner.child_by_field_name("left")).partition("[")[0]
    plain = node.type == "function_definition"
    return name, _parameters(node.child_by_field_name("parameters")) if plain else None


def _parameters(listed: Node | None) -> Parameters | None:
    if listed is None:
        return None
    required = most = 0
    unlimited = False
    for one in listed.named_children:
        if one.type in ("identifier", "typed_parameter"):
            splat = one.named_children[0].type if one.type == "typed_parameter" and one.named_children else ""
            if splat in ("list_splat_pattern", "dictionary_splat_pattern"):
                unlimited = True
                continue
            required += 1
            most += 1
        elif one.type in ("default_parameter", "typed_default_parameter"):
            most += 1
        elif one.type in ("list_splat_pattern", "dictionary_splat_pattern"):
            unlimited = True
    return Parameters(required=required, most=None if unlimited else most)
