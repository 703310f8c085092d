"""Runs on a project of their own: its credentials came with the request that started them.

They are sealed under the run's id, opened by whoever looks at that run, and removed once it has ended. Nothing of such
a run is in the configured backlog, and nothing falls back on that.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from uuid import UUID

from app.domain.credentials import Credentials
from app.domain.dispatches import Dispatch, DispatchState
from app.errors import DatabaseRefused, DatabaseUnreachable, NotMigrated, UsageError
from app.flows.app_work import LOST_AFTER, AppPorts
from app.flows.reconcile_run import end, reconcile_run, renew_waiting
from app.ports.backlog import Backlog
from app.ports.sealed import Sealed

log = logging.getLogger("mason")

PREFIX = "run "
"""What the names of sealed credentials begin with; the run's id follows."""

LOOK_AGAIN = 5.0
"""The fewest seconds from one look to the next: each opens a connection of its own, to somebody else's server."""

ORPHANED = 300.0
"""Seconds after which credentials belong to no request that is still being answered."""


class CredentialsGone(UsageError):
    """The credentials of the run's project are not here any more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnProjects:
    """``admit`` says on what a run of a request with these credentials is: the checked credentials of a project of its
    own, or None for the configured backlog. It raises BadCredentials and NotNow. ``connect`` opens a project's backlog.
    """

    sealed: Sealed
    admit: Callable[[Credentials], Credentials | None]
    connect: Callable[[Credentials], AbstractContextManager[Backlog]]


def keep(own: OwnProjects, run_id: UUID, credentials: Credentials) -> None:
    """Before the dispatch is recorded: nobody is to see the one without the other."""
    own.sealed.put(f"{PREFIX}{run_id}", credentials.text())


def kept(sealed: Sealed, run_id: UUID) -> Credentials:
    """Raises CredentialsGone."""
    if (text := sealed.get(f"{PREFIX}{run_id}")) is None:
        raise CredentialsGone
    return Credentials.of_text(text)


@contextmanager
def ports_of(ports: AppPorts, own: OwnProjects, dispatch: Dispatch | None) -> Iterator[AppPorts]:
    """The ports for what is done about a dispatch: over its own project where it has one."""
    if dispatch is None or not dispatch.project:
        yield ports
        return
    with own.connect(kept(own.sealed, dispatch.id)) as backlog:
        yield replace(ports, backlog=backlog)


def reconcile_any_run(ports: AppPorts, own: OwnProjects, run_id: UUID) -> float | None:
    """`reconcile_run`, wherever the run's rows are; credentials end with their run."""
    dispatch = ports.database.dispatch(run_id)
    if dispatch is None or not dispatch.project:
        return reconcile_run(ports, run_id)
    try:
        with ports_of(ports, own, dispatch) as theirs:
            if dispatch.state is DispatchState.PREPARING:
                renew_waiting(theirs, dispatch)  # the sweep does it in the configured backlog alone
            again = reconcile_run(theirs, run_id)
    except (DatabaseRefused, DatabaseUnreachable, NotMigrated, CredentialsGone) as problem:
        if not is_out_of_reach(ports, dispatch, problem):
            raise
        abandon(ports, run_id, str(problem))
        again = None
    if again is None:
        own.sealed.remove(f"{PREFIX}{run_id}")
        return None
    return max(again, LOOK_AGAIN)


def is_out_of_reach(ports: AppPorts, dispatch: Dispatch, problem: Exception) -> bool:
    """Whether nobody will ever say how it ended: who has the project may take its key away, and then we keep nothing.

    A runner that goes on has a connection of its own, and an hour is time to mend what was meant otherwise.
    """
    if isinstance(problem, CredentialsGone):
        return True
    if ports.database.now() - dispatch.created_at < LOST_AFTER:
        return False
    found = ports.dispatcher.find(dispatch)
    return found is None or found.completed


def abandon(ports: AppPorts, run_id: UUID, reason: str) -> None:
    """End a dispatch whose project is out of reach: its rows stay as they are, and its claims run out there."""
    with ports.database.locked(f"run {run_id}") as fence:
        dispatch = ports.database.dispatch(run_id)
        if dispatch is None or dispatch.state is DispatchState.ENDED:
            return
        log.warning("Run %s is given up: %s", run_id, reason)
        ports.dispatcher.cancel(dispatch)
        end(ports, fence, dispatch, "failed", reason)


def forget_ended(ports: AppPorts, sealed: Sealed) -> None:
    """Remove the credentials of runs that have ended, and of those that were never recorded."""
    for name in sealed.names(PREFIX, older=ORPHANED):
        dispatch = ports.database.dispatch(UUID(name.removeprefix(PREFIX)))
        if dispatch is None or dispatch.state is DispatchState.ENDED:
            sealed.remove(name)
