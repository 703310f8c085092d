"""Making commits and merging, with objects alone: no work tree, index or branch takes part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.errors import GitFailed, MergeConflict
from app.workspace.git import Git, complaint, text
from app.workspace.gitdir import Identity

TRAILER = "Mason-Approval"
"""The commit message's trailer that names the digest of what was approved."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Committer:
    """Makes commit objects by one identity; the same arguments give the same commit."""

    git: Git
    identity: Identity

    def commit(self, tree: str, parents: Sequence[str], message: str, seconds: int) -> str:
        """``seconds`` since 1970, written in UTC. Raises GitFailed."""
        who = self.identity
        date = f"@{seconds} +0000"
        return self.git.output(
            "commit-tree",
            *(argument for parent in parents for argument in ("-p", parent)),
            f"{tree}^{{tree}}",
            stdin=message.replace("\0", "").encode("utf-8", "replace").rstrip() + b"\n",
            extra={
                "GIT_AUTHOR_NAME": who.name,
                "GIT_AUTHOR_EMAIL": who.email,
                "GIT_AUTHOR_DATE": date,
                "GIT_COMMITTER_NAME": who.name,
                "GIT_COMMITTER_EMAIL": who.email,
                "GIT_COMMITTER_DATE": date,
            },
        )

    def commit_at(self, tree: str, parent: str, message: str, at: datetime) -> str:
        """A commit dated ``at``, to the second."""
        return self.commit(tree, (parent,), message, int(at.timestamp()))

    def merge_trees(self, start: str, ours: str, theirs: str) -> str:
        """Merge two git trees that both come from ``start``. Raises MergeConflict."""
        start, ours, theirs = (self._tree_id(tree) for tree in (start, ours, theirs))
        if ours in (start, theirs):
            return theirs
        if theirs == start:
            return ours
        # This version of git finds the common ancestor of commits only: throw-away ones give the trees one.
        common = self.commit(start, (), "start", 0)
        return self._merge(self.commit(ours, (common,), "ours", 0), self.commit(theirs, (common,), "theirs", 0))

    def merge_commits(self, ours: str, theirs: str, message: str) -> str:
        """The merge of two commits, ``ours`` as first parent, dated like the younger. Raises MergeConflict."""
        dates = self.git.output("log", "--no-walk", "--format=%ct", ours, theirs).split()
        return self.commit(self._merge(ours, theirs), (ours, theirs), message, max(map(int, dates)))

    def is_ancestor(self, older: str, younger: str) -> bool:
        found = self.git.run("merge-base", "--is-ancestor", older, younger, allowed=(0, 1))
        return found.exit_code == 0

    def holds(self, tip: str, commit: str) -> bool:
        """Whether ``commit``, which may be unknown here, is ``tip`` or an ancestor of it."""
        return self.git.run("merge-base", "--is-ancestor", commit, tip, allowed=(0, 1, 128)).ok

    def common(self, one: str, other: str) -> str:
        """The newest commit that both build on. Raises GitFailed when there is none."""
        return self.git.output("merge-base", one, other)

    def approved_commit(self, base: str, tip: str, approval: str) -> str | None:
        """The newest commit in ``base..tip`` whose trailer names this approval."""
        pattern = f"--format=%H%n%(trailers:key={TRAILER},valueonly)"
        for record in self.git.records("log", "-z", pattern, f"{base}..{tip}", "--"):
            commit, *values = record.split("\n")
            if approval in (value.strip() for value in values if value.strip()):
                return commit
        return None

    def _merge(self, ours: str, theirs: str) -> str:
        merged = self.git.run(
            "merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", ours, theirs, allowed=(0, 1)
        )
        tree, *paths = text(merged.stdout).rstrip("\0").split("\0")
        if merged.exit_code == 0:
            return tree
        if not tree:
            raise GitFailed(f"git merge-tree failed: {complaint(merged)}")
        raise MergeConflict(tuple(dict.fromkeys(paths)))

    def _tree_id(self, tree: str) -> str:
        return self.git.output("rev-parse", "--verify", f"{tree}^{{tree}}")
