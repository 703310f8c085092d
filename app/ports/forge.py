"""The forge: where branches, pull requests and check runs live. The local one is the repository itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from app.domain.items import Item
from app.domain.plans import PrdContext
from app.domain.policy import PullRequestPolicy
from app.domain.results import Outcome
from app.domain.runs import Base
from app.ports.check_runs import CheckRuns
from app.ports.workspace import Change


class PullState(StrEnum):
    OPEN = "open"
    CLOSED = "closed"
    MERGED = "merged"


@dataclass(frozen=True, kw_only=True, slots=True)
class PullRequest:
    """A pull request as the forge has it now. ``fork``: its head lies in another repository, or in none any more."""

    number: int
    url: str
    title: str
    body: str
    state: PullState
    head_commit: str
    head_branch: str
    base_branch: str
    fork: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Publication:
    """A finished item's evidence: what goes on a branch and into a pull request.

    ``outcome`` carries commit, branch, gate, validator, iterations and usage; ``changes`` are the item's, against the
    commit it started from. ``note`` is a sentence for the reader of the pull request, empty for none.
    """

    run_id: UUID
    item: Item
    base: Base
    outcome: Outcome
    context: PrdContext = field(default_factory=PrdContext)
    changes: tuple[Change, ...] = ()
    policy: PullRequestPolicy = field(default_factory=PullRequestPolicy)
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """Where it went. ``commit`` is the branch's new tip, another one than asked for when the forge signed it.

    ``pull_request`` is None where the forge has none.
    """

    branch: str
    commit: str
    pull_request: PullRequest | None = None


class Forge(Protocol):
    @property
    def repository(self) -> str | None:
        """``owner/name``, or None when it cannot be known."""

    @property
    def check_runs(self) -> CheckRuns | None:
        """None where the forge has no check runs, or Mason may not make any."""

    def default_branch(self) -> str | None:
        """The branch that pull requests go to; None where only the repository knows."""

    def require_access(self) -> None:
        """Raise UsageError with the sentence that says what is missing: a scope, or a repository that can be written.

        Called before anything is claimed, so that no agent works for a result that nobody may publish.
        """

    def publish(self, publication: Publication) -> Published:
        """Push the commit to its branch (never force), find or make the pull request, and bring its body up to date.

        The same call twice has one effect. Raises GitFailed when the branch cannot take the commit, ForgeRefused when
        the forge says no, Unreachable when it stays away.
        """

    def pull_request(self, number: int) -> PullRequest:
        """One pull request. Raises UsageError when there is none, or the forge has no pull requests."""
