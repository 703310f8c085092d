"""Trees with users of their own: whose files are whose, and what a hostile owner of a tree gains."""

from __future__ import annotations

import fcntl
import os
import signal
import stat
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app import process, users
from app.errors import GitFailed, UsageError
from app.ports.workspace import Tree
from app.process import Finished
from app.workspace.user_pool import UserPool
from app.workspace.worktrees import GitWorkspace
from tests.other_users import IDS, needs_root, user_pool
from tests.unit.test_users import living
from tests.unit.workspace.repositories import commit, git, new_repository

pytestmark = needs_root
TIME = datetime(2026, 1, 1, tzinfo=UTC)
ENVIRON = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
FILES = {"a.txt": "one\ntwo\nthree\n", "src/b.py": "b = 1\n", "src/deep/c.py": "c = 1\n", ".gitignore": "*.log\n"}


@pytest.fixture
def repository(data_root: Path) -> Path:
    return new_repository(data_root / "repository", FILES)


@pytest.fixture
def open_workspace(data_root: Path) -> Iterator[Callable[..., GitWorkspace]]:
    opened: list[GitWorkspace] = []

    def open_it(repository: Path, pool: UserPool | None = None) -> GitWorkspace:
        run_dir = data_root / f"run{len(opened)}"
        pool = pool or user_pool()
        opened.append(GitWorkspace(repository, run_dir, data_root / "artifacts", ENVIRON, users=pool))
        return opened[-1]

    yield open_it
    for workspace in opened:
        workspace.close()


@pytest.fixture
def workspace(repository: Path, open_workspace: Callable[..., GitWorkspace]) -> GitWorkspace:
    return open_workspace(repository)


@pytest.fixture
def base(workspace: GitWorkspace) -> str:
    return workspace.pin_base(None).commit


def sh(tree: Tree | Path, script: str) -> Finished:
    """A command of the tree's."""
    path = tree if isinstance(tree, Path) else tree.path
    return process.run(["sh", "-c", script], cwd=path, env=ENVIRON, timeout=60, contained=True)


def owners(tree: Tree) -> set[tuple[int, int]]:
    found = {(status.st_uid, status.st_gid) for status in [tree.path.lstat()]}
    for directory, directories, files in os.walk(tree.path):
        for name in (*directories, *files):
            status = Path(directory, name).lstat()
            found.add((status.st_uid, status.st_gid))
    return found


def user_of(tree: Tree) -> int:
    return tree.path.stat().st_uid


EDIT_ALL = "find . -path ./.git -prune -o -type f -exec sh -c 'for f; do echo x >> \"$f\" || exit 1; done' sh {} +"


def test_tree__and_everything_in_it_is_one_users(workspace: GitWorkspace, base: str) -> None:
    with workspace.tree("one", base) as tree:
        user = user_of(tree)
        assert user in IDS
        assert owners(tree) == {(user, user)}
        assert stat.S_IMODE(tree.path.stat().st_mode) == 0o700
        assert tree.path.parent.stat().st_uid == 0
        assert sh(tree, "id -u").text == f"{user}\n"
        assert sh(tree, f"{EDIT_ALL}; mkdir src/new && touch src/new/x").ok
        assert sh(tree, "rmdir . || mv ../one ../two || rm -rf ../one").ok is False or tree.path.is_dir()


def test_tree__each_has_another_user(workspace: GitWorkspace, base: str) -> None:
    with workspace.tree("one", base) as one, workspace.tree("two", base) as two:
        assert user_of(one) != user_of(two)
        for command in (f"cat {two.path}/a.txt", f"echo x > {two.path}/new", f"ls {two.path}", f"ls {two.path.parent}"):
            done = sh(one, command)
            assert (done.ok, done.stdout) == (False, b""), command
        assert sh(one, f"ln -s {two.path}/a.txt link; echo x >> link").ok is False
        assert (two.path / "a.txt").read_text() == FILES["a.txt"]


def test_tree__its_user_gets_at_no_directory_of_masons(workspace: GitWorkspace, base: str) -> None:
    with workspace.tree("one", base) as tree:
        run_dir = tree.path.parent.parent
        for place in ("indexes", "trash", "."):
            assert not sh(tree, f"ls {run_dir}/{place}").ok
        for place in ("git", "git/objects", "trees", "."):
            assert not sh(tree, f"touch {run_dir}/{place}/x").ok
        assert not sh(tree, f"cat {run_dir}/indexes/one").ok


def test_tree__git_works_for_its_user(workspace: GitWorkspace, base: str, repository: Path) -> None:
    git(repository, "tag", "v1")
    with workspace.tree("one", base, branch="mason/x") as tree:
        sh(tree, "echo x >> a.txt")
        assert sh(tree, "git status --short").text == " M a.txt\n"
        assert sh(tree, "git log --format=%H").text.strip() == base
        assert sh(tree, "git -c user.name=a -c user.email=a@b commit -qam x && git describe --tags").text.startswith(
            "v1-1-"
        )


def test_restore__files_are_the_users_again(workspace: GitWorkspace, base: str) -> None:
    with workspace.tree("one", base) as tree:
        before = tree.snapshot()
        assert sh(tree, "rm -rf src a.txt; mkdir a.txt; ln -s / src; chmod 500 .").ok
        tree.restore(before)
        assert owners(tree) == {(user_of(tree), user_of(tree))}
        assert tree.snapshot() == before
        assert sh(tree, f"chmod 700 .; {EDIT_ALL}; touch src/deep/new").ok


def test_restore__a_directory_that_nobody_may_enter(workspace: GitWorkspace, base: str) -> None:
    with workspace.tree("one", base) as tree:
        sh(tree, "echo x > src/deep/d.py; chmod 000 src/deep src; chmod 000 a.txt")
        tree.restore(base)
        assert tree.snapshot() == workspace._git.output("rev-parse", f"{base}^{{tree}}")


def test_fork_and_merge__content_comes_along_and_belongs_to_the_new_user(workspace: GitWorkspace, base: str) -> None:
    with workspace.tree("item", base) as tree:
        sh(tree, "echo more > src/new.py; echo x >> a.txt")
        start = tree.snapshot()
        with workspace.fork("task", tree, start) as fork:
            assert user_of(fork) != user_of(tree)
            assert owners(fork) == {(user_of(fork), user_of(fork))}
            assert sh(fork, "echo y >> src/new.py && echo z > src/deep/z.py").ok
            theirs = fork.snapshot()
        sh(tree, "echo mine > mine.txt")
        tree.restore(workspace.merge(start, tree.snapshot(), theirs))
        assert owners(tree) == {(user_of(tree), user_of(tree))}
        assert sh(tree, "cat src/new.py mine.txt src/deep/z.py").text == "more\ny\nmine\nz\n"
        assert sh(tree, EDIT_ALL).ok


@pytest.mark.parametrize("umask", [0o077, 0o000])
def test_tree__whatever_masons_umask_is(
    repository: Path, open_workspace: Callable[..., GitWorkspace], umask: int
) -> None:
    before = os.umask(umask)
    try:
        workspace = open_workspace(repository)
        with workspace.tree("one", workspace.pin_base(None).commit) as tree:
            assert sh(tree, EDIT_ALL).ok
            mine = workspace.commit(tree.snapshot(), tree.start, "x", TIME)
            assert sh(tree, f"git diff --quiet {mine} && git status").ok
            assert stat.S_IMODE(tree.path.stat().st_mode) == 0o700
            with workspace.tree("two", tree.start) as other:
                assert not sh(other, f"cat {tree.path}/a.txt").ok
    finally:
        os.umask(before)


def test_snapshot__a_hard_link_to_a_file_of_roots_is_removed(
    workspace: GitWorkspace, base: str, data_root: Path
) -> None:
    """Where the kernel does not protect hard links, the tree's user makes these itself; here root has to."""
    secret = data_root / "secret"
    secret.write_text("s3cret")
    secret.chmod(0o600)
    with workspace.tree("one", base) as tree:
        before = tree.snapshot()
        (tree.path / "a.txt").unlink()
        for name in ("a.txt", "new.txt", "src/deep/new.txt"):
            os.link(secret, tree.path / name)
        taken = tree.snapshot()
        assert [change.path for change in workspace.changes(before, taken)] == ["a.txt"]
        assert b"s3cret" not in (workspace.read(workspace.commit(taken, base, "x", TIME), "a.txt") or b"")
        assert not (tree.path / "new.txt").exists()
        os.link(secret, tree.path / "again.txt")
        tree.restore(before)
        assert not (tree.path / "again.txt").exists()
        assert (tree.path / "a.txt").read_text() == FILES["a.txt"]
    assert (secret.read_text(), secret.stat().st_uid, secret.stat().st_nlink) == ("s3cret", 0, 1)


def test_restore__an_ignored_hard_link_stays_roots(workspace: GitWorkspace, base: str, data_root: Path) -> None:
    secret = data_root / "secret"
    secret.write_text("s3cret")
    secret.chmod(0o600)
    with workspace.tree("one", base) as tree:
        os.link(secret, tree.path / "hidden.log")
        sh(tree, "echo x >> a.txt")
        tree.restore(base)
        assert (tree.path / "hidden.log").stat().st_uid == 0
        assert not sh(tree, "cat hidden.log").ok


def test_snapshot__fifos_links_and_setuid_files(workspace: GitWorkspace, base: str) -> None:
    with workspace.tree("one", base) as tree:
        sh(tree, "mkfifo src/fifo .gitmodules; ln -s /etc/shadow shadow; ln -s /etc etc; chmod 6755 a.txt")
        changes = {change.path: change.target for change in workspace.changes(base, tree.snapshot())}
        assert changes == {"shadow": "/etc/shadow", "etc": "/etc", "a.txt": None}


def test_tree__nothing_lives_when_it_is_left(workspace: GitWorkspace, base: str) -> None:
    with workspace.tree("one", base) as tree:
        user = user_of(tree)
        # A process of the user's that no contained command has started, as a killed runner leaves one.
        left = subprocess.Popen([*users.as_user(user), "setsid", "sleep", "600"])
        while len(living(user)) != 1:
            pass
    assert left.wait(60) == -signal.SIGKILL


def test_tree__what_its_user_left_where_everybody_writes_is_removed(workspace: GitWorkspace, base: str) -> None:
    with workspace.tree("one", base) as tree:
        user = user_of(tree)
        left = [Path("/tmp") / f"left-by-{user}", Path("/dev/shm") / f"left-by-{user}"]
        assert sh(tree, "; ".join(f"mkdir {place} && touch {place}/x" for place in left)).ok
        assert all(place.is_dir() for place in left)
    assert not any(place.exists() for place in left)


def test_pool__nobody_has_an_id_that_is_taken(
    repository: Path, open_workspace: Callable[..., GitWorkspace], data_root: Path
) -> None:
    """Two runners with a pool of one, on one machine: the second gets it when the first has given it back."""
    one, two = (open_workspace(repository, user_pool(range(61512, 61513), data_root / "locks")) for _ in range(2))
    commit_id = one.pin_base(None).commit
    with one.tree("a", commit_id) as tree:
        assert user_of(tree) == 61512
        for workspace in (one, two):
            with pytest.raises(GitFailed, match="MASON_USERS"), workspace.tree("b", commit_id):
                pass
    with two.tree("b", commit_id) as tree:
        assert user_of(tree) == 61512


def test_pool__what_a_killed_runner_left_is_ended_at_the_next_start(data_root: Path) -> None:
    left = [subprocess.Popen([*users.as_user(user), "sleep", "600"]) for user in (61513, 61514)]
    while any(b"sleep" not in Path(f"/proc/{each.pid}/cmdline").read_bytes()[:6] for each in left):
        pass
    taken = os.open(data_root / "61514", os.O_CREAT | os.O_RDWR)
    fcntl.flock(taken, fcntl.LOCK_EX)  # as a runner does that lives
    user_pool(range(61513, 61515), data_root)
    os.close(taken)
    try:
        left[0].wait(60)  # its code may be lost: whoever kills reaps what is a child of this process
        assert left[1].poll() is None
    finally:
        left[1].kill()
        left[1].wait()


def test_pool__ids_of_people_are_refused(data_root: Path) -> None:
    with pytest.raises(UsageError, match="has one of these user ids"):
        user_pool(range(65000, 65535), data_root / "locks")  # nobody


def test_workspace__a_place_that_users_cannot_reach_is_refused(repository: Path, data_root: Path) -> None:
    (data_root / "private").mkdir(mode=0o700)
    with pytest.raises(UsageError, match="MASON_RUNS_DIR"):
        GitWorkspace(repository, data_root / "private" / "run", data_root / "artifacts", ENVIRON, users=user_pool())
    assert stat.S_IMODE((data_root / "private").stat().st_mode) == 0o700


def test_workspace__says_when_git_will_not_work_for_tools(
    repository: Path, open_workspace: Callable[..., GitWorkspace], caplog: pytest.LogCaptureFixture
) -> None:
    repository.chmod(0o700)
    workspace = open_workspace(repository)
    assert "git will not work" in caplog.text
    with workspace.tree("one", workspace.pin_base(None).commit) as tree:
        assert sh(tree, EDIT_ALL).ok
        assert tree.snapshot() != tree.start


def test_tree__a_new_commit_of_the_repositorys_is_seen(workspace: GitWorkspace, base: str, repository: Path) -> None:
    newer = commit(repository, {"n.txt": "n"})
    with workspace.tree("one", newer) as tree:
        assert sh(tree, "git log --format=%H -1").text.strip() == newer
