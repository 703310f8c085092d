"""A tree that stays when it is left, and the directories of workspaces."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

from app import users
from app.workspace.directories import Directories
from app.workspace.worktrees import GitWorkspace
from tests.other_users import IDS, needs_root, user_pool
from tests.unit.workspace.repositories import ENVIRONMENT, git, new_repository

FILES = {"src/hello.txt": "hello\n"}
PATH = ENVIRONMENT["PATH"]


def kept(root: Path, *, pool: bool = False) -> tuple[Path, int | None]:
    """Work in a tree that stays, and in one that does not; the run's directory, and the first one's user."""
    repository = new_repository(root / "sample", FILES)
    run = root / "runs" / "one"
    run.parent.mkdir(mode=0o711)
    workspace = GitWorkspace(
        repository, run, root / "artifacts", ENVIRONMENT, users=user_pool() if pool else None, keeps="work"
    )
    base = workspace.pin_base(None)
    with workspace.tree("work", base.commit, branch="mason/x") as tree:
        user = users.owner(tree.path)
        (tree.path / "new.txt").write_text("new\n")
        tree.path.chmod(0o777)  # as its commands may
    with workspace.tree("gate", base.commit) as other:
        assert other.path.is_dir()
    workspace.close()
    workspace.close()
    return run, user


def test_kept_tree__stays_with_its_history_and_nothing_else(tmp_path: Path) -> None:
    run, _ = kept(tmp_path)
    assert sorted(path.name for path in run.iterdir()) == ["git", "trees"]
    assert [path.name for path in (run / "trees").iterdir()] == ["work"]
    assert git(run / "trees/work", "status", "--short") == "?? new.txt"
    assert git(run / "trees/work", "log", "-1", "--format=%s %D") == "Change HEAD -> mason/x, origin/main, main"
    assert run.stat().st_mode & 0o777 == 0o700


@needs_root
def test_kept_tree__its_user_gets_no_further_into_it(data_root: Path) -> None:
    run, user = kept(data_root, pool=True)
    assert user in IDS
    tree = run / "trees/work"
    assert (tree.stat().st_uid, tree.stat().st_mode & 0o777) == (0, 0o700)
    assert not users.reaches(tree, user, os.X_OK) and not users.reaches(run, user, os.X_OK)


def test_directories__remove_what_a_hostile_command_has_left(tmp_path: Path) -> None:
    directories, workspace, outside = Directories(tmp_path / "w", "work", PATH), uuid4(), tmp_path / "outside"
    outside.mkdir()
    (outside / "kept.txt").write_text("kept\n")
    place = directories.place(workspace)
    place.mkdir(parents=True)
    (place / "link").symlink_to(outside)
    (place / "locked").mkdir()
    (place / "locked" / "file").write_text("x")
    (place / "locked").chmod(0o000)
    assert directories.remove(workspace)
    assert not directories.directory(workspace).exists()
    assert (outside / "kept.txt").exists()
    assert directories.remove(workspace), "twice is as good as once"


def test_directories__a_link_in_place_of_one_is_removed_and_not_followed(tmp_path: Path) -> None:
    directories, workspace, outside = Directories(tmp_path / "w", "work", PATH), uuid4(), tmp_path / "outside"
    for path in (outside, tmp_path / "w"):
        path.mkdir()
    (outside / "kept.txt").write_text("kept\n")
    directories.directory(workspace).symlink_to(outside)
    assert directories.remove(workspace)
    assert (outside / "kept.txt").exists()


def test_directories__old_ones_by_their_age_and_name(tmp_path: Path) -> None:
    directories = Directories(tmp_path / "w", "work", PATH)
    assert directories.older_than(timedelta(0)) == []
    assert not directories.seal(uuid4())
    old, young = UUID(int=1), UUID(int=2)
    for name in (str(old), str(young), old.hex, "x", ".place"):
        (tmp_path / "w" / name).mkdir(parents=True)
    for name in (str(old), old.hex, "x"):
        os.utime(tmp_path / "w" / name, (0, 0))
    assert directories.older_than(timedelta(days=1)) == [old]
    assert directories.seal(old)
    assert directories.older_than(timedelta(days=1)) == [old]
