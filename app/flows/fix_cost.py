"""What changing a pull request (`fix`) costs: refused where the day is spent, and counted in it."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from uuid import uuid4

from app.errors import MasonError, UsageError
from app.flows.day_cost import HOURS, no_more_today
from app.flows.work import ItemWork
from app.ports.backlog import ItemEventRow
from app.ports.forge import PullRequest

log = logging.getLogger("mason")


def refuse_a_spent_day(work: ItemWork) -> None:
    """Raises UsageError where all is spent that agents may cost in a day, as far as the backlog knows: what executions
    have cost is known to the web app alone, which counts it before it starts anything.
    """
    limit, backlog = work.run.policy.limits.cost_per_day_usd, work.ports.backlog
    if limit is None:
        return
    backlog.require_ready()  # an older one would not count what this costs
    if reason := no_more_today(backlog.spent_since(work.ports.forge.repository, HOURS), limit):
        raise UsageError(f"Nothing was begun: {reason} (cost_per_day_usd)")


def note_cost(work: ItemWork, pull: PullRequest) -> None:
    """Note what the agents have cost with the item whose branch it is, whatever came of it. Of a branch that is no
    item's nothing is written, and what a killed runner has spent is not known. A backlog that fails undoes nothing.

    Written once because the row's id is made here: a repeated write changes nothing.
    """
    if not (cost := work.usage.cost_usd):
        return
    row = ItemEventRow(
        id=uuid4(),
        item_id=work.item.id,
        event_type="note_added",
        payload={"notes": f"Pull request {pull.number} was worked on as a person asked: {cost:.2f} dollars"},
        created_at=datetime.now(UTC),
        cost_usd=cost,
    )
    try:
        work.ports.backlog.note_events([row])
    except MasonError as problem:
        log.warning("The %.2f dollars that this has cost are not counted: %s", cost, problem)
