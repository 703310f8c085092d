"""Which approved items may start now, and which wait, and why; and how long a person's approving is waited for."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from app.domain.items import Item, ItemStatus
from app.domain.policy import parse_policy
from app.domain.runs import Base
from app.flows.approval_to_run import Place, choose, groups, still_approving
from app.ports.backlog import Waiting

BASE = Base(commit="c" * 40, branch="main")


def item(**fields: object) -> Item:
    return Item(**{"id": uuid4(), "title": "A", "status": ItemStatus.APPROVED, "type": "fix", **fields})  # type: ignore[arg-type]


def place(policy: str = "", **used: float) -> Place:
    return Place(base=BASE, policy=parse_policy(policy.encode()), **used)  # type: ignore[arg-type]


def test_choose__everything_by_default() -> None:
    items = [item(complexity=5), item(type="anything"), item(complexity=None)]
    assert choose(items, place()).chosen == tuple(items)


@pytest.mark.parametrize(
    ("policy", "used", "reason"),
    [
        ("limits: {items_per_day: 3}", {"items_used": 3}, "3 items were started within 24 hours"),
        ("limits: {cost_per_day_usd: 5}", {"cost_used": 5.0}, "5.00 dollars were spent"),
        ("unattended: {types: [ui]}", {}, "items of the type fix are started by a person"),
        ("unattended: {complexity_below: 4}", {}, "items of complexity 4 are started by a person"),
    ],
    ids=["items a day", "cost a day", "type", "complexity"],
)
def test_choose__what_waits_says_why(policy: str, used: dict[str, float], reason: str) -> None:
    waits = item(complexity=4)
    choice = choose([waits], place(policy, **used))
    assert choice.chosen == ()
    assert reason in choice.left[waits.id]


def test_choose__a_person_may_start_what_mason_may_not_within_the_limits() -> None:
    wanted = item(complexity=5)
    policy = "unattended: {types: [ui], complexity_below: 2}"
    assert choose([wanted], place(policy), asked=True).chosen == (wanted,)
    assert choose([wanted], place("limits: {items_per_day: 0}"), asked=True).chosen == ()


def test_choose__the_day_s_limit_counts_what_is_chosen_now() -> None:
    items = [item() for _ in range(5)]
    choice = choose(items, place("limits: {items_per_day: 4}", items_used=2))
    assert choice.chosen == tuple(items[:2])
    assert list(choice.left) == [one.id for one in items[2:]]


def test_choose__an_item_whose_base_failed_waits_for_the_branch_to_move() -> None:
    assert choose([item(failed_base=BASE.commit)], place()).chosen == ()
    assert choose([item(failed_base="d" * 40)], place()).chosen != ()


def test_groups__at_most_so_many_a_run() -> None:
    items = [item() for _ in range(5)]
    assert [len(group) for group in groups(items, 2)] == [2, 2, 1]


@pytest.mark.parametrize(
    ("ages", "seconds"),
    [
        ([1.0], 4.0),
        ([5.0], None),
        ([1.0, 30.0], 4.0),
        ([1.0, 70.0], None),
        ([1.0, 100_000.0], 4.0),
        ([100_000.0], None),
        ([0.0], 5.0),
    ],
    ids=["just now", "a while ago", "one after the other", "for too long", "beside an old one", "old", "this moment"],
)
def test_still_approving__is_over_after_a_pause_or_when_it_goes_on_for_too_long(
    ages: list[float], seconds: float | None
) -> None:
    waiting = [Waiting(item=item(id=UUID(int=place)), repository=None, age=age) for place, age in enumerate(ages)]
    assert still_approving(waiting, 5.0, 60.0) == seconds
