"""Trees, snapshots, commits, merges and kept work, on real repositories."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from app.domain.runs import Base
from app.errors import GitFailed, MergeConflict
from app.ports.workspace import Change, ChangeKind, FileKind, Start
from app.workspace.gitdir import Identity
from app.workspace.tree import GitTree
from app.workspace.worktrees import GitWorkspace
from tests.unit.workspace.repositories import ENVIRONMENT, commit, git, listing, new_repository, write

Open = Callable[[Path], GitWorkspace]
FIXED = datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)


def snapshot_of(workspace: GitWorkspace, start: str, files: dict[str, str | None]) -> str:
    """The git tree of a start with these files written, or removed where None."""
    with workspace.tree("snapshot", start) as tree:
        for name, content in files.items():
            if content is None:
                (tree.path / name).unlink()
            else:
                write(tree.path, {name: content})
        return tree.snapshot()


def test_tree__shows_the_commit_and_is_removed(workspace: GitWorkspace, repository: Path, base: str) -> None:
    (repository / "a.txt").write_text("dirty\n")
    with workspace.tree("t", base) as tree:
        assert tree.start == base
        found = listing(tree.path, without=(".git",))
        assert set(found) - {".gitignore"} == {"a.txt", "src", "src/b.py"}
        assert (tree.path / "a.txt").read_text() == "one\ntwo\nthree\n"
    assert not tree.path.exists()


def test_tree__tools_find_a_clean_repository_on_the_branch(repository: Path, open_workspace: Open) -> None:
    git(repository, "tag", "-a", "v1.0", "-m", "one")
    head = commit(repository, {"new": "1\n"}, "Second")
    workspace = open_workspace(repository)
    base = workspace.pin_base(None)
    with workspace.tree("t", base.commit, branch="mason/x") as tree:
        assert git(tree.path, "status", "--porcelain", "--branch") == "## mason/x"
        assert git(tree.path, "log", "--format=%s") == "Second\nChange"
        assert git(tree.path, "describe") == f"v1.0-1-g{head[:7]}"
        assert git(tree.path, "rev-parse", "main", "origin/main", "mason/x") == "\n".join([head] * 3)
        assert git(tree.path, "ls-files") == ".gitignore\na.txt\nnew\nsrc/b.py"
        write(tree.path, {"a.txt": "work\n"})
        assert "+work" in git(tree.path, "diff", "origin/main")
        git(tree.path, "commit", "-qam", "By a tool")
        assert git(tree.path, "log", "-1", "--format=%an") == "Mason"
        git(tree.path, "fsck", "--strict", "--no-dangling")
    assert git(repository, "for-each-ref", "--format=%(refname)") == "refs/heads/main\nrefs/tags/v1.0"


def test_tree__without_a_branch_tools_see_the_base_branch(tmp_path: Path, open_workspace: Open) -> None:
    workspace = open_workspace(new_repository(tmp_path / "r", {"a": "1"}, branch="trunk"))
    with workspace.tree("t", workspace.pin_base(None).commit) as tree:
        assert git(tree.path, "branch", "--show-current") == "trunk"


def test_tree__base_branch_that_is_a_directory_of_the_items(tmp_path: Path, open_workspace: Open) -> None:
    workspace = open_workspace(new_repository(tmp_path / "r", {"a": "1\n"}, branch="mason"))
    with workspace.tree("t", workspace.pin_base(None).commit, branch="mason/x") as tree:
        write(tree.path, {"a": "2\n"})
        git(tree.path, "commit", "-qam", "By a tool")
        assert git(tree.path, "branch", "--show-current") == "mason/x"


def test_tree__files_come_out_as_stored(repository: Path, open_workspace: Open) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    commit(repository, {"dos.txt": "a\r\nb\r\n", "big.bin": pointer})
    commit(repository, {".gitattributes": "*.txt text eol=crlf ident\n*.bin filter=lfs diff=lfs merge=lfs -text\n"})
    (repository / "run.sh").write_text("#!/bin/sh\n")
    (repository / "run.sh").chmod(0o755)
    (repository / "link").symlink_to("run.sh")
    git(repository, "add", "run.sh", "link")
    git(repository, "commit", "-qm", "Modes")
    workspace = open_workspace(repository)
    base = workspace.pin_base(None).commit
    with workspace.tree("t", base) as tree:
        assert (tree.path / "dos.txt").read_bytes() == b"a\r\nb\r\n"
        assert (tree.path / "a.txt").read_bytes() == b"one\ntwo\nthree\n"
        assert (tree.path / "big.bin").read_text() == pointer
        assert os.access(tree.path / "run.sh", os.X_OK)
        assert (tree.path / "link").readlink() == Path("run.sh")
        assert git(tree.path, "status", "--short") == ""
        assert workspace.changes(base, tree.snapshot()) == []


def test_tree__name_in_use(workspace: GitWorkspace, base: str) -> None:
    with workspace.tree("t", base), pytest.raises(GitFailed, match="'t'"), workspace.tree("t", base):
        pass
    with workspace.tree("t", base) as again:
        assert again.path.is_dir()


def test_tree__unknown_commit_leaves_nothing(workspace: GitWorkspace, tmp_path: Path) -> None:
    with pytest.raises(GitFailed, match="git read-tree failed"), workspace.tree("t", "0" * 40):
        pass
    assert list((tmp_path / "run0/trees").iterdir()) == []


def test_snapshot__of_an_unchanged_tree_is_the_commits_tree(
    workspace: GitWorkspace, repository: Path, base: str
) -> None:
    with workspace.tree("t", base) as tree:
        assert tree.snapshot() == git(repository, "rev-parse", "HEAD^{tree}")


def test_snapshot__what_counts_and_what_does_not(workspace: GitWorkspace, base: str) -> None:
    with workspace.tree("t", base) as tree:
        write(tree.path, {"new.py": "1\n", "x.log": "ignored", "build/out": "ignored", "node_modules/p/i.js": "cache"})
        write(tree.path, {"pkg/__pycache__/m.pyc": "cache", ".venv/bin/python": "cache", ".ruff_cache/x": "cache"})
        write(tree.path, {".gitignore": "!node_modules\n*.log\nbuild/\n"})
        (tree.path / "a.txt").unlink()
        changes = {change.path: change.kind for change in workspace.changes(base, tree.snapshot())}
        assert changes == {
            "new.py": ChangeKind.ADDED,
            ".gitignore": ChangeKind.MODIFIED,
            "a.txt": ChangeKind.DELETED,
        }


def test_snapshot__tracked_files_count_even_where_ignored_or_in_a_cache(repository: Path, open_workspace: Open) -> None:
    commit(repository, {"build/kept": "1\n", "node_modules/vendored.js": "1\n"})
    workspace = open_workspace(repository)
    base = workspace.pin_base(None).commit
    with workspace.tree("t", base) as tree:
        write(tree.path, {"build/kept": "2\n", "node_modules/vendored.js": "2\n", "build/new": "x"})
        changed = [change.path for change in workspace.changes(base, tree.snapshot())]
        assert changed == ["build/kept", "node_modules/vendored.js"]


def test_forget_untracked__what_the_install_step_made_is_no_work(workspace: GitWorkspace, base: str) -> None:
    with workspace.tree("t", base) as tree:
        write(tree.path, {"lib.egg-info/PKG-INFO": "1", "lock.json": "1"})
        new_repository(tree.path / "deps/library", {"x": "1\n"})
        tree.forget_untracked()
        write(tree.path, {"lock.json": "2", "new.py": "1\n", "a.txt": "work\n"})
        snapshot = tree.snapshot()
        assert [change.path for change in workspace.changes(base, snapshot)] == ["a.txt", "new.py"]
        assert (tree.path / "deps/library/.git").is_dir()
        tree.restore(base)
        assert (tree.path / "lock.json").read_text() == "2"
        assert not (tree.path / "new.py").exists()
        with workspace.fork("f", tree, snapshot) as fork:
            write(fork.path, {"lock.json": "3"})
            assert fork.snapshot() == snapshot


def test_restore__brings_back_a_snapshot_and_leaves_ignored_files(workspace: GitWorkspace, base: str) -> None:
    with workspace.tree("t", base) as tree:
        write(tree.path, {"new/deep.py": "1\n", "x.log": "ignored"})
        (tree.path / "src/b.py").unlink()
        first = tree.snapshot()
        write(tree.path, {"other.py": "2\n", "src/b.py": "again\n", "a.txt": "changed\n"})
        (tree.path / "a.txt").chmod(0o755)
        tree.restore(first)
        assert tree.snapshot() == first
        assert (tree.path / "new/deep.py").read_text() == "1\n"
        assert not (tree.path / "other.py").exists()
        assert not (tree.path / "src/b.py").exists()
        assert not os.access(tree.path / "a.txt", os.X_OK)
        tree.restore(base)
        assert not (tree.path / "new").exists()
        assert (tree.path / "x.log").read_text() == "ignored"


def test_snapshot__back_and_forth_names_each_state(workspace: GitWorkspace, base: str) -> None:
    with workspace.tree("one", base) as tree:
        states = []
        for content in ("one\n", "two\n", "one\n", None):
            if content is None:
                (tree.path / "new.txt").unlink()
            else:
                (tree.path / "new.txt").write_text(content)
            states.append(tree.snapshot())
            assert tree.snapshot() == states[-1]
        first, second, third, none = states
        assert first == third
        assert len({first, second, none}) == 3
        for state, content in ((second, "two\n"), (second, "two\n"), (first, "one\n")):
            tree.restore(state)
            assert (tree.path / "new.txt").read_text() == content
            assert tree.snapshot() == state


def test_snapshot__large_tree_is_refreshed_once_and_a_late_change_is_seen(tmp_path: Path, open_workspace: Open) -> None:
    files = {f"many/file-with-a-long-name-{number:04}.txt": "same\n" for number in range(2_100)}
    workspace = open_workspace(new_repository(tmp_path / "large", files))
    base = workspace.pin_base(None).commit
    with workspace.tree("t", base) as tree:
        assert isinstance(tree, GitTree)
        assert tree.git.index is not None
        os.utime(tree.git.index, (1, 1))  # every file is younger: git would read them all, each time
        assert workspace.changes(base, tree.snapshot()) == []
        refreshed = tree.git.index.stat().st_mtime_ns
        assert refreshed == tree.refreshed
        assert workspace.changes(base, tree.snapshot()) == []
        assert tree.git.index.stat().st_mtime_ns == refreshed
        (tree.path / "many/file-with-a-long-name-0042.txt").write_text("SAME\n")
        assert [change.path for change in workspace.changes(base, tree.snapshot())] == [
            "many/file-with-a-long-name-0042.txt"
        ]


def test_restore__a_change_with_the_same_size_and_time_is_seen(workspace: GitWorkspace, base: str) -> None:
    with workspace.tree("t", base) as tree:
        before = (tree.path / "a.txt").stat()
        (tree.path / "a.txt").write_text("ONE\ntwo\nthree\n")
        os.utime(tree.path / "a.txt", ns=(before.st_atime_ns, before.st_mtime_ns))
        assert [change.path for change in workspace.changes(base, tree.snapshot())] == ["a.txt"]
        tree.restore(base)
        assert (tree.path / "a.txt").read_text() == "one\ntwo\nthree\n"


def test_fork__has_the_snapshot_and_shares_nothing(workspace: GitWorkspace, base: str) -> None:
    with workspace.tree("t", base, branch="mason/x") as tree:
        write(tree.path, {"new.py": "1\n"})
        snapshot = tree.snapshot()
        with workspace.fork("f", tree, snapshot) as fork:
            assert fork.start == base
            assert fork.snapshot() == snapshot
            assert git(fork.path, "branch", "--show-current") == "mason/x"
            assert git(fork.path, "status", "--short") == "A  new.py"
            write(fork.path, {"new.py": "2\n"})
        assert (tree.path / "new.py").read_text() == "1\n"
        assert tree.snapshot() == snapshot


def test_merge__both_sides_of_one_file(workspace: GitWorkspace, base: str) -> None:
    ours = snapshot_of(workspace, base, {"a.txt": "ONE\ntwo\nthree\n", "ours": "1\n"})
    theirs = snapshot_of(workspace, base, {"a.txt": "one\ntwo\nTHREE\n", "src/b.py": None})
    merged = workspace.merge(base, ours, theirs)
    assert workspace.paths(merged) == [".gitignore", "a.txt", "ours"]
    with pytest.raises(MergeConflict):
        workspace.merge(base, merged, snapshot_of(workspace, base, {"a.txt": "one\nTWO\nthree\n"}))


def test_merge__conflict_names_the_paths(workspace: GitWorkspace, base: str) -> None:
    name = 'odd "name"\n\udcff'
    ours = snapshot_of(workspace, base, {"a.txt": "ours\n", name: "ours\n", "only": "1\n"})
    theirs = snapshot_of(workspace, base, {"a.txt": "theirs\n", name: "theirs\n"})
    with pytest.raises(MergeConflict) as conflict:
        workspace.merge(base, ours, theirs)
    assert set(conflict.value.paths) == {"a.txt", name}


def test_merge__one_side_unchanged(workspace: GitWorkspace, base: str) -> None:
    work = snapshot_of(workspace, base, {"a.txt": "work\n"})
    unchanged = snapshot_of(workspace, base, {})
    assert workspace.merge(base, work, unchanged) == work
    assert workspace.merge(base, unchanged, work) == work
    assert workspace.merge(base, work, work) == work


def test_changes__every_kind(repository: Path, open_workspace: Open) -> None:
    commit(repository, {"gone": "x\n", "moved": "same content\n" * 9, "mode": "x\n", "becomes_link": "x\n"})
    (repository / "old_link").symlink_to("a.txt")
    git(repository, "add", "old_link")
    git(repository, "commit", "-qm", "Link")
    workspace = open_workspace(repository)
    base = workspace.pin_base(None).commit
    with workspace.tree("t", base) as tree:
        (tree.path / "gone").unlink()
        (tree.path / "moved").rename(tree.path / "renamed")
        (tree.path / "mode").chmod(0o755)
        (tree.path / "old_link").unlink()
        (tree.path / "becomes_link").unlink()
        (tree.path / "becomes_link").symlink_to("../up\nline")
        (tree.path / "image.png").write_bytes(b"\x89PNG\0\1\2")
        (tree.path / "a.txt").write_text("one\n2\nthree\nfour\n")
        found = workspace.changes(base, tree.snapshot())
    assert found == [
        Change(path="a.txt", kind=ChangeKind.MODIFIED, added_lines=2, removed_lines=1),
        Change(
            path="becomes_link",
            kind=ChangeKind.MODIFIED,
            file=FileKind.SYMLINK,
            target="../up\nline",
            added_lines=2,
            removed_lines=1,
        ),
        Change(path="gone", kind=ChangeKind.DELETED, removed_lines=1),
        Change(path="image.png", kind=ChangeKind.ADDED, binary=True),
        Change(path="mode", kind=ChangeKind.MODIFIED, file=FileKind.EXECUTABLE),
        Change(path="moved", kind=ChangeKind.DELETED, removed_lines=9),
        Change(path="old_link", kind=ChangeKind.DELETED, file=FileKind.SYMLINK, target="a.txt", removed_lines=1),
        Change(path="renamed", kind=ChangeKind.ADDED, added_lines=9),
    ]


def test_diff__is_cut_at_the_limit(workspace: GitWorkspace, base: str) -> None:
    after = snapshot_of(workspace, base, {"a.txt": "é\udcff" * 5000, "new": "1\n"})
    whole = workspace.diff(base, after)
    assert "+++ b/new" in whole
    assert "é\ufffd" in whole
    for limit in (0, 10, 300):
        assert len(workspace.diff(base, after, limit=limit)) <= limit
    assert workspace.diff(base, after, limit=300).startswith("diff --git a/a.txt b/a.txt")
    assert workspace.diff(base, base) == ""


def test_read__files_only(workspace: GitWorkspace, base: str) -> None:
    assert workspace.read(base, "src/b.py") == b"b = 1\n"
    for path in ("src", "src/", "missing", "", "*", "a.txt/x", "/a.txt", "../a.txt", "a\0b", ":/a.txt"):
        assert workspace.read(base, path) is None


def test_commit__is_deterministic_and_on_no_branch(workspace: GitWorkspace, repository: Path, base: str) -> None:
    tree = snapshot_of(workspace, base, {"a.txt": "work\n"})
    message = "Title — “quoted” $(touch x)\n\nBody\0 \udcff\n\nMason-Approval: 12\n"
    made = workspace.commit(tree, base, message, FIXED)
    elsewhere = timezone(timedelta(hours=5, minutes=30))
    assert workspace.commit(tree, base, message, FIXED.astimezone(elsewhere)) == made
    assert workspace.commit(tree, base, message, FIXED + timedelta(seconds=1)) != made
    workspace.push(made, "mason/x")
    about = git(repository, "log", "-1", "--format=%an <%ae>|%cn|%aI|%cI|%P|%B", "mason/x")
    assert about.startswith(
        "Mason <mason@users.noreply.github.com>|Mason|2024-01-02T03:04:05+00:00|2024-01-02T03:04:05+00:00|"
        f"{base}|Title — “quoted” $(touch x)\n\nBody ?"
    )


def test_commit__identity_is_a_parameter(repository: Path, tmp_path: Path) -> None:
    ada = Identity(name="Ada L", email="ada@example.com")
    workspace = GitWorkspace(repository, tmp_path / "run", tmp_path / "artifacts", ENVIRONMENT, identity=ada)
    base = workspace.pin_base(None).commit
    workspace.push(workspace.commit(base, base, "x", FIXED), "mason/x")
    workspace.close()
    assert git(repository, "log", "-1", "--format=%an|%ce", "mason/x") == "Ada L|ada@example.com"


def test_start__no_branch_yet_or_nothing_on_it(workspace: GitWorkspace, repository: Path) -> None:
    base = workspace.pin_base(None)
    assert workspace.start("mason/x", base, "digest") == Start(commit=base.commit)
    git(repository, "branch", "mason/x")
    assert workspace.start("mason/x", base, "digest") == Start(commit=base.commit)


def test_start__work_of_this_approval_is_published(workspace: GitWorkspace, repository: Path) -> None:
    base = workspace.pin_base(None)
    work = snapshot_of(workspace, base.commit, {"a.txt": "work\n"})
    made = workspace.commit(work, base.commit, "Work\n\nBody\n\nMason-Item: 1\nMason-Approval: digest\n", FIXED)
    workspace.push(made, "mason/x")
    assert workspace.start("mason/x", base, "digest").published == made
    for other in ("dig", "", "other"):
        assert workspace.start("mason/x", base, other) == Start(commit=made)


def test_start__commits_of_a_person_on_top_do_not_hide_it(workspace: GitWorkspace, repository: Path) -> None:
    base = workspace.pin_base(None)
    made = workspace.commit(base.commit, base.commit, "Work\n\nMason-Approval: digest", FIXED)
    workspace.push(made, "mason/x")
    git(repository, "checkout", "-q", "mason/x")
    commit(repository, {"a.txt": "person\n"})
    assert workspace.start("mason/x", base, "digest").published == made
    workspace.push(made, "mason/x")


def test_start__older_work_is_merged_with_a_base_that_moved(repository: Path, open_workspace: Open) -> None:
    git(repository, "checkout", "-qb", "mason/x")
    tip = commit(repository, {"work.py": "1\n"})
    git(repository, "checkout", "-q", "main")
    commit(repository, {"a.txt": "moved\n"})
    workspace = open_workspace(repository)
    base = workspace.pin_base(None)
    start = workspace.start("mason/x", base, "digest")
    assert start.published is None
    assert workspace.start("mason/x", base, "digest") == start
    assert workspace.paths(start.commit) == [".gitignore", "a.txt", "src/b.py", "work.py"]
    with workspace.tree("t", start.commit, branch="mason/x") as tree:
        assert git(tree.path, "rev-parse", "HEAD^1", "HEAD^2") == f"{tip}\n{base.commit}"
    workspace.push(start.commit, "mason/x")


def test_start__branch_that_only_origin_has(repository: Path, tmp_path: Path, open_workspace: Open) -> None:
    git(repository, "checkout", "-qb", "mason/x")
    tip = commit(repository, {"work.py": "1\n"})
    git(repository, "checkout", "-q", "main")
    git(tmp_path, "clone", "-q", str(repository), "clone")
    workspace = open_workspace(tmp_path / "clone")
    assert workspace.start("mason/x", workspace.pin_base(None), "digest") == Start(commit=tip)


def test_start__conflict_with_the_base(repository: Path, open_workspace: Open) -> None:
    git(repository, "checkout", "-qb", "mason/x")
    commit(repository, {"a.txt": "work\n"})
    git(repository, "checkout", "-q", "main")
    commit(repository, {"a.txt": "moved\n"})
    workspace = open_workspace(repository)
    with pytest.raises(MergeConflict, match=r"a\.txt"):
        workspace.start("mason/x", workspace.pin_base(None), "digest")


def test_start__unrelated_history(repository: Path, open_workspace: Open) -> None:
    git(repository, "checkout", "-q", "--orphan", "mason/x")
    git(repository, "commit", "-qm", "Unrelated")
    git(repository, "checkout", "-q", "main")
    workspace = open_workspace(repository)
    with pytest.raises(GitFailed, match="unrelated histories"):
        workspace.start("mason/x", workspace.pin_base(None), "digest")


def test_keep__patch_applies_and_the_ref_holds_the_work(workspace: GitWorkspace, repository: Path, base: str) -> None:
    binary = bytes(range(256)) * 4
    with workspace.tree("t", base) as tree:
        write(tree.path, {"a.txt": "work\n", "new dir/ü.txt": "no newline"})
        (tree.path / "image").write_bytes(binary)
        (tree.path / "src/b.py").unlink()
        (tree.path / "link").symlink_to("a.txt")
        work = tree.snapshot()
    where = workspace.keep("add-it", base, work)
    patch, ref = where.split(" and ")
    assert ref == "refs/mason/wip/add-it"
    assert git(repository, "rev-parse", f"{ref}^{{tree}}", f"{ref}^") == f"{work}\n{base}"
    git(repository, "apply", "--index", patch)
    assert git(repository, "write-tree") == work
    assert (repository / "image").read_bytes() == binary


def test_keep__again_replaces(workspace: GitWorkspace, repository: Path, base: str) -> None:
    workspace.keep("x", base, snapshot_of(workspace, base, {"a.txt": "first\n"}))
    second = snapshot_of(workspace, base, {"a.txt": "second\n"})
    workspace.keep("x", base, second)
    assert git(repository, "rev-parse", "refs/mason/wip/x^{tree}") == second
    assert git(repository, "for-each-ref", "--format=%(refname)") == "refs/heads/main\nrefs/mason/wip/x"


def test_keep__nothing_to_keep(workspace: GitWorkspace, base: str, tmp_path: Path) -> None:
    assert workspace.keep("x", base, base) == ""
    assert not (tmp_path / "artifacts").exists()


def test_keep__ref_that_cannot_be_written_still_gives_the_patch(
    workspace: GitWorkspace, repository: Path, base: str, tmp_path: Path
) -> None:
    write(repository / ".git", {"refs/mason/wip": "in the way"})
    where = workspace.keep("../x y", base, snapshot_of(workspace, base, {"a.txt": "work\n"}))
    assert Path(where).parent == tmp_path / "artifacts"
    assert "+work" in Path(where).read_text()


def test_workspace__touches_nothing_of_the_users_but_branch_and_ref(repository: Path, open_workspace: Open) -> None:
    write(repository, {"a.txt": "dirty\n", "untracked": "x"})
    before = listing(repository)
    workspace = open_workspace(repository)
    base = workspace.pin_base(None)
    with workspace.tree("t", base.commit, branch="mason/x") as tree:
        write(tree.path, {"a.txt": "work\n"})
        snapshot = tree.snapshot()
        with workspace.fork("f", tree, snapshot) as fork:
            fork.restore(base.commit)
    made = workspace.commit(snapshot, base.commit, "Work", FIXED)
    workspace.start("mason/x", base, "digest")
    assert listing(repository) == before
    workspace.push(made, "mason/x")
    workspace.keep("x", base.commit, snapshot)
    workspace.close()
    after = listing(repository)
    new = {path for path in after.keys() - before.keys() if not path.startswith(".git/objects/")}
    assert {path for path in new if (repository / path).is_file()} == {
        ".git/refs/heads/mason/x",
        ".git/logs/refs/heads/mason/x",
        ".git/refs/mason/wip/x",
    }
    assert {path: after[path] for path in before} == before


def test_close__leaves_nothing_and_may_come_twice(workspace: GitWorkspace, base: str, tmp_path: Path) -> None:
    with workspace.tree("t", base) as tree:
        write(tree.path, {"locked/in/x": "1"})
        for directory in ("locked/in", "locked"):
            (tree.path / directory).chmod(0o500)
    assert (tmp_path / "run0").stat().st_mode & 0o777 == 0o700
    workspace.close()
    workspace.close()
    assert not (tmp_path / "run0").exists()


def test_open__in_what_a_killed_process_left(
    workspace: GitWorkspace, repository: Path, base: str, tmp_path: Path
) -> None:
    with workspace.tree("t", base):
        again = GitWorkspace(repository, tmp_path / "run0", tmp_path / "artifacts", ENVIRONMENT)
        with again.tree("t", again.pin_base(None).commit) as tree:
            assert again.changes(base, tree.snapshot()) == []
        again.close()


def test_tree__many_files(tmp_path: Path, open_workspace: Open) -> None:
    repository = new_repository(tmp_path / "r")
    stream = b"commit refs/heads/main\ncommitter A <a@b> 0 +0000\ndata 1\nx\n"
    stream += b"".join(b"M 644 inline d%d/f%d\ndata 2\n%d\n" % (n % 50, n, n % 10) for n in range(2000))
    subprocess.run(["git", "fast-import", "--quiet"], cwd=repository, input=stream, env=ENVIRONMENT, check=True)
    workspace = open_workspace(repository)
    base = workspace.pin_base(None)
    assert len(workspace.paths(base.commit)) == 2000
    with workspace.tree("t", base.commit) as tree:
        for number in range(0, 2000, 2):
            (tree.path / f"d{number % 50}/f{number}").write_text("changed\n")
        changes = workspace.changes(base.commit, tree.snapshot())
    assert len(changes) == 1000


def test_base__is_what_the_port_says(workspace: GitWorkspace, repository: Path) -> None:
    assert workspace.pin_base("main") == Base(commit=git(repository, "rev-parse", "main"), branch="main")
