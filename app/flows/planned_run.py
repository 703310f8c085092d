"""A run whose items are taken by jobs of their own: it is planned first, and finished by its last job."""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import UUID

from app.domain import events as ev
from app.domain.claims import DISPATCHED
from app.domain.results import Outcome, Verdict
from app.domain.runs import Run, RunResult
from app.errors import UsageError
from app.flows.check_runs import end_left_open
from app.flows.run_items import open_run, take_back_lost_items
from app.flows.selection import select_items
from app.flows.work import Ports, RunOptions

MOST_JOBS = 256
"""Jobs of one matrix (platform facts, Actions)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One job of a planned run: the item it takes."""

    item_id: UUID
    title: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedRun:
    """``run`` is None when there is nothing to do."""

    run: Run | None
    jobs: tuple[Job, ...] = ()


def plan_run(ports: Ports, options: RunOptions) -> PlannedRun:
    """Pin the base, choose the items, open the run. Claims nothing: each job claims its own item, with its own token.

    With the id of a run that was opened before, its own items are the plan. Raises what `run_items` raises.
    """
    ports.backlog.require_ready()
    take_back_lost_items(ports)
    if options.run_id is not None:
        run = opened_run(ports, options.run_id)
        items = {item.id: item for item in ports.backlog.items(run.item_ids)}
        chosen = [items[item_id] for item_id in run.item_ids if item_id in items]
    else:
        selection = select_items(ports, replace(options, limit=min(options.limit or MOST_JOBS, MOST_JOBS)))
        if not selection.items:
            return PlannedRun(run=None)
        run = open_run(ports, selection, planned=True)
        chosen = list(selection.items)
    return PlannedRun(run=run, jobs=tuple(Job(item_id=item.id, title=item.title) for item in chosen))


def finish_run(ports: Ports, run_id: UUID) -> RunResult:
    """The last job: give back what never began, end what was left open, and write how the run ended.

    Runs when every other job has ended, however that was. Idempotent: it reads the rows and writes what they say.
    """
    ports.backlog.require_ready()
    run = opened_run(ports, run_id)
    give_back_what_never_began(ports, run)
    take_back_lost_items(ports)
    end_left_open(
        ports.forge.check_runs, run.base.commit, lambda subject: subject.run_id == run.id, "The run has ended"
    )
    results = tuple(ports.backlog.results(run))
    result = RunResult(run_id=run.id, base=run.base, results=results)
    ports.reporter.report(ev.RunFinished(result=result))
    ports.backlog.close_run(result)
    return result


def opened_run(ports: Ports, run_id: UUID) -> Run:
    run = ports.backlog.run(run_id)
    if run is None:
        raise UsageError(f"There is no run {run_id}")
    return run


def give_back_what_never_began(ports: Ports, run: Run) -> None:
    """Items that were claimed for this run, and that no job took over."""
    for seen in ports.backlog.claims():
        if seen.claim.run_id == run.id and seen.claim.claimed_by == DISPATCHED:
            never = Outcome(verdict=Verdict.RELEASED, reason="Its job never began")
            ports.backlog.settle(seen.claim, never)
