"""The workspace on real git: the run's own git directory, its trees, and the way back to the user's repository."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from datetime import datetime
from functools import cached_property
from pathlib import Path
from uuid import uuid4

from app.domain.runs import Base
from app.errors import GitFailed
from app.ports.workspace import Change, CommitObject, Start, Tree, TreeEntry
from app.removal import remove
from app.workspace import compare
from app.workspace.files import GitFiles
from app.workspace.git import Git
from app.workspace.gitdir import MASON, Identity, make_git_dir, make_readable
from app.workspace.images import keep_images
from app.workspace.merging import Committer
from app.workspace.push import push_branch, push_wip
from app.workspace.remote import BASE_REFS, Remote
from app.workspace.source import Source
from app.workspace.tree import GitTree, make_tree_directory
from app.workspace.user_pool import UserPool

log = logging.getLogger("mason")

WIP_REFS = "refs/mason/wip/"


class GitWorkspace:
    """Implements `app.ports.workspace.Workspace`.

    ``repository`` is the user's checkout, a directory in it, or a bare repository. It is only read, but for a pushed
    branch and the ref of kept work: new objects go to a git directory in ``run_dir`` that borrows the repository's.
    ``run_dir`` is this run's own and should lie outside of every checkout, or tools find the user's packages on their
    way up. ``artifacts_dir`` takes the patches of kept work. ``environ`` says where programs are (``PATH``). With a
    ``remote``, branches are those that it has at the moment, and go there; the repository only lends its objects. With
    ``users``, each tree belongs to one of theirs while it lives, and commands in it run as that user. ``keeps`` is the
    name of a tree that stays when it is left, and ``run_dir`` with it.

    Raises BadRepository when there is no repository.
    """

    def __init__(
        self,
        repository: Path,
        run_dir: Path,
        artifacts_dir: Path,
        environ: Mapping[str, str],
        *,
        remote: Remote | None = None,
        users: UserPool | None = None,
        identity: Identity = MASON,
        keeps: str | None = None,
    ) -> None:
        path = environ.get("PATH", "/usr/local/bin:/usr/bin:/bin")
        self._remote = remote
        self._users = users
        self._source = Source.open(repository, path)
        self._run_dir = run_dir.absolute()
        self._artifacts = artifacts_dir.absolute()
        self._identity = identity
        self._keeps = keeps
        self._base: Base | None = None
        self._git = Git(git_dir=self._run_dir / "git", path=path)
        self._committer = Committer(git=self._git, identity=identity)
        self._removals = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mason-removal")
        self._run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in ("git", "trees", "indexes", "trash"):
            if (self._run_dir / name).exists():  # left by a process that was killed under the same run
                remove(self._run_dir / name, path)
            (self._run_dir / name).mkdir(mode=0o700)
        # Git tells a remote what is there already only by refs: those that the repository has fetched.
        refs = self._source.fetched() if remote else {}
        make_git_dir(self._git.git_dir, storage=self._source.storage, identity=identity, refs=refs)
        if users:
            self._admit(users)

    def origin_url(self) -> str | None:
        """The URL of the repository's remote ``origin``, as configured."""
        return self._source.origin_url

    def pin_base(self, branch: str | None, commit: str | None = None) -> Base:
        """The tip of ``branch``, else of the default branch (see `Source.pin`). Raises BadRepository.

        ``commit`` is one that was pinned before: it stays, unless the branch has been rewritten without it.
        """
        if self._remote:
            name = branch or self._source.pin(None).branch
            shallow = bool(self._source.storage.shallow)
            tip = self._remote.fetch_branch(self._git, name, unshallow=shallow)
            if tip is None:
                raise self._remote.missing(name)
            self._base = Base(commit=tip, branch=name)
            self._remote.fetch(self._git, "+refs/tags/*:refs/tags/*")
        else:
            self._base = self._source.pin(branch)
        if commit and self._committer.holds(self._base.commit, commit):
            self._base = Base(commit=commit, branch=self._base.branch)
        return self._base

    def now(self, base: Base) -> Base:
        """Where the base's branch is at this moment. Raises GitFailed, BadRepository when the branch is gone."""
        if self._remote is None:
            return self._source.pin(base.branch)
        tip = self._remote.fetch_branch(self._git, base.branch)
        if tip is None:
            raise self._remote.missing(base.branch)
        return Base(commit=tip, branch=base.branch)

    def read(self, commit: str, path: str) -> bytes | None:
        """A regular file's content in a commit (links are not followed), None when there is none."""
        return compare.read(self._git, commit, path)

    def paths(self, commit: str) -> list[str]:
        """Every path in a commit, submodules included, sorted."""
        return sorted(path for _, _, path in compare.entries(self._git, commit))

    def files(self, tree: str) -> GitFiles:
        """The files of a git tree or commit, for whoever has to look at many of them."""
        return GitFiles(self._git, tree)

    def start(self, branch: str, base: Base, approval: str) -> Start:
        """Where work on this branch starts: see `app.ports.workspace.Workspace.start`. Raises MergeConflict.

        The branch is looked for on the remote; without one in the user's repository: its own, else origin's as last
        fetched.
        """
        tip = self._remote.fetch_branch(self._git, branch) if self._remote else self._source.branch_tip(branch)
        if tip is None or self._committer.is_ancestor(tip, base.commit):
            return Start(commit=base.commit)
        published = self._committer.approved_commit(base.commit, tip, approval) if approval else None
        if published:
            return Start(commit=self._committer.common(base.commit, published), published=published)
        if self._committer.is_ancestor(base.commit, tip):
            return Start(commit=tip)
        merge = self._committer.merge_commits(tip, base.commit, f"Merge {base.branch} into {branch}")
        return Start(commit=merge)

    @contextmanager
    def tree(self, name: str, commit: str, *, branch: str = "") -> Iterator[Tree]:
        """A new tree checked out from ``commit``, removed on leaving. Raises GitFailed."""
        with self._checked_out(name, commit, content=commit, branch=branch) as tree:
            yield tree

    @contextmanager
    def fork(self, name: str, tree: Tree, snapshot: str) -> Iterator[Tree]:
        """A tree of its own with the content of a snapshot of ``tree``; what that one forgot is forgotten here too."""
        branch = tree.branch if isinstance(tree, GitTree) else ""
        with self._checked_out(name, tree.start, content=snapshot, branch=branch) as fork:
            fork.forgotten = tree.forgotten if isinstance(tree, GitTree) else frozenset()
            yield fork

    def merge(self, start: str, ours: str, theirs: str) -> str:
        """Merge two git trees that both come from the git tree ``start``. Raises MergeConflict."""
        return self._committer.merge_trees(start, ours, theirs)

    def changes(self, before: str, after: str) -> list[Change]:
        """What differs between two git trees or commits, sorted by path; a rename is a deletion and an addition."""
        return compare.changes(self._git, before, after)

    def diff(self, before: str, after: str, *, limit: int = 200_000) -> str:
        """The unified diff as text, cut at ``limit`` characters; binary files are shown as text too."""
        return compare.diff(self._git, before, after, limit)

    def commit(self, tree: str, parent: str, message: str, at: datetime) -> str:
        """Make a commit object on no branch, deterministic for the same arguments."""
        return self._committer.commit_at(tree, parent, message, at)

    def keep(self, item_slug: str, start: str, tree: str) -> str:
        """Keep unfinished work as a patch file and, where that works, under ``refs/mason/wip/<slug>`` for people.

        Earlier work kept under this slug is replaced. Returns where it is, an empty string when there was no work.
        """
        if not self.changes(start, tree):
            return ""
        name = _file_name(item_slug)
        self._artifacts.mkdir(parents=True, exist_ok=True)
        patch = self._artifacts / f"{name}.patch"
        compare.write_patch(self._git, start, tree, patch)
        seconds = int(self._git.output("log", "--no-walk", "--format=%ct", start))
        commit = self._committer.commit(tree, (start,), f"Unfinished work on {name}", seconds)
        kept_ref = push_wip(self._git, self._remote or self._source, commit, WIP_REFS + name)
        return f"{patch} and {WIP_REFS}{name}" if kept_ref else str(patch)

    def keep_images(self, item_slug: str, directory: Path) -> list[str]:
        """Keep the PNG files of a directory that a command wrote. Returns where each is."""
        return keep_images(directory, self._artifacts / _file_name(item_slug))

    def fetch_pull_request(self, number: int) -> str:
        """Fetch the head of a pull request, a fork's included; its commit. Raises GitFailed."""
        ref = f"refs/mason/pull/{number}"
        if self._remote is None or not self._remote.fetch(self._git, f"+refs/pull/{number}/head:{ref}"):
            raise GitFailed(f"there is no head of a pull request {number} to fetch")
        return self._git.output("rev-parse", "--verify", f"{ref}^{{commit}}")

    def push(self, commit: str, branch: str) -> None:
        """Push a commit to a branch of the remote (of the repository without one), never with force.

        Raises GitFailed with a sentence.
        """
        push_branch(self._git, self._remote or self._source, commit, branch)

    def lineage(self, commit: str, branch: str) -> list[CommitObject]:
        """The commits that ``commit`` adds to what base and ``branch`` were when last fetched, parents first."""
        known = [f"--glob={BASE_REFS}*"] if self._remote else [tip for tip in (self._source.branch_tip(branch),) if tip]
        known += [self._base.commit] if self._base else []
        records = self._git.records(
            "log", "-z", "--reverse", "--topo-order", "--format=%H%n%T%n%P%n%B", commit, "--not", *known, "--"
        )
        return [_commit_object(record) for record in records]

    def entries(self, before: str, after: str) -> list[TreeEntry]:
        """What differs between two git trees or commits, as git stores it; sorted by path."""
        return compare.stored(self._git, before, after)

    def blob(self, object_id: str) -> bytes:
        """The content of a blob. Raises GitFailed."""
        return self._git.run("cat-file", "blob", object_id).stdout

    def close(self) -> None:
        """Remove everything of this run, or let nobody but us into what is kept; once or again."""
        self._removals.shutdown()
        if self._keeps is None:
            remove(self._run_dir, self._git.path)
            return
        self._run_dir.chmod(0o700)
        for name in ("indexes", "trash"):
            remove(self._run_dir / name, self._git.path)

    @contextmanager
    def _checked_out(self, name: str, commit: str, *, content: str, branch: str) -> Iterator[GitTree]:
        path = self._run_dir / "trees" / name
        index = self._run_dir / "indexes" / name
        if "/" in name or path.exists() or path.is_symlink():
            raise GitFailed(f"a tree cannot be made under the name {name!r}, or is there already")
        branch = branch or self._base_branch
        with self._users.lease() if self._users else nullcontext() as user:
            make_tree_directory(path, user)
            tree = GitTree(git=self._git.on(path, index), path=path, start=commit, branch=branch, user=user)
            try:
                tree.check_out(content)
                tree.furnish(self._source.storage, self._git.git_dir / "objects", self._refs, self._identity)
                yield tree
            finally:
                index.unlink(missing_ok=True)
                if name == self._keeps:
                    _take_back(path)
                else:
                    self._discard(path)

    def _admit(self, pool: UserPool) -> None:
        """Let the users of trees get to these, and read the objects that the ``.git`` in them borrows."""
        for directory in (self._run_dir, self._run_dir / "trees"):
            pool.admit(directory)
        make_readable(self._git.git_dir)
        for objects in (self._source.storage.objects, self._git.git_dir / "objects"):
            if not pool.can_read(objects):
                log.warning("The users of trees cannot read %s: git will not work for agent and checks", objects)

    def _discard(self, path: Path) -> None:
        """Move a tree aside, so that its name is free at once, and remove it while the run goes on."""
        aside = self._run_dir / "trash" / uuid4().hex
        try:
            path.rename(aside)
        except FileNotFoundError:  # its own commands have removed it
            return
        self._removals.submit(remove, aside, self._git.path)

    @property
    def _base_branch(self) -> str:
        return self._base.branch if self._base else "main"

    @cached_property
    def _tags(self) -> dict[str, str]:
        own = self._git.output("for-each-ref", "--format=%(objectname) %(refname)", "refs/tags").splitlines()
        return self._source.tags() | {name: commit for commit, _, name in (line.partition(" ") for line in own)}

    @property
    def _refs(self) -> dict[str, str]:
        """What tools see beside their own branch: the base, as local branch and as origin's, and the tags."""
        if self._base is None:
            return self._tags
        base = {f"{place}/{self._base.branch}": self._base.commit for place in ("refs/heads", "refs/remotes/origin")}
        return {**base, **self._tags}


def _take_back(path: Path) -> None:
    """A tree that stays is ours from now on: its user gets another tree. Its commands are dead, so nothing races."""
    if path.is_dir() and not path.is_symlink():
        path.chmod(0o700)
        os.chown(path, os.geteuid(), os.getegid())


def _file_name(item_slug: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", item_slug).strip(".") or "work"


def _commit_object(record: str) -> CommitObject:
    commit, tree, parents, message = record.split("\n", 3)
    return CommitObject(id=commit, tree=tree, parents=tuple(parents.split()), message=message)
