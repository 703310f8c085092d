"""Pushing to a path and to a URL: never by force, once or again, with a sentence when it cannot be."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.errors import GitFailed
from app.workspace.worktrees import GitWorkspace
from tests.unit.workspace.repositories import commit, git

Open = Callable[..., GitWorkspace]
FIXED = datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)


def work(workspace: GitWorkspace, base: str, message: str = "Work") -> str:
    return workspace.commit(base, base, message, FIXED)


def test_push__again_has_one_effect(workspace: GitWorkspace, repository: Path, base: str) -> None:
    made = work(workspace, base)
    workspace.push(made, "mason/x")
    log = (repository / ".git/logs/refs/heads/mason/x").read_text()
    workspace.push(made, "mason/x")
    assert git(repository, "rev-parse", "mason/x") == made
    assert (repository / ".git/logs/refs/heads/mason/x").read_text() == log


def test_push__fast_forward(workspace: GitWorkspace, repository: Path, base: str) -> None:
    first = work(workspace, base)
    workspace.push(first, "mason/x")
    second = workspace.commit(base, first, "More", FIXED)
    workspace.push(second, "mason/x")
    assert git(repository, "rev-parse", "mason/x") == second


def test_push__never_by_force(workspace: GitWorkspace, repository: Path, base: str) -> None:
    first = work(workspace, base)
    workspace.push(first, "mason/x")
    with pytest.raises(GitFailed, match=r"mason/x in .* has commits that this work does not build on"):
        workspace.push(work(workspace, base, "Other"), "mason/x")
    assert git(repository, "rev-parse", "mason/x") == first


def test_push__never_by_force_over_commits_that_are_unknown_here(
    open_workspace: Open, repository: Path, tmp_path: Path
) -> None:
    git(tmp_path, "clone", "-q", "--bare", str(repository), "bare.git")
    git(repository, "checkout", "-qb", "mason/x")
    commit(repository, {"a.txt": "person\n"})
    git(repository, "push", "-q", str(tmp_path / "bare.git"), "mason/x")
    git(repository, "checkout", "-q", "main")
    git(repository, "branch", "-qD", "mason/x")
    for remote in (str(tmp_path / "bare.git"), f"file://{tmp_path}/bare.git"):
        workspace = open_workspace(repository, remote)
        with pytest.raises(GitFailed, match="never pushes by force"):
            workspace.push(work(workspace, workspace.pin_base("main").commit), "mason/x")


@pytest.mark.parametrize("policy", ["refuse", "updateInstead", "ignore"])
def test_push__branch_that_is_checked_out(workspace: GitWorkspace, repository: Path, base: str, policy: str) -> None:
    git(repository, "config", "receive.denyCurrentBranch", policy)
    with pytest.raises(GitFailed, match=r"main is checked out in .*: switch to another branch there"):
        workspace.push(work(workspace, base), "main")
    assert git(repository, "rev-parse", "main") == base


def test_push__branch_that_a_linked_worktree_has_checked_out(
    workspace: GitWorkspace, repository: Path, base: str, tmp_path: Path
) -> None:
    git(repository, "worktree", "add", "-q", "-b", "mason/x", str(tmp_path / "linked"))
    with pytest.raises(GitFailed, match="mason/x is checked out"):
        workspace.push(work(workspace, base), "mason/x")


def test_push__branch_name_in_the_way(workspace: GitWorkspace, repository: Path, base: str) -> None:
    git(repository, "branch", "mason")
    with pytest.raises(GitFailed, match="mason/x could not be pushed"):
        workspace.push(work(workspace, base), "mason/x")


def test_push__bare_repository_by_path_and_url(
    open_workspace: Open, repository: Path, base: str, tmp_path: Path
) -> None:
    git(tmp_path, "init", "-q", "--bare", "-b", "main", "bare.git")
    bare = tmp_path / "bare.git"
    for number, remote in enumerate((str(bare), f"file://{bare}")):
        open_workspace(repository, remote).push(base, f"mason/{number}")
        assert git(bare, "rev-parse", f"mason/{number}") == base


@pytest.mark.parametrize(
    ("remote", "message"),
    [
        ("/nowhere/at/all", "does not appear to be a git repository"),
        ("git@github.com:ada/engine.git", "transport 'ssh' not allowed"),
        ("ext::sh -c 'touch ran'", "transport 'ext' not allowed"),
        ("-u", "-u could not be fetched from"),
    ],
)
def test_push__remote_that_cannot_be(
    open_workspace: Open, repository: Path, base: str, remote: str, message: str
) -> None:
    with pytest.raises(GitFailed, match=message):
        open_workspace(repository, remote).push(base, "mason/x")


def test_push__directory_without_a_repository(
    open_workspace: Open, repository: Path, base: str, tmp_path: Path
) -> None:
    (tmp_path / "plain").mkdir()
    with pytest.raises(GitFailed, match="does not appear to be a git repository"):
        open_workspace(repository, str(tmp_path / "plain")).push(base, "mason/x")


def test_push__several_at_once(workspace: GitWorkspace, repository: Path, base: str) -> None:
    made = {f"mason/{number}": work(workspace, base, f"Work {number}") for number in range(6)}
    threads = [threading.Thread(target=workspace.push, args=(commit_id, branch)) for branch, commit_id in made.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {branch: git(repository, "rev-parse", branch) for branch in made} == made
