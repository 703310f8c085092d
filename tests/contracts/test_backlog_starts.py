"""What a start of many items asks of the backlog: where they are of, whose branches are taken, all claimed by one call.

The same adapters and rows as in `test_backlog`.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import UUID, uuid4

from app.domain.claims import DISPATCHED
from app.domain.items import ItemStatus
from app.domain.runs import Run
from app.flows.selection import branches_of
from app.ports.backlog import Backlog
from tests.contracts import test_backlog as contract
from tests.contracts.test_backlog import BASE, Given

store, sql, given = contract.store, contract.sql, contract.given


def test_placed_items__say_all_but_the_prd_and_whose_they_are(store: Backlog, given: Given) -> None:
    shop, site = given.repository("acme/shop"), given.repository("Acme/Site")
    one = given.item(repository_id=shop, prd_content="# PRD", status="new", tags=["a"])
    other, nobodys = given.item(repository_id=site), given.item()
    found = store.placed_items([one, other, nobodys, uuid4()], repository=site)
    assert found.repository == "Acme/Site"
    assert {key: (value.placed, value.repository) for key, value in found.items.items()} == {
        one: (True, "acme/shop"),
        other: (True, "Acme/Site"),
        nobodys: (False, None),
    }
    (whole,) = store.items([one])
    assert found.items[one].item == replace(whole, prd=None)


def test_placed_items__without_a_repository_are_of_the_only_one_or_of_whoever_asks(
    store: Backlog, given: Given
) -> None:
    item = given.item()
    before = store.placed_items([item], repository=uuid4())
    assert before.repository is None
    assert (before.items[item].placed, before.items[item].repository) == (True, None)
    given.repository("acme/shop")
    after = store.placed_items([item], repository=None)
    assert (after.items[item].placed, after.items[item].repository) == (True, "acme/shop")
    assert store.placed_items([], repository=None).items == {}


def test_branch_owners__are_the_first_that_had_them(store: Backlog, given: Given) -> None:
    first = given.item("A", branch_name="mason/a", created_at="2020-01-01")
    given.item("B", branch_name="mason/a", created_at="2021-01-01")
    last = given.item("C", branch_name="mason/c")
    assert store.branch_owners(["mason/a", "mason/c", "mason/nobody"]) == {"mason/a": first, "mason/c": last}
    assert store.branch_owners([]) == {}


def test_branches__of_those_that_want_one_name_the_smallest_id_gets_it(store: Backlog, given: Given) -> None:
    ids = sorted(given.item("Same title") for _ in range(3))
    taken = given.item("Taken")
    given.item("Earlier", branch_name="mason/taken", status="completed")
    items = store.items([ids[2], ids[0], ids[1], taken])
    names = branches_of(store, items, items)
    assert names[1] == "mason/same-title"
    assert names[0] == f"mason/same-title-{ids[2].hex[:8]}"
    assert names[2] == f"mason/same-title-{ids[1].hex[:8]}"
    assert names[3] == f"mason/taken-{taken.hex[:8]}"


def opened(store: Backlog, ids: list[UUID], **more: str) -> Run:
    run = Run(id=uuid4(), base=BASE, item_ids=tuple(ids), planned=True, **more)  # type: ignore[arg-type]
    store.open_run(run, repository=None)
    return run


def test_claim_all__takes_what_is_approved_and_leaves_the_rest(store: Backlog, given: Given) -> None:
    ids = [given.item(f"Item {n}", prd_content="# PRD") for n in range(3)]
    items = store.items(ids)
    gone = given.item("Gone", status="deferred")
    run = opened(store, [*ids, gone])
    wanted = [*reversed(items), *store.items([gone])]
    taken = store.claim_all(wanted, [f"mason/{item.title}" for item in wanted], run_id=run.id, claimed_by=DISPATCHED)
    assert [one.claim.item_id for one in taken] == list(reversed(ids))
    assert {one.claim.attempt for one in taken} == {1}
    assert {one.item.branch for one in taken} == {f"mason/Item {n}" for n in range(3)}
    now = store.items([*ids, gone])
    assert [item.status for item in now] == [ItemStatus.IN_PROGRESS] * 3 + [ItemStatus.DEFERRED]
    assert [replace(item, prd=None) for item in now[:3]] == [one.item for one in reversed(taken)]
    assert {seen.claim for seen in store.claims()} == {one.claim for one in taken}
    assert store.claim_all(items, ["b"] * 3, run_id=run.id, claimed_by=DISPATCHED) == []
    assert store.claim_all([], [], run_id=run.id, claimed_by=DISPATCHED) == []


def test_claim_all__of_two_runs_at_once_each_item_is_for_one(store: Backlog, given: Given) -> None:
    ids = [given.item(f"Item {n}") for n in range(20)]
    items = store.items(ids)
    runs = [opened(store, ids) for _ in range(2)]

    def attempt(number: int) -> set[UUID]:
        order = items if number else list(reversed(items))
        taken = store.claim_all(order, ["mason/x"] * 20, run_id=runs[number].id, claimed_by=DISPATCHED)
        return {one.claim.item_id for one in taken}

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(attempt, range(2))
    assert one | other == set(ids)
    assert not one & other


def test_open_run__keeps_the_name_that_its_starter_gave(store: Backlog, given: Given) -> None:
    named = opened(store, [given.item()], branch_name="mason/execute-batch-1")
    plain = opened(store, [given.item("Other")])
    rows = given.sql.execute("select id, branch_name from mason_remote_execution_runs").fetchall()
    assert {row[0]: row[1] for row in map(tuple_of, rows)} == {named.id: "mason/execute-batch-1", plain.id: None}


def tuple_of(row: object) -> tuple[object, ...]:
    return tuple(row.values()) if isinstance(row, dict) else tuple(row)  # type: ignore[arg-type]
