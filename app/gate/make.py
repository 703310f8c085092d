"""Make: targets named like the kinds of checks."""

from __future__ import annotations

import re

from app.domain.results import CheckKind
from app.gate.repository import Repository
from app.gate.steps import Check, InstallStep

_RULE = re.compile(r"^([A-Za-z0-9_./-][A-Za-z0-9_./ -]{0,300}?)[ \t]*::?(?!=)", re.MULTILINE)
_NAMES = {
    CheckKind.TYPECHECK: ("typecheck", "type-check"),
    CheckKind.LINT: ("lint",),
    CheckKind.BUILD: ("build",),
    CheckKind.TEST: ("test",),
    CheckKind.E2E: ("e2e",),
}
_FIXES = ("lint-fix", "lint_fix", "fix")


def detect(repository: Repository) -> tuple[InstallStep | None, tuple[Check, ...]] | None:
    """The checks of a Makefile; make itself needs no install step."""
    path = repository.first("GNUmakefile", "makefile", "Makefile")
    if not path:
        return None
    targets = {name for match in _RULE.finditer(repository.text(path)) for name in match[1].split()}
    checks = []
    for kind, names in _NAMES.items():
        target = next((name for name in names if name in targets), None)
        if target:
            fix = next((name for name in _FIXES if name in targets), None) if kind is CheckKind.LINT else None
            checks.append(Check(kind=kind, command=("make", target), autofix=("make", fix) if fix else None))
    return None, tuple(checks)
