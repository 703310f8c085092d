"""One state of a repository as a graph of imports: which file is read how, and what its imports mean."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from tree_sitter import Node

from app.ports.workspace import Files
from app.validator.languages import go, javascript, python
from app.validator.languages.records import Import, Module, When
from app.validator.parsing import Parsing
from app.validator.resolve_go import Go, package_of
from app.validator.resolve_javascript import JavaScript
from app.validator.resolve_lookup import Lookup, is_foreign
from app.validator.resolve_python import Python

AT_ONCE = 200
"""Files that are read by one git process where nobody chooses another number."""


class Reader(Protocol):
    """A module of `app.validator.languages`."""

    @property
    def SUFFIXES(self) -> tuple[str, ...]: ...  # noqa: N802 - a constant there

    def grammar(self, path: str, /) -> str: ...
    def uses(self, path: str, /) -> str: ...
    def scan(self, data: bytes) -> Iterator[tuple[str, str]] | None: ...
    def loose(self, data: bytes) -> Iterator[tuple[str, str]]: ...
    def read(self, path: str, data: bytes, parsing: Parsing) -> Module | None: ...
    def arguments(self, node: Node) -> int | None: ...


class Resolver(Protocol):
    """What a family's specifiers mean in one state of the repository. A node is a file's path, or a Go package."""

    def target(self, path: str, specifier: str, name: str = "", /) -> str | None: ...
    def package(self, path: str, specifier: str, /) -> str: ...
    def declared(self, path: str, /) -> frozenset[str] | None: ...
    def covers(self, names: frozenset[str], package: str) -> bool: ...
    def words(self, node: str) -> list[str]: ...


_READERS: tuple[Reader, ...] = (javascript, python, go)
_RESOLVERS: dict[tuple[str, ...], Callable[[Lookup], Resolver]] = {
    javascript.SUFFIXES: JavaScript,
    python.SUFFIXES: Python,
    go.SUFFIXES: Go,
}


def reader_of(path: str) -> Reader | None:
    """Who reads a file; None for other languages and for installed packages."""
    reader = next((reader for reader in _READERS if path.endswith(reader.SUFFIXES)), None)
    return None if reader is None or is_foreign(path) else reader


class Repository:
    def __init__(self, files: Files, parsing: Parsing) -> None:
        self.files = files
        self.lookup = Lookup(files)
        self.parsing = parsing
        self._resolvers: dict[tuple[str, ...], Resolver] = {}

    def resolver(self, path: str) -> Resolver:
        """For files of the language that ``path`` is written in; a Go package's path ends in a slash."""
        suffixes = next(suffixes for suffixes in _RESOLVERS if path.endswith(suffixes) or path.endswith("/"))
        suffixes = go.SUFFIXES if path.endswith("/") else suffixes
        if suffixes not in self._resolvers:
            self._resolvers[suffixes] = _RESOLVERS[suffixes](self.lookup)
        return self._resolvers[suffixes]

    def target(self, path: str, imported: Import) -> str | None:
        """The node that is imported; None for what is none of the repository's."""
        return self.resolver(path).target(path, imported.specifier, imported.name)

    def members(self, node: str) -> list[str]:
        """The files of a node."""
        if not node.endswith("/"):
            return [node] if reader_of(node) else []
        resolver = self.resolver(node)
        return resolver.members.get(node, []) if isinstance(resolver, Go) else []

    def nodes_like(self, node: str) -> list[str]:
        """All nodes of the same language family, sorted."""
        resolver = self.resolver(node) if node.endswith("/") else None
        if isinstance(resolver, Go):
            return sorted(resolver.members)
        reader = reader_of(node)
        return sorted(path for path in self.lookup.known if reader and reader_of(path) is reader)

    def module(self, path: str, data: bytes) -> Module:
        """A file that is read exactly; one that cannot be is opaque, with the imports that a scan finds."""
        reader = reader_of(path)
        if reader is None:
            return Module(opaque=True)
        if module := reader.read(path, data, self.parsing):
            return module
        scanned = reader.scan(data) or ()
        imports = tuple(Import(specifier=source, line=0, name=name) for source, name in scanned)
        return Module(imports=imports, opaque=True)

    def modules(self, paths: Iterable[str]) -> dict[str, Module]:
        """Those files, read exactly; what is too large or not there is left out."""
        return {path: self.module(path, data) for path, data in self.contents(paths)}

    def contents(self, paths: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Those files that have a reader, a few in memory at a time."""
        wanted = [path for path in paths if reader_of(path)]
        for start in range(0, len(wanted), AT_ONCE):
            yield from self.files.read(wanted[start : start + AT_ONCE]).items()

    def loaded(self, path: str, module: Module) -> set[str]:
        """The nodes that a file needs as it is loaded."""
        needed = (self.target(path, one) for one in module.imports if one.when is When.LOADED)
        return {target for target in needed if target}

    def mentioned(self, path: str, data: bytes) -> Iterator[str]:
        """The nodes that a file may import, whenever that is."""
        reader = reader_of(path)
        target = self.resolver(path).target
        return (node for source, name in (reader.loose(data) if reader else ()) if (node := target(path, source, name)))

    def scanned(self, path: str, data: bytes) -> tuple[set[str], bool]:
        """The nodes that a file may need as it is loaded, and whether that is exact."""
        reader = reader_of(path)
        if reader is None:
            return set(), True
        found = reader.scan(data)
        if found is None:
            return self.loaded(path, self.module(path, data)), True
        target = self.resolver(path).target
        return {node for source, name in found if (node := target(path, source, name))}, False


def node_of(path: str) -> str:
    """The node that a file is, or is a part of."""
    return package_of(path) if path.endswith(go.SUFFIXES) else path
