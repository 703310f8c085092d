"""Go: vet (or golangci-lint where configured), build, test."""

from __future__ import annotations

from app.domain.results import CheckKind
from app.gate.repository import Repository
from app.gate.steps import Check, InstallStep

_LINTER = (".golangci.yml", ".golangci.yaml", ".golangci.toml", ".golangci.json")


def detect(repository: Repository) -> tuple[InstallStep | None, tuple[Check, ...]] | None:
    """A module (or workspace) at the root. Modules go to the user's module cache, so nothing is copied."""
    if not repository.has("go.mod", "go.work"):
        return None
    install = None
    if repository.has("go.sum", "go.work.sum") and not repository.under("vendor"):
        install = InstallStep(command=("go", "mod", "download"), key_files=("go.mod", "go.sum", "go.work"))
    lint = Check(kind=CheckKind.LINT, command=("go", "vet", "./..."))
    if repository.has(*_LINTER):
        run = ("golangci-lint", "run")
        lint = Check(kind=CheckKind.LINT, command=run, autofix=(*run, "--fix"))
    return install, (
        lint,
        Check(kind=CheckKind.BUILD, command=("go", "build", "-o", "/dev/null", "./...")),
        Check(kind=CheckKind.TEST, command=("go", "test", "./...")),
    )
