"""`POST /api/execution/runs/{id}/cancel`: the items are put off at once, and of a cancel and a finish one counts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import uuid4

import pytest

from app.domain.dispatches import DispatchState
from app.domain.runs import Run
from app.errors import DatabaseUnreachable
from app.flows.reconcile_run import reconcile_run
from tests.unit.flows.execution_kit import Execution
from tests.unit.flows.web_world import WebWorld
from tests.unit.web.api_kit import error_of

REASON = "Cancelled by the API key run"  # the door's keys are named as their scopes


def test_cancel__of_a_run_that_waits_defers_its_items(world: WebWorld, execution: Execution) -> None:
    items = world.add_items(3)
    run = execution.started(*items)
    answer = execution.cancel(run)
    assert (answer.status_code, answer.json) == (200, {"success": True})
    assert world.statuses(items) == ["deferred"] * 3
    assert {world.item(item).skip_reason for item in items} == {REASON}
    assert reconcile_run(world.ports, run) is None
    assert (world.dispatch().outcome, world.run_rows(run)["status"]) == ("cancelled", "cancelled")
    assert not world.there.workflow_runs


def test_cancel__of_a_run_under_way_stops_its_workflow_run(world: WebWorld, execution: Execution) -> None:
    done, going = world.add_items(2)
    run = execution.started(done, going)
    reconcile_run(world.ports, run)
    world.settle(world.begin(world.dispatch(), done))
    claim = world.begin(world.dispatch(), going, "job 1 1 run b")
    assert execution.cancel(run).status_code == 200
    assert world.statuses([done, going]) == ["completed", "deferred"]
    assert not world.settle(claim)  # whoever worked on it has lost the fence
    reconcile_run(world.ports, run)
    assert world.workflow_run(world.dispatch()).conclusion == "cancelled"
    reconcile_run(world.ports, run)
    assert world.run_rows(run)["status"] == "cancelled"
    assert world.statuses([done, going]) == ["completed", "deferred"]


def test_cancel__twice_is_refused(world: WebWorld, execution: Execution) -> None:
    run = execution.started(world.add_item())
    execution.cancel(run)
    assert error_of(execution.cancel(run)) == (409, f"Run {run} is being cancelled already.")
    reconcile_run(world.ports, run)
    assert error_of(execution.cancel(run)) == (409, f"Run {run} has ended already.")


def test_cancel__of_a_run_that_has_ended_is_refused(world: WebWorld, execution: Execution) -> None:
    dispatch, workflow, (item,) = world.started()
    world.settle(world.begin(dispatch, item))
    workflow.finish("success")
    reconcile_run(world.ports, dispatch.id)
    assert error_of(execution.cancel(dispatch.id))[0] == 409
    assert world.statuses([item]) == ["completed"]


def test_cancel__of_a_run_that_its_last_job_has_closed_is_refused(world: WebWorld, execution: Execution) -> None:
    """The worker has not looked since."""
    dispatch, workflow, (item,) = world.started()
    world.settle(world.begin(dispatch, item))
    world.rows.execute("update mason_remote_execution_runs set status = 'success' where id = %s", [dispatch.id])
    assert error_of(execution.cancel(dispatch.id)) == (409, f"Run {dispatch.id} has ended already.")
    workflow.finish("success")
    reconcile_run(world.ports, dispatch.id)
    assert world.run_rows(dispatch.id)["status"] == "success"


def test_cancel__while_the_backlog_is_away_stops_the_run_and_the_worker_puts_off(
    world: WebWorld, execution: Execution
) -> None:
    (item,) = world.add_items(1)
    run = execution.started(item)

    class Away:
        def __getattr__(self, _: str) -> None:
            raise DatabaseUnreachable

    there, world.ports = world.ports, replace(world.ports, backlog=Away())  # type: ignore[arg-type]
    assert execution.cancel(run).status_code == 200
    world.ports = there
    assert world.statuses([item]) == ["in_progress"]
    reconcile_run(world.ports, run)
    assert world.statuses([item]) == ["deferred"]


def test_cancel__of_an_unknown_run_is_refused(execution: Execution) -> None:
    run = uuid4()
    assert error_of(execution.cancel(run)) == (404, f"There is no run {run}.")


@pytest.mark.parametrize("run", ["id1", "%00", "00000000-0000-0000-0000-00000000000g"])
def test_cancel__of_what_is_no_id_is_refused(execution: Execution, run: str) -> None:
    assert error_of(execution.cancel(run))[0] == 400


def test_cancel__of_a_run_that_was_started_elsewhere_is_refused(world: WebWorld, execution: Execution) -> None:
    base = world.ports.repositories.named("octo/app").base()
    run = Run(id=uuid4(), base=base, item_ids=(world.add_item(),))
    world.ports.backlog.open_run(run, repository="octo/app")
    status, sentence = error_of(execution.cancel(run.id))
    assert (status, "was not started by this app" in sentence) == (409, True)


def test_cancel__of_a_run_that_an_approval_started(world: WebWorld, execution: Execution) -> None:
    dispatch, _, items = world.started(2)
    assert execution.cancel(dispatch.id).status_code == 200
    assert world.statuses(items) == ["deferred"] * 2


def test_cancel__eight_at_once_are_one(world: WebWorld, execution: Execution) -> None:
    items = world.add_items(2)
    run = execution.started(*items)
    with ThreadPoolExecutor(8) as pool:
        codes = sorted(answer.status_code for answer in pool.map(lambda _: execution.cancel(run), range(8)))
    assert codes == [200] + [409] * 7
    assert world.statuses(items) == ["deferred"] * 2


@pytest.mark.parametrize("attempt", range(4))
def test_cancel__and_finish_at_once_have_one_end(world: WebWorld, execution: Execution, attempt: int) -> None:
    """Whoever comes first: item, run and answer say the same."""
    dispatch, workflow, (item,) = world.started()
    claim = world.begin(dispatch, item)

    def finish() -> bool:
        settled = world.settle(claim)
        workflow.finish("success")
        return settled

    with ThreadPoolExecutor(2) as pool:
        tasks = [lambda: execution.cancel(dispatch.id).status_code, finish]
        results = [pool.submit(task) for task in (tasks if attempt % 2 else reversed(tasks))]
        outcomes = {type(one.result()): one.result() for one in results}
    for _ in range(3):
        reconcile_run(world.ports, dispatch.id)
    ended = world.ports.database.dispatch(dispatch.id)
    assert ended is not None and ended.state is DispatchState.ENDED
    assert world.statuses([item]) == ["completed" if outcomes[bool] else "deferred"]
    assert world.run_rows(dispatch.id)["status"] == ended.outcome == "cancelled"
    assert outcomes[int] == 200
