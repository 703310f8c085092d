"""Dispatches: what Mason has sent, or is about to send, to a runner; and the workflow runs that carry them out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from app.domain.runs import Base

MOST_TRIES = 3
"""How often a dispatch is handed over whose workflow run never appears."""

APPEARS = timedelta(minutes=2)
"""A workflow run that cannot be found for this long after it was handed over never started."""

QUEUE_LIMIT = timedelta(hours=6)
"""A workflow run that no runner has taken for this long is given up."""


_KEY = "the API key "


def by_key(name: str) -> str:
    """What ``cancelled_by`` says of an API key; no login has blanks."""
    return _KEY + name


class Work(StrEnum):
    """What a dispatched runner does; the ``command`` input of the workflow."""

    RUN = "run"
    VALIDATE = "validate"
    FIX = "fix"


class DispatchState(StrEnum):
    """``preparing``: not handed to a runner yet. ``dispatched``: handed over, and not known to have ended."""

    PREPARING = "preparing"
    DISPATCHED = "dispatched"
    ENDED = "ended"


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkflowRun:
    """A workflow run (or a local process) as its platform has it now. ``conclusion`` is GitHub's word, "" until then.

    ``status`` is ``queued``, ``in_progress`` or ``completed``: GitHub's ``waiting``, ``pending`` and ``requested``
    count as queued. ``attempt`` counts re-runs, from 1.
    """

    id: str
    status: str
    conclusion: str = ""
    url: str = ""
    attempt: int = 1

    @property
    def completed(self) -> bool:
        return self.status == "completed"


def same_items(items: Iterable[UUID], *, project: str = "") -> str:
    """What two starts of the same run have in common: the project, and the set of items, in whatever order."""
    return hashlib.sha256("\n".join([project, *sorted(map(str, items))]).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class Dispatch:
    """One piece of work for a runner. ``id`` is the run's id, in the backlog's rows and in the workflow run's name.

    ``repository`` is None for a local repository without a name. ``items`` are those meant to be in the run,
    ``approvals`` the times of their approvals as the backlog had them then; ``base`` is pinned once it is prepared.
    ``request`` is the key of the request that asked for it, empty when an approval did; ``number`` is the issue or pull
    request it is told about (0: none), for ``fix`` and ``validate`` also the one it works on. ``tries`` counts calls
    that hand it over; ``cancelled_by`` is the login of who asked to stop it, or an API key as `by_key` spells it.
    ``outcome`` is how it ended (`success`, `failed`, `cancelled`, `nothing`); ``reason`` is one sentence about it,
    ``cost_usd`` what its agents have cost, as far as the backlog knows.

    ``same`` (`same_items`) is what no second unfinished dispatch may have. Of a start by the REST API: ``project`` is
    the URL of the Supabase project whose credentials came with the request ("": the configured backlog),
    ``branch_name`` the run's.
    """

    id: UUID
    work: Work
    repository: str | None
    items: tuple[UUID, ...] = ()
    approvals: tuple[datetime | None, ...] = ()
    base: Base | None = None
    number: int = 0
    instructions: str = ""
    smoke_test: bool = False
    e2e: bool = False
    request: str = ""
    same: str = ""
    project: str = ""
    branch_name: str = ""
    state: DispatchState = DispatchState.PREPARING
    tries: int = 0
    workflow_run: str = ""
    url: str = ""
    cancelled_by: str = ""
    outcome: str = ""
    reason: str = ""
    cost_usd: float = 0.0
    created_at: datetime
    tried_at: datetime | None = None
    dispatched_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def canceller(self) -> str:
        """Who asked to stop it, as people are told."""
        return self.cancelled_by if self.cancelled_by.startswith(_KEY) else f"@{self.cancelled_by}"

    def is_for(self, item: UUID, approved_at: datetime | None) -> bool:
        """Whether an item that was approved then is in it by this very approval, and not by an earlier one. Told by
        what was seen, for the clocks of two databases cannot be compared; taken for granted where nothing was noted.
        """
        return approved_at == dict(zip(self.items, self.approvals, strict=False)).get(item, approved_at)


class Step(StrEnum):
    """What is to be done about a dispatch that was handed over."""

    WAIT = "wait"
    HAND_OVER = "hand over again"
    GIVE_UP = "give up"
    CONCLUDE = "conclude"


def next_step(dispatch: Dispatch, workflow: WorkflowRun | None, now: datetime) -> Step:
    """Decided by what is seen now, not by what was heard. ``now`` is of the clock that the dispatch's times are of."""
    if workflow is None:
        return _about_a_lost_one(dispatch, now)
    if workflow.completed:
        return Step.CONCLUDE
    since = dispatch.dispatched_at or now
    if workflow.status == "queued" and now - since > QUEUE_LIMIT:
        return Step.GIVE_UP
    return Step.WAIT


def _about_a_lost_one(dispatch: Dispatch, now: datetime) -> Step:
    if dispatch.workflow_run and now - (dispatch.dispatched_at or now) < APPEARS:
        return Step.WAIT  # it was just made, and not every server of GitHub's knows
    if dispatch.cancelled_by or dispatch.workflow_run:  # it was there, and was deleted
        return Step.CONCLUDE
    if now - (dispatch.tried_at or now) < APPEARS:
        return Step.WAIT
    return Step.HAND_OVER if dispatch.tries < MOST_TRIES else Step.GIVE_UP
