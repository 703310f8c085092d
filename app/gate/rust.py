"""Rust: cargo check, clippy where configured, build, test."""

from __future__ import annotations

from app.domain.results import CheckKind
from app.gate.repository import Repository, at
from app.gate.steps import Check, InstallStep

_TIMEOUT = 1800.0


def detect(repository: Repository) -> tuple[InstallStep | None, tuple[Check, ...]] | None:
    """A crate or workspace at the root. Crates go to the user's cargo home, so nothing is copied."""
    if not repository.has("Cargo.toml"):
        return None
    manifest = repository.toml("Cargo.toml")
    locked = ("--locked",) if repository.has("Cargo.lock") else ()
    scope = ("--workspace",) if "workspace" in manifest else ()

    def cargo(kind: CheckKind, *words: str) -> Check:
        return Check(kind=kind, command=("cargo", *words, *scope, *locked), timeout=_TIMEOUT)

    checks = [cargo(CheckKind.TYPECHECK, "check", "--all-targets")]
    configured = at(manifest, "lints", "clippy") or at(manifest, "workspace", "lints", "clippy")
    if configured or repository.has("clippy.toml", ".clippy.toml"):
        checks.append(cargo(CheckKind.LINT, "clippy", "--all-targets"))
    checks += [cargo(CheckKind.BUILD, "build"), cargo(CheckKind.TEST, "test")]
    install = InstallStep(command=("cargo", "fetch", *locked), key_files=("Cargo.toml", "Cargo.lock"))
    return install if locked else None, tuple(checks)
