"""From a cancel of the REST API to a stopped run: its items are put off at once, the worker stops its runner."""

from __future__ import annotations

import logging
from dataclasses import replace
from uuid import UUID

from app.domain.dispatches import Dispatch, DispatchState, by_key
from app.domain.jobs import ReconcileRun
from app.domain.runs import RunStatus
from app.errors import DatabaseRefused, DatabaseUnreachable, NotNow, UnknownRun
from app.flows.app_work import AppPorts, held
from app.flows.own_projects import CredentialsGone, OwnProjects, ports_of
from app.flows.reconcile_run import put_off

log = logging.getLogger("mason")

AWAY = (DatabaseUnreachable, DatabaseRefused, CredentialsGone)
"""What keeps a run from being asked about, and not from being stopped."""


def cancel_run(ports: AppPorts, own: OwnProjects, run_id: UUID, key_name: str) -> None:
    """Stop a run. Whoever works on its items has lost the fence; what has ended by now stays as it is.

    Raises UnknownRun, NotNow for a run that has ended or is being cancelled, Busy, and what the ports raise. A cancel
    and a finish meet at the run's key: the first of them counts.
    """
    with held(ports.database, f"run {run_id}") as fence:
        dispatch = ports.database.dispatch(run_id)
        if dispatch is None:
            if ports.backlog.run(run_id) is None:
                raise UnknownRun(f"There is no run {run_id}.")
            raise NotNow(f"Run {run_id} was not started by this app: stop it where it was.")
        if dispatch.cancelled_by and dispatch.state is not DispatchState.ENDED:
            raise NotNow(f"Run {run_id} is being cancelled already.")
        if dispatch.state is DispatchState.ENDED or has_ended(ports, own, dispatch):
            raise NotNow(f"Run {run_id} has ended already.")
        dispatch = replace(dispatch, cancelled_by=by_key(key_name))
        ports.database.save(fence, dispatch)
        try:
            with ports_of(ports, own, dispatch) as theirs:
                put_off(theirs, dispatch)
        except AWAY as problem:
            log.warning("The items of run %s are put off by the worker: %s", run_id, problem)
    ports.jobs.defer(ReconcileRun(run_id=run_id))


def has_ended(ports: AppPorts, own: OwnProjects, dispatch: Dispatch) -> bool:
    """Whether the run's last job has closed it, which its dispatch does not know yet. No while nobody can say."""
    try:
        with ports_of(ports, own, dispatch) as theirs:
            run = theirs.backlog.run(dispatch.id)
    except AWAY:
        return False
    return run is not None and run.status not in (RunStatus.PENDING, RunStatus.IN_PROGRESS)
