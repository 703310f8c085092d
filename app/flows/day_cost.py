"""What agents may cost in a repository within a day: runs, changes of pull requests (`fix`), and executions together.

The limit is the policy's `cost_per_day_usd`. While it is reached the web app starts nothing (for approvals, comments,
the REST API), no execution begins, and no fix. What else a person starts without the web app goes on regardless: `mason
run` at a terminal, the workflow by hand. Runs on a request's own project count in that project's backlog.
"""

from __future__ import annotations

from app.domain.executions import Execution
from app.domain.policy import Policy
from app.errors import NotNow, NotThere
from app.ports.backlog import Backlog
from app.ports.executions import Executions

HOURS = 24


def day_cost(backlog: Backlog, executions: Executions, repository: str | None) -> float:
    """US dollars: items that were settled or fixed, and executions; of one that runs, all that it may still spend."""
    return backlog.spent_since(repository, HOURS) + executions.spent_since(repository, HOURS)


def day_is_spent(used: float, limit: float) -> str:
    """The sentence (pure), of US dollars."""
    return (
        f"{used:.2f} dollars were spent within {HOURS} hours, or are set aside for executions that run;"
        f" the limit is {limit:.2f}"
    )


def no_more_today(used: float, limit: float | None) -> str:
    """Why no agent may begin any more, "" while it may (pure). US dollars; no ``limit``: however many were spent."""
    return "" if limit is None or used < limit else day_is_spent(used, limit)


def allotted(
    backlog: Backlog, executions: Executions, repository: str | None, execution: Execution, policy: Policy
) -> Policy:
    """The policy with what this execution may spend: no more than is left of the day. Raises NotNow where nothing is,
    NotThere when it is not running any more.

    The row has it set aside from here on, so executions together keep to the limit, also those that begin at the same
    moment: the second one has what the first one leaves. What runs under way will cost is known when their items are
    settled, so these are not counted before.
    """
    limits = policy.limits
    day = limits.cost_per_day_usd
    runs = 0.0 if day is None else backlog.spent_since(repository, HOURS)
    allotment = executions.allot(
        execution, repository, hours=HOURS, most=limits.max_cost_usd, left=None if day is None else day - runs
    )
    if allotment is None:
        raise NotThere("The execution is not running any more.")
    if day is not None and allotment.budget == 0:
        raise NotNow(f"It was not begun: {day_is_spent(runs + allotment.used, day)} (cost_per_day_usd).")
    return policy.model_copy(update={"limits": limits.model_copy(update={"max_cost_usd": allotment.budget})})
