"""New external dependencies: packages that a change imports, and that the repository neither declared nor imported."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping

from app.domain.results import Finding, Severity
from app.validator.languages import javascript
from app.validator.languages.records import Import, Module
from app.validator.resolve import Repository, reader_of
from app.validator.scope import LOCK_FILES

MOST_FINDINGS = 50

_SEARCHED = 2000
"""Files that mention a package and are looked into for an import of it."""

_JAVASCRIPT = javascript.SUFFIXES
_MANIFESTS = (*LOCK_FILES["package.json"], "package.json")
_BUNDLED = {"server-only": "next", "client-only": "next"}
"""Packages that another one answers for without a lock file's knowing."""


def new_dependencies(
    before: Repository,
    after: Repository,
    old: Mapping[str, Module],
    new: Mapping[str, Module],
    moves: Mapping[str, str],
) -> Iterator[Finding]:
    """A warning for a package that the change declares too, an error for one that no manifest declares.

    Where that cannot be told, a warning: no manifest at all; Python distributions, whose modules may have any name
    (and the gate finds what is missing); an npm package that comes with another one. ``old`` and ``new`` are the
    changed files, ``moves`` old paths to new ones.
    """
    origin = {to: path for path, to in moves.items()}
    seen: set[str] = set()
    for path, module in new.items():
        was = origin.get(path, path)
        had = {_package(before, was, one) for one in old.get(was, Module()).imports}
        for one in module.imports:
            package = _package(after, path, one)
            if package and package not in had | seen and len(seen) < MOST_FINDINGS:
                seen.add(package)
                if finding := _finding(before, after, path, one, package):
                    yield finding


def _package(repository: Repository, path: str, one: Import) -> str:
    external = repository.target(path, one) is None
    return repository.resolver(path).package(path, one.specifier) if external else ""


def _finding(before: Repository, after: Repository, path: str, one: Import, package: str) -> Finding | None:
    resolver = after.resolver(path)
    had, has = before.resolver(path).declared(path), resolver.declared(path)
    if (had and resolver.covers(had, package)) or _is_used(before, path, package):
        return None
    where = f"{path} imports {package} in line {one.line}"
    if has and resolver.covers(has, package):
        message, severity = f"new dependency: {where}, and this change declares it", Severity.WARNING
        return Finding(
            path=path, message=message, severity=severity, recommendation=f"make sure that {package} is needed"
        )
    is_python = path.endswith((".py", ".pyi"))
    unclear = has is None or bool(is_python and has)
    unclear = unclear or (path.endswith(_JAVASCRIPT) and _is_known(before, has or frozenset(), package))
    return Finding(
        path=path,
        message=f"new dependency: {where}, and no manifest declares it by that name",
        severity=Severity.WARNING if unclear else Severity.ERROR,
        recommendation=f"do without {package}, or declare it where the repository declares what it needs",
    )


def _is_known(before: Repository, declared: frozenset[str], package: str) -> bool:
    """Whether a lock file, or another package of the repository, had an npm package before: it may be installed."""
    if _BUNDLED.get(package) in declared:
        return True
    written = (f'node_modules/{package}"', f'"{package}":', f"/{package}/-/", *(f"{c}{package}@" for c in "\"'/ "))
    return any(posixpath.basename(path) in _MANIFESTS for path in before.files.mentioning(written))


def _is_used(before: Repository, path: str, package: str) -> bool:
    """Whether some file imported it already: then it is there, whatever it is called in a manifest."""
    reader, resolver = reader_of(path), before.resolver(path)
    first = package.partition(".")[0] if path.endswith((".py", ".pyi")) else package
    mentioning = [other for other in before.files.mentioning([first]) if reader_of(other) is reader]
    for other, data in before.contents(mentioning[:_SEARCHED]):
        scanned = reader.scan(data) if reader else None
        if scanned is None:
            scanned = ((i.specifier, i.name) for i in before.module(other, data).imports)
        if any(first in (resolver.package(other, source), source.partition(".")[0]) for source, _ in scanned):
            return True
    return False
