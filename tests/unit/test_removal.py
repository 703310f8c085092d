"""Removing what killed runs and hostile commands have left."""

from __future__ import annotations

import os
from pathlib import Path

from app.removal import remove, remove_leftovers
from tests.unit.workspace.repositories import ENVIRONMENT, listing, write

PATH = ENVIRONMENT["PATH"]


def test_remove__links_are_not_followed(tmp_path: Path) -> None:
    write(tmp_path / "outside", {"x": "1"})
    before = listing(tmp_path / "outside")
    write(tmp_path / "tree", {"-rf": "1", "new\nline/x": "1"})
    (tmp_path / "tree/link").symlink_to(tmp_path / "outside")
    (tmp_path / "link").symlink_to(tmp_path / "outside")
    os.mkfifo(tmp_path / "tree/fifo")
    assert remove(tmp_path / "tree", PATH)
    assert remove(tmp_path / "link", PATH)
    assert remove(tmp_path / "missing", PATH)
    assert listing(tmp_path) == {"outside": listing(tmp_path)["outside"], "outside/x": before["x"]}


def test_remove__directories_without_permission(tmp_path: Path) -> None:
    write(tmp_path / "tree", {"a/b/c": "1"})
    for directory in ("a/b", "a"):
        (tmp_path / "tree" / directory).chmod(0)
    assert remove(tmp_path / "tree", PATH)
    assert not (tmp_path / "tree").exists()


def test_remove_leftovers__only_of_the_dead(tmp_path: Path) -> None:
    write(tmp_path / "runs", {"dead/trees/t/x": "1", "alive/x": "1", "file": "1"})
    write(tmp_path, {"dead_elsewhere/x": "1"})
    (tmp_path / "runs/link_dead").symlink_to(tmp_path / "dead_elsewhere")
    removed = remove_leftovers(tmp_path / "runs", lambda run: "dead" in run.name, PATH)
    assert removed == [tmp_path / "runs/dead"]
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["alive", "file", "link_dead"]
    assert (tmp_path / "dead_elsewhere/x").exists()


def test_remove_leftovers__no_runs_yet(tmp_path: Path) -> None:
    assert remove_leftovers(tmp_path / "runs", lambda run: True, PATH) == []
