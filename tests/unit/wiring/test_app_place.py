"""Under which name runs and executions work, and their cost counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from app.log import Redactor
from app.settings import Settings
from app.wiring.app_place import Place, place_of
from app.wiring.executions import Origin
from tests.unit.workspace.repositories import git, new_repository

Sealed: Any = {}


def named(settings: Settings, repository: Path) -> tuple[Place, str | None]:
    """Where the runs go, and what executions work on."""
    redactor = Redactor(())
    return place_of(settings, repository, redactor, Sealed), Origin.of(settings, repository, redactor).name


@pytest.mark.parametrize("origin", [None, "https://github.com/octo/other.git"])
def test_names__without_github_are_the_origins_for_runs_and_executions(tmp_path: Path, origin: str | None) -> None:
    checkout = new_repository(tmp_path / "sample", {"a.txt": "a\n"})
    if origin:
        git(checkout, "remote", "add", "origin", origin)
    place, executions = named(Settings(repository="octo/app", state_dir=tmp_path / "state"), checkout)
    assert place.repositories.named(None).name == executions == (origin and "octo/other")


@pytest.mark.parametrize(("asked", "name"), [("octo/app", "octo/app"), (None, "octo/other")])
def test_names__on_github_are_the_settings_then_the_origins(tmp_path: Path, asked: str | None, name: str) -> None:
    checkout = new_repository(tmp_path / "sample", {"a.txt": "a\n"})
    git(checkout, "remote", "add", "origin", "https://github.com/octo/other.git")
    token = SecretStr("ghs_token")
    place, executions = named(Settings(repository=asked, github_token=token, state_dir=tmp_path / "state"), checkout)
    assert place.home == executions == name
