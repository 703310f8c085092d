"""Events of a run that are dropped, doubled and shuffled, 500 schedules: its end is that of the undisturbed run."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from app.domain.results import Verdict
from app.flows.reconcile_run import reconcile_run
from tests.unit.flows.web_world import WebWorld, changed_run, web_world

SCHEDULES, CHUNK = 500, 25
RATE = 0.3
FATES = ("completed", "rejected", "deferred", "lost", "never")
CONCLUSIONS = ("success", "failure", "cancelled", "timed_out", "startup_failure")


@pytest.fixture
def world(tmp_path: Path, database: str, make_database: Callable[[str], str]) -> Iterator[WebWorld]:
    with web_world(tmp_path, database, make_database("template0")) as made:
        made.policy("limits: {items_per_day: 100000}")
        yield made


@pytest.mark.parametrize("first", range(0, SCHEDULES, CHUNK))
def test_schedule__however_events_come_the_end_is_the_same(world: WebWorld, first: int) -> None:
    for seed in range(first, first + CHUNK):
        assert played(world, seed, disturbed=True) == played(world, seed, disturbed=False), f"schedule {seed}"


def played(world: WebWorld, seed: int, *, disturbed: bool) -> dict[str, Any]:
    """One run with its runner; how everything stands in the end. The seed decides what the runner does."""
    script, chance = random.Random(seed), random.Random(-seed)
    dispatch, run, items = world.started(script.randint(1, 3))
    world.deliveries()
    waiting: list[UUID] = []

    def events() -> None:
        """What GitHub tells now: at once and in order, or as the disturbance will have it."""
        fresh = [run_id for run_id in map(changed_run, world.deliveries()) if run_id is not None]
        if disturbed:
            fresh = [one for one in fresh if chance.random() >= RATE]
            fresh += [one for one in fresh if chance.random() < RATE]
        waiting.extend(fresh)
        chance.shuffle(waiting)
        for _ in range(chance.randint(0, len(waiting)) if disturbed else len(waiting)):
            reconcile_run(world.ports, waiting.pop())

    conclusion = script.choice(CONCLUSIONS)
    run.start()
    events()
    for item in items:
        fate = "never" if conclusion == "startup_failure" else script.choice(FATES)
        if fate != "never":
            claim = world.begin(dispatch, item)
            events()
            if fate != "lost":
                assert world.settle(claim, Verdict(fate), "as the script says")
        events()
    run.finish(conclusion)
    events()
    for run_id in [*waiting, dispatch.id, dispatch.id]:  # what came late, and two sweeps
        reconcile_run(world.ports, run_id)
    end = world.ports.database.dispatch(dispatch.id)
    assert end is not None
    state = {
        "dispatch": (end.state, end.outcome, end.reason),
        "items": [(one.status, one.attempt, one.failed_base, one.skip_reason) for one in map(world.item, items)],
        "run": (world.run_rows(dispatch.id)["status"], world.run_rows(dispatch.id)["error_message"]),
        "open check runs": world.open_checks,
        "workflow runs": sum(one.inputs["run-id"] == str(dispatch.id) for one in world.there.workflow_runs),
        "claims": [seen.claim for seen in world.ports.backlog.claims()],
    }
    world.rows.execute("update mason_pm_backlog_items set status = 'completed' where status = 'approved'")
    return state
