"""Tier 1, scope: are only those files changed that the PRD is about?

In scope is

- a file that the PRD names, by its path or the end of one (``Button.tsx``, ``ui/Button.tsx``), or its target;
- a file below a directory that it names, or that matches a pattern in it (``src/**/*.ts``);
- a new file in the directory of a named file;
- a test of a file in scope (``test_x``, ``x.test.ts``, ``tests/…/x``). A test is deleted only with what it tests;
- the lock file of a manifest in scope, in its directory or above. A manifest itself (``package.json``) has to be named:
  it says what is installed and what the checks are.

Another change of an existing file fails, another new file is a warning. A PRD that names no file leaves all but the
manifests open. Whatever it says, some things need their exact path in it, and some nothing can allow: ``forbidden``.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Sequence

from app.domain.plans import PrdContext
from app.domain.policy import Policy
from app.domain.results import Finding, Severity, Tier, TierResult, TierStatus
from app.ports.workspace import Change, ChangeKind
from app.validator.findings import MOST_FINDINGS, tier_result
from app.validator.forbidden import allowed_only_by_name, never_allowed
from app.validator.globs import matches

__all__ = ["LOCK_FILES", "MOST_FINDINGS", "check_scope", "is_test", "named_paths"]

LOCK_FILES: dict[str, tuple[str, ...]] = {
    "package.json": (
        "package-lock.json",
        "npm-shrinkwrap.json",
        "pnpm-lock.yaml",
        "yarn.lock",
        "bun.lock",
        "bun.lockb",
    ),
    "pnpm-workspace.yaml": ("pnpm-lock.yaml",),
    "pyproject.toml": ("uv.lock", "poetry.lock", "pdm.lock", "pylock.toml"),
    "Pipfile": ("Pipfile.lock",),
    "requirements.in": ("requirements.txt",),
    "go.mod": ("go.sum",),
    "Cargo.toml": ("Cargo.lock",),
    "Gemfile": ("Gemfile.lock",),
    "composer.json": ("composer.lock",),
}
"""A manifest's lock files, in the manifest's directory or one above it (a workspace has one for all)."""

_TEST_DIRECTORIES = frozenset({"test", "tests", "__tests__", "spec", "specs", "__snapshots__"})
_TEST_NAME = re.compile(r"^(?:test[_-].+|.+[_-](?:test|tests|spec)|.+\.(?:test|tests|spec|e2e)(?:\..+)?)$")
_STANDS_FOR_DIRECTORY = frozenset({"__init__", "index", "mod"})


def check_scope(changes: Sequence[Change], context: PrdContext, policy: Policy) -> TierResult:
    """Judge every change; findings in the order of the changes, at most 50."""
    if not changes:
        nothing = Finding(
            path="", message="nothing was changed", recommendation="make the changes that the PRD asks for"
        )
        return TierResult(tier=Tier.SCOPE, status=TierStatus.FAIL, findings=(nothing,))
    named = named_paths(context)
    in_scope = {change.path for change in _in_scope(changes, named)}
    judged = (_judge(change, named, in_scope, policy.protected) for change in changes)
    findings = [finding for finding in judged if finding]
    return tier_result(Tier.SCOPE, findings)


def named_paths(context: PrdContext) -> frozenset[str]:
    """What the PRD names: paths, directories and patterns, without a line number."""
    raw = [*context.files, *([context.target] if context.target else [])]
    plain = (re.sub(r"(?::\d+(?:-\d+)?)+$", "", path.strip().replace("\\", "/")) for path in raw)
    return frozenset(posixpath.normpath(path).strip("/") for path in plain if path.strip("./*"))


def _judge(change: Change, named: frozenset[str], in_scope: set[str], protected: tuple[str, ...]) -> Finding | None:
    if why := never_allowed(change):
        return Finding(path=change.path, message=f"{change.path} {why}", recommendation=f"remove {change.path}")
    if change.path in named:
        return None
    if why := allowed_only_by_name(change, protected):
        return _error(change, f"{change.path} {why}, and the PRD does not name it")
    if change.path in in_scope:
        return None
    if posixpath.basename(change.path) in LOCK_FILES:
        return _error(change, f"{change.path} says what is installed and checked, and the PRD does not name it")
    if not named:
        return None
    if change.kind is ChangeKind.ADDED:
        message = f"{change.path} is new, and lies beside nothing that the PRD names"
        recommendation = f"move {change.path} next to the files that the PRD names, or have the PRD name it"
        return Finding(path=change.path, message=message, severity=Severity.WARNING, recommendation=recommendation)
    return _error(change, f"{change.path} was {change.kind.value}, and the PRD does not name it")


def _error(change: Change, message: str) -> Finding:
    return Finding(path=change.path, message=message, recommendation=f"revert {change.path} or have the PRD name it")


def _in_scope(changes: Sequence[Change], named: frozenset[str]) -> list[Change]:
    """The changes that the PRD's names cover, the tests of those files, and the lock files of those manifests."""
    homes = {posixpath.dirname(change.path) for change in changes if _has_name(change.path, named)}
    homes |= {posixpath.dirname(name) for name in named if "/" in name and "." in posixpath.basename(name)}
    covered = [change for change in changes if _is_covered(change, named, homes)]
    subjects = {_subject(path) for path in named.union(change.path for change in covered)}
    gone = {_subject(change.path) for change in covered if change.kind is ChangeKind.DELETED}
    manifests = [change.path for change in covered]
    locks = [change for change in changes if _is_lock_of(change.path, manifests)]
    tests = [
        change
        for change in changes
        if is_test(change.path) and _subject(change.path) in (gone if change.kind is ChangeKind.DELETED else subjects)
    ]
    return covered + tests + locks


def _has_name(path: str, named: frozenset[str]) -> bool:
    parts = path.split("/")
    return any("/".join(parts[i:]) in named for i in range(len(parts)))


def _is_covered(change: Change, named: frozenset[str], homes: set[str]) -> bool:
    path, kind = change.path, change.kind
    if _has_name(path, named):
        return True
    if posixpath.basename(path) in LOCK_FILES or (kind is ChangeKind.DELETED and is_test(path)):
        return False
    parents = path.split("/")[:-1]
    if any("/".join(parents[:i]) in named for i in range(1, len(parents) + 1)):
        return True
    if any(matches(path, name) for name in named if "*" in name):
        return True
    return kind is ChangeKind.ADDED and posixpath.dirname(path) in homes


def is_test(path: str) -> bool:
    """Whether a file is a test, by its own name or a directory's."""
    *directories, name = path.split("/")
    return bool(_TEST_NAME.match(name.partition(".")[0]) or _TEST_NAME.match(name)) or any(
        directory.lower() in _TEST_DIRECTORIES for directory in directories
    )


def _subject(path: str) -> str:
    """What a file is about: ``x`` for ``x.ts``, ``x.test.ts``, ``test_x.py``, and for ``x/index.ts``."""
    directory, name = posixpath.split(path)
    stem = re.sub(r"^test[_-]|[_-](?:test|tests|spec)$", "", name.lstrip(".").partition(".")[0])
    return posixpath.basename(directory) if stem in _STANDS_FOR_DIRECTORY and directory else stem


def _is_lock_of(path: str, manifests: Iterable[str]) -> bool:
    directory, name = posixpath.split(path)
    return any(
        name in LOCK_FILES.get(posixpath.basename(manifest), ())
        and f"{posixpath.dirname(manifest)}/".startswith(f"{directory}/" if directory else "")
        for manifest in manifests
    )
