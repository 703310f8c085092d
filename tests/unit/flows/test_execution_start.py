"""`POST /api/execution/start`: every row of the seed, which items may start, and that the same request is one run."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from app.domain.api_keys import Scope
from app.domain.dispatches import DispatchState
from app.domain.results import Verdict
from app.errors import DatabaseUnreachable
from app.flows.approval_to_run import reconcile_backlog
from app.flows.cancel_run import cancel_run
from app.flows.own_projects import forget_ended
from app.flows.reconcile_run import reconcile_run
from app.flows.start_execution import MOST_ITEMS, Start, start_execution
from app.ports.backlog import Claimed
from tests.unit.flows.execution_kit import Execution
from tests.unit.flows.web_world import NAME, Killed, Tripwire, WebWorld
from tests.unit.web.api_kit import error_of

# -- the seed: what it does -------------------------------------------------------------------------------------------


def test_start__creates_execution_run_in_mason_remote_execution_runs(world: WebWorld, execution: Execution) -> None:
    items = world.add_items(3)
    repository = place_id(world, NAME)
    run = execution.started(*items, repositoryId=str(repository), branchName="mason/execute-batch-1", baseBranch="main")
    row = world.run_rows(run)
    assert (row["status"], row["planned_status"]) == ("in_progress", "in_progress")
    assert (row["branch_name"], row["base_branch"], row["item_ids"]) == ("mason/execute-batch-1", "main", items)
    assert row["repository_id"] == repository


def test_start__updates_items_to_status_in_progress(world: WebWorld, execution: Execution) -> None:
    items = world.add_items(3)
    run = execution.started(*items)
    assert world.statuses(items) == ["in_progress"] * 3
    assert {world.item(item).run_id for item in items} == {run}
    assert all((world.item(item).branch or "").startswith("mason/thing-") for item in items)


def test_start__triggers_background_execution_job(world: WebWorld, execution: Execution) -> None:
    items = world.add_items(2)
    run = execution.started(*items)
    assert world.jobs("reconcile_run") == 1
    reconcile_run(world.ports, run)
    dispatch = world.dispatch()
    assert (dispatch.id, dispatch.items, dispatch.state) == (run, tuple(items), DispatchState.DISPATCHED)
    assert world.workflow_run(dispatch).inputs["run-id"] == str(run)


def test_start__returns_immediately(world: WebWorld, execution: Execution) -> None:
    """Nothing was handed over when it answers."""
    execution.started(*world.add_items(2))
    assert world.dispatch().state is DispatchState.PREPARING
    assert not world.there.workflow_runs


def test_start__goes_on_to_its_end(world: WebWorld, execution: Execution) -> None:
    (item,) = world.add_items(1)
    run = execution.started(item)
    reconcile_run(world.ports, run)
    claim = world.begin(world.dispatch(), item)
    assert world.settle(claim, pull_request="https://github.example/pull/1")
    world.workflow_run(world.dispatch()).finish("success")
    assert reconcile_run(world.ports, run) is None
    assert world.run_rows(run)["status"] == "success"
    assert world.statuses([item]) == ["completed"]


# -- which items ------------------------------------------------------------------------------------------------------


def place_id(world: WebWorld, name: str) -> UUID:
    (row,) = world.rows.execute("select id from mason_github_repositories where github_full_name = %s", [name])
    return UUID(str(row["id"]))


def refused(world: WebWorld, answer: Any) -> str:
    """The sentence of a 409 after which nothing has happened."""
    status, sentence = error_of(answer)
    assert status == 409
    assert not world.dispatches
    assert not world.rows.execute("select from mason_remote_execution_runs").fetchall()
    return sentence


@pytest.mark.parametrize("status", ["new", "completed", "deferred", "rejected"])
def test_items__that_are_not_approved_are_named(world: WebWorld, execution: Execution, status: str) -> None:
    good, bad = world.add_item(), world.add_item(status)
    answer = execution.start(good, bad)
    assert f"{bad}: it is {status}, not approved" in refused(world, answer)
    said = answer.json
    assert isinstance(said, dict)
    assert said["details"] == [{"path": ["itemIds", 1], "message": f"{bad}: it is {status}, not approved"}]
    assert world.statuses([good, bad]) == ["approved", status]


def test_items__that_are_unknown_are_named(world: WebWorld, execution: Execution) -> None:
    unknown = uuid4()
    assert f"{unknown}: there is no such item" in refused(world, execution.start(world.add_item(), unknown))


def test_items__of_another_repository_are_named(world: WebWorld, execution: Execution) -> None:
    world.add_repository("octo/other")
    own, foreign = world.add_item(), world.add_item(repository="octo/other")
    said = refused(world, execution.start(own, foreign, repositoryId=str(place_id(world, NAME))))
    assert f"{foreign}: it belongs to octo/other, not to {NAME}" in said


def test_items__of_mixed_repositories_are_named(world: WebWorld, execution: Execution) -> None:
    world.add_repository("octo/other")
    own, foreign = world.add_item(), world.add_item(repository="octo/other")
    assert f"{foreign}: it belongs to octo/other" in refused(world, execution.start(own, foreign))


def test_items__without_a_repository_where_several_are_connected_are_named(
    world: WebWorld, execution: Execution
) -> None:
    world.add_repository("octo/other")
    nobodys = world.add_item(repository=None)
    assert f"{nobodys}: it names no repository" in refused(world, execution.start(nobodys))


def test_items__in_another_run_are_named_with_it(world: WebWorld, execution: Execution) -> None:
    taken, free = world.add_items(2)
    run = execution.started(taken)
    status, sentence = error_of(execution.start(taken, free))
    assert (status, f"{taken}: it is in run {run} already" in sentence) == (409, True)
    assert world.statuses([free]) == ["approved"]


def test_items__a_sentence_names_five_and_the_details_all(world: WebWorld, execution: Execution) -> None:
    bad = world.add_items(8, status="new")
    answer = execution.start(*bad)
    said = refused(world, answer)
    assert "; and 3 more." in said
    details = answer.json["details"] if isinstance(answer.json, dict) else []
    assert [detail["path"] for detail in details] == [["itemIds", place] for place in range(8)]


def test_items__named_twice_are_one(world: WebWorld, execution: Execution) -> None:
    one, other = world.add_items(2)
    run = execution.started(one, other, one)
    assert world.run_rows(run)["item_ids"] == [one, other]


def test_items__more_than_the_policy_allows_start_nothing(world: WebWorld, execution: Execution) -> None:
    world.policy("limits:\n  items_per_run: 2\n")
    assert "allows 2 items in a run" in refused(world, execution.start(*world.add_items(3)))


def test_items__the_days_limit_counts(world: WebWorld, execution: Execution) -> None:
    world.policy("limits:\n  items_per_day: 1\n")
    first, second = world.add_items(2)
    assert f"{second}: 1 items were started within 24 hours" in refused(world, execution.start(first, second))
    execution.started(first)


def test_items__that_wait_for_the_branch_to_move_are_started_by_who_names_them(
    world: WebWorld, execution: Execution
) -> None:
    item = world.add_item(failed_base=world.ports.repositories.named(NAME).base().commit)
    execution.started(item)
    assert world.item(item).failed_base is None


def test_repository__that_is_not_connected_starts_nothing(world: WebWorld, execution: Execution) -> None:
    nowhere = uuid4()
    assert f"No repository {nowhere}" in refused(world, execution.start(world.add_item(), repositoryId=str(nowhere)))


def test_repository__that_mason_has_no_way_to_starts_nothing(world: WebWorld, execution: Execution) -> None:
    world.add_repository("octo/private", installed=False)
    item = world.add_item(repository="octo/private")
    assert "octo/private" in refused(world, execution.start(item))


def test_base_branch__is_the_pinned_base(world: WebWorld, execution: Execution) -> None:
    world.there.push_as_person("release/2", {"b.txt": "two\n"})
    run = execution.started(world.add_item(), baseBranch="release/2")
    base = world.dispatch().base
    assert base == world.ports.repositories.named(NAME).base("release/2")
    assert world.run_rows(run)["base_branch"] == "release/2"


def test_base_branch__that_there_is_none_of_starts_nothing(world: WebWorld, execution: Execution) -> None:
    assert "has no branch nowhere" in refused(world, execution.start(world.add_item(), baseBranch="nowhere"))


def test_policy__that_cannot_be_read_starts_nothing(world: WebWorld, execution: Execution) -> None:
    world.policy("limits: [")
    refused(world, execution.start(world.add_item()))


# -- the same request -------------------------------------------------------------------------------------------------


def test_same__items_while_they_run_are_one_run(world: WebWorld, execution: Execution) -> None:
    items = world.add_items(3)
    run = execution.started(*items)
    assert execution.started(*reversed(items)) == run
    reconcile_run(world.ports, run)
    assert execution.started(*items) == run
    assert len(world.dispatches) == 1


def test_same__items_that_their_approval_has_started_are_that_run(world: WebWorld, execution: Execution) -> None:
    items = world.add_items(2)
    reconcile_backlog(world.ports)
    (run,) = world.dispatches
    assert execution.started(*items) == run.id
    assert error_of(execution.start(items[0]))[0] == 409


def test_same__items_after_the_run_are_looked_at_anew(world: WebWorld, execution: Execution) -> None:
    (item,) = world.add_items(1)
    run = execution.started(item)
    cancel_run(world.ports, execution.own, run, "ci")
    reconcile_run(world.ports, run)
    assert error_of(execution.start(item))[0] == 409
    world.ports.backlog.approve(item)
    assert execution.started(item) != run


def test_same__idempotency_key_is_one_run_also_after_its_end(world: WebWorld, execution: Execution) -> None:
    (item,) = world.add_items(1)
    run = execution.started(item, key="order-1")
    cancel_run(world.ports, execution.own, run, "ci")
    reconcile_run(world.ports, run)
    assert execution.started(item, key="order-1") == run
    world.ports.backlog.approve(item)
    assert execution.started(item, key="order-2") != run


def test_same__idempotency_key_with_other_items_is_refused(world: WebWorld, execution: Execution) -> None:
    one, other = world.add_items(2)
    execution.started(one, key="order-1")
    assert error_of(execution.start(other, key="order-1"))[0] == 409
    assert world.statuses([other]) == ["approved"]


def test_same__idempotency_key_of_another_api_key_is_another(world: WebWorld, execution: Execution) -> None:
    one, other = world.add_items(2)
    run = execution.started(one, key="order-1")
    assert execution.started(other, key="order-1", scope=Scope.ADMIN) != run


@pytest.mark.parametrize("key", [None, "order-1"])
def test_same__eight_at_once_are_one_run(world: WebWorld, execution: Execution, key: str | None) -> None:
    items = world.add_items(4)
    with ThreadPoolExecutor(8) as pool:
        runs = set(pool.map(lambda _: execution.started(*items, key=key), range(8)))
    assert len(runs) == 1
    assert len(world.dispatches) == 1
    assert world.statuses(items) == ["in_progress"] * 4


def test_overlapping__of_two_at_once_one_runs_and_the_other_holds_nothing(
    world: WebWorld, execution: Execution
) -> None:
    shared, left, right = world.add_items(3)
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda items: execution.start(*items), [(shared, left), (right, shared)]))
    codes = sorted(answer.status_code for answer in answers)
    assert codes[-1] == 409 and codes[0] in (200, 409)
    held = {seen.claim.run_id for seen in world.ports.backlog.claims()}
    won = [
        answer.json["executionRunId"]
        for answer in answers
        if isinstance(answer.json, dict) and "success" in answer.json
    ]
    assert {str(run) for run in held} == set(won)


# -- what happens in between ------------------------------------------------------------------------------------------


def asked(items: list[UUID], **more: Any) -> Start:
    return Start(run_id=uuid4(), items=tuple(items), **more)


def test_claim__that_is_lost_meanwhile_gives_the_others_back(world: WebWorld, execution: Execution) -> None:
    items = world.add_items(3)

    class Overtaken:
        """A backlog in which somebody is faster by one item."""

        def __getattr__(self, name: str) -> Any:
            return getattr(world.ports.backlog, name)

        def claim_all(self, wanted: Any, *rest: Any, **more: Any) -> list[Claimed]:
            world.edit_item(items[1], status="in_progress")
            return world.ports.backlog.claim_all(wanted, *rest, **more)

    ports = replace(world.ports, backlog=Overtaken())  # type: ignore[arg-type]
    execution.door = Execution(world=replace_ports(world, ports), sealed=execution.sealed, theirs=execution.theirs).door
    status, sentence = error_of(execution.start(*items, key="order-1"))
    assert (status, f"{items[1]}: somebody else took it" in sentence) == (409, True)
    assert world.statuses(items) == ["approved", "in_progress", "approved"]
    dispatch = world.dispatch()
    assert (dispatch.state, dispatch.outcome) == (DispatchState.ENDED, "nothing")
    assert world.run_rows(dispatch.id)["status"] == "failed"
    assert [world.item(item).attempt for item in items] == [0, 0, 0]
    assert error_of(execution.start(*items, key="order-1"))[0] == 409


def replace_ports(world: WebWorld, ports: Any) -> WebWorld:
    made = object.__new__(WebWorld)
    made.__dict__.update(world.__dict__, ports=ports)
    return made


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_death__at_any_call_leaves_a_run_to_the_worker_or_nothing(
    world: WebWorld, execution: Execution, after: bool
) -> None:
    """Whatever the process dies of: the same request again, or the worker alone, lead to one run."""
    wire = Tripwire()
    start_execution(wire.ports(world.ports), execution.own, asked(world.add_items(2)))
    for place in range(1, len(wire.calls) + 1):
        items = world.add_items(2)
        request = asked(items)
        with pytest.raises(Killed):
            start_execution(Tripwire(at=place, after=after).ports(world.ports), execution.own, request)
        world.app_rows.execute("delete from mason_app.locks")  # the leases of the dead have run out
        recorded = world.ports.database.dispatch(request.run_id)
        if recorded is None:
            assert world.statuses(items) == ["approved"] * 2
            continue
        if place % 2:
            assert start_execution(world.ports, execution.own, request) == request.run_id
        reconcile_run(world.ports, request.run_id)
        assert world.statuses(items) == ["in_progress"] * 2
        assert {world.item(item).run_id for item in items} == {request.run_id}


def test_away__a_backlog_that_does_not_answer_is_told_and_the_same_request_goes_on(
    world: WebWorld, execution: Execution
) -> None:
    items = world.add_items(2)
    request = asked(items)

    class Away:
        def __getattr__(self, name: str) -> Any:
            return getattr(world.ports.backlog, name)

        def open_run(self, *_: Any, **__: Any) -> None:
            raise DatabaseUnreachable

    with pytest.raises(DatabaseUnreachable):
        start_execution(replace(world.ports, backlog=Away()), execution.own, request)  # type: ignore[arg-type]
    assert start_execution(world.ports, execution.own, replace(request, run_id=uuid4())) == request.run_id
    reconcile_run(world.ports, request.run_id)
    assert world.statuses(items) == ["in_progress"] * 2


# -- bad input --------------------------------------------------------------------------------------------------------


BAD: dict[str, dict[str, Any]] = {
    "no items": {"itemIds": []},
    "items missing": {"itemIds": None},
    "too many items": {"itemIds": [str(uuid4()) for _ in range(MOST_ITEMS + 1)]},
    "no uuid": {"itemIds": ["id1"]},
    "items of another type": {"itemIds": "id1"},
    "repository no uuid": {"repositoryId": "octo/app"},
    "unknown field": {"itemId": "x"},
    "snake case": {"item_ids": [str(uuid4())]},
    "branch with blanks": {"branchName": "a b"},
    "branch that is an option": {"baseBranch": "--upload-pack=x"},
    "empty branch": {"branchName": ""},
    "long branch": {"branchName": "b" * 201},
    "url without a key": {"supabaseUrl": "https://x.supabase.co"},
    "key without a url": {"supabaseKey": "eyJ-secret-word"},
    "url of another type": {"supabaseUrl": 7, "supabaseKey": "eyJ-secret-word"},
    "long key": {"supabaseUrl": "https://x.supabase.co", "supabaseKey": "k" * 5001},
}


@pytest.mark.parametrize("change", BAD.values(), ids=BAD.keys())
def test_bad_input__is_refused_and_repeated_nowhere(
    world: WebWorld, execution: Execution, change: dict[str, Any]
) -> None:
    body = {"itemIds": [str(world.add_item())], **change}
    answer = execution.door.post("/api/execution/start", scope=Scope.RUN, json=body)
    assert error_of(answer)[0] == 400
    assert b"secret-word" not in answer.data
    assert not world.dispatches


@pytest.mark.parametrize("key", ["", " ", "a b", "k" * 201, "\xe4"])
def test_bad_input__idempotency_keys_are_bounded(world: WebWorld, execution: Execution, key: str) -> None:
    headers = execution.door.bearer(Scope.RUN) | {"Idempotency-Key": key}
    body = {"itemIds": [str(world.add_item())]}
    answer = execution.door.client.post("/api/execution/start", headers=headers, json=body)
    assert error_of(answer)[0] == 400


def test_bad_input__who_may_only_read_starts_and_stops_nothing(world: WebWorld, execution: Execution) -> None:
    item = world.add_item()
    assert error_of(execution.start(item, scope=Scope.READ))[0] == 403
    assert execution.door.client.post("/api/execution/start", json={"itemIds": [str(item)]}).status_code == 401
    answer = execution.door.post(f"/api/execution/runs/{uuid4()}/cancel", scope=Scope.READ)
    assert error_of(answer)[0] == 403
    assert not world.dispatches


def test_sealed__nothing_is_kept_of_a_run_without_credentials(world: WebWorld, execution: Execution) -> None:
    execution.started(world.add_item())
    forget_ended(world.ports, execution.sealed)
    assert not execution.sealed.names("run ")


def test_verdicts__of_the_items_make_the_runs_end(world: WebWorld, execution: Execution) -> None:
    one, other = world.add_items(2)
    run = execution.started(one, other)
    reconcile_run(world.ports, run)
    world.settle(world.begin(world.dispatch(), one))
    world.settle(world.begin(world.dispatch(), other, "job 1 1 run b"), Verdict.REJECTED, "It failed")
    world.workflow_run(world.dispatch()).finish("failure")
    reconcile_run(world.ports, run)
    row = world.run_rows(run)
    assert (row["status"], row["success_count"], row["failure_count"]) == ("failed", 1, 1)
