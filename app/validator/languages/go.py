"""Go. What is imported is a package: all files of a directory."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tree_sitter import Node

from app.validator.languages.records import Import, Module, Parameters, When
from app.validator.parsing import Parsing, found, line, text

SUFFIXES = (".go",)

_USES = """
(selector_expression operand: (identifier) @object field: (field_identifier) @member)
(qualified_type package: (package_identifier) @object name: (type_identifier) @member)
(call_expression function: [(identifier) (selector_expression)] @callee arguments: (argument_list) @arguments)
"""

_BODY = re.compile(rb"^(?:func|type|var|const)\b", re.MULTILINE)
_STRING = re.compile(rb"[\"`]([^\"`\n]{1,500})[\"`]")
_COMMENT = re.compile(rb"//[^\n]*|/\*(?:[^*]|\*(?!/))*+(?:\*/)?")


def grammar(_: str) -> str:
    return "go"


def uses(_: str) -> str:
    """The query that finds ``object.member`` and ``callee(arguments)``."""
    return _USES


def scan(data: bytes) -> Iterator[tuple[str, str]]:
    """(import path, "") of what a file imports: the strings before its first declaration."""
    body = _BODY.search(data)
    head = data[: body.start()] if body else data
    for match in _STRING.finditer(_COMMENT.sub(b"", head)):
        yield match[1].decode("utf-8", "replace"), ""


def loose(data: bytes) -> Iterator[tuple[str, str]]:
    """(import path, "") of what a file may import."""
    return scan(data)


def read(path: str, data: bytes, parsing: Parsing) -> Module | None:
    """Imports of a file and its exported package-level names (methods are not looked at); None when unreadable."""
    root = parsing.tree("go", data)
    if root is None:
        return None
    tested = path.endswith("_test.go")
    imports = []
    for match in found("go", "(import_spec path: (_) @path) @spec", root):
        source = text(match["path"])[1:-1]
        name = match["spec"].child_by_field_name("name")
        local = text(name) if name is not None else _package_name(source)
        when = When.LATER if tested else When.LOADED
        imports.append(Import(specifier=source, line=line(match["spec"]), local=local, when=when))
    exports = {} if tested else {name: takes for name, takes in _declared(root) if name[:1].isupper()}
    return Module(imports=tuple(imports), exports=exports)


def arguments(node: Node) -> int | None:
    """How many arguments a call passes; None when that cannot be seen: ``f(g())`` may pass several."""
    given = [child for child in node.named_children if child.type != "comment"]
    several = any(child.type == "variadic_argument" for child in given)
    return None if several or (len(given) == 1 and given[0].type == "call_expression") else len(given)


def _package_name(source: str) -> str:
    """What a package is most likely called: a version at the end, ``go-`` and ``.v2`` are no part of that."""
    parts = source.split("/")
    if len(parts) > 1 and re.fullmatch(r"v\d+", parts[-1]):
        parts.pop()
    return parts[-1].removeprefix("go-").partition(".")[0]


def _declared(root: Node) -> Iterator[tuple[str, Parameters | None]]:
    for node in root.named_children:
        if node.type == "function_declaration":
            yield text(node.child_by_field_name("name")), _parameters(node.child_by_field_name("parameters"))
        elif node.type in ("type_declaration", "const_declaration", "var_declaration"):
            specs = [*node.named_children]
            specs += [spec for part in specs if part.type == "var_spec_list" for spec in part.named_children]
            for spec in specs:
                for name in spec.children_by_field_name("name"):
                    yield text(name), None


def _parameters(listed: Node | None) -> Parameters | None:
    if listed is None:
        return None
    count = 0
    for one in listed.named_children:
        if one.type == "variadic_parameter_declaration":
            return Parameters(required=count, most=None)
        if one.type == "parameter_declaration":
            count += max(len(one.children_by_field_name("name")), 1)
    return Parameters(required=count, most=count)
