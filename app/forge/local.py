"""The forge without a forge: branches go to the user's own repository, and nobody opens a pull request."""

from __future__ import annotations

from collections.abc import Callable

from app.errors import GitFailed, UsageError
from app.ports.forge import Publication, Published, PullRequest

Push = Callable[[str, str], None]
"""(commit, branch): pushes without force, raises GitFailed."""


class LocalForge:
    """Implements `app.ports.forge.Forge`. ``repository_name`` is the repository's ``owner/name``."""

    check_runs = None

    def __init__(self, push: Push, repository_name: str | None = None) -> None:
        self._push = push
        self._name = repository_name

    @property
    def repository(self) -> str | None:
        """``owner/name`` where the origin tells it."""
        return self._name

    def default_branch(self) -> str | None:
        """Only the repository knows."""
        return None

    def require_access(self) -> None:
        """The repository is the user's own."""

    def publish(self, publication: Publication) -> Published:
        """Push the commit to its branch. Idempotent because a branch that holds the commit is left as it is."""
        outcome = publication.outcome
        if not outcome.commit or not outcome.branch:
            raise GitFailed(f"there is no commit to publish for {publication.item.title[:80]!r}")
        self._push(outcome.commit, outcome.branch)
        return Published(branch=outcome.branch, commit=outcome.commit)

    def pull_request(self, number: int) -> PullRequest:
        """Raises UsageError: there are none."""
        raise UsageError(f"There is no pull request {number}: no forge is configured (set MASON_GITHUB_TOKEN)")
