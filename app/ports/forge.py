"""The forge: where branches and pull requests live. The local one is the repository itself, without pull requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from app.domain.items import Item
from app.domain.results import Outcome
from app.domain.runs import Base


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """``pull_request`` is its URL, None where the forge has none."""

    branch: str
    commit: str
    pull_request: str | None = None


class Forge(Protocol):
    @property
    def repository(self) -> str | None:
        """``owner/name``, or None when it cannot be known."""

    def publish(self, item: Item, base: Base, outcome: Outcome) -> Published:
        """Push ``outcome.commit`` to ``outcome.branch`` (never force) and find or make the pull request.

        The same call twice has one effect. Raises GitFailed when the branch cannot take the commit.
        """
