"""What is to be done about a dispatch, from what is seen of it alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from app.domain.dispatches import APPEARS, MOST_TRIES, QUEUE_LIMIT, Dispatch, Step, Work, WorkflowRun, next_step

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
MOMENT = timedelta(seconds=1)
HANDED_OVER = Dispatch(
    id=UUID(int=1), work=Work.RUN, repository="octo/app", tries=1, created_at=NOW, tried_at=NOW, dispatched_at=NOW
)
QUEUED = WorkflowRun(id="7", status="queued")
GOING = WorkflowRun(id="7", status="in_progress")


@pytest.mark.parametrize("conclusion", ["success", "failure", "cancelled", "timed_out", "startup_failure", "strange"])
def test_next_step__what_has_ended_is_concluded_however_it_ended(conclusion: str) -> None:
    ended = WorkflowRun(id="7", status="completed", conclusion=conclusion)
    assert next_step(HANDED_OVER, ended, NOW) is Step.CONCLUDE


def test_next_step__what_goes_on_is_waited_for_however_long() -> None:
    assert next_step(HANDED_OVER, GOING, NOW + 10 * QUEUE_LIMIT) is Step.WAIT


@pytest.mark.parametrize(
    ("later", "step"), [(QUEUE_LIMIT - MOMENT, Step.WAIT), (QUEUE_LIMIT + MOMENT, Step.GIVE_UP)], ids=["early", "late"]
)
def test_next_step__a_queue_is_waited_in_for_hours_and_not_for_ever(later: timedelta, step: Step) -> None:
    assert next_step(HANDED_OVER, QUEUED, NOW + later) is step


@pytest.mark.parametrize(
    ("tries", "later", "step"),
    [
        (1, APPEARS - MOMENT, Step.WAIT),
        (1, APPEARS + MOMENT, Step.HAND_OVER),
        (MOST_TRIES, APPEARS - MOMENT, Step.WAIT),
        (MOST_TRIES, APPEARS + MOMENT, Step.GIVE_UP),
    ],
)
def test_next_step__one_that_never_appeared_is_handed_over_again_a_few_times(
    tries: int, later: timedelta, step: Step
) -> None:
    assert next_step(replace(HANDED_OVER, tries=tries), None, NOW + later) is step


@pytest.mark.parametrize("change", [{"cancelled_by": "ada"}, {"workflow_run": "7"}], ids=["cancelled", "deleted"])
def test_next_step__one_that_is_gone_for_good_is_concluded(change: dict[str, str]) -> None:
    assert next_step(replace(HANDED_OVER, **change), None, NOW + APPEARS) is Step.CONCLUDE  # type: ignore[arg-type]
