"""Tier 3, imports: does the change add a circular import, cross a layer, or need a package that nobody installs?

Only what is new counts. The files of the change are parsed before and after it; for each import that it adds, the rest
of the repository is searched for a way back (`app.validator.resolve_graph`). An import of types alone, or inside a
function, closes no cycle: it does not take place while files are loaded. Layers (`app.domain.policy.Layer`) are
about all imports. Not seen: what unchanged files import differently because an alias of a tsconfig.json was changed.

All files come from git, never from a directory, and nothing in them is run or installed: a tool like grimp, which needs
an importable package on disk, does not serve for files that somebody hostile may have written.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from app.domain.policy import Layer
from app.domain.results import Finding, Severity, Tier, TierResult, TierStatus
from app.ports.workspace import ChangeKind, FileKind
from app.validator.dependencies import new_dependencies
from app.validator.globs import matches
from app.validator.languages.records import Import, Module, When
from app.validator.parsing import Parsing
from app.validator.resolve import AT_ONCE, Repository, node_of, reader_of
from app.validator.resolve_graph import ImportGraph
from app.validator.resolve_moves import moved
from app.validator.subject import Subject

MOST_FINDINGS = 50
"""Of each kind; more of them help nobody."""

_SHOWN = 8
"""Files of a circle that a message names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Added:
    """An import that a changed file did not have before, and the node that it means (empty: none of ours)."""

    path: str
    imported: Import
    target: str


def check_imports(subject: Subject) -> TierResult:
    """Judge the imports that a change adds. Raises GitFailed when its files cannot be read."""
    changes = [change for change in subject.changes if reader_of(change.path)]
    if not changes:
        return TierResult(tier=Tier.IMPORTS, status=TierStatus.PASS)
    parsing = Parsing()
    before, after = Repository(subject.before, parsing), Repository(subject.after, parsing)
    gone = [change.path for change in changes if change.kind is not ChangeKind.ADDED]
    here = [
        c.path for c in changes if c.kind is not ChangeKind.DELETED and c.file in (FileKind.FILE, FileKind.EXECUTABLE)
    ]
    moves = _moves(subject)
    old, new = before.modules(gone), after.modules(here)
    added = list(_added(before, after, old, new, moves))
    findings = [
        *_circles(before, after, new, added),
        *_crossed(subject.policy.layers, after, new, added, moves),
        *new_dependencies(before, after, old, new, moves),
    ]
    severities = {finding.severity for finding in findings}
    status = TierStatus.FAIL if Severity.ERROR in severities else TierStatus.WARN if findings else TierStatus.PASS
    return TierResult(tier=Tier.IMPORTS, status=status, findings=tuple(findings))


def _moves(subject: Subject) -> dict[str, str]:
    deleted = [c.path for c in subject.changes if c.kind is ChangeKind.DELETED and reader_of(c.path)]
    added = [c.path for c in subject.changes if c.kind is ChangeKind.ADDED and reader_of(c.path)]
    if not deleted or not added:
        return {}
    return moved(subject.before.read(deleted[:AT_ONCE]), subject.after.read(added[:AT_ONCE]))


def _added(
    before: Repository,
    after: Repository,
    old: Mapping[str, Module],
    new: Mapping[str, Module],
    moves: Mapping[str, str],
) -> Iterator[Added]:
    """What is imported now and was not, or only as types or later. One a file and target, the strongest of them."""
    origin = {to: path for path, to in moves.items()}
    for path, module in new.items():
        was = origin.get(path, path)
        had: dict[str, set[When]] = {}
        for one in old.get(was, Module()).imports:
            target = before.target(was, one) or ""
            had.setdefault(moves.get(target, target), set()).add(one.when)
        seen = set()
        for one in sorted(module.imports, key=lambda i: list(When).index(i.when)):
            target = after.target(path, one) or ""
            known = had.get(target, set())
            is_new = not known or (one.when is When.LOADED and When.LOADED not in known)
            if target and is_new and target not in seen:
                seen.add(target)
                yield Added(path=path, imported=one, target=target)


def _circles(before: Repository, after: Repository, new: Mapping[str, Module], added: list[Added]) -> Iterator[Finding]:
    edges = {(node_of(one.path), one.target): one for one in added if one.imported.when is When.LOADED}
    had = _package_imports(before, {start for start, _ in edges if start.endswith("/")})
    edges = {edge: one for edge, one in edges.items() if edge[1] not in had.get(edge[0], ())}
    if not edges:
        return
    exact = {path: after.loaded(path, module) for path, module in new.items() if node_of(path) == path}
    graph = ImportGraph(after, exact)
    ends = sorted({target for _, target in edges})
    graph.explore(ends)
    component = graph.components(ends)
    seen: set[tuple[str, ...]] = set()
    for (start, end), one in sorted(edges.items(), key=lambda item: item[0]):
        if component.get(start) != component[end] or len(seen) > MOST_FINDINGS:
            continue
        way = graph.path(end, start)
        least = way.index(min(way)) if way else 0
        circle = tuple(way[least:] + way[:least])
        if way and circle not in seen:
            seen.add(circle)
            yield _circle(one, [start, *way])
    if graph.gave_up:
        message = "there are too many imports to tell whether the new ones are circular"
        yield Finding(path="", message=message, severity=Severity.WARNING)


def _package_imports(before: Repository, packages: Iterable[str]) -> dict[str, set[str]]:
    """What each Go package imported, in any of its files."""
    members = {member: package for package in packages for member in before.members(package)}
    found: dict[str, set[str]] = {}
    for member, module in before.modules(members).items():
        found.setdefault(members[member], set()).update(before.loaded(member, module))
    return found


def _circle(one: Added, nodes: list[str]) -> Finding:
    shown = nodes if len(nodes) <= _SHOWN else [*nodes[: _SHOWN - 2], f"{len(nodes) - _SHOWN + 1} more", nodes[-1]]
    return Finding(
        path=one.path,
        message=f"circular import: {' → '.join(shown)} (line {one.imported.line})",
        recommendation=f"break the circle: move what {posixpath.basename(nodes[0].rstrip('/'))} needs from "
        f"{nodes[1]} into a module that imports neither, or pass it in",
    )


def _crossed(
    layers: Mapping[str, Layer],
    after: Repository,
    new: Mapping[str, Module],
    added: list[Added],
    moves: Mapping[str, str],
) -> Iterator[Finding]:
    """Imports from one layer into another that it may not import. A file that moves between layers is judged whole."""
    strangers = [to for path, to in moves.items() if to in new and _layers_of(layers, path) != _layers_of(layers, to)]
    every = [*added, *(one for path in strangers for one in _all(after, path, new[path]))]
    count = 0
    for one in dict.fromkeys(every):
        members = after.members(one.target) or [one.target]
        source, target = _layers_of(layers, one.path), _layers_of(layers, members[0])
        allowed = source.union(*(layers[name].may_import for name in source))
        if source and target and not target & allowed and count < MOST_FINDINGS:
            count += 1
            ours, theirs = ", ".join(sorted(source)), ", ".join(sorted(target))
            message = f"{one.path} (layer {ours}) imports {one.target} (layer {theirs}) in line {one.imported.line}"
            hint = f"{ours} may import {', '.join(sorted(allowed - source)) or 'no other layer'}"
            yield Finding(
                path=one.path, message=message, recommendation=f"{hint}: have {theirs} call it, or pass it in"
            )


def _all(after: Repository, path: str, module: Module) -> Iterator[Added]:
    targets = {target: one for one in reversed(module.imports) if (target := after.target(path, one))}
    return (Added(path=path, imported=one, target=target) for target, one in targets.items())


def _layers_of(layers: Mapping[str, Layer], path: str) -> set[str]:
    return {name for name, layer in layers.items() if any(matches(path, pattern) for pattern in layer.paths)}
