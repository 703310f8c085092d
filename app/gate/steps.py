"""What a gate is made of: checks, the install step before them, and the toolchain that they add up to."""

from __future__ import annotations

from dataclasses import dataclass

from app.domain.results import CheckKind

CHECK_TIMEOUT = 900.0
"""Seconds that a detected check may take; `.github/mason.yml` can say otherwise."""

INSTALL_TIMEOUT = 1200.0

Words = tuple[str, ...]
"""A command as its list of arguments."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One check: its command, time limit in seconds, and the command that repairs what it can by itself.

    ``alone``: never beside another such check, because it serves on a fixed port.
    """

    kind: CheckKind
    command: Words
    timeout: float = CHECK_TIMEOUT
    autofix: Words | None = None
    alone: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class InstallStep:
    """What has to run in a tree before its checks.

    ``produces`` are the directories, relative to the tree, that work just as well when they are copied into another
    tree whose ``key_files`` have the same content; empty when there is no such directory (a virtual environment knows
    its own path). Names in ``key_files`` need not exist: that they are missing is part of the key.
    """

    command: Words
    timeout: float = INSTALL_TIMEOUT
    key_files: tuple[str, ...] = ()
    produces: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Toolchain:
    """How a repository is installed and checked; at most one check of each kind."""

    name: str
    install: InstallStep | None
    checks: tuple[Check, ...]

    def check(self, kind: CheckKind) -> Check | None:
        """The check of one kind, None where the repository has no such check."""
        return next((check for check in self.checks if check.kind is kind), None)


def shell(script: str) -> Words:
    """A shell string of the repository's as a command."""
    return ("sh", "-c", script)
