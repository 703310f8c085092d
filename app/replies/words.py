"""What people call the states of runs and items."""

from __future__ import annotations

from app.domain.dispatches import Dispatch, DispatchState, WorkflowRun

OUTCOMES = {
    "success": "All went well.",
    "failed": "It failed.",
    "cancelled": "It was cancelled.",
    "nothing": "There was nothing to do.",
}
"""How a dispatch ended."""


def state_of(dispatch: Dispatch, workflow: WorkflowRun | None = None) -> str:
    """A dispatch's state; ``workflow`` None when it is not known now."""
    if dispatch.state is DispatchState.ENDED:
        return OUTCOMES.get(dispatch.outcome, dispatch.outcome or "ended").rstrip(".")
    if dispatch.cancelled_by:
        return "Being cancelled"
    if dispatch.state is DispatchState.PREPARING:
        return "Being prepared"
    if workflow is None:
        return "With a runner or waiting for one"
    return "Waiting for a runner" if workflow.status == "queued" else "Under way"


def item_status(status: str) -> str:
    return status.replace("_", " ")
