"""A repository on this machine as the web app sees it, without GitHub."""

from __future__ import annotations

from collections.abc import Callable

from app.domain.runs import Base
from app.errors import UsageError
from app.ports.forge import PullRequest
from app.ports.repository import Permission, Reaction


class LocalRepository:
    """Implements `app.ports.repository.Repository`, and `Repositories`: there is only itself.

    ``pin`` gives the tip of a branch (of the default branch for None) and raises UsageError; ``read`` a file's content
    at a commit. ``name`` is ``owner/name`` where the origin tells it.
    """

    check_runs = None

    def __init__(
        self,
        pin: Callable[[str | None], Base],
        read: Callable[[str, str], bytes | None],
        name: str | None = None,
    ) -> None:
        self._pin = pin
        self._read = read
        self._name = name

    @property
    def name(self) -> str | None:
        return self._name

    def named(self, name: str | None) -> LocalRepository:
        """Itself, by its name or by none. Raises UsageError for any other."""
        if name is not None and name.lower() != (self._name or "").lower():
            raise UsageError(f"Mason works on {self._name or 'a local repository'} here, and has no way to {name}")
        return self

    def base(self, branch: str | None = None) -> Base:
        return self._pin(branch)

    def read(self, commit: str, path: str) -> bytes | None:
        return self._read(commit, path)

    def pull_request(self, number: int) -> PullRequest:
        """Raises UsageError: there are none."""
        raise UsageError(f"There is no pull request {number}: no forge is configured (set MASON_GITHUB_TOKEN)")

    def permission(self, login: str) -> Permission | None:  # noqa: ARG002 - nobody can be asked for
        """Nobody is known."""
        return None

    def react(self, comment_id: int, reaction: Reaction) -> None:
        """There are no comments."""

    def say(self, number: int, marker: str, text: str, *, dispensable: bool = False) -> str:  # noqa: ARG002
        """There is nowhere to say it."""
        return ""
