"""Which commit a run is pinned to, in every kind of repository that a user may have."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.domain.runs import Base
from app.errors import BadRepository
from app.workspace.worktrees import GitWorkspace
from tests.unit.workspace.repositories import commit, git, listing, new_repository

Open = Callable[[Path], GitWorkspace]
FIXED = datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_pin_base__default_is_the_branch_that_is_checked_out(tmp_path: Path, open_workspace: Open) -> None:
    repository = new_repository(tmp_path / "r", {"a": "1"}, branch="trunk")
    assert open_workspace(repository).pin_base(None) == Base(
        commit=git(repository, "rev-parse", "HEAD"), branch="trunk"
    )


def test_pin_base__default_of_origin_wins_over_a_checked_out_feature(
    repository: Path, tmp_path: Path, open_workspace: Open
) -> None:
    git(tmp_path, "clone", "-q", str(repository), "clone")
    clone = tmp_path / "clone"
    git(clone, "checkout", "-qb", "feature")
    assert open_workspace(clone).pin_base(None).branch == "main"


def test_pin_base__local_branch_wins_over_origins(repository: Path, tmp_path: Path, open_workspace: Open) -> None:
    git(tmp_path, "clone", "-q", str(repository), "clone")
    clone = tmp_path / "clone"
    git(clone, "config", "user.name", "Ada")
    git(clone, "config", "user.email", "ada@example.com")
    ours = commit(clone, {"a.txt": "ours\n"})
    assert open_workspace(clone).pin_base(None) == Base(commit=ours, branch="main")


def test_pin_base__branch_that_only_origin_has(repository: Path, tmp_path: Path, open_workspace: Open) -> None:
    git(repository, "branch", "release/1")
    git(tmp_path, "clone", "-q", str(repository), "clone")
    base = open_workspace(tmp_path / "clone").pin_base("release/1")
    assert base == Base(commit=git(repository, "rev-parse", "HEAD"), branch="release/1")


def test_pin_base__tag_and_full_commit(repository: Path, open_workspace: Open) -> None:
    first = git(repository, "rev-parse", "HEAD")
    git(repository, "tag", "-a", "v1", "-m", "one")
    commit(repository, {"a.txt": "later\n"})
    workspace = open_workspace(repository)
    assert workspace.pin_base("v1").commit == first
    assert workspace.pin_base(first).commit == first


def test_pin_base__branch_does_not_move_with_the_users_commits(repository: Path, open_workspace: Open) -> None:
    workspace = open_workspace(repository)
    base = workspace.pin_base(None)
    commit(repository, {"a.txt": "later\n"})
    with workspace.tree("t", base.commit) as tree:
        assert (tree.path / "a.txt").read_text() == "one\ntwo\nthree\n"


@pytest.mark.parametrize("name", ["nothing", "0" * 40])
def test_pin_base__unknown_name(repository: Path, open_workspace: Open, name: str) -> None:
    with pytest.raises(BadRepository, match=f"has no branch, tag or commit {name}"):
        open_workspace(repository).pin_base(name)


@pytest.mark.parametrize("name", ["main~0", "-x", "a b", "@{0}", "main^{/x}", "a..b", "a\nb", "/x", "refs/heads/"])
def test_pin_base__no_branch_name(repository: Path, open_workspace: Open, name: str) -> None:
    with pytest.raises(BadRepository, match="is no branch name"):
        open_workspace(repository).pin_base(name)


def test_pin_base__no_commits(tmp_path: Path, open_workspace: Open) -> None:
    with pytest.raises(BadRepository, match="has no commits yet"):
        open_workspace(new_repository(tmp_path / "r")).pin_base(None)


def test_pin_base__unborn_branch_beside_others(repository: Path, open_workspace: Open) -> None:
    git(repository, "checkout", "-q", "--orphan", "fresh")
    with pytest.raises(BadRepository, match="is on the branch fresh, which has no commits"):
        open_workspace(repository).pin_base(None)


def test_pin_base__detached_head(repository: Path, open_workspace: Open) -> None:
    git(repository, "checkout", "-q", "--detach")
    workspace = open_workspace(repository)
    with pytest.raises(BadRepository, match="detached HEAD"):
        workspace.pin_base(None)
    assert workspace.pin_base("main").branch == "main"


def test_open__bare_repository(repository: Path, tmp_path: Path, open_workspace: Open) -> None:
    git(tmp_path, "clone", "-q", "--bare", str(repository), "bare.git")
    workspace = open_workspace(tmp_path / "bare.git")
    base = workspace.pin_base(None)
    assert base.branch == "main"
    assert workspace.read(base.commit, "src/b.py") == b"b = 1\n"


def test_open__directory_in_a_checkout(repository: Path, open_workspace: Open) -> None:
    workspace = open_workspace(repository / "src")
    commit_id = workspace.pin_base(None).commit
    assert workspace.paths(commit_id) == [".gitignore", "a.txt", "src/b.py"]
    workspace.push(commit_id, "mason/x")
    assert git(repository, "rev-parse", "mason/x") == commit_id


def test_open__linked_worktree(repository: Path, tmp_path: Path, open_workspace: Open) -> None:
    git(repository, "worktree", "add", "-q", "-b", "side", str(tmp_path / "linked"))
    side = commit(tmp_path / "linked", {"a.txt": "side\n"})
    workspace = open_workspace(tmp_path / "linked")
    assert workspace.pin_base(None) == Base(commit=side, branch="side")
    workspace.push(side, "mason/x")
    assert git(repository, "rev-parse", "mason/x") == side


def test_open__objects_borrowed_through_relative_alternates(
    repository: Path, tmp_path: Path, open_workspace: Open
) -> None:
    git(tmp_path, "clone", "-q", "--shared", str(repository), "clone")
    (tmp_path / "clone/.git/objects/info/alternates").write_text("../../../repository/.git/objects\n")
    workspace = open_workspace(tmp_path / "clone")
    with workspace.tree("t", workspace.pin_base(None).commit) as tree:
        assert (tree.path / "a.txt").is_file()
        assert git(tree.path, "log", "--format=%s") == "Change"


def test_open__path_with_quotes_newline_and_colon(tmp_path: Path, open_workspace: Open) -> None:
    repository = new_repository(tmp_path / 'a "b"\n:c\\n', {"a": "1\n"})
    workspace = open_workspace(repository)
    base = workspace.pin_base(None)
    with workspace.tree("t", base.commit) as tree:
        assert git(tree.path, "status", "--short") == ""
    workspace.push(base.commit, "mason/x")
    assert git(repository, "rev-parse", "mason/x") == base.commit


def test_open__shallow_clone(repository: Path, tmp_path: Path, open_workspace: Open) -> None:
    commit(repository, {"a.txt": "later\n"})
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{repository}", "shallow")
    shallow = tmp_path / "shallow"
    workspace = open_workspace(shallow)
    base = workspace.pin_base(None)
    with workspace.tree("t", base.commit, branch="mason/x") as tree:
        assert git(tree.path, "log", "--format=%s") == "Change"
        (tree.path / "new").write_text("x")
        made = workspace.commit(tree.snapshot(), base.commit, "New", FIXED)
    workspace.push(made, "mason/x")
    assert git(shallow, "rev-parse", "mason/x") == made


def test_open__sha256_repository(tmp_path: Path, open_workspace: Open) -> None:
    repository = tmp_path / "r"
    repository.mkdir()
    git(repository, "init", "-q", "-b", "main", "--object-format=sha256")
    new_repository(repository, {"a": "1\n"})
    workspace = open_workspace(repository)
    base = workspace.pin_base(None)
    assert len(base.commit) == 64
    with workspace.tree("t", base.commit) as tree:
        (tree.path / "a").write_text("2\n")
        assert [change.path for change in workspace.changes(base.commit, tree.snapshot())] == ["a"]


def test_open__partial_clone(repository: Path, tmp_path: Path, open_workspace: Open) -> None:
    git(repository, "config", "uploadpack.allowFilter", "true")
    git(tmp_path, "clone", "-q", "--filter=blob:none", "--no-checkout", f"file://{repository}", "partial")
    with pytest.raises(BadRepository, match="is a partial clone"):
        open_workspace(tmp_path / "partial")


@pytest.mark.parametrize("place", ["missing", "file", "plain"])
def test_open__no_repository(tmp_path: Path, open_workspace: Open, place: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "plain").mkdir()
    with pytest.raises(BadRepository, match="is not"):
        open_workspace(tmp_path / place)
    assert not (tmp_path / "run0").exists()


def test_open__broken_repository(tmp_path: Path, open_workspace: Open) -> None:
    (tmp_path / "r/.git").mkdir(parents=True)
    with pytest.raises(BadRepository, match="cannot be read as a git repository"):
        open_workspace(tmp_path / "r")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a repository to another user")
def test_open__repository_of_another_user(repository: Path, open_workspace: Open) -> None:
    for path in (repository, *repository.rglob("*")):
        os.chown(path, 54321, 54321)
    workspace = open_workspace(repository)
    base = workspace.pin_base(None)
    workspace.push(base.commit, "mason/x")
    assert (repository / ".git/refs/heads/mason/x").read_text().strip() == base.commit


def test_origin_url__configured_and_not(repository: Path, open_workspace: Open) -> None:
    assert open_workspace(repository).origin_url() is None
    git(repository, "remote", "add", "origin", "git@github.com:ada/engine.git")
    assert open_workspace(repository).origin_url() == "git@github.com:ada/engine.git"


def test_open__a_dirty_checkout_is_neither_read_nor_changed(repository: Path, open_workspace: Open) -> None:
    (repository / "a.txt").write_text("dirty\n")
    (repository / "untracked").write_text("x")
    git(repository, "rm", "-q", "--cached", "src/b.py")
    before = listing(repository)
    workspace = open_workspace(repository)
    base = workspace.pin_base(None)
    with workspace.tree("t", base.commit) as tree:
        assert (tree.path / "a.txt").read_text() == "one\ntwo\nthree\n"
        assert not (tree.path / "untracked").exists()
        (tree.path / "a.txt").write_text("agent\n")
        workspace.commit(tree.snapshot(), base.commit, "Work", FIXED)
    workspace.close()
    assert listing(repository) == before
