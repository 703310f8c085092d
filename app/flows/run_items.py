"""The story of a run: which items, from which commit, side by side, each to its end; then the run is closed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import UUID, uuid4

from app.domain import events as ev
from app.domain.claims import MAX_ATTEMPTS
from app.domain.items import Item, ItemStatus
from app.domain.results import GateResult, Outcome, Verdict
from app.domain.runs import ItemResult, Run, RunResult
from app.errors import DatabaseRefused, DatabaseUnreachable, MasonError, Unreachable, UsageError
from app.flows.base_gate import base_failure, check_base, repairs
from app.flows.check_runs import end_check_runs
from app.flows.heartbeat import INTERVAL, Leases
from app.flows.item_to_pr import item_to_pr
from app.flows.selection import Selection, gate_kinds, select_items
from app.flows.work import ItemWork, MoneySpent, Ports, RunContext, RunOptions, Settled
from app.ports.agent import Agent
from app.ports.backlog import Claimed
from app.process import Stop

log = logging.getLogger("mason")


def run_items(ports: Ports, options: RunOptions, stop: Stop, *, heartbeat: float = INTERVAL) -> RunResult:
    """Take approved items to their branches. Items that another runner holds are left alone.

    Of a planned run (``options.run_id``) only the named items are taken, and the run stays open for its last job.
    ``heartbeat`` in seconds. Raises UsageError before anything is claimed, or when an agent can never work;
    DatabaseUnreachable: what is claimed then is taken back by a later run, once its lease has ended.
    """
    ports.backlog.require_ready()
    ports.forge.require_access()
    ports.reporter.flush()  # what an earlier run could not write: its claims are still the same
    take_back_lost_items(ports)
    planned = planned_run(ports, options)
    selection = select_items(ports, options, planned)
    if not selection.items:
        return RunResult(run_id=planned.id if planned else None, base=selection.base)
    agent = ports.make_agent(selection.policy.agent)
    agent.require_ready()
    run = planned or open_run(ports, selection)
    leases = Leases(ports.backlog)
    stop.heeded = True
    try:
        with leases.renewed(heartbeat):
            works = claim_items(ports, options, run, selection, agent, leases, stop)
            settled = work_side_by_side(works, options.max_parallel, leases, stop)
    except UsageError:  # its items were given back
        close_run(ports, run, RunResult(run_id=run.id, base=selection.base, cancelled=True))
        raise
    taken = {work.item.id for work in works}
    result = RunResult(
        run_id=run.id,
        base=selection.base,
        results=settled,
        left=tuple(item for item in selection.items if item.id not in taken),
        cancelled=stop.is_set(),
    )
    ports.reporter.report(ev.RunFinished(result=result))
    close_run(ports, run, result)
    return result


def planned_run(ports: Ports, options: RunOptions) -> Run | None:
    """The planned run that this runner has a part of. Raises UsageError when there is none with this id."""
    if options.run_id is None:
        return None
    run = ports.backlog.run(options.run_id)
    if run is None:
        raise UsageError(f"There is no run {options.run_id}: it has to be planned first")
    if not options.item_ids:
        raise UsageError("A job of a planned run has to be told which items are its own")
    return run


def open_run(ports: Ports, selection: Selection, *, planned: bool = False) -> Run:
    """A new run over the selected items; its rows."""
    ids = tuple(item.id for item in selection.items)
    run = Run(id=uuid4(), base=selection.base, item_ids=ids, planned=planned)
    ports.backlog.open_run(run, repository=ports.forge.repository)
    return run


def close_run(ports: Ports, run: Run, result: RunResult) -> None:
    """Write how the run ended; a planned one is written by its last job alone (contracts §1, Claim and fence)."""
    if not run.planned:
        ports.backlog.close_run(result)


def take_back_lost_items(ports: Ports) -> None:
    """Whatever a killed runner held becomes free, or is rejected after its third attempt; its check runs are ended."""
    for dead in ports.backlog.dead_claims(ports.is_dead, lambda found: end_check_runs(ports.forge, found)):
        fate = "rejected, it was its third attempt" if dead.rejected else "approved again"
        log.warning("The runner of “%s” was lost; the item is %s", dead.title[:200], fate)


def claim_items(
    ports: Ports, options: RunOptions, run: Run, selection: Selection, agent: Agent, leases: Leases, stop: Stop
) -> list[ItemWork]:
    """Claim every item of the run, then judge the base once for all of them."""
    claimed: list[tuple[Claimed, str, Stop]] = []
    try:
        for item, branch in zip(selection.items, selection.branches, strict=True):
            taken = take(ports, item, run, branch)
            if taken is None:
                log.warning("“%s” was taken by another runner", item.title[:200])
                continue
            claimed.append((taken, branch, Stop(stop)))
            leases.hold(taken.claim, claimed[-1][2])
        ports.reporter.report(ev.RunStarted(run=run, items=tuple(taken.item for taken, _, _ in claimed)))
        context = run_context(ports, options, run, selection, agent, [taken for taken, _, _ in claimed], stop)
    except BaseException:  # raised again: what was claimed is given back first, whatever ended it
        for taken, _, _ in claimed:
            ports.backlog.settle(taken.claim, Outcome(verdict=Verdict.RELEASED, reason="The run could not begin"))
        raise
    return [
        ItemWork(
            run=context,
            claim=taken.claim,
            item=taken.item,
            branch=branch,
            position=number,
            stop=item_stop,
            base=context.base,
            base_gate=context.base_gate,
        )
        for number, (taken, branch, item_stop) in enumerate(claimed, 1)
    ]


def take(ports: Ports, item: Item, run: Run, branch: str) -> Claimed | None:
    """Claim an approved item, or take over one that was claimed for this run."""
    if item.status is ItemStatus.IN_PROGRESS:
        return ports.backlog.take_over(item.id, run_id=run.id, claimed_by=ports.claimed_by)
    return ports.backlog.claim(item, run_id=run.id, claimed_by=ports.claimed_by, branch=branch)


def run_context(
    ports: Ports,
    options: RunOptions,
    run: Run,
    selection: Selection,
    agent: Agent,
    claimed: Sequence[Claimed],
    stop: Stop,
) -> RunContext:
    """What the items share; the base's gate runs here, while every item shows that the run has begun."""
    for taken in claimed:
        message = "Checking the base commit"
        ports.reporter.report(
            ev.CheckpointReached(claim=taken.claim, checkpoint=2, phase=ev.Phase.SITE_REVIEW, message=message)
        )
    kinds = gate_kinds(selection.policy, options)
    gate = ports.make_gate(selection.toolchain, selection.policy)
    base_gate = GateResult(checks=())
    if claimed and not stop.is_set():
        base_gate = check_base(ports.workspace, gate, selection.base, kinds, stop)
    return RunContext(
        id=run.id,
        ports=ports,
        options=options,
        base=selection.base,
        policy=selection.policy,
        agent=agent,
        gate=gate,
        kinds=kinds,
        base_gates={selection.base.commit: base_gate},
        prds_wanted=selection.prds_wanted,
        total=len(claimed),
    )


def work_side_by_side(
    works: Sequence[ItemWork], max_parallel: int, leases: Leases, stop: Stop
) -> tuple[ItemResult, ...]:
    """Every item to its end, ``max_parallel`` at a time. An error that no item can survive stops all of them."""
    failures: list[MasonError] = []

    def one(work: ItemWork) -> ItemResult:
        try:
            return ItemResult(item=work.item, outcome=settle(work, tell_story(work)))
        except (DatabaseUnreachable, UsageError) as problem:
            failures.append(problem)
            stop.set(str(problem))
            return ItemResult(item=work.item, outcome=give_back(work, problem))
        finally:
            leases.drop(work.claim)

    with ThreadPoolExecutor(max_workers=max(max_parallel, 1), thread_name_prefix="item") as pool:
        results = tuple(pool.map(one, works))
    if failures:
        raise failures[0]
    return results


def tell_story(work: ItemWork) -> Outcome:
    """How one item ends, whatever happens to it. This is the border of one item: the next one goes on."""
    try:
        work.check_stop()
        if work.run.base_gate.failures and not repairs(work.item, work.run.base_gate):
            reason = base_failure(work.run.base, work.run.base_gate)
            return replace(work.outcome(Verdict.RELEASED, reason), failed_base=work.run.base.commit)
        return item_to_pr(work)
    except MoneySpent as problem:
        return unfinished(work, str(problem))
    except Settled as settled:
        return settled.outcome
    except (DatabaseUnreachable, UsageError):
        raise
    except Unreachable as problem:
        return unfinished(work, str(problem))
    except MasonError as problem:
        return work.outcome(Verdict.REJECTED, str(problem))
    except Exception as problem:  # the named border of one item
        log.exception("Mason itself failed on “%s”", work.item.title[:200])
        return work.outcome(Verdict.REJECTED, f"Mason itself failed: {type(problem).__name__}: {problem}")


def unfinished(work: ItemWork, reason: str) -> Outcome:
    """Given back for a reason that is not the item's. One that has cost money goes back so three times at most."""
    if not work.usage.cost_usd:
        return work.outcome(Verdict.RELEASED, reason)
    if work.claim.attempt >= MAX_ATTEMPTS:
        return work.outcome(Verdict.REJECTED, f"{reason.rstrip('.')} (in its attempt {work.claim.attempt})")
    return replace(work.outcome(Verdict.RELEASED, reason), unfinished=True)


def settle(work: ItemWork, outcome: Outcome) -> Outcome:
    """Write down how the item ended, a follow-up for a person included. A lost item is written by its new holder."""
    backlog = work.ports.backlog
    if outcome.verdict is Verdict.LOST:
        log.warning("“%s” belongs to another runner now; nothing of it was published", work.item.title[:200])
        work.report(ev.ItemSettled(claim=work.claim, item=work.item, outcome=outcome))
        return outcome
    if outcome.verdict is Verdict.REJECTED:
        outcome = replace(outcome, follow_up=ask_for_a_person(work, outcome))
    work.report(ev.ItemSettled(claim=work.claim, item=work.item, outcome=outcome))
    work.ports.reporter.flush()
    if not backlog.settle(work.claim, outcome):
        return replace(outcome, verdict=Verdict.LOST, reason="The claim was lost before the end was written")
    return outcome


def ask_for_a_person(work: ItemWork, outcome: Outcome) -> UUID | None:
    """The follow-up item; one that the database refuses must not keep the item from its end."""
    try:
        return work.ports.backlog.create_follow_up(work.claim, work.item, outcome)
    except DatabaseRefused as problem:
        log.warning("“%s” gets no follow-up item: %s", work.item.title[:200], problem)
        return None


def give_back(work: ItemWork, problem: MasonError) -> Outcome:
    """The item of a run that cannot go on; without a database its lease runs out by itself."""
    outcome = work.outcome(Verdict.RELEASED, str(problem))
    return outcome if isinstance(problem, DatabaseUnreachable) else settle(work, outcome)
