"""Tier 5, exports: does a change take away what files that it does not touch still use?

For each changed or deleted module, what it exported before is compared with what it exports now: names that are gone,
functions that take another number of arguments. Those who import it are found by the words that such an import has,
then parsed. A module that passes everything on (``export * from``, ``from m import *``) is asked after in turn. What
cannot be seen (a module that computes its exports, a call with ``...args``) counts as fine. Methods, and what classes
are made with, are left to the type checker.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from app.domain.results import Finding
from app.ports.workspace import ChangeKind
from app.validator.languages.records import Import, Module, Parameters
from app.validator.parsing import Parsing
from app.validator.resolve import Repository, node_of, reader_of
from app.validator.subject import Subject
from app.validator.uses import uses

MOST_FINDINGS = 50
_USERS = 3
"""Users that a finding names."""
_ROUNDS = 6
"""Modules that pass everything on, one behind the other."""
_SEARCHED = 20_000
"""Files that mention a module and are looked into."""

_Break = tuple[str, str]
"""(node that exports it, name); the name is empty when the module itself is gone."""


@dataclass(kw_only=True)
class _Lost:
    """What is gone from a node, or takes other arguments. ``origin`` is the changed node that it was lost from."""

    origin: str
    gone: bool = False
    names: set[str] = field(default_factory=set)
    takes: dict[str, Parameters] = field(default_factory=dict)


@dataclass(kw_only=True)
class _Broken:
    """What became of an export, and who uses it: places in the order in which they were found."""

    how: str
    users: dict[str, None] = field(default_factory=dict)


def broken_uses(subject: Subject) -> list[Finding]:
    """One error for each export that files outside of the change still use. Raises GitFailed."""
    paths = [c.path for c in subject.changes if c.kind is not ChangeKind.ADDED and reader_of(c.path)]
    if not paths:
        return []
    parsing = Parsing()
    before = _State(Repository(subject.before, parsing))
    after = _State(Repository(subject.after, parsing))
    lost = {node: one for node in sorted({node_of(path) for path in paths}) if (one := _lost(before, after, node))}
    touched = {change.path for change in subject.changes}
    found: dict[_Break, _Broken] = {}
    for _ in range(_ROUNDS):
        lost = _round(before, after, lost, touched, found) if lost else {}
    return [_finding(*key, found[key]) for key in sorted(found)][:MOST_FINDINGS]


class _State:
    """One state of the repository, its modules kept once they are parsed."""

    def __init__(self, repository: Repository) -> None:
        self.repository = repository
        self._modules: dict[str, list[tuple[str, Module]]] = {}

    def has(self, node: str) -> bool:
        return bool(self.repository.members(node)) and (node.endswith("/") or node in self.repository.lookup.known)

    def exports(self, node: str) -> tuple[dict[str, Parameters | None], bool]:
        """All that a node exports, what it passes on included, and whether there is more that cannot be seen."""
        names: dict[str, Parameters | None] = {}
        opaque = False
        waiting, seen = [node], {node}
        while waiting:
            one = waiting.pop()
            if not self.has(one):
                opaque = True
            for path, module in self._read(one):
                opaque = opaque or module.opaque
                names = {**module.exports, **names}
                for star in module.imports:
                    if star.name != "*" or not star.passed_on:
                        continue
                    target = self.repository.target(path, star)
                    opaque = opaque or target is None
                    if target and target not in seen:
                        seen.add(target)
                        waiting.append(target)
        return names, opaque

    def _read(self, node: str) -> list[tuple[str, Module]]:
        if node not in self._modules:
            self._modules[node] = list(self.repository.modules(self.repository.members(node)).items())
        return self._modules[node]


def _lost(before: _State, after: _State, node: str) -> _Lost | None:
    had, _ = before.exports(node)
    if not before.has(node):
        return None
    if not after.has(node):
        return _Lost(origin=node, gone=True, names=set(had))
    has, opaque = after.exports(node)
    takes = {name: now for name, now in has.items() if now and (was := had.get(name)) and was != now}
    lost = _Lost(origin=node, names=set() if opaque else set(had) - set(has), takes=takes)
    return lost if lost.names or lost.takes else None


def _round(
    before: _State, after: _State, lost: Mapping[str, _Lost], touched: set[str], found: dict[_Break, _Broken]
) -> dict[str, _Lost]:
    """Note the users of what is lost; the modules that pass it on have lost it too, and are returned."""
    further: dict[str, _Lost] = {}
    for path, data in _candidates(before, after, lost, touched):
        module = after.repository.module(path, data)
        taken = [(one, node) for one in module.imports if (node := before.repository.target(path, one) or "") in lost]
        for one, node in taken:
            if one.name == "*" and one.passed_on and not lost[node].gone:
                _pass_on(after, path, lost[node], further)
        for line, node, name, how in _broken(before, after, path, data, taken, lost):
            broken = found.setdefault((lost[node].origin, name), _Broken(how=how))
            broken.users[f"{path}:{line}"] = None
    return further


def _candidates(
    before: _State, after: _State, lost: Mapping[str, _Lost], touched: set[str]
) -> Iterator[tuple[str, bytes]]:
    """The files outside of the change that import one of these nodes, as far as a scan can tell."""
    words = {word for node in lost for word in before.repository.resolver(node).words(node)}
    paths = [path for path in after.repository.files.mentioning(sorted(words)) if path not in touched]
    for path, data in after.repository.contents(paths[:_SEARCHED]):
        if any(node in lost for node in before.repository.mentioned(path, data)):
            yield path, data


def _pass_on(after: _State, path: str, lost: _Lost, further: dict[str, _Lost]) -> None:
    has, opaque = after.exports(node_of(path))
    mine = further.setdefault(node_of(path), _Lost(origin=lost.origin))
    mine.names |= set() if opaque else lost.names - set(has)
    mine.takes.update(lost.takes)


def _broken(
    before: _State, after: _State, path: str, data: bytes, taken: list[tuple[Import, str]], lost: Mapping[str, _Lost]
) -> Iterator[tuple[int, str, str, str]]:
    """(line, node, name, how) of each use of what is lost."""
    known: dict[str, tuple[str, str, _Lost]] = {}
    for one, node in taken:
        # Python's "from package import module" takes a module, and no name out of one.
        name = one.name if before.repository.target(path, replace(one, name="")) == node else ""
        now = after.repository.target(path, one)
        has, opaque = after.exports(now) if now else ({}, False)
        left = one.name and not name and after.repository.target(path, replace(one, name="")) == now
        if now is None or (left and not opaque and one.name not in has):
            yield one.line, node, "", "is gone"
            continue
        still = lost[node]
        if now != node:  # the same words mean another module now
            still = _Lost(origin=node, names=set() if opaque else still.names - set(has))
        if name in still.names:
            yield one.line, node, name, "is no longer exported"
        elif one.local and name != "*" and not one.passed_on:
            known[one.local] = (node, name, still)
    known = {local: entry for local, entry in known.items() if entry[2].names or entry[2].takes}
    for use in uses(path, data, set(known), after.repository.parsing) if known else ():
        node, name, still = known[use.local]
        if bool(name) == bool(use.member):
            continue
        name = name or use.member
        if name in still.names:
            yield use.line, node, name, "is no longer exported"
        elif use.arguments is not None and name in still.takes and not still.takes[name].take(use.arguments):
            yield use.line, node, name, f"now takes {_count(still.takes[name])}"


def _count(takes: Parameters) -> str:
    if takes.most is None:
        return f"{takes.required} or more arguments"
    return f"{takes.required} to {takes.most} arguments" if takes.most != takes.required else f"{takes.most} arguments"


def _finding(node: str, name: str, broken: _Broken) -> Finding:
    places = list(broken.users)
    shown = ", ".join(places[:_USERS]) + (f" and {len(places) - _USERS} more" if len(places) > _USERS else "")
    what = f"{name} of {node}" if name else node
    return Finding(
        path=node,
        message=f"{what} {broken.how}, and is used in {shown}",
        recommendation=f"keep {name or node} as it was, or change those who use it too",
    )
