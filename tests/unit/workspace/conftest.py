"""Fixtures: ``repository`` is a user's checkout with one commit, ``open_workspace`` opens workspaces on any.

``remote`` is the URL or path of a remote that branches come from and go to, None for the repository itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.workspace.remote import Remote
from app.workspace.worktrees import GitWorkspace
from tests.unit.workspace.repositories import ENVIRONMENT, new_repository


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    files = {"a.txt": "one\ntwo\nthree\n", "src/b.py": "b = 1\n", ".gitignore": "*.log\nbuild/\n"}
    return new_repository(tmp_path / "repository", files)


@pytest.fixture
def open_workspace(tmp_path: Path) -> Iterator[Callable[..., GitWorkspace]]:
    opened: list[GitWorkspace] = []

    def open_it(repository: Path, remote: str | None = None) -> GitWorkspace:
        run_dir = tmp_path / f"run{len(opened)}"
        environ = {"PATH": ENVIRONMENT["PATH"]}
        place = Remote(url=remote) if remote else None
        opened.append(GitWorkspace(repository, run_dir, tmp_path / "artifacts", environ, remote=place))
        return opened[-1]

    yield open_it
    for workspace in opened:
        workspace.close()


@pytest.fixture
def workspace(repository: Path, open_workspace: Callable[[Path], GitWorkspace]) -> GitWorkspace:
    return open_workspace(repository)


@pytest.fixture
def base(workspace: GitWorkspace) -> str:
    """The pinned base commit of ``workspace``."""
    return workspace.pin_base(None).commit
