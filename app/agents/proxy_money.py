"""Money of a run and of its items: who may still spend, and what calls that are under way may yet cost."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from uuid import UUID

LOOK_AGAIN = 0.5
"""Seconds after which a call that waits for others looks whether anybody still wants it."""


class Spent(Exception):
    """The budget is spent; the message is a sentence."""


class Ledger:
    """What was spent, by spender and in all, in US dollars. Usable from any thread.

    A call may begin while less than the budget was spent. What the calls under way will cost is not known yet, so each
    of them holds a reserve (the estimate of its input), and where spent and reserved money together would reach the
    budget, the next call waits until one of them has ended. So nothing is refused that could have been paid for, and a
    budget is overshot by at most what the calls under way cost beyond their reserves: the output of the calls that were
    let in, which for calls one after the other is that of the last one.
    """

    def __init__(self, run_budget: float | None) -> None:
        self._run_budget = run_budget
        self._spent: dict[UUID, float] = defaultdict(float)
        self._reserved: dict[UUID, float] = defaultdict(float)
        self._changed = threading.Condition()

    def begin(self, spender: UUID, budget: float | None, reserve: float, wanted: Callable[[], bool]) -> bool:
        """Let a call begin, perhaps after some time; False when it is no longer ``wanted``.

        Raises Spent. What was let in ends with `end`, exactly once.
        """
        with self._changed:
            while wanted():
                self._refuse("The item's", self._spent[spender], budget)
                self._refuse("The run's", sum(self._spent.values()), self._run_budget)
                if not self._crowded(spender, budget):
                    self._reserved[spender] += reserve
                    return True
                self._changed.wait(LOOK_AGAIN)
        return False

    def end(self, spender: UUID, reserve: float, cost: float) -> None:
        with self._changed:
            self._reserved[spender] = max(self._reserved[spender] - reserve, 0.0)
            self._spent[spender] += cost
            self._changed.notify_all()

    def spent(self, spender: UUID | None = None) -> float:
        """Of one spender, or of the whole run."""
        with self._changed:
            return sum(self._spent.values()) if spender is None else self._spent[spender]

    def _refuse(self, whose: str, spent: float, budget: float | None) -> None:
        if budget is not None and not spent < budget:
            raise Spent(f"{whose} budget of ${budget:g} for the model is spent (${spent:.4g}).")

    def _crowded(self, spender: UUID, budget: float | None) -> bool:
        """Whether calls under way, should they cost what they reserve, leave nothing of a budget."""
        mine, all_of_it = self._reserved[spender], sum(self._reserved.values())
        own = budget is not None and mine > 0 and not self._spent[spender] + mine < budget
        limit = self._run_budget
        return own or (limit is not None and all_of_it > 0 and not sum(self._spent.values()) + all_of_it < limit)
