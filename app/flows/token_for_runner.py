"""A runner of Actions asks for a token, and gets one if it is the job that Mason has dispatched, while that runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

from app.domain.dispatches import Dispatch, DispatchState
from app.domain.runner_tokens import RunnerIdentity, RunnerToken
from app.errors import NotAllowed, RunEnded, UnknownRun
from app.ports.app_database import AppDatabase
from app.ports.dispatcher import Dispatcher


def token_for_runner(
    database: AppDatabase,
    dispatcher: Dispatcher,
    give: Callable[[str], RunnerToken],
    workflow: str,
    run_id: UUID,
    identity: RunnerIdentity,
) -> RunnerToken:
    """``give`` makes a token of one repository, ``workflow`` is the file's name that is dispatched.

    Raises UnknownRun, RunEnded, NotAllowed, and what the ports raise. Repository, workflow and workflow run have to be
    the dispatched ones: a person who may start the workflow by hand cannot get the token of another run this way.
    """
    dispatch = database.dispatch(run_id)
    if dispatch is None or (dispatch.repository or "").lower() != identity.repository.lower():
        raise UnknownRun
    if dispatch.state is DispatchState.ENDED or dispatch.cancelled_by or not dispatch.tries:
        raise RunEnded
    if identity.event_name != "workflow_dispatch" or not of_workflow(identity, dispatch, workflow):
        raise NotAllowed("This job belongs to another workflow than the one that Mason dispatches.")
    if identity.run_id != (dispatch.workflow_run or found(dispatcher, dispatch)):
        raise RunEnded("This job belongs to another workflow run than the one that Mason dispatched.")
    return give(identity.repository)


def of_workflow(identity: RunnerIdentity, dispatch: Dispatch, workflow: str) -> bool:
    """Whether the caller's workflow is Mason's file, on the branch that was dispatched."""
    path, _, ref = identity.workflow_ref.partition("@")
    expected = f"{dispatch.repository}/.github/workflows/{workflow}"
    base = dispatch.base
    return path.lower() == expected.lower() and base is not None and ref == f"refs/heads/{base.branch}"


def found(dispatcher: Dispatcher, dispatch: Dispatch) -> str:
    """The job may be quicker than the answer to its dispatch, or that answer was lost."""
    run = dispatcher.find(replace(dispatch, workflow_run=""))
    return run.id if run and not run.completed else ""
