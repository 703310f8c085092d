"""Reconciling a run: every ending, and what becomes of items, rows, check runs and the comment."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from app.domain.claims import DISPATCHED
from app.domain.dispatches import Dispatch, DispatchState, Work
from app.domain.items import ItemStatus
from app.domain.results import Usage, Verdict
from app.errors import Busy, ForgeUnreachable, MasonError
from app.flows.approval_to_run import reconcile_backlog
from app.flows.reconcile_run import QUEUED_CHECKS, reconcile_run
from app.flows.sweep import sweep
from app.ports.dispatcher import Dispatcher
from tests.fakes.faults import Fault
from tests.unit.flows.web_world import NAME, Killed, Tripwire, WebWorld

DISPATCHES = "POST /repos/{owner}/{repo}/actions/workflows/{workflow_id}/dispatches"


def reconcile(world: WebWorld, dispatch: Dispatch) -> Dispatch:
    """Its state after one look."""
    seconds = reconcile_run(world.ports, dispatch.id)
    now = world.ports.database.dispatch(dispatch.id)
    assert now is not None
    assert seconds == (None if now.state is DispatchState.ENDED else 60.0)
    return now


def assert_ended(world: WebWorld, dispatch: Dispatch, outcome: str, reason: str) -> None:
    """The dispatch, its two rows, and no check run that is left open on the base commit."""
    now = world.ports.database.dispatch(dispatch.id)
    assert now is not None
    assert (now.state, now.outcome, now.reason) == (DispatchState.ENDED, outcome, reason)
    row = world.run_rows(dispatch.id)
    assert row["status"] == row["planned_status"] == outcome
    assert row["completed_at"] is not None
    assert not world.open_checks
    assert not [seen for seen in world.ports.backlog.claims() if seen.claim.run_id == dispatch.id]
    before = len(world.github.requests)
    assert reconcile_run(world.ports, dispatch.id) is None  # and nothing looks at it again
    assert len(world.github.requests) == before


def assert_waits_for_the_branch(world: WebWorld, items: list[UUID]) -> None:
    """Nothing may loop: they are started again once the branch has moved, and not before."""
    for item in items:
        row = world.item(item)
        assert (row.status, row.attempt, row.failed_base) == (ItemStatus.APPROVED, 0, world.there.branches["main"])
    count = len(world.dispatches)
    for _ in range(3):
        world.look()
    assert len(world.dispatches) == count
    world.there.push_as_person("main", {"moved.txt": "moved\n"})
    reconcile_backlog(world.ports)
    assert set(world.dispatches[-1].items) == set(items)


def test_prepare__claims_shows_and_hands_over(world: WebWorld) -> None:
    dispatch, run, items = world.started(QUEUED_CHECKS + 1)
    assert (dispatch.state, dispatch.tries, dispatch.workflow_run) == (DispatchState.DISPATCHED, 1, str(run.id))
    assert dispatch.url.endswith(f"/actions/runs/{run.id}")
    assert run.inputs["command"] == "run" and str(dispatch.id) in run.title
    claims = [seen.claim for seen in world.ports.backlog.claims()]
    assert {(claim.item_id, claim.run_id, claim.attempt, claim.claimed_by) for claim in claims} == {
        (item, dispatch.id, 1, DISPATCHED) for item in items
    }
    assert world.run_rows(dispatch.id)["status"] == "in_progress"
    assert len(world.open_checks) == QUEUED_CHECKS
    assert {check.head_sha for check in world.there.check_runs} == {world.there.branches["main"]}
    assert {check.title for check in world.there.check_runs} == {"Waiting for a runner"}


def test_prepare__items_that_somebody_else_has_are_left_to_them(world: WebWorld) -> None:
    mine, theirs = world.add_items(2)
    reconcile_backlog(world.ports)
    world.ports.backlog.claim(world.item(theirs), run_id=uuid4(), claimed_by="process a b 1 2", branch="mason/x")
    dispatch = reconcile(world, world.dispatch())
    assert dispatch.state is DispatchState.DISPATCHED
    assert world.item(mine).run_id == dispatch.id != world.item(theirs).run_id
    assert [seen.claim.item_id for seen in world.ports.backlog.claims() if seen.claim.run_id == dispatch.id] == [mine]


@pytest.mark.parametrize("status", ["new", "deferred", "completed"])
def test_prepare__with_nothing_left_to_do_it_ends(world: WebWorld, status: str) -> None:
    item = world.add_item()
    reconcile_backlog(world.ports)
    world.edit_item(item, status=status)
    dispatch = reconcile(world, world.dispatch())
    assert (dispatch.state, dispatch.outcome) == (DispatchState.ENDED, "nothing")
    assert not world.there.workflow_runs and not world.there.check_runs
    assert not world.ports.backlog.open_runs()
    assert world.statuses([item]) == [status]


def test_prepare__check_runs_that_cannot_be_made_keep_nothing_from_running(world: WebWorld) -> None:
    world.github.fail("POST /repos/{owner}/{repo}/check-runs", with_=Fault.SERVER_ERROR, times=None)
    dispatch, _, _ = world.started()
    assert dispatch.state is DispatchState.DISPATCHED
    assert not world.there.check_runs


def test_queued__in_progress_leases_of_waiting_items_are_renewed(world: WebWorld) -> None:
    dispatch, run, (waiting, begun) = world.started(2)
    world.begin(dispatch, begun)
    run.start()
    for item in (waiting, begun):
        world.lose_lease(item)
    assert reconcile(world, dispatch).state is DispatchState.DISPATCHED
    expired = {seen.claim.item_id for seen in world.ports.backlog.claims() if seen.expired}
    assert expired == {begun}  # its own runner has to


def test_queued__not_long_enough_is_waited_for(world: WebWorld) -> None:
    dispatch, run, _ = world.started()
    world.edit_dispatch(dispatch.id, dispatched_at=world.ago(hours=5.9))
    assert reconcile(world, dispatch).state is DispatchState.DISPATCHED
    assert run.status == "queued"


def test_queued__too_long_is_given_up(world: WebWorld) -> None:
    dispatch, run, items = world.started(2)
    world.edit_dispatch(dispatch.id, dispatched_at=world.ago(hours=6.1))
    reconcile(world, dispatch)
    assert_ended(world, dispatch, "failed", "No runner took it")
    assert run.conclusion == "cancelled"
    assert_waits_for_the_branch(world, items)


def test_running__however_long_is_waited_for(world: WebWorld) -> None:
    dispatch, run, _ = world.started()
    run.start()
    world.edit_dispatch(dispatch.id, dispatched_at=world.ago(hours=30))
    assert reconcile(world, dispatch).state is DispatchState.DISPATCHED


@pytest.mark.parametrize("answer", ["silent", "strict"])
def test_older_servers__tell_no_run_which_is_found_by_its_name(world: WebWorld, answer: str) -> None:
    world.there.dispatch = answer  # type: ignore[assignment]
    dispatch, run, _ = world.started()
    assert dispatch.state is DispatchState.DISPATCHED and not dispatch.workflow_run
    now = reconcile(world, dispatch)
    assert now.workflow_run == str(run.id) and now.url
    assert len(world.there.workflow_runs) == 1


def test_lost_answer__of_a_dispatch_makes_no_second_run(world: WebWorld) -> None:
    world.add_item()
    reconcile_backlog(world.ports)
    world.github.fail(DISPATCHES, with_=Fault.DROPPED, when="after")
    with pytest.raises(ForgeUnreachable):
        reconcile_run(world.ports, world.dispatch().id)
    assert (world.dispatch().state, world.dispatch().tries) == (DispatchState.PREPARING, 1)
    dispatch = reconcile(world, world.dispatch())
    assert (dispatch.state, dispatch.tries) == (DispatchState.DISPATCHED, 1)
    assert [str(run.id) for run in world.there.workflow_runs] == [dispatch.workflow_run]


def never_appears(world: WebWorld) -> Dispatch:
    """Dispatched to a server that tells no run, and of which none is to be seen."""
    world.there.dispatch = "silent"
    dispatch, _, _ = world.started()
    world.there.workflow_runs.clear()
    return dispatch


def test_never_appeared__is_handed_over_three_times_and_then_given_up(world: WebWorld) -> None:
    dispatch = never_appears(world)
    items = list(dispatch.items)
    for tries in (2, 3):
        assert reconcile(world, dispatch).tries == tries - 1  # it may appear yet
        world.edit_dispatch(dispatch.id, tried_at=world.ago(minutes=2.1))
        assert reconcile(world, dispatch).tries == tries
        assert len(world.there.workflow_runs) == 1
        world.there.workflow_runs.clear()
    assert reconcile(world, dispatch).state is DispatchState.DISPATCHED
    world.edit_dispatch(dispatch.id, tried_at=world.ago(minutes=2.1))
    reconcile(world, dispatch)
    assert_ended(world, dispatch, "failed", "No runner took it")
    assert not world.there.workflow_runs
    assert_waits_for_the_branch(world, items)


def test_never_appeared__late_is_found(world: WebWorld) -> None:
    world.there.dispatch = "silent"
    dispatch, run, _ = world.started()
    world.edit_dispatch(dispatch.id, tried_at=world.ago(minutes=9))
    now = reconcile(world, dispatch)
    assert (now.tries, now.workflow_run) == (1, str(run.id))


def test_deleted__a_workflow_run_that_was_there_has_ended(world: WebWorld) -> None:
    dispatch, _, items = world.started()
    world.there.workflow_runs.clear()
    reconcile(world, dispatch)
    assert world.dispatches[0].state is DispatchState.DISPATCHED  # it may not be listed everywhere yet
    world.edit_dispatch(dispatch.id, dispatched_at=world.ago(minutes=3))
    reconcile(world, dispatch)
    assert_ended(world, dispatch, "failed", "Its workflow run failed")
    assert world.statuses(items) == ["approved"]


@pytest.mark.parametrize("break_", ["removed", "disabled", "refused"])
def test_refused__a_workflow_that_cannot_be_dispatched_is_given_up_at_once(world: WebWorld, break_: str) -> None:
    path = ".github/workflows/mason.yml"
    if break_ == "removed":
        world.there.push_as_person("main", {path: None})
    elif break_ == "disabled":
        world.there.disabled_workflows.add("mason.yml")
    else:
        world.there.push_as_person("main", {path: "on: push\n"})
    items = world.add_items(2)
    reconcile_backlog(world.ports)
    dispatch = reconcile(world, world.dispatch())
    assert path in dispatch.reason
    assert dispatch.tries == 1
    assert_ended(world, dispatch, "failed", dispatch.reason)
    assert world.run_rows(dispatch.id)["error_message"] == dispatch.reason
    assert_waits_for_the_branch(world, items)


def test_no_room__for_a_runner_changes_nothing(world: WebWorld) -> None:
    class Full:
        """A dispatcher of which all places are taken."""

        def __init__(self, inner: Dispatcher) -> None:
            self.look_again = inner.look_again
            self.find, self.cancel = inner.find, inner.cancel

        def dispatch(self, _: Dispatch) -> None:
            raise Busy

    world.add_item()
    reconcile_backlog(world.ports)
    with pytest.raises(Busy):
        reconcile_run(replace(world.ports, dispatcher=Full(world.ports.dispatcher)), world.dispatch().id)
    assert (world.dispatch().state, world.dispatch().tries) == (DispatchState.PREPARING, 0)
    assert reconcile(world, world.dispatch()).state is DispatchState.DISPATCHED


def test_finished__normally_by_its_items(world: WebWorld) -> None:
    dispatch, run, (done, resolved) = world.started(2)
    run.start()
    reconcile(world, dispatch)
    world.settle(world.begin(dispatch, done), usage=Usage(cost_usd=1.25), pull_request="http://h/octo/app/pull/7")
    world.settle(world.begin(dispatch, resolved), Verdict.ALREADY_RESOLVED, "It was there", usage=Usage(cost_usd=0.5))
    run.finish("success")
    assert reconcile(world, dispatch).cost_usd == 1.75
    assert_ended(world, dispatch, "success", "")
    assert world.statuses([done, resolved]) == ["completed", "completed"]
    row = world.run_rows(dispatch.id)
    assert (row["success_count"], row["failure_count"], row["error_message"]) == (2, 0, None)
    assert world.jobs("reconcile_backlog") == 1


def test_finished__with_a_rejected_item_it_has_failed_by_its_items(world: WebWorld) -> None:
    """The workflow's own conclusion says no more than its items do."""
    dispatch, run, (done, failed) = world.started(2)
    world.settle(world.begin(dispatch, done))
    world.settle(world.begin(dispatch, failed), Verdict.REJECTED, "The tests fail")
    run.finish("failure")
    reconcile(world, dispatch)
    assert_ended(world, dispatch, "failed", "")
    assert world.statuses([done, failed]) == ["completed", "rejected"]
    assert world.run_rows(dispatch.id)["error_message"] == "1 of 2 items failed."


def test_succeeded__but_silent(world: WebWorld) -> None:
    """It says that all went well, and nobody began with anything."""
    dispatch, run, items = world.started(2)
    run.finish("success")
    reconcile(world, dispatch)
    assert_ended(world, dispatch, "failed", "Its workflow run ended")
    assert world.statuses(items) == ["approved", "approved"]
    assert [world.item(item).attempt for item in items] == [1, 1]


REASONS = {
    "failure": "Its workflow run failed",
    "timed_out": "It took longer than GitHub allows",
    "startup_failure": "Its workflow could not be started",
    "success": "Its workflow run ended",
    "stale": "Its workflow run ended with 'stale'",
}


@pytest.mark.parametrize("conclusion", REASONS)
def test_ended__in_whatever_way_items_cost_an_attempt(world: WebWorld, conclusion: str) -> None:
    dispatch, run, (waiting, begun, done) = world.started(3)
    world.begin(dispatch, begun)
    world.settle(world.begin(dispatch, done, "job 1 1 run b"))
    run.finish(conclusion)
    reconcile(world, dispatch)
    assert_ended(world, dispatch, "failed", REASONS[conclusion])
    assert world.statuses([waiting, begun, done]) == ["approved", "approved", "completed"]
    assert [world.item(item).attempt for item in (waiting, begun)] == [1, 1]
    assert world.item(waiting).failed_base is world.item(begun).failed_base is None
    row = world.run_rows(dispatch.id)
    assert (row["success_count"], row["error_message"]) == (1, REASONS[conclusion])
    reconcile_backlog(world.ports)
    assert set(world.dispatches[-1].items) == {waiting, begun}


def test_ended__in_the_third_attempt_the_begun_is_rejected_and_the_waiting_waits(world: WebWorld) -> None:
    waiting, begun = world.add_items(2)
    for attempt in (1, 2, 3):
        world.look()
        dispatch = world.dispatches[-1]
        assert {world.item(item).attempt for item in (waiting, begun)} == {attempt}
        world.begin(dispatch, begun, f"job {attempt} 1 run a")
        world.workflow_run(dispatch).finish("timed_out")
        reconcile(world, dispatch)
        assert_ended(world, dispatch, "failed", "It took longer than GitHub allows")
    row = world.item(begun)
    assert (row.status, row.attempt) == (ItemStatus.REJECTED, 3)
    assert row.failure_reason == "The runner was lost 3 times while it worked on this item."
    assert world.item(waiting).status is ItemStatus.APPROVED
    assert world.item(waiting).failed_base == world.there.branches["main"]
    for _ in range(3):
        world.look()
    assert len(world.dispatches) == len(world.there.workflow_runs) == 3


def test_startup_failure__three_times_and_then_it_waits_for_the_branch(world: WebWorld) -> None:
    item = world.add_item()
    for _ in range(10):
        world.look()
        for run in world.there.workflow_runs:
            if run.status == "queued":
                run.finish("startup_failure")
        world.look()
    assert len(world.there.workflow_runs) == 3
    assert {(one.outcome, one.reason) for one in world.dispatches} == {("failed", "Its workflow could not be started")}
    row = world.item(item)
    assert (row.status, row.failed_base) == (ItemStatus.APPROVED, world.there.branches["main"])
    assert not world.open_checks
    world.there.push_as_person("main", {"moved.txt": "moved\n"})
    world.look()
    assert len(world.there.workflow_runs) == 4


def test_cancelled__in_the_actions_ui_defers_whatever_had_not_ended(world: WebWorld) -> None:
    dispatch, run, (waiting, begun, given_back, done) = world.started(4)
    run.start()
    world.begin(dispatch, begun)
    world.settle(world.begin(dispatch, done, "job 1 1 run b"))
    world.settle(world.begin(dispatch, given_back, "job 1 1 run c"), Verdict.RELEASED, "It was stopped")
    run.finish("cancelled")
    reconcile(world, dispatch)
    assert_ended(world, dispatch, "cancelled", "It was cancelled")
    assert world.statuses([waiting, begun, given_back, done]) == ["deferred", "deferred", "deferred", "completed"]
    assert {world.item(item).skip_reason for item in (waiting, begun, given_back)} == {"Cancelled in GitHub Actions"}
    reconcile_backlog(world.ports)
    assert len(world.dispatches) == 1


def test_cancelled__an_item_that_was_approved_anew_meanwhile_is_free(world: WebWorld) -> None:
    """A person's later word counts; so does the runner's about a base that fails by itself."""
    dispatch, run, (anew, base_fails) = world.started(2)
    world.settle(world.begin(dispatch, anew), Verdict.RELEASED, "It was stopped")
    world.ports.backlog.defer(anew, "no")
    world.ports.backlog.approve(anew)
    base = world.there.branches["main"]
    world.settle(world.begin(dispatch, base_fails), Verdict.RELEASED, "main fails by itself", failed_base=base)
    run.finish("cancelled")
    reconcile(world, dispatch)
    assert world.statuses([anew, base_fails]) == ["approved", "approved"]
    reconcile_backlog(world.ports)
    assert world.dispatches[-1].items == (anew,)


@pytest.mark.parametrize("hours", [-1, 1])
def test_clocks__of_the_two_databases_may_be_apart(world: WebWorld, hours: float) -> None:
    """The app database's is slow or fast."""
    dispatch, run, (given_back, anew) = world.started(2)
    world.edit_dispatch(dispatch.id, created_at=world.ago(hours=hours))
    for item in (given_back, anew):
        world.settle(world.begin(dispatch, item, f"job 1 1 run {item}"), Verdict.RELEASED, "It was stopped")
    world.ports.backlog.defer(anew, "no")
    world.ports.backlog.approve(anew)
    run.finish("cancelled")
    reconcile(world, dispatch)
    assert world.statuses([given_back, anew]) == ["deferred", "approved"]


@pytest.mark.parametrize("hours", [-1, 1])
def test_clocks__rounds_are_counted_all_the_same(world: WebWorld, hours: float) -> None:
    item = world.add_item()
    for turn in range(6):
        if turn == 2:
            world.ports.backlog.defer(item, "no")
            world.ports.backlog.approve(item)  # from here on it has three rounds
        world.look()
        for run in world.there.workflow_runs:
            if run.status == "queued":
                run.finish("startup_failure")
        for dispatch in world.dispatches:
            world.edit_dispatch(dispatch.id, created_at=world.ago(hours=hours))
        world.look()
    assert len(world.there.workflow_runs) == 5
    assert world.item(item).failed_base == world.there.branches["main"]


@pytest.mark.parametrize("conclusion", ["cancelled", "success", "failure"])
def test_cancelled__by_a_person_however_its_workflow_ends(world: WebWorld, conclusion: str) -> None:
    dispatch, run, (waiting, done) = world.started(2)
    world.settle(world.begin(dispatch, done))
    world.edit_dispatch(dispatch.id, cancelled_by="ada")
    run.finish(conclusion)
    reconcile(world, dispatch)
    assert_ended(world, dispatch, "cancelled", "It was cancelled")
    assert world.statuses([waiting, done]) == ["deferred", "completed"]
    assert world.item(waiting).skip_reason == "Cancelled by @ada"


def test_cancelled__by_a_person_its_workflow_run_is_cancelled_until_it_ends(world: WebWorld) -> None:
    dispatch, run, (item,) = world.started()
    run.start()
    world.edit_dispatch(dispatch.id, cancelled_by="ada")
    assert reconcile(world, dispatch).state is DispatchState.DISPATCHED
    assert run.conclusion == "cancelled"
    reconcile(world, dispatch)
    assert_ended(world, dispatch, "cancelled", "It was cancelled")
    assert world.statuses([item]) == ["deferred"]


def test_cancelled__by_a_person_before_it_was_handed_over(world: WebWorld) -> None:
    item = world.add_item()
    reconcile_backlog(world.ports)
    world.edit_dispatch(world.dispatch().id, cancelled_by="ada")
    dispatch = reconcile(world, world.dispatch())
    assert (dispatch.state, dispatch.outcome) == (DispatchState.ENDED, "cancelled")
    assert not world.there.workflow_runs
    row = world.item(item)
    assert (row.status, row.skip_reason) == (ItemStatus.DEFERRED, "Cancelled by @ada")


def test_cancelled__by_a_person_where_no_workflow_run_ever_appeared(world: WebWorld) -> None:
    dispatch = never_appears(world)
    world.edit_dispatch(dispatch.id, cancelled_by="ada")
    reconcile(world, dispatch)
    assert_ended(world, dispatch, "cancelled", "It was cancelled")
    assert world.statuses(dispatch.items) == ["deferred"]


def test_lost__a_runner_without_heartbeat_is_found_by_the_sweep(world: WebWorld) -> None:
    dispatch, run, (lost, fine) = world.started(2)
    run.start()
    world.begin(dispatch, lost)
    claim = world.begin(dispatch, fine, "job 1 1 run b")
    world.lose_lease(lost)
    sweep(world.ports)
    assert world.statuses([lost, fine]) == ["approved", "in_progress"]
    assert [check for check in world.open_checks if str(lost.hex[:8]) in check] == []
    assert len(world.open_checks) == 1
    world.look()
    assert len(world.dispatches) == 1  # it waits for its run's end
    world.settle(claim)
    run.finish("failure")
    reconcile(world, dispatch)
    assert_ended(world, dispatch, "failed", "Its workflow run failed")
    assert world.statuses([lost, fine]) == ["approved", "completed"]
    reconcile_backlog(world.ports)
    assert world.dispatches[-1].items == (lost,)


def test_lost__its_run_has_failed_whoever_takes_its_items_back(world: WebWorld) -> None:
    """The sweep may be quicker than the end of the workflow run: nothing went well all the same."""
    dispatch, run, (item,) = world.started()
    world.begin(dispatch, item)
    world.lose_lease(item)
    sweep(world.ports)
    run.finish("failure")
    reconcile(world, dispatch)
    assert_ended(world, dispatch, "failed", "Its workflow run failed")


def test_stopped__a_runner_that_gave_its_item_back_has_not_succeeded(world: WebWorld) -> None:
    dispatch, run, (item,) = world.started()
    world.settle(world.begin(dispatch, item), Verdict.RELEASED, "Mason was stopped")
    run.finish("failure")
    reconcile(world, dispatch)
    assert_ended(world, dispatch, "failed", "Its workflow run failed")
    assert world.statuses([item]) == ["approved"]


def test_left__items_that_somebody_else_has_do_not_fail_the_run(world: WebWorld) -> None:
    mine, theirs = world.add_items(2)
    reconcile_backlog(world.ports)
    world.ports.backlog.claim(world.item(theirs), run_id=uuid4(), claimed_by="process a b 1 2", branch="mason/x")
    dispatch = reconcile(world, world.dispatch())
    world.settle(world.begin(dispatch, mine))
    world.workflow_run(dispatch).finish("success")
    reconcile(world, dispatch)
    assert_ended(world, dispatch, "success", "")
    assert world.statuses([theirs]) == ["in_progress"]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("conclusion", ["failure", "cancelled", "success"])
def test_killed__at_each_call_of_the_end_and_it_ends_the_same(world: WebWorld, conclusion: str, after: bool) -> None:
    def ending(wire: Tripwire) -> tuple[bool, object]:
        """Whether the process was killed, and what a run of three items came to, after a second look."""
        dispatch, run, (waiting, begun, done) = world.started(3)
        world.begin(dispatch, begun)
        world.settle(world.begin(dispatch, done, "job 1 1 run b"))
        run.finish(conclusion)
        killed = False
        try:
            reconcile_run(wire.ports(world.ports), dispatch.id)
        except Killed:
            killed = True
            reconcile_run(world.ports, dispatch.id)
        now = world.ports.database.dispatch(dispatch.id)
        assert now is not None and now.state is DispatchState.ENDED
        assert not world.open_checks
        seen = [(row.status, row.attempt, row.skip_reason) for row in map(world.item, (waiting, begun, done))]
        row = world.run_rows(dispatch.id)
        for item in (waiting, begun):
            world.ports.backlog.defer(item, "not for the next one")
        return killed, (now.outcome, now.reason, seen, row["status"], row["error_message"], row["success_count"])

    wire = Tripwire()
    _, expected = ending(wire)
    assert len(wire.calls) > 10
    for number, call in enumerate(wire.calls, 1):
        killed, seen = ending(Tripwire(at=number, after=after))
        assert killed, call
        assert seen == expected, f"killed at call {number}, {call}"


def test_base_failed__its_items_say_why(world: WebWorld) -> None:
    dispatch, run, items = world.started(2)
    base = world.there.branches["main"]
    for number, item in enumerate(items):
        claim = world.begin(dispatch, item, f"job 1 1 run {number}")
        world.settle(claim, Verdict.RELEASED, "main fails by itself", failed_base=base)
    run.finish("failure")
    reconcile(world, dispatch)
    assert_ended(world, dispatch, "failed", "Its workflow run failed")
    assert_waits_for_the_branch(world, items)


def test_check_runs__of_other_runs_and_other_apps_are_left_alone(world: WebWorld) -> None:
    first, first_run, _ = world.started()
    second, _, (item,) = world.started()
    assert len(world.open_checks) == 2
    first_run.finish("failure")
    reconcile(world, first)
    (left,) = [check for check in world.there.check_runs if not check.completed]
    assert str(second.id) in left.external_id and str(item) in left.external_id
    (ended,) = [check for check in world.there.check_runs if check.completed]
    assert (ended.conclusion, ended.title) == ("cancelled", "The run has ended")


def test_check_runs__a_github_that_is_away_puts_the_end_off(world: WebWorld) -> None:
    dispatch, run, items = world.started()
    run.finish("failure")
    world.github.fail("PATCH /repos/{owner}/{repo}/check-runs/{check_run_id}")
    with pytest.raises(ForgeUnreachable):
        reconcile_run(world.ports, dispatch.id)
    assert world.ports.database.dispatch(dispatch.id) == dispatch
    reconcile(world, dispatch)
    assert_ended(world, dispatch, "failed", "Its workflow run failed")
    assert world.statuses(items) == ["approved"]


def asked_for(world: WebWorld, **columns: object) -> tuple[Dispatch, int]:
    """A run that is told of at an issue."""
    issue = world.there.open_issue_by_person("A question")
    dispatch, _, _ = world.started()
    world.edit_dispatch(dispatch.id, number=issue.number, **columns)
    return world.dispatch(), issue.number


def test_progress__is_one_comment_that_is_edited(world: WebWorld) -> None:
    dispatch, number = asked_for(world)
    reconcile(world, dispatch)
    assert "Waiting for a runner since" in world.progress(number)
    run = world.workflow_run(dispatch)
    run.start()
    reconcile(world, dispatch)
    assert "Under way since" in world.progress(number)
    writes = len(world.github.writes)
    reconcile(world, dispatch)
    assert len(world.github.writes) == writes  # nothing has happened
    item = dispatch.items[0]
    world.settle(world.begin(dispatch, item), pull_request=f"{world.there.html_url}/pull/12")
    run.finish("success")
    reconcile(world, dispatch)
    assert f"{world.item(item).title}: completed, #12" in world.progress(number)
    assert "**All went well.**" in world.progress(number)


def test_progress__a_failed_end_says_why(world: WebWorld) -> None:
    dispatch, number = asked_for(world)
    world.workflow_run(dispatch).finish("startup_failure")
    reconcile(world, dispatch)
    assert "**It failed.** Its workflow could not be started." in world.progress(number)


def test_progress__the_end_is_told_for_certain(world: WebWorld) -> None:
    dispatch, number = asked_for(world)
    world.workflow_run(dispatch).finish("success")
    world.github.fail("POST /repos/{owner}/{repo}/issues/{issue_number}/comments")
    with pytest.raises(ForgeUnreachable):
        reconcile_run(world.ports, dispatch.id)
    reconcile(world, dispatch)
    assert "Ended" in world.progress(number)
    assert_ended(world, dispatch, "failed", "Its workflow run ended")


def test_progress__a_conversation_that_takes_no_comment_holds_nothing_up(world: WebWorld) -> None:
    dispatch, _ = asked_for(world)
    world.workflow_run(dispatch).finish("success")
    world.edit_dispatch(dispatch.id, number=999)  # there is no such issue
    reconcile(world, dispatch)
    assert_ended(world, dispatch, "failed", "Its workflow run ended")


def on_a_pull_request(world: WebWorld, work: Work) -> tuple[Dispatch, int]:
    pull = world.there.open_pull_request_by_person("topic", {"b.txt": "two\n"})
    database = world.ports.database
    made = database.record(
        Dispatch(id=uuid4(), work=work, repository=NAME, number=pull.number, created_at=database.now())
    )
    return reconcile(world, made), pull.number


@pytest.mark.parametrize("work", [Work.FIX, Work.VALIDATE])
@pytest.mark.parametrize(
    ("conclusion", "outcome", "reason"),
    [
        ("success", "success", ""),
        ("failure", "failed", "Its workflow run failed"),
        ("timed_out", "failed", "It took longer than GitHub allows"),
        ("startup_failure", "failed", "Its workflow could not be started"),
        ("cancelled", "cancelled", "It was cancelled"),
    ],
)
def test_without_items__its_workflow_run_says_how_it_ended(
    world: WebWorld, work: Work, conclusion: str, outcome: str, reason: str
) -> None:
    dispatch, number = on_a_pull_request(world, work)
    run = world.workflow_run(dispatch)
    assert (run.inputs["command"], run.inputs["pull-request"]) == (work.value, str(number))
    assert not world.there.check_runs and not world.ports.backlog.open_runs()
    run.finish(conclusion)
    now = reconcile(world, dispatch)
    assert (now.state, now.outcome, now.reason) == (DispatchState.ENDED, outcome, reason)
    assert "Ended" in world.progress(number)


def test_without_items__that_never_appears_is_given_up(world: WebWorld) -> None:
    world.there.dispatch = "silent"
    dispatch, number = on_a_pull_request(world, Work.FIX)
    for _ in range(3):
        world.there.workflow_runs.clear()
        world.edit_dispatch(dispatch.id, tried_at=world.ago(minutes=3))
        now = reconcile(world, dispatch)
    assert (now.state, now.outcome, now.reason, now.tries) == (DispatchState.ENDED, "failed", "No runner took it", 3)
    assert "No runner took it." in world.progress(number)


def test_two_at_once__the_second_is_told_that_somebody_is_at_it(world: WebWorld) -> None:
    dispatch, run, _ = world.started()
    run.finish("success")
    with world.ports.database.locked(f"run {dispatch.id}"), pytest.raises(Busy):
        reconcile_run(world.ports, dispatch.id)
    assert world.dispatch() == dispatch


def test_unknown__a_run_that_nobody_knows_is_nothing(world: WebWorld) -> None:
    assert reconcile_run(world.ports, uuid4()) is None


def test_rerun__of_a_workflow_run_that_has_ended_takes_nothing_back(world: WebWorld) -> None:
    """GitHub's own Re-run starts the same workflow run again, long after its items went elsewhere."""
    dispatch, run, (item,) = world.started()
    world.settle(world.begin(dispatch, item))
    run.finish("success")
    reconcile(world, dispatch)
    run.attempt, run.conclusion = 2, None
    run.start()
    assert reconcile_run(world.ports, dispatch.id) is None
    assert world.ports.backlog.take_over(item, run_id=dispatch.id, claimed_by="job 1 2 run a") is None
    assert_ended(world, dispatch, "success", "")


def test_uninstalled__a_repository_without_the_app_raises_until_it_is_back(world: WebWorld) -> None:
    dispatch, run, _ = world.started()
    run.finish("failure")
    world.github.hub.uninstall(NAME)
    world.clock.sleep(7200)  # the token that it has has ended
    with pytest.raises(MasonError):
        reconcile_run(world.ports, dispatch.id)
    assert world.dispatch() == dispatch
    world.github.hub.install(NAME)
    reconcile(world, dispatch)
    assert_ended(world, dispatch, "failed", "Its workflow run failed")
