"""The app database: what the web app and its workers remember."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from app.domain.commands import Request
from app.domain.dispatches import Dispatch


@dataclass(frozen=True, kw_only=True, slots=True)
class Fence:
    """The right to write for one key. Of two holders, the later one has the greater ``number``."""

    key: str
    number: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """A request, and what became of it: ``answer`` is the text of the reply, "" until it is known."""

    request: Request
    answer: str = ""
    well: bool = False
    finished: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """Dispatches by state; and of those handed over within a day, how many took at most so many seconds from their
    making (``inf`` last), and their sum. What agents have cost, in US dollars.
    """

    dispatches: Mapping[str, int]
    latency: Mapping[float, int]
    latency_total: float
    cost_usd: float


class AppDatabase(Protocol):
    """All methods raise DatabaseUnreachable. Those that take a fence raise FenceFell when somebody else holds its key
    by now; nothing was written then.
    """

    def now(self) -> datetime:
        """The database's clock, which all times of dispatches are of."""

    def locked(self, key: str) -> AbstractContextManager[Fence]:
        """Hold a key for as long as the block runs, or until this process stops renewing it. Raises Busy at once."""

    def require(self, fence: Fence) -> None:
        """Raise FenceFell unless the fence still stands: before an effect that the database cannot hold back."""

    def record(self, dispatch: Dispatch, *, after: float = 0.0) -> Dispatch:
        """Store a dispatch and a job that reconciles it, so many seconds later, in one transaction. The same id twice
        is one, and so are two unfinished ones of the same ``same``, unless that is "": the stored one comes back.
        """

    def like(self, run_id: UUID, same: str) -> Dispatch | None:
        """The dispatch with this id, else the unfinished one with this ``same``."""

    def dispatch(self, run_id: UUID) -> Dispatch | None: ...

    def save(self, fence: Fence, dispatch: Dispatch) -> None:
        """Write the newest state of a dispatch."""

    def unfinished(self) -> list[Dispatch]:
        """Dispatches that have not ended, oldest first."""

    def dispatches(
        self, *, repository: str | None, number: int | None = None, item: UUID | None = None
    ) -> list[Dispatch]:
        """The newest dispatches of a repository first, at most 20: those told about at one issue or pull request, or
        with one item.
        """

    def items_since(self, repository: str | None, since: datetime) -> int:
        """How many items were put into runs of a repository since then."""

    def request(self, key: str) -> Answered | None: ...

    def answer(self, fence: Fence, key: str, answer: str, *, well: bool, finished: bool) -> None:
        """Write what became of a request."""

    def figures(self) -> Figures: ...

    def forget(self, days: int) -> None:
        """Remove what has been finished for so many days."""

    def unanswered(self) -> Sequence[Request]:
        """Requests that are not finished, oldest first."""

    def close(self) -> None:
        """Give back every connection."""
