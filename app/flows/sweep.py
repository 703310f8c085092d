"""The sweep: look at everything that is not finished, so that a lost webhook delays work and loses none."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from app.domain.claims import DISPATCHED, SeenClaim
from app.domain.jobs import AnswerRequest, ReconcileBacklog, ReconcileRun
from app.errors import MasonError
from app.flows.app_work import AppPorts
from app.flows.check_runs import end_left_open

log = logging.getLogger("mason")

DAYS_KEPT = 90
"""For how long what has ended can be asked for."""


def sweep(ports: AppPorts) -> None:
    """Take back what lost runners held, and have everything unfinished looked at, each thing by a job of its own."""
    ports.database.forget(DAYS_KEPT)
    for request in ports.database.unanswered():
        ports.jobs.defer(AnswerRequest(key=request.key, repository=request.repository, number=request.number))
    for dispatch in ports.database.unfinished():
        ports.jobs.defer(ReconcileRun(run_id=dispatch.id))
    renew_waiting(ports)
    for dead in ports.backlog.dead_claims(ports.is_dead, lambda found: end_their_checks(ports, found)):
        log.warning("The runner of “%s” was lost", dead.title[:200])
    ports.jobs.defer(ReconcileBacklog())


def renew_waiting(ports: AppPorts) -> None:
    """Items that wait for their runner have nobody else who renews their lease, while GitHub is away as well."""
    waiting = {dispatch.id for dispatch in ports.database.unfinished()}
    ports.backlog.heartbeat(
        [
            seen.claim
            for seen in ports.backlog.claims()
            if seen.claim.claimed_by == DISPATCHED and seen.claim.run_id in waiting
        ]
    )


def end_their_checks(ports: AppPorts, lost: Sequence[SeenClaim]) -> None:
    """Check runs that lost runners left in progress, of runs that this app has dispatched."""
    theirs = {(seen.claim.run_id, seen.claim.item_id) for seen in lost}
    for run_id in {seen.claim.run_id for seen in lost}:
        dispatch = ports.database.dispatch(run_id)
        if dispatch is None or dispatch.base is None:
            continue
        try:
            checks = ports.repositories.named(dispatch.repository).check_runs
        except MasonError as problem:
            log.warning("Check runs of run %s are left open: %s", run_id, problem)
            continue
        end_left_open(
            checks,
            dispatch.base.commit,
            lambda subject: (subject.run_id, subject.item_id) in theirs,
            "Its runner was lost",
        )
