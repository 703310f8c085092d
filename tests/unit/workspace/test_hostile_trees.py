"""Trees that were written to make git run something, hang, lie or leave the tree. A file `ran` would prove it."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.errors import GitFailed
from app.ports.workspace import ChangeKind, FileKind
from app.workspace.worktrees import GitWorkspace
from tests.unit.workspace.repositories import ENVIRONMENT, git, listing, new_repository, write

Open = Callable[[Path], GitWorkspace]
FIXED = datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)
ATTRIBUTES = "* filter=evil diff=evil merge=evil working-tree-encoding=UTF-16 ident text eol=crlf\n"


def booby_trap(git_dir: Path, ran: Path) -> None:
    """Have a repository run something on every occasion that git offers."""
    touch = f"touch {ran}; cat"
    config = git_dir / "config"
    with config.open("a") as file:
        file.write(
            f'[core]\n\tfsmonitor = "touch {ran}"\n\thooksPath = {git_dir}/hooks\n\tpager = "{touch}"\n'
            f"\tattributesFile = {git_dir}/attributes\n"
            f'[filter "evil"]\n\tclean = "{touch}"\n\tsmudge = "{touch}"\n\trequired = true\n'
            f'[filter "lfs"]\n\tprocess = "{touch}"\n\tclean = "{touch}"\n\tsmudge = "{touch}"\n'
            f'[diff "evil"]\n\ttextconv = "{touch}"\n\tcommand = "{touch}"\n[diff]\n\texternal = "{touch}"\n'
            f'[merge "evil"]\n\tdriver = "{touch}"\n'
        )
    (git_dir / "attributes").write_text(ATTRIBUTES)
    (git_dir / "hooks").mkdir(exist_ok=True)
    for hook in (
        "post-checkout",
        "post-index-change",
        "pre-commit",
        "pre-push",
        "reference-transaction",
        "post-commit",
    ):
        (git_dir / "hooks" / hook).write_text(f"#!/bin/sh\ntouch {ran}\n")
        (git_dir / "hooks" / hook).chmod(0o755)


def test_snapshot__runs_nothing_that_the_tree_configures(
    workspace: GitWorkspace, repository: Path, base: str, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    with workspace.tree("t", base, branch="mason/x") as tree:
        booby_trap(tree.path / ".git", ran)
        (tree.path / ".git/info/attributes").unlink()
        write(tree.path, {".gitattributes": ATTRIBUTES, "a.txt": "new\r\n", "c.txt": "$Id$\n", ".lfsconfig": "[lfs]\n"})
        snapshot = tree.snapshot()
        with workspace.fork("f", tree, snapshot) as fork:
            write(fork.path, {"a.txt": "fork\r\n"})
            merged = workspace.merge(snapshot, fork.snapshot(), snapshot)
        tree.restore(merged)
        assert {change.path for change in workspace.changes(base, merged)} == {
            ".gitattributes",
            ".lfsconfig",
            "a.txt",
            "c.txt",
        }
        assert "+fork\r\n" in workspace.diff(base, merged)
        made = workspace.commit(merged, base, "Work", FIXED)
        workspace.keep("x", base, merged)
        workspace.push(made, "mason/x")
        assert workspace.read(made, "c.txt") == b"$Id$\n"
        assert not ran.exists()
        subprocess.run(["git", "add", "-A"], cwd=tree.path, env=ENVIRONMENT, capture_output=True, check=False)
        assert ran.exists(), "the trap is no trap"


def test_snapshot__nested_repository_is_plain_files_and_runs_nothing(
    workspace: GitWorkspace, base: str, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    with workspace.tree("t", base) as tree:
        for place in ("nested", "src", "nested/deep/er"):
            inner = new_repository(tree.path / place, {"inner.txt": "1\n"})
            booby_trap(inner / ".git", ran)
            write(inner, {"inner.txt": "2\n", ".gitattributes": ATTRIBUTES})
        snapshot = tree.snapshot()
        assert not ran.exists()
        assert workspace.read(snapshot, "nested/inner.txt") == b"2\n"
        assert workspace.read(snapshot, "nested/deep/er/inner.txt") == b"2\n"
        assert workspace.read(snapshot, "src/inner.txt") == b"2\n"
        assert not [path for path in workspace.paths(snapshot) if ".git/" in path]


def test_snapshot__gitfile_to_elsewhere_is_removed(workspace: GitWorkspace, base: str, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    other = new_repository(tmp_path / "other", {"x": "1\n"})
    booby_trap(other / ".git", ran)
    write(other, {".gitattributes": ATTRIBUTES})
    before = listing(other)
    with workspace.tree("t", base) as tree:
        write(tree.path, {"nested/.git": f"gitdir: {other}/.git\n", "nested/x": "2\n"})
        assert workspace.read(tree.snapshot(), "nested/x") == b"2\n"
    assert not ran.exists()
    assert listing(other) == before


@pytest.mark.parametrize(
    "name", [".GIT", ".Git", "git~1", "GIT~1", ".git ", ".git.", ".git::$INDEX_ALLOCATION", ".g\u200cit", "x\\.git"]
)
def test_snapshot__names_that_mean_dot_git_somewhere_are_removed(workspace: GitWorkspace, base: str, name: str) -> None:
    with workspace.tree("t", base) as tree:
        write(tree.path, {f"{name}/config": "[core]\n", f"deep/{name}/hooks/x": "x", "deep/good": "1\n"})
        assert [change.path for change in workspace.changes(base, tree.snapshot())] == ["deep/good"]
        assert not (tree.path / "deep" / name).exists()


def test_snapshot__odd_names_inside_a_nested_repository(workspace: GitWorkspace, base: str) -> None:
    with workspace.tree("t", base) as tree:
        new_repository(tree.path / "nested", {"x": "1\n"})
        write(tree.path, {"nested/.GIT/config": "x", "nested/.GIT/sub/.git/HEAD": "x", "nested/git~1": "x"})
        assert [change.path for change in workspace.changes(base, tree.snapshot())] == ["nested/x"]


@pytest.mark.parametrize("name", ["fifo", "a.txt", ".gitignore", ".gitattributes", "src/.gitignore", ".gitmodules"])
def test_snapshot__fifo_neither_hangs_nor_counts(workspace: GitWorkspace, base: str, name: str) -> None:
    with workspace.tree("t", base) as tree:
        (tree.path / name).unlink(missing_ok=True)
        os.mkfifo(tree.path / name)
        write(tree.path, {"src/b.py": "b = 2\n"})
        changed = {change.path: change.kind for change in workspace.changes(base, tree.snapshot())}
        tracked = {"a.txt": ChangeKind.DELETED, ".gitignore": ChangeKind.DELETED}
        assert changed == {"src/b.py": ChangeKind.MODIFIED} | ({name: tracked[name]} if name in tracked else {})


def test_snapshot__socket_is_left_out(workspace: GitWorkspace, base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with workspace.tree("t", base) as tree, socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(tree.path)
        server.bind("agent.sock")
        assert workspace.changes(base, tree.snapshot()) == []


@pytest.mark.parametrize(
    "content", ["[broken", '[submodule "x"]\n\tpath = a\n\turl = --upload-pack=touch\n\tupdate = !touch ran\n']
)
def test_snapshot__hostile_gitmodules(workspace: GitWorkspace, base: str, content: str) -> None:
    with workspace.tree("t", base) as tree:
        write(tree.path, {".gitmodules": content})
        snapshot = tree.snapshot()
        tree.restore(snapshot)
        assert workspace.read(snapshot, ".gitmodules") == content.encode()
        assert [change.path for change in workspace.changes(base, snapshot)] == [".gitmodules"]


def test_snapshot__gitmodules_that_is_a_link_is_left_out(workspace: GitWorkspace, base: str) -> None:
    with workspace.tree("t", base) as tree:
        (tree.path / ".gitmodules").symlink_to("/etc/passwd")
        write(tree.path, {"new": "1"})
        assert [change.path for change in workspace.changes(base, tree.snapshot())] == ["new"]


def test_changes__attributes_hide_nothing(workspace: GitWorkspace, base: str) -> None:
    with workspace.tree("t", base) as tree:
        write(tree.path, {".gitattributes": "* -diff\n*.txt binary linguist-generated\n", "a.txt": "hidden\n"})
        snapshot = tree.snapshot()
        (change,) = (change for change in workspace.changes(base, snapshot) if change.path == "a.txt")
        assert (change.binary, change.added_lines, change.removed_lines) == (False, 1, 3)
        assert "+hidden" in workspace.diff(base, snapshot)


def test_snapshot__links_are_stored_and_never_followed(workspace: GitWorkspace, base: str, tmp_path: Path) -> None:
    write(tmp_path / "outside", {"secret": "s", "b.py": "not ours\n"})
    with workspace.tree("t", base) as tree:
        (tree.path / "out").symlink_to(tmp_path / "outside")
        (tree.path / "a.txt").unlink()
        (tree.path / "a.txt").symlink_to("/etc/passwd")
        (tree.path / "src/b.py").unlink()
        (tree.path / "src").rmdir()
        (tree.path / "src").symlink_to(tmp_path / "outside")
        snapshot = tree.snapshot()
        targets = {
            change.path: (change.kind, change.file, change.target) for change in workspace.changes(base, snapshot)
        }
        outside = str(tmp_path / "outside")
        assert targets == {
            "a.txt": (ChangeKind.MODIFIED, FileKind.SYMLINK, "/etc/passwd"),
            "out": (ChangeKind.ADDED, FileKind.SYMLINK, outside),
            "src": (ChangeKind.ADDED, FileKind.SYMLINK, outside),
            "src/b.py": (ChangeKind.DELETED, FileKind.FILE, None),
        }
        assert workspace.read(snapshot, "src") is None
        tree.restore(base)
        assert (tree.path / "src/b.py").read_text() == "b = 1\n"
    assert (tmp_path / "outside/b.py").read_text() == "not ours\n"
    assert (tmp_path / "outside/secret").read_text() == "s"


def test_snapshot__ignored_link_in_place_of_a_tracked_directory(
    workspace: GitWorkspace, base: str, tmp_path: Path
) -> None:
    write(tmp_path / "outside", {"b.py": "not ours\n"})
    with workspace.tree("t", base) as tree:
        write(tree.path, {".gitignore": "src\n"})
        (tree.path / "src/b.py").unlink()
        (tree.path / "src").rmdir()
        (tree.path / "src").symlink_to(tmp_path / "outside")
        assert workspace.paths(tree.snapshot()) == [".gitignore", "a.txt"]


def test_snapshot__tree_replaced_by_a_link_is_an_empty_tree(
    workspace: GitWorkspace, repository: Path, base: str
) -> None:
    before = listing(repository)
    with workspace.tree("t", base) as tree:
        tree.path.rename(tree.path.with_name("moved"))
        tree.path.symlink_to(repository)
        assert workspace.paths(tree.snapshot()) == []
        tree.restore(base)
        assert (tree.path / "a.txt").is_file()
    assert listing(repository) == before


def test_snapshot__directory_and_file_in_each_others_place(workspace: GitWorkspace, base: str) -> None:
    with workspace.tree("t", base) as tree:
        (tree.path / "a.txt").unlink()
        write(tree.path, {"a.txt/inner": "1\n"})
        (tree.path / "src/b.py").unlink()
        (tree.path / "src").rmdir()
        write(tree.path, {"src": "file\n"})
        snapshot = tree.snapshot()
        assert workspace.paths(snapshot) == [".gitignore", "a.txt/inner", "src"]
        tree.restore(base)
        assert (tree.path / "a.txt").read_text() == "one\ntwo\nthree\n"
        tree.restore(snapshot)
        assert (tree.path / "src").read_text() == "file\n"


NAMES = [
    b"new\nline",
    b'quo"te',
    b"back\\slash",
    b"tab\t",
    b"caf\xe9",
    b"\xff\xfe",
    b" lead",
    b"-rf",
    b":(top)x",
    b"*",
    "é😀".encode(),
]


def test_snapshot__names_of_any_bytes(workspace: GitWorkspace, base: str) -> None:
    with workspace.tree("t", base) as tree:
        for name in NAMES:
            Path(os.fsdecode(bytes(tree.path) + b"/" + name)).write_text("1\n")
        snapshot = tree.snapshot()
        changes = workspace.changes(base, snapshot)
        assert {change.path.encode("utf-8", "surrogateescape") for change in changes} == set(NAMES)
        assert all(workspace.read(snapshot, change.path) == b"1\n" for change in changes)
        tree.restore(base)
        assert workspace.changes(base, tree.snapshot()) == []
        with workspace.fork("f", tree, snapshot) as fork:
            assert fork.snapshot() == snapshot


@pytest.mark.parametrize("damage", ["commit", "checkout", "delete", "corrupt", "link", "worktree config"])
def test_snapshot__whatever_happens_to_the_throw_away_repository(
    workspace: GitWorkspace, repository: Path, base: str, tmp_path: Path, damage: str
) -> None:
    with workspace.tree("t", base, branch="mason/x") as tree:
        write(tree.path, {"a.txt": "work\n"})
        expected = tree.snapshot()
        dot_git = tree.path / ".git"
        match damage:
            case "commit":
                git(tree.path, "commit", "-qam", "By the agent")
                git(tree.path, "update-ref", "-d", "refs/heads/main")
            case "checkout":
                git(tree.path, "stash", "-q")
                git(tree.path, "checkout", "-q", "--orphan", "other")
                git(tree.path, "stash", "apply", "-q")
            case "delete":
                subprocess.run(["rm", "-rf", str(dot_git)], check=True)
            case "corrupt":
                write(dot_git, {"HEAD": "junk", "index": "junk", "config": "[junk", "objects/info/alternates": "/x\n"})
            case "link":
                dot_git.rename(tmp_path / "moved")
                dot_git.symlink_to(repository / ".git")
            case "worktree config":
                git(tree.path, "config", "core.worktree", "/")
                git(tree.path, "config", "core.excludesFile", str(tree.path / "a.txt"))
        assert tree.snapshot() == expected
        tree.restore(base)
        assert (tree.path / "a.txt").read_text() == "one\ntwo\nthree\n"


def test_snapshot__directory_deeper_than_a_path_may_be(workspace: GitWorkspace, base: str) -> None:
    with workspace.tree("t", base) as tree:
        write(tree.path, {"a.txt": "work\n"})
        deep = 'd=$(printf "%0200d" 0); i=0; while [ $i -lt 40 ]; do mkdir $d && cd -P $d || exit 0; i=$((i+1)); done'
        subprocess.run(["sh", "-c", deep], cwd=tree.path, check=True)
        assert [change.path for change in workspace.changes(base, tree.snapshot())] == ["a.txt"]
        path = tree.path
    workspace.close()
    assert not path.exists()
    assert not path.parent.parent.exists()


def test_snapshot__huge_file_is_refused_at_once_and_restoring_removes_it(workspace: GitWorkspace, base: str) -> None:
    with workspace.tree("t", base) as tree:
        before = tree.snapshot()
        for name in ("sparse.bin", "a.txt"):
            with (tree.path / name).open("wb") as file:
                file.truncate(1 << 40)
        with pytest.raises(GitFailed, match=r"'(sparse\.bin|a\.txt)' is larger than 100 MiB"):
            tree.snapshot()
        tree.restore(before)
        assert tree.snapshot() == before
        assert not (tree.path / "sparse.bin").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_snapshot__unreadable_file(workspace: GitWorkspace, base: str) -> None:
    with workspace.tree("t", base) as tree:
        write(tree.path, {"secret": "1"})
        (tree.path / "secret").chmod(0)
        with pytest.raises(GitFailed, match="Permission denied"):
            tree.snapshot()


def test_submodule__stays_as_it_is(repository: Path, tmp_path: Path, open_workspace: Open) -> None:
    ran = tmp_path / "ran"
    library = new_repository(tmp_path / "library", {"l": "1\n"})
    git(repository, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(library), "vendor/library")
    git(repository, "commit", "-qm", "Submodule")
    before = listing(repository)
    workspace = open_workspace(repository)
    base = workspace.pin_base(None).commit
    with workspace.tree("t", base) as tree:
        assert list((tree.path / "vendor/library").iterdir()) == []
        assert git(tree.path, "status", "--short") == ""
        assert "vendor/library" in workspace.paths(base)
        inner = new_repository(tree.path / "vendor/library", {"x": "1\n"})
        booby_trap(inner / ".git", ran)
        write(tree.path, {"vendor/library/x": "2\n", "vendor/library/.gitattributes": ATTRIBUTES, "a.txt": "work\n"})
        snapshot = tree.snapshot()
        assert [change.path for change in workspace.changes(base, snapshot)] == ["a.txt"]
        tree.restore(base)
        with workspace.fork("f", tree, snapshot) as fork:
            new_repository(fork.path / "vendor/library", {"x": "1\n"})
            assert fork.snapshot() == snapshot
    assert not ran.exists()
    workspace.close()
    assert listing(repository) == before


def test_changes__submodule_moved_on_the_base(repository: Path, tmp_path: Path, open_workspace: Open) -> None:
    library = new_repository(tmp_path / "library", {"l": "1\n"})
    git(repository, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(library), "library")
    git(repository, "commit", "-qm", "Submodule")
    first = git(repository, "rev-parse", "HEAD")
    new_repository(repository / "library", {"l": "2\n"})
    git(repository, "commit", "-qam", "Moved")
    (change,) = open_workspace(repository).changes(first, git(repository, "rev-parse", "HEAD"))
    assert (change.path, change.kind, change.file) == ("library", ChangeKind.MODIFIED, FileKind.SUBMODULE)


def test_reading__the_users_repository_runs_nothing_of_it(
    repository: Path, tmp_path: Path, open_workspace: Open
) -> None:
    ran = tmp_path / "ran"
    booby_trap(repository / ".git", ran)
    for hook in ("pre-receive", "update", "post-receive", "post-update", "push-to-checkout", "proc-receive"):
        (repository / ".git/hooks" / hook).write_text(f"#!/bin/sh\ntouch {ran}\n")
        (repository / ".git/hooks" / hook).chmod(0o755)
    workspace = open_workspace(repository)
    base = workspace.pin_base(None)
    with workspace.tree("t", base.commit) as tree:
        write(tree.path, {"a.txt": "work\n"})
        snapshot = tree.snapshot()
    workspace.start("mason/x", base, "digest")
    workspace.keep("x", base.commit, snapshot)
    workspace.push(workspace.commit(snapshot, base.commit, "Work", FIXED), "mason/x")
    assert not ran.exists()
