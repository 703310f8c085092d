"""The story of a run: which items, from which commit, side by side, each to its end; then the run is closed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from uuid import UUID, uuid4

from app.domain import events as ev
from app.domain.items import Item, ItemStatus, own_branch, plain_branch
from app.domain.policy import Install, Policy, parse_policy
from app.domain.results import REQUIRED_CHECKS, CheckKind, GateResult, Outcome, Verdict
from app.domain.runs import Base, ItemResult, Run, RunResult
from app.errors import DatabaseRefused, DatabaseUnreachable, MasonError, Unreachable, UsageError
from app.flows.base_gate import base_failure, check_base, repairs
from app.flows.check_runs import end_check_runs
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
    run = planned or open_run(ports, selection)
    leases = Leases(ports.backlog)
    stop.heeded = True
    try:
        with leases.renewed(heartbeat):
            works = claim_items(ports, options, run, selection, leases, stop)
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


def select_items(ports: Ports, options: RunOptions, planned: Run | None = None) -> Selection:
    """Which items, from which commit, judged by what. Reads only. A planned run's commit was pinned by its plan."""
    wanted = planned.base.branch if planned else options.base or ports.forge.default_branch()
    base = ports.workspace.pin_base(wanted, planned.base.commit if planned else None)
    approved = ports.backlog.approved_items(repository=ports.forge.repository)
    items = named_items(ports.backlog, options.item_ids, approved, planned) if options.item_ids else approved
    waiting = [item for item in items if item.failed_base == base.commit]
    for item in waiting:
        log.warning("“%s” waits: %s fails its own checks at %s", item.title[:200], base.branch, base.commit[:10])
    items = [item for item in items if item not in waiting][: options.limit]
    policy = adjusted(parse_policy(ports.workspace.read(base.commit, options.policy_path)), options)
    paths = ports.workspace.paths(base.commit)
    return Selection(
        base=base,
        items=tuple(items),
        branches=tuple(branch_of(ports.backlog, item, approved) for item in items),
        policy=policy,
        toolchain=detect(paths, lambda path: ports.workspace.read(base.commit, path), policy),
        prds_wanted=frozenset(item.id for item in items if not item.has_prd and wants_prd(ports, options, item)),
    )


def adjusted(policy: Policy, options: RunOptions) -> Policy:
    """The committed policy with what this run was told; a budget can only become smaller."""
    changes: dict[str, object] = {}
    if options.setup_command:
        changes["install"] = Install(run=options.setup_command)
    if options.max_cost_usd is not None:
        most = min(options.max_cost_usd, policy.limits.max_cost_usd or options.max_cost_usd)
        changes["limits"] = policy.limits.model_copy(update={"max_cost_usd": most})
    return policy.model_copy(update=changes)


def wants_prd(ports: Ports, options: RunOptions, item: Item) -> bool:
    """Whether a PRD is to be written: by option, or because a person at the terminal says so, before anything runs."""
    return options.generate_prd or (
        ports.ask is not None and ports.ask(f"“{item.title[:200]}” has no PRD. Write one now?")
    )


def named_items(
    backlog: Backlog, ids: Sequence[UUID], approved: Sequence[Item], planned: Run | None = None
) -> list[Item]:
    """The items that ``--item`` names. Raises UsageError naming the status of one that is not approved.

    In a planned run an item may have been claimed for it already; one that a copy of this job has taken, or finished,
    is left alone without a word of blame.
    """
    known = {item.id: item for item in backlog.items(ids)}
    found = []
    for item_id in ids:
        item = known.get(item_id)
        if item is None or (planned and item_id not in planned.item_ids):
            raise UsageError(f"There is no item {item_id}" + (f" in run {planned.id}" if planned else ""))
        if planned and item.status is not ItemStatus.APPROVED:
            if item.status is ItemStatus.IN_PROGRESS and item.run_id == planned.id:
                found.append(item)
            else:
                log.warning("“%s” is %s already; nothing is left to do", item.title[:200], item.status.value)
            continue
        if item.status is not ItemStatus.APPROVED:
            raise UsageError(f"Item {item_id} is {item.status.value}, not approved")
        if item_id not in {a.id for a in approved}:
            raise UsageError(f"Item {item_id} belongs to another repository")
        found.append(item)
    order = {item.id: place for place, item in enumerate(approved)}
    return sorted({item.id: item for item in found}.values(), key=lambda item: order.get(item.id, -1))


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
            taken = take(ports, item, run, branch)
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
    ports: Ports, options: RunOptions, run: Run, selection: Selection, claimed: Sequence[Claimed], stop: Stop
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
        gate=gate,
        kinds=kinds,
        base_gates={selection.base.commit: base_gate},
        prds_wanted=selection.prds_wanted,
        total=len(claimed),
    )


def gate_kinds(policy: Policy, options: RunOptions) -> tuple[CheckKind, ...]:
    """The checks of the gate: the four, and end-to-end tests where they are configured or asked for."""
    e2e = options.e2e or policy.all_checks.get(CheckKind.E2E) is not None
    return REQUIRED_CHECKS + ((CheckKind.E2E,) if e2e else ())


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
