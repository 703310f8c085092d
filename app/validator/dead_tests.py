"""Tests that go together with what they test: dead code may be deleted with its tests.

A test went with its code when its text uses an export that the change removed from a file in scope, or, for a whole
file, when the code of the same name was deleted in scope. An export that another changed file has gained was moved.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence

from app.domain.results import Tier, TierResult, TierStatus
from app.ports.workspace import Change, ChangeKind
from app.validator.languages.records import Import, Module
from app.validator.lost_tests import TestedFile
from app.validator.parsing import Parsing
from app.validator.resolve import Repository, node_of
from app.validator.rules.source import LANGUAGES, Source
from app.validator.scope import check_scope, is_test
from app.validator.subject import Subject

_CASES = ("function_definition", "function_declaration", "call_expression")
_LITERAL = re.compile(r"[\w.$]{1,80}\s{0,5}\(\s{0,50}(?P<quote>['\"`])(?P<name>[^\n]{0,200}?)(?P=quote)")
_CODE = (*LANGUAGES, ".rs", ".java", ".kt", ".cs", ".swift", ".rb", ".php", ".ex", ".lua", ".c", ".cpp", ".dart")
_MOST_TEXT = 20_000
"""Bytes of one test case that are looked into."""


def dead_tests(subject: Subject, files: Sequence[TestedFile]) -> frozenset[str]:
    """The paths of those test files whose lost cases (or that themselves) went with what they test."""
    waiting = [file for file in files if file.deleted or file.before - file.after]
    changes = [change for change in subject.changes if _is_code(change) and change.kind is not ChangeKind.ADDED]
    in_scope = [change for change in changes if _passes(check_scope([change], subject.context, subject.policy))]
    if not waiting or not in_scope:
        return frozenset()
    parsing = Parsing()
    before, after = Repository(subject.before, parsing), Repository(subject.after, parsing)
    removed = _removed(before, after, subject.changes, in_scope)
    deleted = {change.path for change in in_scope if change.kind is ChangeKind.DELETED}
    return frozenset(file.path for file in waiting if _is_dead(before, file, removed, deleted))


def _is_code(change: Change) -> bool:
    return change.path.lower().endswith(_CODE) and not is_test(change.path)


def _passes(result: TierResult) -> bool:
    return result.tier is Tier.SCOPE and result.status is not TierStatus.FAIL


def _removed(
    before: Repository, after: Repository, changes: Sequence[Change], in_scope: Sequence[Change]
) -> dict[str, frozenset[str]]:
    """Path → the names that it exported and that no changed file exports now."""
    code = [change.path for change in changes if _is_code(change)]
    had, has = before.modules(code), after.modules(code)
    gained = {name for path, module in has.items() for name in set(module.exports) - _exports(had.get(path))}
    found = {}
    for path in (change.path for change in in_scope if change.path in had):
        now = has.get(path)
        if not (now and now.opaque):
            found[path] = frozenset(_exports(had[path]) - _exports(now) - gained)
    return {path: names for path, names in found.items() if names}


def _exports(module: Module | None) -> set[str]:
    return set(module.exports) if module else set()


def _is_dead(before: Repository, file: TestedFile, removed: Mapping[str, frozenset[str]], deleted: set[str]) -> bool:
    data = before.files.read([file.path]).get(file.path)
    if data is None:
        return False
    module = before.modules([file.path]).get(file.path, Module())
    targets = {target for one in module.imports if (target := before.target(file.path, one))}
    surviving = {target for target in targets if target not in deleted and not is_test(target)}
    namesakes = {path for path in deleted if _stem(path) == _stem(file.path)}
    if file.deleted and namesakes and (file.path.endswith(".go") or targets & namesakes or not surviving):
        return True
    uses = list(_uses(before, file.path, module, removed))
    missing = file.before - file.after
    expression = re.compile("|".join(uses)) if uses else None
    dead = {name for name, text in _cases(Source(file.path, data)) if expression and expression.search(text)}
    gone = file.before.total() - file.after.total()
    return gone > 0 and sum(count for name, count in missing.items() if name in dead) >= gone


def _uses(before: Repository, path: str, module: Module, removed: Mapping[str, frozenset[str]]) -> Iterator[str]:
    """Expressions for what a test file calls the removed names."""
    if path.endswith(".go"):
        own = [names for other, names in removed.items() if node_of(other) == node_of(path)]
        yield from (rf"\b{re.escape(name)}\b" for names in own for name in names)
    for one in module.imports:
        names = removed.get(before.target(path, one) or "", frozenset())
        yield from (rf"\b{re.escape(local)}\b" for local in _locals(one, names))


def _locals(one: Import, names: frozenset[str]) -> Iterator[str]:
    if one.name in names:
        yield one.local or one.name
    elif one.name == "*" and one.local == "*":
        yield from names
    elif names and one.local:
        yield from (f"{one.local}.{name}" for name in names)


def _cases(source: Source) -> Iterator[tuple[str, str]]:
    """Each test case that may have a name, with its text."""
    if not source.is_text or not source.syntax:
        return
    syntax = source.syntax
    for index in syntax.of(*_CASES):
        if syntax.nodes[index].kind != "call_expression":
            yield syntax.text(syntax.child(index, "name")), syntax.text(index, _MOST_TEXT)
        elif match := _LITERAL.match(syntax.text(index, 400)):
            yield match["name"], syntax.text(index, _MOST_TEXT)


def _stem(path: str) -> str:
    """``x`` for ``x.ts``, ``x.test.ts``, ``test_x.py`` and ``x/index.ts``."""
    directory, name = posixpath.split(path)
    stem = re.sub(r"^test[_-]|[_-](?:test|tests|spec)$", "", name.lstrip(".").partition(".")[0])
    return posixpath.basename(directory) if stem in ("__init__", "index", "mod") and directory else stem
