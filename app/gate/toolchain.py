"""Toolchain detection: which commands check a repository, read from its base commit. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from app.domain.policy import POLICY_PATH, Command, Install, Policy
from app.domain.results import CheckKind
from app.errors import NoChecks, UsageError
from app.gate import go, javascript, make, python, rust
from app.gate.pages import pages_check
from app.gate.repository import Read, Repository
from app.gate.steps import Check, InstallStep, Toolchain, Words, shell

__all__ = ["Check", "InstallStep", "Toolchain", "detect"]

SMOKE_SPEC = "e2e/smoke.spec.ts"
NO_CHECKS = (
    "no typecheck, lint, build or test was found in the repository; name one in "
    f"{POLICY_PATH} on the base branch, for example `checks: {{test: {{run: make test, timeout: 10m}}}}`"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ecosystem:
    """A family of tools. ``detect`` is None where a repository does not belong to it."""

    name: str
    detect: Callable[[Repository], tuple[InstallStep | None, tuple[Check, ...]] | None]
    wraps: bool = False
    """Its targets usually call the other ecosystems' tools, so it is asked only when those have no check."""


ECOSYSTEMS = (
    Ecosystem(name="javascript", detect=javascript.detect),
    Ecosystem(name="python", detect=python.detect),
    Ecosystem(name="go", detect=go.detect),
    Ecosystem(name="rust", detect=rust.detect),
    Ecosystem(name="make", detect=make.detect, wraps=True),
)


def detect(paths: Sequence[str], read: Read, policy: Policy) -> Toolchain:
    """The toolchain of a base commit, with what its policy overrides.

    ``paths`` are all its files, ``read`` gives a file's content or None. A repository of several languages is
    installed and checked with all of them: one command a kind, one after the other. Raises NoChecks when nothing would
    ever be checked, UsageError for a manifest or policy that cannot be used.
    """
    found = _found(Repository(paths, read), keep_unchecked=bool(policy.all_checks))
    install = _joined_install([install for _, install, _ in found if install])
    by_kind = {check.kind: check for check in _joined_checks([check for *_, checks in found for check in checks])}
    if SMOKE_SPEC in paths:
        by_kind[CheckKind.SMOKE] = Check(kind=CheckKind.SMOKE, command=("npx", "playwright", "test", SMOKE_SPEC))
    if policy.frontend:
        by_kind[CheckKind.FRONTEND] = pages_check(policy.frontend)
    for kind, command in policy.all_checks.items():
        by_kind.pop(kind, None)
        if command:
            by_kind[kind] = _configured(kind, command)
    if policy.install:
        install = _configured_install(policy.install, install)
    optional = {CheckKind.SMOKE, CheckKind.FRONTEND, CheckKind.BACKEND}
    optional |= set() if policy.all_checks.get(CheckKind.E2E) else {CheckKind.E2E}
    if not by_kind.keys() - optional:
        raise NoChecks(NO_CHECKS)
    return Toolchain(
        name="+".join(name for name, *_ in found) or "configured",
        install=install,
        checks=tuple(by_kind[kind] for kind in CheckKind if kind in by_kind),
    )


def _found(repository: Repository, *, keep_unchecked: bool) -> list[tuple[str, InstallStep | None, tuple[Check, ...]]]:
    """The ecosystems in use. One without a check of its own matters only to checks that the policy configures."""
    found: list[tuple[str, InstallStep | None, tuple[Check, ...]]] = []
    for ecosystem in ECOSYSTEMS:
        if ecosystem.wraps and any(checks for *_, checks in found):
            continue
        if answer := ecosystem.detect(repository):
            found.append((ecosystem.name, *answer))
    return [one for one in found if keep_unchecked or one[2]]


def _joined(commands: Sequence[Words]) -> Words:
    """Several commands as one that stops at the first failure."""
    if len(commands) == 1:
        return commands[0]
    return shell(" && ".join(words[2] if words[:2] == ("sh", "-c") else shlex.join(words) for words in commands))


def _joined_checks(checks: Sequence[Check]) -> list[Check]:
    joined = []
    for kind in CheckKind:
        same = [check for check in checks if check.kind is kind]
        if same:
            fixes = [check.autofix for check in same if check.autofix]
            joined.append(
                Check(
                    kind=kind,
                    command=_joined([check.command for check in same]),
                    timeout=sum(check.timeout for check in same),
                    autofix=_joined(fixes) if fixes else None,
                )
            )
    return joined


def _joined_install(steps: Sequence[InstallStep]) -> InstallStep | None:
    """All install steps as one; its products may be copied only if that is true of every part."""
    if not steps:
        return None
    relocatable = all(step.produces for step in steps)
    return InstallStep(
        command=_joined([step.command for step in steps]),
        timeout=sum(step.timeout for step in steps),
        key_files=tuple(name for step in steps for name in step.key_files),
        produces=tuple(name for step in steps for name in step.produces) if relocatable else (),
    )


def _configured(kind: CheckKind, command: Command) -> Check:
    return Check(
        kind=kind,
        command=shell(command.run),
        timeout=command.timeout,
        autofix=shell(command.fix) if command.fix else None,
        alone=kind in (CheckKind.FRONTEND, CheckKind.BACKEND),
    )


def _configured_install(install: Install, detected: InstallStep | None) -> InstallStep:
    """The policy's install step. Without any key file there is nothing to compare trees by, so nothing is copied."""
    keys = install.key or (detected.key_files if detected else ())
    for name in (*install.produces, *keys):
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or PurePosixPath(name).name == "":
            raise UsageError(f"{POLICY_PATH}: install: {name!r} is not a path inside the repository")
    return InstallStep(
        command=shell(install.run),
        timeout=install.timeout,
        key_files=keys,
        produces=install.produces if keys else (),
    )
