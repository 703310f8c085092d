"""From a request of the REST API to a run: recorded, its items claimed, answered. The worker hands it over.

Whatever dies in between leaves a dispatch with a job, or nothing: `reconcile_run` does the rest of what was recorded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from uuid import UUID

from app.domain.credentials import Credentials
from app.domain.dispatches import Dispatch, DispatchState, Work, same_items
from app.domain.items import Item, ItemStatus
from app.domain.jobs import ReconcileRun
from app.domain.results import Outcome, Verdict
from app.errors import (
    BadCredentials,
    DatabaseRefused,
    DatabaseUnreachable,
    ForgeRefused,
    ItemsRefused,
    NotNow,
    UsageError,
)
from app.flows.app_work import AppPorts, held
from app.flows.approval_to_run import Place, choose, look_at
from app.flows.own_projects import OwnProjects, keep
from app.flows.reconcile_run import claim_items, claims_of, close, end
from app.ports.backlog import Placed, PlacedItem

MOST_ITEMS = 256
"""Items of one request."""

WORKER_WAITS = 5.0
"""Seconds before a worker does what is left of a start, should who began it have died."""

_NAMED = 5
"""Items that the sentence of a refusal names; its details name all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """What was asked for. ``run_id`` is the same whenever the same Idempotency-Key is sent, else new.

    ``items`` are in the order of the request, each once. ``repository`` is the id of a connected one, ``base_branch``
    None the default branch, ``credentials`` None the configured backlog.
    """

    run_id: UUID
    items: tuple[UUID, ...]
    repository: UUID | None = None
    branch_name: str = ""
    base_branch: str | None = None
    credentials: Credentials | None = None

    @property
    def same(self) -> str:
        return same_items(self.items, project=self.credentials.url if self.credentials else "")


def start_execution(ports: AppPorts, own: OwnProjects, asked: Start) -> UUID:
    """The id of the run that does what was asked for: a new one, or the one that an equal request has started.

    Raises BadCredentials, ItemsRefused and NotNow with nothing started, Busy, and what the ports raise.
    """
    asked = replace(asked, credentials=own.admit(asked.credentials) if asked.credentials else None)
    with (
        backlog_of(ports, own, asked.credentials) as theirs,
        held(ports.database, f"start {asked.run_id}"),  # its credentials are kept under its id before it is recorded
        held(ports.database, f"start {asked.same}"),
    ):
        if (earlier := started_before(theirs, asked)) is not None:
            return earlier.id
        name, items = asked_items(theirs, asked)
        place = fitting_place(theirs, name, items, asked.base_branch)
        dispatch = recorded(theirs, own, asked, name, items, place)
        claim_all_or_none(theirs, dispatch, items)
        ports.jobs.defer(ReconcileRun(run_id=dispatch.id))
        return dispatch.id


@contextmanager
def backlog_of(ports: AppPorts, own: OwnProjects, credentials: Credentials | None) -> Iterator[AppPorts]:
    """The ports over what the request named. Raises BadCredentials when that lets nobody in, NotMigrated."""
    if credentials is None:
        yield ports
        return
    with own.connect(credentials) as backlog:
        try:
            backlog.require_ready()
        except (DatabaseRefused, DatabaseUnreachable) as problem:
            raise BadCredentials(str(problem)) from None
        yield replace(ports, backlog=backlog)


def started_before(ports: AppPorts, asked: Start) -> Dispatch | None:
    """The run of an earlier, equal request, or of an approval that was faster.

    Raises NotNow when its key stood for something else, or came to nothing.
    """
    found = ports.database.like(asked.run_id, asked.same)
    if found is None:
        return None
    if found.same != asked.same:
        raise NotNow("This Idempotency-Key was sent with other items before: use a new one.")
    if found.outcome == "nothing":
        raise NotNow(f"{found.reason} (run {found.id}): use a new Idempotency-Key to try again.")
    return found


def asked_items(ports: AppPorts, asked: Start) -> tuple[str | None, list[Item]]:
    """The items, all approved and of one repository, and its name. Raises ItemsRefused, naming each that is not."""
    placed = ports.backlog.placed_items(asked.items, repository=asked.repository)
    if asked.repository and placed.repository is None:
        raise NotNow(f"No repository {asked.repository} is connected to this backlog.")
    found = [one for item in asked.items if (one := placed.items.get(item)) is not None and one.placed]
    name = placed.repository or (repository_of(ports, found[0]) if found else None)
    in_runs = {item: one.id for one in ports.database.unfinished() for item in one.items}
    reasons = {item: why_not(ports, placed, item, name, in_runs.get(item)) for item in asked.items}
    refuse({item: reason for item, reason in reasons.items() if reason}, asked.items)
    return name, [one.item for one in found]


def repository_of(ports: AppPorts, placed: PlacedItem) -> str | None:
    return placed.repository or ports.home


def why_not(ports: AppPorts, placed: Placed, item: UUID, name: str | None, held: UUID | None) -> str:
    """Why an item cannot be in a run of this repository, "" when it can. ``held`` is the unfinished run that has it."""
    one = placed.items.get(item)
    if one is None:
        return "there is no such item"
    if not one.placed:
        return "it names no repository, and several are connected"
    if (own := repository_of(ports, one)) is not None and name is not None and own.lower() != name.lower():
        return f"it belongs to {own}, not to {name}"
    if run := held or (one.item.status is ItemStatus.IN_PROGRESS and one.item.run_id):
        return f"it is in run {run} already"
    if one.item.status is not ItemStatus.APPROVED:
        return f"it is {one.item.status.value}, not approved"
    return ""


def refuse(reasons: dict[UUID, str], asked: Sequence[UUID]) -> None:
    """Raises ItemsRefused unless there are no reasons to."""
    if not reasons:
        return
    told = [f"{item}: {reason}" for item, reason in list(reasons.items())[:_NAMED]]
    more = f"; and {len(reasons) - _NAMED} more" if len(reasons) > _NAMED else ""
    details = tuple((("itemIds", asked.index(item)), f"{item}: {reason}") for item, reason in reasons.items())
    raise ItemsRefused(f"Nothing was started. {'; '.join(told)}{more}.", details)


def fitting_place(ports: AppPorts, name: str | None, items: Sequence[Item], branch: str | None) -> Place:
    """The pinned base, under whose policy these items may start now. A person's start lifts what keeps an item waiting,
    and no limit.
    """
    try:
        place = look_at(ports, ports.repositories.named(name), branch)
    except (UsageError, ForgeRefused) as problem:
        raise NotNow(f"Nothing was started: {str(problem).rstrip('.')}.") from None
    most = place.policy.limits.items_per_run
    if len(items) > most:
        raise NotNow(f"Nothing was started: {name or 'the repository'} allows {most} items in a run (items_per_run).")
    left = choose([replace(item, failed_base=None) for item in items], place, asked=True).left
    refuse(left, [item.id for item in items])
    return place


def recorded(
    ports: AppPorts, own: OwnProjects, asked: Start, name: str | None, items: Sequence[Item], place: Place
) -> Dispatch:
    """From here on it is somebody's work. Idempotent by the run's id and by what it is about."""
    if asked.credentials:
        keep(own, asked.run_id, asked.credentials)
    return ports.database.record(
        Dispatch(
            id=asked.run_id,
            work=Work.RUN,
            repository=name,
            items=tuple(item.id for item in items),
            approvals=tuple(item.approved_at for item in items),
            base=place.base,
            same=asked.same,
            project=asked.credentials.url if asked.credentials else "",
            branch_name=asked.branch_name,
            created_at=ports.database.now(),
        ),
        after=WORKER_WAITS,
    )


def claim_all_or_none(ports: AppPorts, dispatch: Dispatch, items: Sequence[Item]) -> None:
    """Claim its items, as `reconcile_run` would. Raises ItemsRefused when somebody else has got one of them meanwhile:
    the others go back, and the run ends.
    """
    with held(ports.database, f"run {dispatch.id}") as fence:
        now = ports.database.dispatch(dispatch.id)
        if now is None or now.state is not DispatchState.PREPARING or now.tries or now.cancelled_by:
            return  # a worker was faster
        lost = unclaimed(now, claim_items(ports, fence, now, items))
        if lost:  # a worker that came between may have claimed them for this very run
            lost = unclaimed(now, claim_items(ports, fence, now, ports.backlog.items(now.items)))
        if not lost:
            return
        reason = "Somebody else took some of its items at the same moment"
        for claim in claims_of(ports, now):
            ports.backlog.settle(claim, Outcome(verdict=Verdict.RELEASED, reason=reason))
        close(ports, now, reason, untold=True)
        end(ports, fence, now, "nothing", reason)
    refuse(dict.fromkeys(lost, "somebody else took it at the same moment"), dispatch.items)


def unclaimed(dispatch: Dispatch, claimed: Sequence[Item]) -> list[UUID]:
    """The items that a run has not got."""
    ours = {item.id for item in claimed}
    return [item for item in dispatch.items if item not in ours]
