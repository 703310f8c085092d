"""The story of a run: which items, from which commit, side by side, each to its end; then the run is closed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from uuid import UUID, uuid4

from app.domain import events as ev
from app.domain.items import Item, ItemStatus, own_branch, plain_branch
from app.domain.policy import POLICY_PATH, Policy, parse_policy
from app.domain.results import REQUIRED_CHECKS, CheckKind, GateResult, Outcome, Verdict
from app.domain.runs import Base, ItemResult, Run, RunResult
from app.errors import DatabaseRefused, DatabaseUnreachable, MasonError, Unreachable, UsageError
from app.flows.base_gate import base_failure, check_base, repairs
from app.flows.heartbeat import INTERVAL, Leases
from app.flows.item_to_pr import item_to_pr
from app.flows.work import ItemWork, Ports, RunContext, RunOptions, Settled
from app.gate.steps import Toolchain
from app.gate.toolchain import detect
from app.ports.backlog import Backlog, Claimed
from app.process import Stop

log = logging.getLogger("mason")


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """What a run would do: items in priority order, from one base, under its policy, with its toolchain.

    ``prds_wanted`` are items without a PRD for which one is to be written.
    """

    base: Base
    items: tuple[Item, ...]
    branches: tuple[str, ...]
    policy: Policy
    toolchain: Toolchain
    prds_wanted: frozenset[UUID]


def run_items(ports: Ports, options: RunOptions, stop: Stop, *, heartbeat: float = INTERVAL) -> RunResult:
    """Take approved items to their branches. Items that another runner holds are left alone.

    ``heartbeat`` in seconds. Raises UsageError before anything is claimed, or when an agent can never work;
    DatabaseUnreachable: what is claimed then is taken back by a later run, once its lease has ended.
    """
    ports.backlog.require_ready()
    ports.reporter.flush()  # what an earlier run could not write: its claims are still the same
    take_back_lost_items(ports)
    selection = select_items(ports, options)
    if not selection.items:
        return RunResult(run_id=None, base=selection.base)
    run = Run(id=uuid4(), base=selection.base, item_ids=tuple(item.id for item in selection.items))
    ports.backlog.open_run(run, repository=ports.forge.repository)
    leases = Leases(ports.backlog)
    stop.heeded = True
    try:
        with leases.renewed(heartbeat):
            works = claim_items(ports, options, run, selection, leases, stop)
            settled = work_side_by_side(works, options.max_parallel, leases, stop)
    except UsageError:  # its items were given back
        ports.backlog.close_run(RunResult(run_id=run.id, base=run.base, cancelled=True))
        raise
    taken = {work.item.id for work in works}
    result = RunResult(
        run_id=run.id,
        base=run.base,
        results=settled,
        left=tuple(item for item in selection.items if item.id not in taken),
        cancelled=stop.is_set(),
    )
    ports.reporter.report(ev.RunFinished(result=result))
    ports.backlog.close_run(result)
    return result


def take_back_lost_items(ports: Ports) -> None:
    """Whatever a killed runner held becomes free, or is rejected after its third attempt."""
    for dead in ports.backlog.dead_claims(ports.is_dead):
        fate = "rejected, it was its third attempt" if dead.rejected else "approved again"
        log.warning("The runner of “%s” was lost; the item is %s", dead.title[:200], fate)


def select_items(ports: Ports, options: RunOptions) -> Selection:
    """Which items, from which commit, judged by what. Reads only."""
    base = ports.workspace.pin_base(options.base)
    approved = ports.backlog.approved_items(repository=ports.forge.repository)
    items = named_items(ports.backlog, options.item_ids, approved) if options.item_ids else approved
    waiting = [item for item in items if item.failed_base == base.commit]
    for item in waiting:
        log.warning("“%s” waits: %s fails its own checks at %s", item.title[:200], base.branch, base.commit[:10])
    items = [item for item in items if item not in waiting][: options.limit]
    policy = parse_policy(ports.workspace.read(base.commit, POLICY_PATH))
    paths = ports.workspace.paths(base.commit)
    return Selection(
        base=base,
        items=tuple(items),
        branches=tuple(branch_of(ports.backlog, item, approved) for item in items),
        policy=policy,
        toolchain=detect(paths, lambda path: ports.workspace.read(base.commit, path), policy),
        prds_wanted=frozenset(item.id for item in items if not item.has_prd and wants_prd(ports, options, item)),
    )


def wants_prd(ports: Ports, options: RunOptions, item: Item) -> bool:
    """Whether a PRD is to be written: by option, or because a person at the terminal says so, before anything runs."""
    return options.generate_prd or (
        ports.ask is not None and ports.ask(f"“{item.title[:200]}” has no PRD. Write one now?")
    )


def named_items(backlog: Backlog, ids: Sequence[UUID], approved: Sequence[Item]) -> list[Item]:
    """The items that ``--item`` names. Raises UsageError naming the status of one that is not approved."""
    known = {item.id: item for item in backlog.items(ids)}
    for item_id in ids:
        item = known.get(item_id)
        if item is None:
            raise UsageError(f"There is no item {item_id}")
        if item.status is not ItemStatus.APPROVED:
            raise UsageError(f"Item {item_id} is {item.status.value}, not approved")
        if item_id not in {a.id for a in approved}:
            raise UsageError(f"Item {item_id} belongs to another repository")
    return [item for item in approved if item.id in set(ids)]


def branch_of(backlog: Backlog, item: Item, approved: Sequence[Item]) -> str:
    """The same item always gets the same branch; of two that want one name, the smaller id gets the plain one."""
    if item.branch and item.branch in (plain_branch(item), own_branch(item)):
        return item.branch
    plain = plain_branch(item)
    rival = any(o.id < item.id and o.branch != own_branch(o) and plain_branch(o) == plain for o in approved)
    if rival or backlog.branch_owner(plain) not in (None, item.id):
        return own_branch(item)
    return plain


def claim_items(
    ports: Ports, options: RunOptions, run: Run, selection: Selection, leases: Leases, stop: Stop
) -> list[ItemWork]:
    """Claim every item of the run, then judge the base once for all of them."""
    claimed: list[tuple[Claimed, str, Stop]] = []
    try:
        for item, branch in zip(selection.items, selection.branches, strict=True):
            taken = ports.backlog.claim(item, run_id=run.id, claimed_by=ports.claimed_by, branch=branch)
            if taken is None:
                log.warning("“%s” was taken by another runner", item.title[:200])
                continue
            claimed.append((taken, branch, Stop(stop)))
            leases.hold(taken.claim, claimed[-1][2])
        ports.reporter.report(ev.RunStarted(run=run, items=tuple(taken.item for taken, _, _ in claimed)))
        context = run_context(ports, options, run, selection, [taken for taken, _, _ in claimed], stop)
    except BaseException:  # raised again: what was claimed is given back first, whatever ended it
        for taken, _, _ in claimed:
            ports.backlog.settle(taken.claim, Outcome(verdict=Verdict.RELEASED, reason="The run could not begin"))
        raise
    return [
        ItemWork(run=context, claim=taken.claim, item=taken.item, branch=branch, position=number, stop=item_stop)
        for number, (taken, branch, item_stop) in enumerate(claimed, 1)
    ]


def run_context(
    ports: Ports, options: RunOptions, run: Run, selection: Selection, claimed: Sequence[Claimed], stop: Stop
) -> RunContext:
    """What the items share; the base's gate runs here, while every item shows that the run has begun."""
    for taken in claimed:
        message = "Checking the base commit"
        ports.reporter.report(
            ev.CheckpointReached(claim=taken.claim, checkpoint=2, phase=ev.Phase.SITE_REVIEW, message=message)
        )
    configured_e2e = selection.policy.all_checks.get(CheckKind.E2E) is not None
    kinds = REQUIRED_CHECKS + ((CheckKind.E2E,) if options.e2e or configured_e2e else ())
    gate = ports.make_gate(selection.toolchain, selection.policy)
    base_gate = GateResult(checks=())
    if claimed and not stop.is_set():
        base_gate = check_base(ports.workspace, gate, run.base, kinds, stop)
    return RunContext(
        id=run.id,
        ports=ports,
        options=options,
        base=run.base,
        policy=selection.policy,
        gate=gate,
        kinds=kinds,
        base_gate=base_gate,
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
    except Settled as settled:
        return settled.outcome
    except (DatabaseUnreachable, UsageError):
        raise
    except Unreachable as problem:
        return work.outcome(Verdict.RELEASED, str(problem))
    except MasonError as problem:
        return work.outcome(Verdict.REJECTED, str(problem))
    except Exception as problem:  # the named border of one item
        log.exception("Mason itself failed on “%s”", work.item.title[:200])
        return work.outcome(Verdict.REJECTED, f"Mason itself failed: {type(problem).__name__}: {problem}")


def settle(work: ItemWork, outcome: Outcome) -> Outcome:
    """Write down how the item ended, a follow-up for a person included. A lost item is written by its new holder."""
    backlog = work.ports.backlog
    if outcome.verdict is Verdict.LOST:
        log.warning("“%s” belongs to another runner now; nothing of it was published", work.item.title[:200])
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
