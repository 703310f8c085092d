"""Reconciling a run: what do its rows, its workflow run and its claims say, and what is the one next step?

Level-triggered and idempotent: it may be called at any time, twice at once, or after a crash. Every ending leads to one
defined state of row, items, check runs and comment:

| its workflow run | items that no runner began | items whose runner is gone | the run |
|---|---|---|---|
| ended, in whatever way | approved, an attempt less | approved, an attempt less; the third: rejected | by its items |
| was cancelled | deferred | deferred | cancelled |
| never appeared, or stayed in the queue | approved, not before the branch moves | – | failed |
| was refused | approved, not before the branch moves | – | failed |
| cannot be asked about: its repository is lost | as if it had ended | as if it had ended | by its items |

Items that ended stay as they are. An item that no runner has begun in three attempts waits for the branch to move too:
it is not at fault, and nothing of this may loop.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from app.domain.claims import DISPATCHED, MAX_ATTEMPTS, Claim
from app.domain.dispatches import Dispatch, DispatchState, Step, Work, WorkflowRun, next_step
from app.domain.items import Item, ItemStatus
from app.domain.jobs import ReconcileBacklog
from app.domain.results import Outcome, Verdict
from app.domain.runs import Run, RunResult
from app.errors import Busy, ForgeRefused, MasonError, Unreachable, UsageError
from app.flows.app_work import LOST_AFTER, AppPorts, no_way_to
from app.flows.check_runs import end_left_open
from app.flows.selection import branches_of
from app.ports.app_database import Fence
from app.ports.repository import Repository
from app.replies.checks import queued_check
from app.replies.progress import PROGRESS, ItemLine, progress

log = logging.getLogger("mason")

QUEUED_CHECKS = 5
"""Check runs of waiting items of one run: each is a write, and the runner makes those of all others."""

LOST = "lost"
"""How a workflow run ends, for Mason, that nobody can be asked about."""


def reconcile_run(ports: AppPorts, run_id: UUID) -> float | None:
    """Take one dispatch a step further. Seconds after which to look again, None once it has ended.

    Raises Busy when somebody else is at it, and what the ports raise: the next call goes on from there.
    """
    with ports.database.locked(f"run {run_id}") as fence:
        dispatch = ports.database.dispatch(run_id)
        if dispatch is None or dispatch.state is DispatchState.ENDED:
            return None
        take = prepare if dispatch.state is DispatchState.PREPARING else follow
        try:
            dispatch = take(ports, fence, dispatch)
        except (UsageError, ForgeRefused):
            if (ended := end_if_lost(ports, fence, run_id)) is None:
                raise
            dispatch = ended
        return None if dispatch.state is DispatchState.ENDED else ports.dispatcher.look_again


def end_if_lost(ports: AppPorts, fence: Fence, run_id: UUID) -> Dispatch | None:
    """End a dispatch whose repository Mason has no way to, an hour after its making; None while there is hope for it.

    A runner that still renews its leases needs nobody here: what it finishes counts.
    """
    dispatch = ports.database.dispatch(run_id)
    if dispatch is None or ports.database.now() - dispatch.created_at < LOST_AFTER:
        return None
    held = [seen for seen in ports.backlog.claims() if seen.claim.run_id == run_id and not seen.expired]
    if any(seen.claim.claimed_by != DISPATCHED for seen in held):
        return None
    if not (reason := no_way_to(ports, dispatch.repository)):
        return None
    log.warning("Run %s is given up: %s", run_id, reason)
    return conclude(ports, fence, dispatch, LOST, reason)


def prepare(ports: AppPorts, fence: Fence, dispatch: Dispatch) -> Dispatch:
    """Claim what the run is to take, show it, and hand it over."""
    if dispatch.cancelled_by:
        return conclude(ports, fence, dispatch, "cancelled")
    repository = ports.repositories.named(dispatch.repository)
    if dispatch.base is None:
        dispatch = saved(ports, fence, replace(dispatch, base=repository.base()))
    if dispatch.work is Work.RUN:
        claimed = claim_items(ports, fence, dispatch, ports.backlog.items(dispatch.items))
        if not claimed:
            return end(ports, fence, dispatch, "nothing", "Somebody else has its items, or they are not approved now")
        show_waiting(repository, dispatch, claimed, ports.page_of(dispatch))
    return hand_over(ports, fence, dispatch)


def claim_items(ports: AppPorts, fence: Fence, dispatch: Dispatch, items: Sequence[Item]) -> list[Item]:
    """Of its items as they were just read, those that are ours: claimed now, or by an earlier call. The run's rows come
    first, the claims refer to them.

    Idempotent because each claim is a conditional update of an approved item.
    """
    backlog = ports.backlog
    claimed = [item for item in items if item.status is ItemStatus.IN_PROGRESS and item.run_id == dispatch.id]
    approved = [item for item in items if item.status is ItemStatus.APPROVED]
    if approved:
        ports.database.require(fence)
        backlog.open_run(run_of(dispatch), repository=dispatch.repository)
    branches = branches_of(backlog, approved, approved)
    taken = backlog.claim_all(approved, branches, run_id=dispatch.id, claimed_by=DISPATCHED)
    return [*claimed, *(one.item for one in taken)]


def show_waiting(repository: Repository, dispatch: Dispatch, items: list[Item], page: str) -> None:
    """Check runs on the base commit. They show something and decide nothing: a forge that fails is a warning."""
    checks, base = repository.check_runs, dispatch.base
    if checks is None or base is None or dispatch.tries:
        return
    try:
        for item in items[:QUEUED_CHECKS]:
            checks.start(queued_check(item, base.commit, dispatch.id, page=page))
    except MasonError as problem:
        log.warning("Waiting items of run %s are not shown: %s", dispatch.id, problem)


def hand_over(ports: AppPorts, fence: Fence, dispatch: Dispatch) -> Dispatch:
    """Dispatch it, found or made: before every second try its workflow run is looked up.

    The try is stored before the call, so that a process that dies here leaves a lookup to the next one.
    """
    if dispatch.tries and (found := ports.dispatcher.find(dispatch)):
        return handed_over(ports, fence, dispatch, found)
    before, now = dispatch, ports.database.now()
    if dispatch.tried_at and (now - dispatch.tried_at).total_seconds() < ports.appears:
        return dispatch  # its answer was lost, and what it made may not be listed yet
    dispatch = saved(ports, fence, replace(dispatch, tries=dispatch.tries + 1, tried_at=now))
    try:
        workflow = ports.dispatcher.dispatch(dispatch)
    except Busy:
        saved(ports, fence, before)
        raise
    except (UsageError, ForgeRefused) as problem:
        return give_up(ports, fence, dispatch, str(problem))
    return handed_over(ports, fence, dispatch, workflow)


def handed_over(ports: AppPorts, fence: Fence, dispatch: Dispatch, workflow: WorkflowRun | None) -> Dispatch:
    dispatch = replace(
        dispatch,
        state=DispatchState.DISPATCHED,
        dispatched_at=dispatch.dispatched_at or ports.database.now(),
        workflow_run=workflow.id if workflow else "",
        url=workflow.url if workflow else "",
    )
    saved(ports, fence, dispatch)
    log.info("%s %s was handed over: %s", dispatch.work.value, dispatch.id, dispatch.url or "no page yet")
    show_progress(ports, dispatch, workflow)
    return dispatch


def follow(ports: AppPorts, fence: Fence, dispatch: Dispatch) -> Dispatch:
    """What became of it since it was handed over."""
    workflow = ports.dispatcher.find(dispatch)
    if workflow and workflow.id != dispatch.workflow_run:
        dispatch = saved(ports, fence, replace(dispatch, workflow_run=workflow.id, url=workflow.url))
    match next_step(dispatch, workflow, ports.database.now()):
        case Step.CONCLUDE:
            return conclude(ports, fence, dispatch, workflow.conclusion if workflow else "failure")
        case Step.HAND_OVER:
            return hand_over(ports, fence, dispatch)
        case Step.GIVE_UP:
            ports.dispatcher.cancel(dispatch)
            return give_up(ports, fence, dispatch, "No runner took it")
        case Step.WAIT:
            if dispatch.cancelled_by:
                ports.dispatcher.cancel(dispatch)
            renew_waiting(ports, dispatch)
            show_progress(ports, dispatch, workflow)
            return dispatch


def renew_waiting(ports: AppPorts, dispatch: Dispatch) -> None:
    """Items in the queue have no runner that renews their lease."""
    ports.backlog.heartbeat([claim for claim in claims_of(ports, dispatch) if claim.claimed_by == DISPATCHED])


def conclude(ports: AppPorts, fence: Fence, dispatch: Dispatch, ended: str, why: str = "") -> Dispatch:
    """Nobody works on it any more: every item goes where this module's table says, then the run is closed.

    ``ended`` is the workflow run's conclusion, or LOST with the sentence ``why``.
    """
    conclusion = "cancelled" if dispatch.cancelled_by else ended
    reason = why if conclusion == LOST else said(conclusion)
    ports.database.require(fence)
    if dispatch.work is not Work.RUN:
        outcome = conclusion if conclusion in ("success", "cancelled") else "failed"
        return end(ports, fence, dispatch, outcome, "" if outcome == "success" else reason)
    if conclusion == "cancelled":
        put_off(ports, dispatch)
    else:
        give_back(ports, dispatch, reason)
    if conclusion not in ("cancelled", "stopped"):
        end_the_round(ports, dispatch, reason)
    result = close(ports, dispatch, reason, cancelled=conclusion == "cancelled", untold=ended == LOST)
    dispatch = replace(dispatch, cost_usd=result.usage.cost_usd)
    return end(ports, fence, dispatch, result.status.value, result.reason)


def said(conclusion: str) -> str:
    """One sentence about how a workflow run ended."""
    return {
        "cancelled": "It was cancelled",
        "timed_out": "It took longer than GitHub allows",
        "startup_failure": "Its workflow could not be started",
        "failure": "Its workflow run failed",
        "success": "Its workflow run ended",
        "stopped": "Mason was stopped",
    }.get(conclusion, f"Its workflow run ended with {conclusion[:40]!r}")


def put_off(ports: AppPorts, dispatch: Dispatch) -> None:
    """A person's cancel (contracts §1, Going back), also of items that a stopped runner has just given back."""
    reason = f"Cancelled by {dispatch.canceller}" if dispatch.cancelled_by else "Cancelled in GitHub Actions"
    for claim in claims_of(ports, dispatch):
        ports.backlog.settle(claim, Outcome(verdict=Verdict.DEFERRED, reason=reason))
    for item in ports.backlog.items(dispatch.items):
        given_back = item.status is ItemStatus.APPROVED
        if given_back and dispatch.is_for(item.id, item.approved_at) and item.failed_base is None:
            ports.backlog.defer(item.id, reason)


def give_back(ports: AppPorts, dispatch: Dispatch, reason: str) -> None:
    """Items without a runner become free again, at most three times; what never began is nobody's fault and waits."""
    for claim in claims_of(ports, dispatch):
        if claim.claimed_by == DISPATCHED and claim.attempt >= MAX_ATTEMPTS:
            ports.backlog.settle(claim, never_began(dispatch, reason))
    ports.backlog.take_back([seen for seen in ports.backlog.claims() if seen.claim.run_id == dispatch.id])


def end_the_round(ports: AppPorts, dispatch: Dispatch, reason: str) -> None:
    """An item that came back from this run as approved as before, for the third time since its approval, waits too.

    Its runners gave it back of their own accord, each with its attempt, so nobody else counts: a missing secret, or a
    job that is always too slow, must not go round for ever.
    """
    for item in ports.backlog.items(dispatch.items):
        if item.status is not ItemStatus.APPROVED or item.failed_base is not None:
            continue
        rounds = [
            one
            for one in ports.database.dispatches(repository=dispatch.repository, item=item.id)
            if one.tries and one.is_for(item.id, item.approved_at)
        ]
        if len(rounds) < MAX_ATTEMPTS:
            continue
        (branch,) = branches_of(ports.backlog, [item], [item])
        taken = ports.backlog.claim(item, run_id=dispatch.id, claimed_by=DISPATCHED, branch=branch)
        if taken is not None:
            ports.backlog.settle(taken.claim, never_began(dispatch, reason))


def never_began(dispatch: Dispatch, reason: str) -> Outcome:
    base = dispatch.base.commit if dispatch.base else None
    return Outcome(verdict=Verdict.RELEASED, reason=f"No runner began with it: {reason}", failed_base=base)


def give_up(ports: AppPorts, fence: Fence, dispatch: Dispatch, reason: str) -> Dispatch:
    """It cannot be handed over: its items wait until the base branch moves or a person asks. None of this may loop."""
    log.warning("Run %s is given up: %s", dispatch.id, reason)
    ports.database.require(fence)
    if dispatch.work is Work.RUN:
        for claim in claims_of(ports, dispatch):
            ports.backlog.settle(claim, never_began(dispatch, reason))
        close(ports, dispatch, reason)
    return end(ports, fence, dispatch, "failed", reason)


def close(
    ports: AppPorts, dispatch: Dispatch, reason: str, *, cancelled: bool = False, untold: bool = False
) -> RunResult:
    """End its check runs and write the run's rows from what its items say. The runner's last job does the same.

    ``reason`` is the run's only where an item did not come to an end: else the items say it all. Raises
    Unreachable before the rows are written: nothing looks at this run again once it has ended. ``untold``: it has no
    check runs, or there is no way to them.
    """
    if dispatch.base is None:  # it was never prepared: there is no row
        return RunResult(run_id=dispatch.id, base=None, cancelled=cancelled, reason=reason)
    run = run_of(dispatch)
    checks = None if untold else ports.repositories.named(dispatch.repository).check_runs
    end_left_open(checks, run.base.commit, lambda subject: subject.run_id == run.id, "The run has ended", insist=True)
    results = tuple(ports.backlog.results(run))
    given_back = any(
        result.outcome.verdict is Verdict.RELEASED and result.item.status is ItemStatus.APPROVED for result in results
    )
    own = reason if cancelled or given_back else ""
    result = RunResult(run_id=run.id, base=run.base, results=results, cancelled=cancelled, reason=own)
    ports.backlog.close_run(result)
    return result


def end(ports: AppPorts, fence: Fence, dispatch: Dispatch, outcome: str, reason: str) -> Dispatch:
    """Tell it where it was asked for, then write it down: a process that dies between the two tells it again."""
    now = ports.database.now()
    dispatch = replace(dispatch, state=DispatchState.ENDED, outcome=outcome, reason=reason, ended_at=now)
    show_progress(ports, dispatch, None)
    saved(ports, fence, dispatch)
    log.info("%s %s ended: %s. %s", dispatch.work.value, dispatch.id, outcome, reason)
    ports.jobs.defer(ReconcileBacklog())  # items that came back, and those that waited for this run's end
    return dispatch


def show_progress(ports: AppPorts, dispatch: Dispatch, workflow: WorkflowRun | None) -> None:
    """The one progress comment of a pull request or issue. How it ended is told for certain, the rest if there is room.

    Raises Unreachable for the end alone: it is told before anything forgets that it is to be told.
    """
    if not dispatch.number:
        return
    ended, page = dispatch.state is DispatchState.ENDED, ports.page_of(dispatch)
    items = [
        ItemLine(
            title=item.title,
            status=item.status.value,
            url=item.pull_request_url or "",
            reason=item.failure_reason or item.skip_reason or "",
        )
        for item in ports.backlog.items(dispatch.items)
    ]
    try:
        repository = ports.repositories.named(dispatch.repository)
        repository.say(dispatch.number, PROGRESS, progress(dispatch, workflow, items, page=page), dispensable=not ended)
    except MasonError as problem:
        if ended and isinstance(problem, Unreachable):
            raise
        log.warning("The progress of run %s is not shown: %s", dispatch.id, problem)


def run_of(dispatch: Dispatch) -> Run:
    """The run as its rows have it. Every run of the web app is planned: its items are taken over by its runners."""
    if dispatch.base is None:
        raise UsageError(f"Run {dispatch.id} has no base commit yet")
    return Run(
        id=dispatch.id, base=dispatch.base, item_ids=dispatch.items, planned=True, branch_name=dispatch.branch_name
    )


def claims_of(ports: AppPorts, dispatch: Dispatch) -> list[Claim]:
    """The claims of a run that stand."""
    return [seen.claim for seen in ports.backlog.claims() if seen.claim.run_id == dispatch.id]


def saved(ports: AppPorts, fence: Fence, dispatch: Dispatch) -> Dispatch:
    ports.database.save(fence, dispatch)
    return dispatch
