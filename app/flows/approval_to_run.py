"""From approval to run: the approved items that nobody has claimed go into runs of their repositories.

Level-triggered: it reads the rows, however often and for whatever reason it is called. What it decides is stored as a
dispatch before anything else happens; `reconcile_run` does the rest.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from uuid import UUID, uuid4

from app.domain.dispatches import Dispatch, Work, same_items
from app.domain.items import Item
from app.domain.policy import POLICY_PATH, Policy, parse_policy
from app.domain.runs import Base
from app.errors import ForgeUnreachable, MasonError, Unreachable
from app.flows.app_work import AppPorts
from app.flows.day_cost import day_cost, no_more_today
from app.ports.app_database import Fence
from app.ports.backlog import Waiting
from app.ports.repository import Repository

log = logging.getLogger("mason")

DAY = timedelta(hours=24)


def reconcile_backlog(ports: AppPorts) -> float | None:
    """Start runs with what is approved. Seconds after which to look again, None when there is nothing to wait for.

    A repository that cannot be asked keeps none of the others from its run. Raises Unreachable at the end where that
    may pass; what else a repository lacks is told in the log, and looked at again by the next sweep.
    """
    if not (waiting := unclaimed(ports)):
        return None
    if (seconds := still_approving(waiting, ports.quiet, ports.patience)) is not None:
        return seconds
    failures: list[MasonError] = []
    with ports.database.locked("backlog") as fence:
        waiting = unclaimed(ports)
        for name in dict.fromkeys(one.repository for one in waiting):
            try:
                start_waiting(ports, fence, name, [one.item for one in waiting if one.repository == name])
            except MasonError as problem:
                log.warning("Nothing is started in %s: %s", name or "the local repository", problem)
                failures.append(problem)
    if unreachable := [problem for problem in failures if isinstance(problem, Unreachable)]:
        raise ForgeUnreachable(str(unreachable[0]))  # without its own wait, which the other repositories need not obey
    return None


def unclaimed(ports: AppPorts) -> list[Waiting]:
    """Approved items that are in no unfinished dispatch; one that a lost runner held waits for its run's end."""
    taken = {item for dispatch in ports.database.unfinished() for item in dispatch.items}
    return [
        replace(one, repository=one.repository or ports.home)
        for one in ports.backlog.waiting_items()
        if one.item.id not in taken
    ]


def still_approving(waiting: Sequence[Waiting], quiet: float, patience: float) -> float | None:
    """How many seconds to wait for a person who is approving one item after the other; None when that is over."""
    ages = [one.age for one in waiting if one.age < 10 * patience]  # what is older waits for something else
    if not ages or min(ages) >= quiet or max(ages) >= patience:
        return None
    return quiet - min(ages)


def start_waiting(ports: AppPorts, fence: Fence, name: str | None, items: Sequence[Item]) -> None:
    """As many runs as the repository's policy allows now. Raises FenceFell when somebody else has looked meanwhile."""
    repository = ports.repositories.named(name)
    place = look_at(ports, repository)
    choice = choose(items, place)
    for item_id, reason in choice.left.items():
        if ports.told.get(item_id) != reason:  # the next look comes soon, and says nothing new
            log.info("Item %s waits: %s (`mason run --item %s` starts it)", item_id, reason, item_id)
    ports.told.update(choice.left)
    for group in groups(choice.chosen, place.policy.limits.items_per_run):
        ports.database.require(fence)  # GitHub may have taken its time
        start_run(ports, name, group, base=place.base)


def start_run(ports: AppPorts, name: str | None, items: Sequence[Item], *, base: Base | None = None) -> Dispatch:
    """A run over these items, from now on somebody's work: the dispatch and its job are stored together. One that the
    REST API has started with the very same items meanwhile is that run.
    """
    return ports.database.record(
        Dispatch(
            id=uuid4(),
            work=Work.RUN,
            repository=name,
            items=tuple(item.id for item in items),
            approvals=tuple(item.approved_at for item in items),
            base=base,
            same=same_items(item.id for item in items),
            created_at=ports.database.now(),
        )
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A repository now: the tip of its default branch, its policy, and what was used in the last 24 hours.

    ``cost_used`` in US dollars is `day_cost`, 0 where there is no limit.
    """

    base: Base
    policy: Policy
    items_used: int = 0
    cost_used: float = 0.0


def look_at(ports: AppPorts, repository: Repository, branch: str | None = None) -> Place:
    """Raises UsageError for a policy that cannot be read: nothing is started by a policy that nobody wrote; and for a
    ``branch``, other than the default one, that there is none of.
    """
    base = repository.base(branch)
    policy = parse_policy(repository.read(base.commit, POLICY_PATH))
    limited = policy.limits.cost_per_day_usd is not None
    return Place(
        base=base,
        policy=policy,
        items_used=ports.database.items_since(repository.name, ports.database.now() - DAY),
        cost_used=day_cost(ports.backlog, ports.executions, repository.name) if limited else 0.0,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """Items that may start now, most important first; and those that wait, each with the reason."""

    chosen: tuple[Item, ...]
    left: dict[UUID, str] = field(default_factory=dict)


def choose(items: Iterable[Item], place: Place, *, asked: bool = False) -> Choice:
    """What may start (pure). ``asked``: a person named them, who may start what Mason may not start by itself."""
    chosen: list[Item] = []
    left: dict[UUID, str] = {}
    for item in items:
        reason = why_not(item, place, len(chosen), asked=asked)
        if reason:
            left[item.id] = reason
        else:
            chosen.append(item)
    return Choice(chosen=tuple(chosen), left=left)


def why_not(item: Item, place: Place, chosen: int, *, asked: bool) -> str:
    """Why an item waits, "" when it does not (pure)."""
    limits, unattended = place.policy.limits, place.policy.unattended
    if place.items_used + chosen >= limits.items_per_day:
        return f"{limits.items_per_day} items were started within 24 hours, which is the limit"
    if reason := no_more_today(place.cost_used, limits.cost_per_day_usd):
        return reason
    if item.failed_base == place.base.commit:
        return f"{place.base.branch} at {place.base.commit[:10]} cannot carry it; it waits for the branch to move"
    if asked:
        return ""
    if unattended.types is not None and item.type not in unattended.types:
        return f"items of the type {item.type} are started by a person"
    if unattended.complexity_below is not None and (item.complexity or 0) >= unattended.complexity_below:
        return f"items of complexity {item.complexity} are started by a person"
    return ""


def groups(items: Sequence[Item], size: int) -> list[Sequence[Item]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
