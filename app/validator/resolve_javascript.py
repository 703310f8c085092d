"""Which file a TypeScript or JavaScript specifier means.

Relative paths with or without extension (``.js`` may mean ``.ts``) and ``index`` files; ``paths`` and ``baseUrl`` of
the nearest tsconfig.json or jsconfig.json, of what it extends and references; the packages of a workspace.
Configuration is read leniently and within bounds, and nothing leads out of the repository.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from app.validator.globs import matches
from app.validator.resolve_lookup import Lookup

_CONFIGURATIONS = ("tsconfig.json", "jsconfig.json")
_EXTENSIONS = (".ts", ".tsx", ".d.ts", ".js", ".jsx", ".mjs", ".cjs", ".mts", ".cts", ".vue", ".svelte", ".json")
_INDEX = ("/index.ts", "/index.tsx", "/index.d.ts", "/index.js", "/index.jsx", "/index.mjs", "/index.cjs")
_WRITTEN_IN = {".js": (".ts", ".tsx", ".d.ts"), ".jsx": (".tsx",), ".mjs": (".mts",), ".cjs": (".cts",)}
_DEPENDENCIES = ("dependencies", "devDependencies", "peerDependencies", "optionalDependencies")
_MOST = 16
"""Configurations that one extends, one after the other."""
_WORKSPACE_FILE = 50_000
"""Bytes of pnpm-workspace.yaml that are read; its parser is slow."""
_PACKAGE = re.compile(r"(?:@[\w.~-]+/)?[A-Za-z0-9_][\w.-]*")
_STRING_OR_COMMENT = re.compile(r'("(?:[^"\\\n]|\\.)*+"?)|//[^\n]*|/\*(?:[^*]|\*(?!/))*+(?:\*/)?')
_TRAILING = re.compile(r'("(?:[^"\\\n]|\\.)*+"?)|,(?=\s*+[}\]])')

BUILTIN = frozenset(
    (  # noqa: SIM905 - a list of words
        "assert async_hooks buffer bun child_process cluster console constants crypto dgram diagnostics_channel "
        "dns domain events fs http http2 https inspector module net os path perf_hooks process punycode "
        "querystring readline repl sea sqlite stream string_decoder sys test timers tls trace_events tty url util "
        "v8 vm wasi worker_threads zlib "
    ).split()
)
"""Node's own modules."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Aliases:
    """``paths`` by pattern (relative to the repository), longest prefix first; ``base`` of bare specifiers."""

    patterns: tuple[tuple[str, tuple[str, ...]], ...] = ()
    base: str | None = None


class JavaScript:
    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        names = (*_CONFIGURATIONS, "package.json", "pnpm-workspace.yaml")
        self._texts = lookup.texts(
            lambda name: name in names or (name.startswith("tsconfig") and name.endswith(".json"))
        )
        self._aliases: dict[str, _Aliases] = {}
        self._packages = dict(self._workspace())

    def target(self, path: str, specifier: str, _: str = "") -> str | None:
        """The file that is meant; None when it is none of the repository's."""
        specifier = specifier.partition("?")[0]
        if specifier.startswith("."):
            return self._file(posixpath.normpath(posixpath.join(posixpath.dirname(path), specifier)))
        aliases = self._aliases_of(posixpath.dirname(path))
        for pattern, targets in aliases.patterns:
            before, star, after = pattern.partition("*")
            if specifier == pattern or (star and specifier.startswith(before) and specifier.endswith(after)):
                rest = specifier[len(before) : len(specifier) - len(after)] if star else ""
                for target in targets:
                    if found := self._file(posixpath.normpath(target.replace("*", rest, 1))):
                        return found
        if aliases.base is not None and (
            found := self._file(posixpath.normpath(posixpath.join(aliases.base, specifier)))
        ):
            return found
        return self._of_workspace(specifier)

    def package(self, path: str, specifier: str) -> str:
        """The npm package that is meant; empty for Node's own modules, URLs, and names that no package can have."""
        if specifier.startswith(".") or ":" in specifier or not _PACKAGE.match(specifier):
            return ""
        parts = specifier.split("/")
        name = "/".join(parts[:2]) if specifier.startswith("@") else parts[0]
        if name in BUILTIN or name in self._packages or not _PACKAGE.fullmatch(name):
            return ""
        patterns = self._aliases_of(posixpath.dirname(path)).patterns
        return "" if any(_covers(pattern, specifier) for pattern, _ in patterns) else name

    def words(self, node: str) -> list[str]:
        """What stands literally in a file that imports this one."""
        directory, name = posixpath.split(node)
        stem = name.partition(".")[0]
        found = [f"/{stem}"]
        if stem == "index":
            found = [
                f"/{posixpath.basename(directory)}",
                *(f"{quote}{dots}{quote}" for quote in "'\"" for dots in _DOTS),
            ]
        found += [package for package, home in self._packages.items() if directory in (home, f"{home}/src")]
        for file in self._texts:
            if posixpath.basename(file) in _CONFIGURATIONS:
                self._aliases_of(posixpath.dirname(file))
        every = [aliases.patterns for aliases in self._aliases.values()]
        exact = {
            pattern for patterns in every for pattern, to in patterns if "*" not in pattern and self._means(to, node)
        }
        based = {aliases.base for aliases in self._aliases.values()}
        return found + sorted(exact) + [f"{quote}{stem}" for quote in "'\"" if directory in based]

    def declared(self, path: str) -> frozenset[str] | None:
        """The packages that the package.json files above a file name; None without one."""
        found: set[str] | None = None
        directory = path
        while directory:
            directory = posixpath.dirname(directory)
            if (file := posixpath.join(directory, "package.json")) in self._texts:
                sections = (self._json(file).get(section) for section in _DEPENDENCIES)
                found = (found or set()).union(*(section for section in sections if isinstance(section, dict)))
        return None if found is None else frozenset(found)

    def covers(self, names: frozenset[str], package: str) -> bool:
        """Whether the package, or its types, is among them."""
        return package in names or f"@types/{package.removeprefix('@').replace('/', '__')}" in names

    def _means(self, targets: tuple[str, ...], node: str) -> bool:
        return any(node.startswith(target.partition(".")[0]) for target in targets)

    def _file(self, base: str) -> str | None:
        """The file that a path without (or with the wrong) extension means."""
        known = self._lookup.known
        if base.startswith(("../", "/")) or base == "..":
            return None
        if base in known:
            return known[base]
        stem, extension = posixpath.splitext(base)
        for written in _WRITTEN_IN.get(extension, ()):
            if stem + written in known:
                return known[stem + written]
        for ending in _EXTENSIONS:
            if base + ending in known:
                return known[base + ending]
        prefix = "" if base == "." else base
        for ending in _INDEX:
            if (prefix + ending).lstrip("/") in known:
                return known[(prefix + ending).lstrip("/")]
        return None

    def _of_workspace(self, specifier: str) -> str | None:
        parts = specifier.split("/")
        size = 2 if specifier.startswith("@") else 1
        home = self._packages.get("/".join(parts[:size]))
        if home is None:
            return None
        rest = "/".join(parts[size:])
        tried = [rest, f"src/{rest}"] if rest else [*self._entries(home), "src/index", "index", "lib/index", "src/main"]
        found = (self._file(posixpath.normpath(posixpath.join(home, entry))) for entry in tried)
        return next((file for file in found if file), None)

    def _entries(self, home: str) -> Iterator[str]:
        manifest = self._json(posixpath.join(home, "package.json"))
        for key in ("source", "types", "module", "main"):
            if isinstance(manifest.get(key), str):
                yield manifest[key]

    def _aliases_of(self, directory: str) -> _Aliases:
        """Of the nearest configuration, remembered for each directory on the way to it."""
        passed = []
        aliases = _Aliases()
        while True:
            if directory in self._aliases:
                aliases = self._aliases[directory]
                break
            passed.append(directory)
            file = next((f for name in _CONFIGURATIONS if (f := posixpath.join(directory, name)) in self._texts), None)
            if file or not directory:
                aliases = self._read_aliases(file) if file else aliases
                break
            directory = posixpath.dirname(directory)
        self._aliases.update(dict.fromkeys(passed, aliases))
        return aliases

    def _read_aliases(self, file: str) -> _Aliases:
        waiting, seen = [file], set[str]()
        paths: dict[str, tuple[str, ...]] = {}
        base: str | None = None
        while waiting and len(seen) < _MOST:
            file = waiting.pop(0)
            if file in seen:
                continue
            seen.add(file)
            content = self._json(file)
            options = content.get("compilerOptions")
            options = options if isinstance(options, dict) else {}
            home = posixpath.dirname(file)
            if base is None and isinstance(options.get("baseUrl"), str):
                base = posixpath.normpath(posixpath.join(home, options["baseUrl"]))
            if not paths and isinstance(options.get("paths"), dict):
                own = options["baseUrl"] if isinstance(options.get("baseUrl"), str) else "."
                paths = dict(_patterns(options["paths"], posixpath.join(home, own)))
            waiting += [other for other in self._others(content, home) if other in self._texts]
        ordered = sorted(paths.items(), key=lambda item: -len(item[0].partition("*")[0]))
        return _Aliases(patterns=tuple(ordered), base=base)

    def _others(self, content: Mapping[str, Any], home: str) -> Iterator[str]:
        """What a configuration extends, then what it references."""
        extends = content.get("extends")
        named = extends if isinstance(extends, list) else [extends]
        references = content.get("references")
        if isinstance(references, list):
            named = named + [one.get("path") for one in references if isinstance(one, dict)]
        for name in named:
            if isinstance(name, str) and name.startswith("."):
                file = posixpath.normpath(posixpath.join(home, name))
                yield from (file, f"{file}.json", posixpath.join(file, "tsconfig.json"))

    def _workspace(self) -> Iterator[tuple[str, str]]:
        """(package, directory) of each member, and of the root."""
        root = self._json("package.json")
        listed = root.get("workspaces")
        listed = listed.get("packages") if isinstance(listed, dict) else listed
        patterns = [one for one in listed if isinstance(one, str)] if isinstance(listed, list) else []
        patterns += self._of_pnpm()
        for file in sorted(self._texts, key=len, reverse=True):
            home = posixpath.dirname(file)
            if posixpath.basename(file) != "package.json" or not (home == "" or _is_member(home, patterns)):
                continue
            name = self._json(file).get("name")
            if isinstance(name, str) and name:
                yield name, home

    def _of_pnpm(self) -> list[str]:
        text = self._texts.get("pnpm-workspace.yaml", "")
        try:
            content = yaml.safe_load(text) if len(text) <= _WORKSPACE_FILE else None
        except (yaml.YAMLError, RecursionError, ValueError):
            return []
        listed = content.get("packages") if isinstance(content, dict) else None
        return [one for one in listed if isinstance(one, str)] if isinstance(listed, list) else []

    def _json(self, file: str) -> dict[str, Any]:
        return lenient_json(self._texts.get(file, ""))


_DOTS = (".", "./", "..", "../")


def lenient_json(text: str) -> dict[str, Any]:
    """The object in a JSON file with comments and trailing commas; empty when there is none."""
    plain = _TRAILING.sub(
        lambda m: m[1] or "", _STRING_OR_COMMENT.sub(lambda m: m[1] or " ", text.removeprefix("\ufeff"))
    )
    try:
        content = json.loads(plain)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _patterns(paths: Mapping[str, Any], base: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    for pattern, targets in list(paths.items())[:1000]:
        if isinstance(targets, list) and pattern.count("*") <= 1 and pattern != "*":
            texts = [target for target in targets[:_MOST] if isinstance(target, str)]
            yield pattern, tuple(posixpath.normpath(posixpath.join(base, target)) for target in texts)


def _covers(pattern: str, specifier: str) -> bool:
    before, star, after = pattern.partition("*")
    return specifier == pattern or bool(star and specifier.startswith(before) and specifier.endswith(after))


def _is_member(home: str, patterns: list[str]) -> bool:
    depth = home.count("/")
    return any(
        matches(home, pattern) and ("**" in pattern or pattern.strip("./").count("/") == depth)
        for pattern in patterns[:200]
        if not pattern.startswith("!")
    )
