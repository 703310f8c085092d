"""Web servers and workers that are killed with SIGKILL, or stopped with SIGSTOP, in the middle of their work."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from uuid import UUID

import pytest

from app.database.queue import job_queue
from app.domain.jobs import ReconcileBacklog
from tests.whole.fleet import DISPATCH, Fleet, Hold
from tests.whole.served import wait_for
from tests.whole.storm import Storm


def test_sigkill__every_delivery_that_was_accepted_has_its_effect_once(make_fleet: Callable[..., Fleet]) -> None:
    """A fifth of the storm; the whole of it is `python -m tests.benchmarks.web_app kills`."""
    storm = Storm(make_fleet(12), number=200, seed=4)
    storm.rage(kills=10)
    storm.check()


@pytest.mark.parametrize(
    ("call", "nth", "copies"),
    [
        ("GET /repos/{owner}/{repo}/git/ref/{ref}", 1, 1),
        ("POST /repos/{owner}/{repo}/check-runs", 1, 1),
        ("GET /repos/{owner}/{repo}", 2, 2),
        (DISPATCH, 1, 1),
    ],
    ids=["about to start a run", "its items are claimed", "about to dispatch it", "has dispatched it"],
)
def test_sigstop__who_wakes_up_after_his_lease_changes_nothing(
    make_fleet: Callable[..., Fleet], call: str, nth: int, copies: int
) -> None:
    """The worker stands at GitHub, in the middle of a flow; the answer comes when another one has done it all.

    GitHub knows no fence: who stands right before the dispatch makes a second copy of the workflow run. It has the same
    run id, so that it finds its items taken, and nobody looks at it.
    """
    hold = Hold(call, nth)
    fleet = make_fleet(1, observer=hold)
    stopped = fleet.worker()
    wait_for(lambda: fleet.app("select from procrastinate_workers"), "there is a worker", lambda: fleet.logs)
    fleet.wait_until_idle()
    items = fleet.add_items(3)
    fleet.approve_items(items)
    hold.armed.set()
    queue = job_queue(fleet.app_dsn)
    queue.defer(ReconcileBacklog())
    queue.close()
    wait_for(hold.reached.is_set, "it stands there", lambda: fleet.logs)
    assert stopped.child is not None
    os.kill(stopped.child.pid, signal.SIGSTOP)
    try:
        other = fleet.worker()
        wait_for(lambda: fleet.all_dispatched(items), "another one does it", lambda: fleet.logs)
        fleet.wait_until_idle()
        other.kill()
        before = undisturbed(fleet, items)
        hold.let_pass.set()
    finally:
        os.kill(stopped.child.pid, signal.SIGCONT)
    assert stopped.stop() == 0, fleet.logs  # once it has ended what it was at
    assert undisturbed(fleet, items) == before
    fleet.worker()  # does what that has left behind
    wait_for(lambda: fleet.app("select from procrastinate_workers"), "there is a worker", lambda: fleet.logs)
    fleet.wait_until_idle()
    assert undisturbed(fleet, items) == before
    fleet.assert_dispatched_once(items, copies=copies)


def undisturbed(fleet: Fleet, items: Sequence[UUID]) -> list[list[dict[str, object]]]:
    """Every row of the run, but for the heartbeat of what waits."""
    backlog = [
        fleet.items(items),
        fleet.project.rows("select * from mason_remote_execution_runs"),
        fleet.project.rows("select * from mason_execution_progress order by item_id"),
    ]
    beats = ("heartbeat_at", "updated_at")
    steady = [[{name: row[name] for name in row if name not in beats} for row in rows] for rows in backlog]
    return [*steady, fleet.app("select * from dispatches"), fleet.app("select * from requests")]
