"""The dry run: what every item would do. Reads only."""

from __future__ import annotations

from dataclasses import dataclass

from app.domain.items import Item
from app.domain.plans import Plan
from app.domain.runs import Base
from app.flows.selection import select_items
from app.flows.work import Ports, RunOptions
from app.planning.waves import make_plan
from app.prompts import routing


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedItem:
    """One item, the branch it would get, and its plan; ``plan`` is None where there is no PRD to plan from."""

    item: Item
    branch: str
    plan: Plan | None


def plan_items(ports: Ports, options: RunOptions) -> tuple[Base, list[PlannedItem]]:
    """The base and the plan of every item that a run would take with these options. Raises what a run would raise."""
    ports.backlog.require_ready()
    selection = select_items(ports, options)
    pairs = zip(selection.items, selection.branches, strict=True)
    return selection.base, [plan_item(item, branch) for item, branch in pairs]


def plan_item(item: Item, branch: str) -> PlannedItem:
    domain = routing.domain_of(item.type)
    plan = make_plan(item.prd or "", frontend=domain in ("ui", "ux")) if item.has_prd else None
    return PlannedItem(item=item, branch=branch, plan=plan)
