"""What people at a terminal ask of the backlog: which of these items are ours, and all of them as a list.

The same adapters and rows as in `test_backlog`; roles and old generations: `test_backlog_lists_rows`.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from app.domain.items import Item, ItemStatus
from app.domain.results import Outcome, Verdict
from app.ports.backlog import Backlog, ItemList, ListedItem
from tests.contracts import test_backlog as contract
from tests.contracts.test_backlog import Given

store, sql, given = contract.store, contract.sql, contract.given

ALL = tuple(ItemStatus)


def listed(store: Backlog, repository: str | None = None, **asked: Any) -> ItemList:
    return store.listed_items(repository=repository, **{"states": ALL, "limit": 100, "ended": 100} | asked)


def titles(found: ItemList) -> list[str]:
    return [one.item.title for one in found.items]


def at(year: int) -> datetime:
    return datetime(year, 1, 1, tzinfo=UTC)


# -- whose items -----------------------------------------------------------------------------------------------------


def own(store: Backlog, ids: list[UUID], repository: str | None) -> tuple[list[UUID], list[UUID]]:
    """These items, and those of the list: both go by the same rule."""
    return (
        [item.id for item in store.own_items(ids, repository=repository)],
        [one.item.id for one in listed(store, repository).items],
    )


def test_own_items__are_those_of_the_repository_at_hand(store: Backlog, given: Given) -> None:
    ours, again, theirs = given.repository("Acme/Shop"), given.repository("acme/shop"), given.repository("acme/site")
    mine = [given.item(repository_id=ours, impact_score=9), given.item(repository_id=again)]
    others = [given.item(repository_id=theirs), given.item(), uuid4()]
    for name in ("acme/shop", "ACME/SHOP"):
        assert own(store, [*mine, *others], name) == (mine, mine)
    for name in (None, "acme/other", "x'; --"):
        assert own(store, [*mine, *others], name) == ([], [])


def test_own_items__without_a_repository_are_those_that_a_run_takes(store: Backlog, given: Given) -> None:
    """As long as at most one is connected, whatever the name of the one at hand."""
    item = given.item()
    for connected in (None, "acme/shop", "Acme/Shop"):
        if connected:
            given.repository(connected)
        for name in ("acme/shop", "acme/other", None):
            assert [one.id for one in store.approved_items(repository=name)] == [item]
            assert own(store, [item], name) == ([item], [item])
    given.repository("acme/site")
    assert own(store, [item], "acme/shop") == ([], [])


def test_own_items__come_in_the_order_asked_for_without_their_texts(store: Backlog, given: Given) -> None:
    ids = {state: given.item(state, status=state, prd_content="# PRD", failed_base="d" * 40) for state in ItemStatus}
    backwards = list(ItemStatus)[::-1]
    assert store.own_items([ids[state] for state in backwards], repository=None) == [
        Item(id=ids[state], title=state, status=state, failed_base="d" * 40) for state in backwards
    ]
    assert store.own_items([], repository=None) == []


@pytest.mark.parametrize("at", ["infinity", "-infinity", "12000-01-01", "0044-03-15 BC"])
def test_own_items__are_those_that_are_listed_at_whatever_time(store: Backlog, given: Given, at: str) -> None:
    item = given.item("at no time", status="new", created_at=at)
    given.sql.execute("update mason_pm_backlog_items set approved_at = %s, updated_at = %s", (at, at))
    assert own(store, [item], None) == ([item], [item])


def test_own_items__columns_of_other_peoples_tables_are_not_taken_for_what_is_asked(
    store: Backlog, given: Given
) -> None:
    """As a function's argument and a column of the same name would be."""
    for table in ("mason_github_repositories", "mason_pm_backlog_items"):
        for column in ("repository text default 'acme/site'", "args jsonb default '{}'"):
            given.sql.execute(f"alter table {table} add column {column}")
    ours, theirs = given.repository("acme/shop"), given.repository("acme/site")
    mine, other = given.item(repository_id=ours), given.item(repository_id=theirs)
    assert own(store, [mine, other], "acme/shop") == ([mine], [mine])


# -- the list --------------------------------------------------------------------------------------------------------


def test_listed_items__first_what_is_worked_on_then_what_is_next_last_what_has_ended(
    store: Backlog, given: Given
) -> None:
    given.item("rejected long ago", status="rejected", updated_at=at(2020), impact_score=10)
    given.item("completed lately", status="completed", updated_at=at(2022), impact_score=1)
    given.item("rejected since", status="rejected", updated_at=at(2021))
    given.item("at no time", status="completed", updated_at=None)
    given.item("put off", status="deferred", impact_score=10)
    given.item("new, young", status="new", created_at=at(2021))
    given.item("new, old", status="new", created_at=at(2020), updated_at=at(2025))
    given.item("next", impact_score=4, created_at=at(2020))
    given.item("next of all", impact_score=9)
    given.item("after that", impact_score=4, created_at=at(2021))
    given.item("under way", status="in_progress", impact_score=1)
    assert titles(listed(store)) == [
        "under way",
        "next of all",
        "next",
        "after that",
        "new, old",
        "new, young",
        "put off",
        "completed lately",
        "rejected since",
        "rejected long ago",
        "at no time",
    ]
    assert [item.title for item in store.approved_items(repository=None)] == ["next of all", "next", "after that"]


def test_listed_items__are_as_many_as_asked_for_and_the_others_are_counted(store: Backlog, given: Given) -> None:
    for number in range(3):
        given.item(f"new {number}", status="new", created_at=at(2020 + number))
        given.item(f"ended {number}", status=("completed", "rejected")[number % 2], updated_at=at(2020 + number))
        given.item(f"approved {number}", created_at=at(2020 + number))
    few = listed(store, ended=1)
    assert titles(few)[-2:] == ["new 2", "ended 2"]
    assert (len(few.items), sum(few.more.values())) == (7, 2)
    assert (few.more[ItemStatus.COMPLETED], few.more[ItemStatus.REJECTED]) == (1, 1)
    fewer = listed(store, limit=4)
    assert titles(fewer) == ["approved 0", "approved 1", "approved 2", "new 0"]
    assert {state.value: count for state, count in fewer.more.items() if count} == {
        "new": 2,
        "completed": 2,
        "rejected": 1,
    }
    assert fewer.counts == few.counts
    assert sum(few.counts.values()) == 9


def test_listed_items__of_some_states_count_the_others_too(store: Backlog, given: Given) -> None:
    for state in ItemStatus:
        given.item(state, status=state)
    found = listed(store, states=[ItemStatus.DEFERRED, ItemStatus.NEW], limit=1)
    assert titles(found) == ["new"]
    assert found.more == {ItemStatus.NEW: 0, ItemStatus.DEFERRED: 1}
    assert found.counts == dict.fromkeys(ItemStatus, 1)


def test_listed_items__of_an_empty_backlog_are_none(store: Backlog) -> None:
    zeros = dict.fromkeys(ItemStatus, 0)
    assert listed(store) == ItemList(items=(), counts=zeros, more=zeros)


def test_listed_items__say_why_they_stand_where_they_do(store: Backlog, given: Given) -> None:
    given.item("put off", status="deferred", skip_reason="No PRD")
    given.item("edited", status="new", skip_reason="It was edited")
    given.item("failed", status="rejected", failure_reason="Never passed", skip_reason="of before")
    given.item("refused", status="rejected")
    given.item("waits", failed_base="d" * 40)
    found = {one.item.title: one for one in listed(store).items}
    assert {title: one.reason for title, one in found.items()} == {
        "put off": "No PRD",
        "edited": "It was edited",
        "failed": "Never passed",
        "refused": "",
        "waits": "",
    }
    assert found["waits"].item.failed_base == "d" * 40
    assert not any(one.resolved for one in found.values())


def only(store: Backlog) -> ListedItem:
    (one,) = listed(store).items
    return one


def test_listed_items__tell_attempt_branch_and_pull_request(store: Backlog, given: Given) -> None:
    claimed = given.claimed(type="ui", impact_score=5, effort_score=3, area="frontend")
    one = only(store)
    assert (one.item.status, one.item.attempt, one.item.branch) == (ItemStatus.IN_PROGRESS, 1, "mason/x")
    assert (one.item.run_id, one.item.type, one.item.area) == (claimed.claim.run_id, "ui", "frontend")
    assert (one.item.priority_score, one.item.complexity) == (7, None)
    url = "https://github.com/acme/shop/pull/1"
    assert store.settle(claimed.claim, Outcome(verdict=Verdict.COMPLETED, branch="mason/x", pull_request=url))
    one = only(store)
    assert (one.item.status, one.item.pull_request_url, one.resolved) == (ItemStatus.COMPLETED, url, False)


def test_listed_items__already_resolved_ones_are_told_from_changed_ones(store: Backlog, given: Given) -> None:
    claimed = given.claimed()
    assert store.settle(claimed.claim, Outcome(verdict=Verdict.ALREADY_RESOLVED, reason="It is there"))
    assert (only(store).resolved, only(store).reason) == (True, "It is there")
    given.sql.execute("update mason_pm_backlog_items set status = 'rejected', failure_reason = 'I say no'")
    assert (only(store).resolved, only(store).reason) == (False, "I say no")


@pytest.mark.parametrize("result", ["[]", "3", '"text"', '{"verdict": {"a": 1}, "reason": [1]}', "null"])
def test_listed_items__whatever_stands_in_a_result_is_no_harm(store: Backlog, given: Given, result: str) -> None:
    given.item(status="completed", execution_result=result)
    assert (only(store).resolved, only(store).reason) == (False, "")


def test_listed_items__hostile_rows_are_cut_or_left_out_with_a_warning(
    store: Backlog, given: Given, caplog: pytest.LogCaptureFixture
) -> None:
    blank = given.item(title=" \n")
    given.item(title="x" * 100_000, failure_reason="y" * 100_000, status="rejected", prd_content="z" * 2_000_000)
    given.sql.execute("update mason_pm_backlog_items set approved_at = 'infinity', created_at = '-infinity'")
    with caplog.at_level(logging.WARNING):
        found = listed(store)
    (one,) = found.items
    assert (len(one.item.title), one.reason) == (1000, "y" * 999 + "…")
    assert str(blank) in caplog.text
    assert (found.counts[ItemStatus.APPROVED], sum(found.more.values())) == (1, 0)


def test_listed_items__as_many_and_as_long_as_can_be_asked_for(store: Backlog, given: Given) -> None:
    """Whole, they are more than one value of the database may have."""
    given.sql.execute(
        "insert into mason_pm_backlog_items"
        " (title, problem, solution, area, type, complexity, impact_score, effort_score, status,"
        "  failure_reason, skip_reason, execution_result)"
        " select w.text, '', '', 'frontend', 'ui', 1, 1, 1, 'rejected',"
        "  w.text, w.text, jsonb_build_object('reason', w.text)"
        " from (select repeat('😀', 4000) as text) w cross join generate_series(1, 6000)"
    )
    found = listed(store, limit=10_000, ended=10_000)
    assert len(found.items) == 6000
    assert {len(one.reason) for one in found.items} == {1000}


def test_listed_items__states_that_mason_does_not_know_are_not_its(store: Backlog, given: Given) -> None:
    given.sql.execute("alter table mason_pm_backlog_items drop constraint mason_pm_backlog_items_status_check")
    given.sql.execute("alter table mason_pm_backlog_items alter column status drop not null")
    for status in ("archived", None):
        given.item(status=status)  # type: ignore[arg-type]
    found = listed(store)
    assert (found.items, sum(found.counts.values())) == ((), 0)
