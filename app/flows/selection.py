"""Selection: which items a run takes, from which commit, under which policy. Reads only."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from app.domain.items import Item, ItemStatus, own_branch, plain_branch
from app.domain.policy import Install, Policy, parse_policy
from app.domain.results import REQUIRED_CHECKS, CheckKind
from app.domain.runs import Base, Run
from app.errors import UsageError
from app.flows.work import Ports, RunOptions
from app.gate.steps import Toolchain
from app.gate.toolchain import detect
from app.ports.backlog import Backlog

log = logging.getLogger("mason")


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """What a run would do: items in priority order, from one base, under its policy, with its toolchain.

    ``prds_wanted`` are items without a PRD for which one is to be written.
    """

    base: Base
    items: tuple[Item, ...]
    branches: tuple[str, ...]
    policy: Policy
    toolchain: Toolchain
    prds_wanted: frozenset[UUID]


def select_items(ports: Ports, options: RunOptions, planned: Run | None = None) -> Selection:
    """Which items, from which commit, judged by what. Reads only. A planned run's commit was pinned by its plan."""
    wanted = planned.base.branch if planned else options.base or ports.forge.default_branch()
    base = ports.workspace.pin_base(wanted, planned.base.commit if planned else None)
    approved = ports.backlog.approved_items(repository=ports.forge.repository)
    items = named_items(ports.backlog, options.item_ids, approved, planned) if options.item_ids else approved
    waiting = [item for item in items if item.failed_base == base.commit]
    for item in waiting:
        log.warning("“%s” waits: %s fails its own checks at %s", item.title[:200], base.branch, base.commit[:10])
    items = [item for item in items if item not in waiting][: options.limit]
    policy = adjusted(parse_policy(ports.workspace.read(base.commit, options.policy_path)), options)
    paths = ports.workspace.paths(base.commit)
    return Selection(
        base=base,
        items=tuple(items),
        branches=tuple(branches_of(ports.backlog, items, approved)),
        policy=policy,
        toolchain=detect(paths, lambda path: ports.workspace.read(base.commit, path), policy),
        prds_wanted=frozenset(item.id for item in items if not item.has_prd and wants_prd(ports, options, item)),
    )


def adjusted(policy: Policy, options: RunOptions) -> Policy:
    """The committed policy with what this run was told; a budget can only become smaller."""
    changes: dict[str, object] = {}
    if options.setup_command:
        changes["install"] = Install(run=options.setup_command)
    if options.max_cost_usd is not None:
        most = min(options.max_cost_usd, policy.limits.max_cost_usd or options.max_cost_usd)
        changes["limits"] = policy.limits.model_copy(update={"max_cost_usd": most})
    return policy.model_copy(update=changes)


def wants_prd(ports: Ports, options: RunOptions, item: Item) -> bool:
    """Whether a PRD is to be written: by option, or because a person at the terminal says so, before anything runs."""
    return options.generate_prd or (
        ports.ask is not None and ports.ask(f"“{item.title[:200]}” has no PRD. Write one now?")
    )


def named_items(
    backlog: Backlog, ids: Sequence[UUID], approved: Sequence[Item], planned: Run | None = None
) -> list[Item]:
    """The items that ``--item`` names. Raises UsageError naming the status of one that is not approved.

    In a planned run an item may have been claimed for it already; one that a copy of this job has taken, or finished,
    is left alone without a word of blame.
    """
    known = {item.id: item for item in backlog.items(ids)}
    found = []
    for item_id in ids:
        item = known.get(item_id)
        if item is None or (planned and item_id not in planned.item_ids):
            raise UsageError(f"There is no item {item_id}" + (f" in run {planned.id}" if planned else ""))
        if planned and item.status is not ItemStatus.APPROVED:
            if item.status is ItemStatus.IN_PROGRESS and item.run_id == planned.id:
                found.append(item)
            else:
                log.warning("“%s” is %s already; nothing is left to do", item.title[:200], item.status.value)
            continue
        if item.status is not ItemStatus.APPROVED:
            raise UsageError(f"Item {item_id} is {item.status.value}, not approved")
        if item_id not in {a.id for a in approved}:
            raise UsageError(f"Item {item_id} belongs to another repository")
        found.append(item)
    order = {item.id: place for place, item in enumerate(approved)}
    return sorted({item.id: item for item in found}.values(), key=lambda item: order.get(item.id, -1))


def branches_of(backlog: Backlog, items: Sequence[Item], approved: Sequence[Item]) -> list[str]:
    """The same item always gets the same branch; of two that want one name, the smaller id gets the plain one."""
    kept = {item.id: item.branch for item in items if item.branch in (plain_branch(item), own_branch(item))}
    plain = {item.id: plain_branch(item) for item in items if item.id not in kept}
    first: dict[str, UUID] = {}
    for other in approved if plain else ():
        if other.branch != own_branch(other):
            name = plain_branch(other)
            first[name] = min(first.get(name, other.id), other.id)
    owners = backlog.branch_owners(sorted(set(plain.values())))

    def free(item: Item, name: str) -> bool:
        return first.get(name, item.id) >= item.id and owners.get(name, item.id) == item.id

    return [kept.get(item.id) or (plain[item.id] if free(item, plain[item.id]) else own_branch(item)) for item in items]


def gate_kinds(policy: Policy, options: RunOptions) -> tuple[CheckKind, ...]:
    """The checks of the gate: the four, and end-to-end tests where they are configured or asked for."""
    e2e = options.e2e or policy.all_checks.get(CheckKind.E2E) is not None
    return REQUIRED_CHECKS + ((CheckKind.E2E,) if e2e else ())
