"""Many at once: approvals of which no webhook tells, and a crowd of processes on one database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx

from app.database.queue import job_queue
from app.domain.jobs import Sweep
from tests.whole.fleet import DISPATCH, Fleet, of_supabase
from tests.whole.served import wait_for


def test_sweep__two_hundred_approvals_without_any_webhook_are_dispatched_within_two_sweeps(
    make_fleet: Callable[..., Fleet],
) -> None:
    fleet = make_fleet(10, items_per_run=5, items_per_day=10_000)
    fleet.worker()
    wait_for(lambda: fleet.app("select from procrastinate_workers"), "there is a worker", lambda: fleet.logs)
    fleet.wait_until_idle()  # its own first sweep is over, the next one is an hour away
    items = fleet.add_items(200)
    fleet.approve_items(items)
    queue = job_queue(fleet.app_dsn)
    for _ in range(2):
        queue.defer(Sweep())
        fleet.wait_until_idle()
    queue.close()
    assert fleet.all_dispatched(items), fleet.logs
    fleet.assert_dispatched_once(items)
    meant = Counter(item for row in fleet.app("select items from dispatches") for item in row["items"])
    assert meant == dict.fromkeys(items, 1)
    assert sorted(fleet.dispatched.values()) == [1] * 40
    assert len(fleet.github.calls(DISPATCH)) == 40


def test_many_processes__ten_workers_and_four_web_servers_claim_and_dispatch_everything_once(
    make_fleet: Callable[..., Fleet],
) -> None:
    fleet = make_fleet(8)
    web = fleet.process(
        "web", "--repository", str(fleet.project.repository), "--port", str(fleet.port), MASON_WORKERS="4"
    )
    for _ in range(10):
        fleet.worker()
    fleet.wait_until_it_answers()
    wait_for(
        lambda: len(fleet.app("select from procrastinate_workers")) == 10, "there are ten workers", lambda: fleet.logs
    )
    items = fleet.add_items(40)

    def approve(item: object) -> int:
        """As two people at two dashboards might: told of twice."""
        fleet.approve_items([item])
        told = of_supabase(item, "approved")
        answers = [
            httpx.post(fleet.url + told.path, content=told.body, headers=told.headers(), timeout=30) for _ in range(2)
        ]
        return max(answer.status_code for answer in answers)

    with ThreadPoolExecutor(max_workers=8) as pool:
        assert set(pool.map(approve, items)) == {202}
    wait_for(lambda: fleet.all_dispatched(items), "all are dispatched", lambda: fleet.logs)
    fleet.wait_until_idle()
    fleet.assert_dispatched_once(items)
    assert web.child is not None
    assert web.child.poll() is None
