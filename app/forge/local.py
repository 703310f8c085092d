"""The forge without a forge: branches go to the user's own repository, and nobody opens a pull request."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from app.domain.items import Item
from app.domain.results import Outcome
from app.domain.runs import Base
from app.errors import GitFailed
from app.ports.forge import Published

Push = Callable[[str, str, str], None]
"""(remote, commit, branch): pushes without force, raises GitFailed."""


class LocalForge:
    """Implements `app.ports.forge.Forge`. ``repository`` is the user's, ``repository_name`` its ``owner/name``."""

    def __init__(self, repository: Path, push: Push, repository_name: str | None = None) -> None:
        self._path = repository
        self._push = push
        self._name = repository_name

    @property
    def repository(self) -> str | None:
        """``owner/name`` where the origin tells it."""
        return self._name

    def publish(self, item: Item, base: Base, outcome: Outcome) -> Published:  # noqa: ARG002 - the port's
        """Push the commit to its branch. Idempotent because a branch that holds the commit is left as it is."""
        if not outcome.commit or not outcome.branch:
            raise GitFailed(f"there is no commit to publish for {item.title[:80]!r}")
        self._push(str(self._path), outcome.commit, outcome.branch)
        return Published(branch=outcome.branch, commit=outcome.commit)
