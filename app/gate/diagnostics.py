"""Diagnostics: what a check's output says, as records; new warnings and missing dependencies among them. Pure."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from posixpath import normpath

from app.domain.results import CheckKind, CheckResult, CheckStatus, Diagnostic, Severity
from app.gate.formats import RECOGNISERS, Found

MAX_DIAGNOSTICS = 200
MAX_WARNINGS = 2000
"""How many findings of a linter are read: warnings are compared with the base by their number."""

_LINE_LIMIT = 1500
_MESSAGE_LIMIT = 600
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]{0,1000}(?:\x07|\x1b\\)?|[ -/]{1,4}[0-~]|[@-Z\\^_])")
_FILE = re.compile(r"(?:[^/\s][^/]*/)*(?:[^/\s][^/]*\.[A-Za-z]\w{0,9}|Makefile|Dockerfile|[\w-]+file)")
_FOREIGN = ("node_modules/", ".venv/", ".git/", "../")


def plain(output: str) -> str:
    """An output without terminal escapes and carriage returns."""
    return _ANSI.sub("", output).replace("\r\n", "\n").replace("\r", "\n")


def parse(output: str, tree: Path, limit: int = MAX_DIAGNOSTICS) -> tuple[Diagnostic, ...]:
    """The findings in an output, errors first where there are more than ``limit``, each once, in order of appearance.

    Paths come out relative to ``tree``; findings in files outside of it, or in installed packages, are left out.
    """
    text = plain(output).replace(f"{tree}/", "")
    lines = [line[:_LINE_LIMIT] for line in text.split("\n")]
    tests = set(_pytest_report(lines))
    by_line: dict[int, Diagnostic] = {}
    for recogniser in RECOGNISERS:
        for index, found in recogniser(lines):
            if index in by_line or (index in tests and recogniser.__name__ != "pytest"):
                continue
            if diagnostic := _diagnostic(found, tree):
                by_line[index] = diagnostic
    unique = list(dict.fromkeys(by_line[index] for index in sorted(by_line)))
    if len(unique) > limit:
        unique.sort(key=lambda diagnostic: list(Severity).index(diagnostic.severity))
    return tuple(unique[:limit])


def _pytest_report(lines: Sequence[str]) -> Iterator[int]:
    """The lines between pytest's FAILURES or ERRORS and its summary: the summary says the same once more."""
    if not any(line.startswith("=") and " short test summary info " in line for line in lines):
        return
    inside = False
    for index, line in enumerate(lines):
        if line.startswith("===="):
            inside = line.strip("= ") in ("FAILURES", "ERRORS")
        if inside:
            yield index


def _diagnostic(found: Found, tree: Path) -> Diagnostic | None:
    path = _go_path(found.path, tree) if "!" in found.path else found.path
    path = normpath(path.strip())
    if (
        path.startswith(("/", *_FOREIGN))
        or "/node_modules/" in path
        or "://" in found.path
        or not _FILE.fullmatch(path)
    ):
        return None
    return Diagnostic(
        path=path,
        line=found.line,
        column=found.column,
        severity=found.severity,
        code=found.code,
        message=found.message.strip()[:_MESSAGE_LIMIT],
    )


def _go_path(marked: str, tree: Path) -> str:
    """The file of a Go package: the longest end of its import path that is a directory with this file."""
    package, _, name = marked.partition("!")
    parts = package.split("/")
    ends = ("/".join([*parts[start:], name]) for start in range(len(parts) + 1))
    return next((end for end in ends if ".." not in end and (tree / end).is_file()), name)


def new_warnings(base: CheckResult, now: CheckResult) -> tuple[Diagnostic, ...]:
    """The warnings that are there now and were not on the base, compared by how often each fingerprint occurs.

    Nothing is new when the base alone reached MAX_WARNINGS: which of its warnings were read is then chance.
    """
    if len(base.diagnostics) >= MAX_WARNINGS:
        return ()
    known = Counter(d.fingerprint for d in base.diagnostics if d.severity is Severity.WARNING)
    fresh = []
    for diagnostic in now.diagnostics:
        if diagnostic.severity is not Severity.WARNING:
            continue
        known[diagnostic.fingerprint] -= 1
        if known[diagnostic.fingerprint] < 0:
            fresh.append(diagnostic)
    return tuple(fresh)


def without_new_warnings(base: CheckResult, now: CheckResult) -> CheckResult:
    """``now``, failed when it is a lint that passed with warnings which the base has not (contracts §2)."""
    if now.kind is not CheckKind.LINT or now.status is not CheckStatus.PASS:
        return now
    fresh = new_warnings(base, now)
    if not fresh:
        return now
    noun = "warning" if len(fresh) == 1 else "warnings"
    return replace(now, status=CheckStatus.FAIL, diagnostics=fresh, reason=f"{len(fresh)} new {noun} against the base")


_MISSING = tuple(
    re.compile(pattern)
    for pattern in (
        r"ModuleNotFoundError: No module named '(?P<python>[\w.]+)'",
        r"Cannot find module '(?P<node>[^'\s]{1,214})'",
        r'Cannot find module "(?P<node>[^"\s]{1,214})"',
        r"Cannot find package '(?P<node>[^'\s]{1,214})'",
        r"Failed to load url (?P<node>[^\s]{1,214}) \(resolved id",
        r'Failed to resolve import "(?P<node>[^"\s]{1,214})"',
    )
)
_PACKAGE = re.compile(r"(?:@[a-z0-9][\w.-]*/)?[a-z0-9][\w.-]*")
_NODE_OWN = re.compile(
    "assert|async_hooks|buffer|child_process|cluster|console|constants|crypto|dgram|dns|domain|events|fs|http|http2|https|"
    "inspector|module|net|os|path|perf_hooks|process|punycode|querystring|readline|repl|stream|string_decoder|sys|timers|"
    "tls|tty|url|util|v8|vm|wasi|worker_threads|zlib"
)


def missing_dependency(
    diagnostics: Sequence[Diagnostic], output: str, declared: frozenset[str], local: frozenset[str]
) -> str | None:
    """The third-party package that a failed check lacks, or None.

    ``declared`` and ``local`` as ``app.gate.dependencies`` gives them. Conservative: a name that is declared, that the
    repository or the language has itself, or that may be an alias for an own file, is never reported.
    """
    text = "\n".join([*(diagnostic.message for diagnostic in diagnostics), output[:200_000]])
    for pattern in _MISSING:
        for match in pattern.finditer(text):
            kind, name = next(iter(match.groupdict().items()))
            package = _python_package(name) if kind == "python" else _node_package(name)
            if package and not _known(package, declared, local):
                return package
    return None


def _python_package(name: str) -> str | None:
    top = name.partition(".")[0]
    return None if top in sys.stdlib_module_names or top.startswith("_") else top


def _node_package(name: str) -> str | None:
    """The package of a bare specifier; None for a path, an alias (``@/x``, ``~/x``, ``#x``) or a built-in module."""
    parts = name.split("/")
    package = "/".join(parts[: 2 if name.startswith("@") else 1])
    if name.startswith("node:") or _NODE_OWN.fullmatch(package) or not _PACKAGE.fullmatch(package):
        return None
    return package


def _known(package: str, declared: frozenset[str], local: frozenset[str]) -> bool:
    plain_name = re.sub(r"[-_.]+", "-", package).lower()
    if package in local or package.partition("/")[0] in local or package in declared:
        return True
    # A module's name is often part of its distribution's, or the reverse (yaml in PyYAML).
    return any(plain_name == name or (len(plain_name) > 2 and plain_name in name) for name in declared)
