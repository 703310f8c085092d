"""The user's repository, which Mason only reads: where it lies, its branches, its tags, its origin."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from app.domain.runs import Base
from app.errors import BadRepository, GitFailed
from app.workspace import compare
from app.workspace.git import Git, text
from app.workspace.gitdir import Storage

_NO_NAME = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|^[-/]|/$|\.lock$|^$")
_HASH = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """The user's repository. ``common_dir`` is its git directory, also when ``named`` is a linked worktree of it."""

    named: Path
    git: Git
    common_dir: Path
    storage: Storage
    origin_url: str | None

    @classmethod
    def open(cls, repository: Path, path: str) -> Source:
        """Find the repository of a checkout, a directory in it, or a bare repository. Raises BadRepository.

        Git directories are named explicitly, so a repository of another user's is read without being trusted.
        """
        found = _find(repository)
        git = Git(git_dir=found, path=path)
        try:
            answer = git.output("rev-parse", "--show-object-format", "--path-format=absolute", "--git-common-dir")
            config = _config(git)
        except GitFailed as problem:
            raise BadRepository(f"{repository} cannot be read as a git repository: {problem}") from problem
        object_format, _, common = answer.partition("\n")  # the path may hold newlines
        if config.keys() & {"extensions.partialclone", "remote.origin.promisor"}:
            raise BadRepository(f"{repository} is a partial clone, which lacks objects: use a full clone")
        shallow = Path(common) / "shallow"
        return cls(
            named=repository,
            git=git,
            common_dir=Path(common),
            storage=Storage(
                objects=Path(common) / "objects",
                object_format=object_format,
                shallow=shallow.read_bytes() if shallow.is_file() else b"",
            ),
            origin_url=config.get("remote.origin.url"),
        )

    def commit(self, revision: str) -> str | None:
        """The commit that a full ref name or hash stands for, None when there is none."""
        found = self.git.run("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}", allowed=(0, 1, 128))
        return text(found.stdout).strip() or None

    def branch_tip(self, branch: str) -> str | None:
        """The tip of a local branch, else of origin's branch of that name as last fetched."""
        return self.commit(f"refs/heads/{branch}") or self.commit(f"refs/remotes/origin/{branch}")

    def read(self, commit: str, path: str) -> bytes | None:
        """A regular file's content in a commit, None when there is none."""
        return compare.read(self.git, commit, path)

    def tags(self) -> dict[str, str]:
        """Every tag: full ref name → object."""
        return self._refs("refs/tags")

    def fetched(self) -> dict[str, str]:
        """Every branch of origin's as last fetched: full ref name → commit."""
        return {name: commit for name, commit in self._refs("refs/remotes/origin").items() if name[-5:] != "/HEAD"}

    def _refs(self, prefix: str) -> dict[str, str]:
        lines = self.git.output("for-each-ref", "--format=%(objectname) %(refname)", prefix).splitlines()
        return {name: commit for commit, _, name in (line.partition(" ") for line in lines)}

    def pin(self, branch: str | None) -> Base:
        """The commit that ``branch`` stands for: a local branch, a branch of origin, a tag or a full commit id.

        None is the branch that origin calls its default (as known since the clone), else the one that is checked out.
        A local branch wins over origin's of the same name: what the user has here is what is worked on.
        Raises BadRepository with a sentence.
        """
        name = (branch or self._default_branch()).removeprefix("refs/heads/")
        if _NO_NAME.search(name):
            raise BadRepository(f"{name!r} is no branch name")
        commit = self.branch_tip(name) or self.commit(f"refs/tags/{name}")
        if commit is None and _HASH.fullmatch(name):
            commit = self.commit(name)
        if commit is None:
            raise BadRepository(self._without(name, asked=branch is not None))
        return Base(commit=commit, branch=name)

    def _default_branch(self) -> str:
        origin = self.git.run("symbolic-ref", "--quiet", "refs/remotes/origin/HEAD", allowed=(0, 1, 128)).stdout
        name = text(origin).strip().removeprefix("refs/remotes/origin/")
        if name and self.branch_tip(name):
            return name
        head = text(self.git.run("symbolic-ref", "--quiet", "HEAD", allowed=(0, 1, 128)).stdout).strip()
        if not head:
            raise BadRepository(f"{self.named} has no branch checked out (detached HEAD): name the base with --base")
        return head.removeprefix("refs/heads/")

    def _without(self, name: str, *, asked: bool) -> str:
        if not self.git.output("for-each-ref", "--count=1", "refs/heads", "refs/remotes", "refs/tags"):
            return f"{self.named} has no commits yet: make a first one, then run Mason again"
        if asked:
            return f"{self.named} has no branch, tag or commit {name}"
        return f"{self.named} is on the branch {name}, which has no commits: name the base with --base"


def _find(repository: Path) -> Path:
    """The git directory, or the ``.git`` file that names it."""
    if not repository.is_dir():
        raise BadRepository(f"{repository} is not a directory")
    start = repository.resolve()
    for directory in (start, *start.parents):
        if (directory / ".git").exists():
            return directory / ".git"
        if (directory / "HEAD").is_file() and (directory / "objects").is_dir() and (directory / "refs").is_dir():
            return directory
    raise BadRepository(f"{repository} is not in a git repository")


def _config(git: Git) -> dict[str, str]:
    wanted = r"^(extensions\.partialclone|remote\.origin\.(promisor|url))$"
    found = git.run("config", "-z", "--get-regexp", wanted, allowed=(0, 1))
    pairs = (record.partition("\n") for record in text(found.stdout).split("\0") if record)
    return {key.lower(): value for key, _, value in pairs}
