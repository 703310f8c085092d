"""Commits made through the Git Data API: the same trees, signed by GitHub."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.errors import GitFailed
from app.workspace.worktrees import GitWorkspace
from tests.fakes.faults import Fault
from tests.unit.forge.github_kit import BRANCH, MESSAGE, World, publication, world

TREE = "POST /repos/{owner}/{repo}/git/trees"
BLOB = "POST /repos/{owner}/{repo}/git/blobs"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        yield made


@pytest.fixture
def workspace(here: World) -> Iterator[GitWorkspace]:
    workspace = here.workspace()
    workspace.pin_base(None)
    yield workspace
    workspace.close()


def signed(here: World, workspace: GitWorkspace, commit: str, **more: Any) -> str:
    return here.forge(workspace, sign_commits=True, **more).publish(publication(commit)).commit


def tree_of(workspace: GitWorkspace, commit: str) -> str:
    return workspace.lineage(commit, "nowhere")[-1].tree


def test_signed__tree_message_and_parents(here: World, workspace: GitWorkspace) -> None:
    base = workspace.pin_base(None).commit
    changes: dict[str, bytes | str | None] = {
        "new.txt": "hello\r\n",
        "a.txt": "one\nmore",
        "old.txt": None,
        "dir/b.txt": None,
        'dir2/päth with "quotes"\nand newline': "é",
        "empty": b"",
        "binary": bytes(range(256)),
        "nul.txt": b"a\0b",
        "big.txt": "x" * 150_000,
    }
    commit = here.commit(workspace, changes)
    tip = signed(here, workspace, commit)
    made = here.repository.git.commit(tip)
    assert here.repository.branches[BRANCH] == tip != commit
    assert made.tree == tree_of(workspace, commit) and made.parents == (base,)
    assert made.message.strip() == MESSAGE.strip()
    assert tip in here.repository.verified
    assert len(here.github.calls(BLOB)) == 3
    pull = here.repository.pull(1)
    assert pull.body is not None and f"`{commit}`, published as the signed commit `{tip}`" in pull.body


def test_signed__modes_links_and_directories_that_become_files(here: World, workspace: GitWorkspace) -> None:
    base = workspace.pin_base(None).commit
    with workspace.tree("modes", base) as tree:
        (tree.path / "run.sh").write_text("#!/bin/sh\n")
        (tree.path / "run.sh").chmod(0o755)
        (tree.path / "a.txt").chmod(0o755)
        (tree.path / "link").symlink_to("a.txt")
        (tree.path / "dir" / "b.txt").unlink()
        (tree.path / "dir").rmdir()
        (tree.path / "dir").write_text("a file now")
        (tree.path / "old.txt").unlink()
        (tree.path / "old.txt").mkdir()
        (tree.path / "old.txt" / "inside").write_text("a directory now")
        commit = workspace.commit(tree.snapshot(), base, MESSAGE, datetime(2026, 1, 2, tzinfo=UTC))
    tip = signed(here, workspace, commit)
    assert here.repository.git.commit(tip).tree == tree_of(workspace, commit)
    modes = {line.split()[0] for line in here.repository.git.text("ls-tree", "-r", tip).splitlines()}
    assert modes == {"100644", "100755", "120000"}


def test_signed__many_files_go_in_batches(here: World, workspace: GitWorkspace) -> None:
    commit = here.commit(workspace, {f"many/{n:04}.txt": f"{n}\n" for n in range(600)})
    tip = signed(here, workspace, commit, timeout=60)
    assert here.repository.git.commit(tip).tree == tree_of(workspace, commit)
    assert len(here.github.calls(TREE)) == 2


def test_signed__merges_keep_their_parents(here: World, workspace: GitWorkspace) -> None:
    """A branch that a person pushed to, merged with a base that moved."""
    first = here.commit(workspace, {"new.txt": "hello\n"})
    tip = signed(here, workspace, first)
    theirs = here.repository.push_as_person(BRANCH, {"theirs.txt": "x\n"})
    moved = here.repository.push_as_person("main", {"base.txt": "y\n"})
    later = here.workspace()
    base = later.pin_base(None)
    start = later.start(BRANCH, base, "another approval").commit
    commit = here.commit(later, {"more.txt": "z\n"}, start=start)
    again = signed(here, later, commit)
    made = here.repository.git.commit(again)
    merge = here.repository.git.commit(made.parents[0])
    assert made.tree == tree_of(later, commit) and merge.parents == (theirs, moved)
    assert here.repository.git.is_ancestor(tip, again)
    assert [push.forced for push in here.repository.pushes if push.ref.endswith(BRANCH)] == [False] * 3
    later.close()


def test_signed__twice_is_once(here: World, workspace: GitWorkspace) -> None:
    commit = here.commit(workspace, {"new.txt": "hello\n"})
    tip = signed(here, workspace, commit)
    writes = len(here.github.writes)
    assert signed(here, workspace, commit) == tip
    later = here.workspace()  # the branch was never fetched, or was: both ways it is the same work
    later.pin_base(None)
    assert signed(here, later, here.commit(later, {"new.txt": "hello\n"})) == tip
    assert len(here.github.writes) == writes
    later.close()


def test_signed__never_overwrites_what_a_person_pushed(here: World, workspace: GitWorkspace) -> None:
    theirs = here.repository.push_as_person(BRANCH, {"theirs.txt": "x"})
    commit = here.commit(workspace, {"new.txt": "hello\n"})
    with pytest.raises(GitFailed, match="never pushes by force"):
        signed(here, workspace, commit)
    assert here.repository.branches[BRANCH] == theirs


@pytest.mark.parametrize("fault", [Fault.BAD_GATEWAY, Fault.TIMEOUT, Fault.HALF_RESPONSE, Fault.DROPPED])
def test_signed__a_lost_answer_to_the_new_branch(here: World, workspace: GitWorkspace, fault: Fault) -> None:
    commit = here.commit(workspace, {"new.txt": "hello\n"})
    here.github.fail("POST /repos/{owner}/{repo}/git/refs", with_=fault, when="after")
    tip = signed(here, workspace, commit)
    assert [push.new for push in here.repository.pushes] == [tip]


def test_signed__a_path_that_is_not_utf8(here: World, workspace: GitWorkspace) -> None:
    commit = here.commit(workspace, {"caf\udce9.txt": "x\n"})
    with pytest.raises(GitFailed, match=r"'caf\\udce9.txt' is not UTF-8"):
        signed(here, workspace, commit)
    assert here.repository.branches.keys() == {"main"}


def test_signed__another_tree_is_not_published(
    here: World, workspace: GitWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that changes what it is given: the trees differ, so nothing is published."""
    commit = here.commit(workspace, {"new.txt": "hello\r\n"})
    write = here.repository.git.write_blob
    monkeypatch.setattr(here.repository.git, "write_blob", lambda content: write(content.replace(b"\r", b"")))
    with pytest.raises(GitFailed, match="another tree"):
        signed(here, workspace, commit)
    assert here.repository.branches.keys() == {"main"} and here.repository.pulls == []


def test_signed__a_persons_token_signs_nothing(
    here: World, workspace: GitWorkspace, caplog: pytest.LogCaptureFixture
) -> None:
    here.repository.add_collaborator("ada")
    commit = here.commit(workspace, {"new.txt": "hello\n"})
    with caplog.at_level(logging.WARNING):
        tip = signed(here, workspace, commit, token=here.github.token("user"))
    assert here.repository.branches[BRANCH] == tip and "did not sign" in caplog.text
