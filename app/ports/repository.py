"""A repository as the web app sees it: read, talked to, and never checked out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from app.domain.runs import Base
from app.ports.check_runs import CheckRuns
from app.ports.forge import PullRequest


class Reaction(StrEnum):
    """Reactions to a comment, as GitHub spells them."""

    EYES = "eyes"
    ROCKET = "rocket"
    CONFUSED = "confused"


@dataclass(frozen=True, kw_only=True, slots=True)
class Permission:
    """What an account may do in the repository now: GitHub's ``admin``, ``write``, ``read`` or ``none``."""

    user_id: int
    level: str

    @property
    def may_write(self) -> bool:
        return self.level in ("admin", "maintain", "write")


class Repository(Protocol):
    """All methods raise Unreachable when the forge stays away, MissingPermission, UsageError and ForgeRefused."""

    @property
    def name(self) -> str | None:
        """``owner/name``; None for a local repository that has none."""

    @property
    def check_runs(self) -> CheckRuns | None:
        """None where there are none."""

    def base(self, branch: str | None = None) -> Base:
        """The tip of a branch, of the default branch for None. Raises UsageError when there is no such branch."""

    def read(self, commit: str, path: str) -> bytes | None:
        """A file's content at a commit; None when there is no such file."""

    def pull_request(self, number: int) -> PullRequest:
        """Raises UsageError when there is none."""

    def permission(self, login: str) -> Permission | None:
        """None for somebody unknown."""

    def react(self, comment_id: int, reaction: Reaction) -> None:
        """React to a comment; the same reaction twice is one. A comment that is gone is left alone."""

    def say(self, number: int, marker: str, text: str, *, dispensable: bool = False) -> str:
        """Find the comment of Mason's that begins with ``<!-- marker -->``, make or edit it, and return its URL.

        The same text twice is one write. A dispensable edit is left out while the forge's limits are near.
        """


class Repositories(Protocol):
    def named(self, name: str | None) -> Repository:
        """The repository with this name, None for the local one. Raises UsageError when Mason has no way to it."""
