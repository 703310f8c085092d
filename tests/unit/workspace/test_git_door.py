"""The door to git: what its commands see, and what a failure says."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.errors import GitFailed
from app.workspace.git import Git, without_credentials
from tests.unit.workspace.repositories import ENVIRONMENT


def test_git__environment_is_its_own(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_PARAMETERS", "'user.name'='Eve'")
    monkeypatch.setenv("GIT_TRACE", str(tmp_path / "trace"))
    monkeypatch.setenv("SECRET", "s")
    git = Git(git_dir=repository / ".git", path=ENVIRONMENT["PATH"])
    assert git.output("config", "user.name") == "Ada"
    assert not (tmp_path / "trace").exists()
    shown = git.output("-c", "alias.env=!env", "env")
    assert "SECRET" not in shown
    assert "HOME=" not in shown


def test_git__options_win_over_the_repositorys(repository: Path) -> None:
    git = Git(git_dir=repository / ".git", path=ENVIRONMENT["PATH"])
    git.run("config", "core.hooksPath", "/somewhere")
    assert git.output("config", "core.hooksPath") == "/dev/null"


def test_git__failure_is_a_sentence(repository: Path) -> None:
    git = Git(git_dir=repository / ".git", path=ENVIRONMENT["PATH"])
    with pytest.raises(GitFailed, match=r"^git cat-file failed: Not a valid object name nothing$"):
        git.run("cat-file", "-p", "nothing")


def test_git__missing_program(repository: Path) -> None:
    with pytest.raises(GitFailed, match="git is not installed"):
        Git(git_dir=repository / ".git", path="/nowhere").run("version")


def test_without_credentials__every_url() -> None:
    message = "push to https://ada:p%40ss@host/x failed; see https://token@host/y and https://host/z@1"
    assert without_credentials(message) == "push to https://host/x failed; see https://host/y and https://host/z@1"
