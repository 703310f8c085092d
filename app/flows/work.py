"""What every step of an item's story works with: the ports, the run, the item, and the ways out of the story."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from pydantic import BaseModel

from app.domain import events as ev
from app.domain.claims import Claim
from app.domain.items import Item
from app.domain.plans import PrdContext
from app.domain.policy import POLICY_PATH, AgentPolicy, Policy
from app.domain.results import CheckKind, GateResult, Iteration, Outcome, TierResult, Usage, ValidatorResult, Verdict
from app.domain.runs import Base
from app.errors import MasonError, Unreachable
from app.flows.base_gate import check_base
from app.gate.checks import Gate
from app.gate.steps import Toolchain
from app.ports.agent import Agent, AgentRequest, AgentResult, Failure, Role
from app.ports.backlog import Backlog
from app.ports.forge import Forge
from app.ports.reporter import Reporter
from app.ports.workspace import Tree, Workspace
from app.process import Stop
from app.prompts import answers, render

Answer = TypeVar("Answer")

LOST = "lost"
"""The stop reason of an item whose claim belongs to another runner now."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ports:
    """The outside, as the wiring chose it. ``ask`` puts a yes/no question to a person; None when headless.
    ``artifacts_page`` is where people find what a job keeps; empty where it is a directory of this machine.

    ``make_agent`` gives the agent that the base's policy names, unless this run was told otherwise; it raises
    UsageError when there is no such agent.
    """

    backlog: Backlog
    forge: Forge
    workspace: Workspace
    make_agent: Callable[[AgentPolicy], Agent]
    reporter: Reporter
    make_gate: Callable[[Toolchain, Policy], Gate]
    claimed_by: str
    is_dead: Callable[[str], bool]
    ask: Callable[[str], bool] | None = None
    artifacts_page: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOptions:
    """What a person asked for: the options of ``mason run``.

    ``run_id`` names a planned run, of which this runner takes the items in ``item_ids``. ``policy_path`` lies in the
    base commit; ``setup_command`` replaces the install step; ``max_cost_usd`` lowers the policy's limit for one item.
    """

    item_ids: tuple[UUID, ...] = ()
    limit: int | None = None
    smoke_test: bool = False
    e2e: bool = False
    max_parallel: int = 1
    base: str | None = None
    generate_prd: bool = False
    draft: bool = False
    run_id: UUID | None = None
    policy_path: str = POLICY_PATH
    setup_command: str | None = None
    max_cost_usd: float | None = None


@dataclass(kw_only=True, slots=True)
class RunContext:
    """One run: what all of its items share.

    ``base_gates`` say how base commits themselves do; the pinned one's is there from the beginning, others come as the
    base moves. ``prds_wanted`` are items without a PRD that are to get one.
    """

    id: UUID
    ports: Ports
    options: RunOptions
    base: Base
    policy: Policy
    agent: Agent
    gate: Gate
    kinds: tuple[CheckKind, ...]
    base_gates: dict[str, GateResult]
    prds_wanted: frozenset[UUID]
    total: int
    judging: threading.Lock = field(default_factory=threading.Lock)

    @property
    def base_gate(self) -> GateResult:
        """How the pinned base does."""
        return self.base_gates[self.base.commit]

    def gate_of(self, base: Base, stop: Stop) -> GateResult:
        """How a base commit does: its checks run once, whoever asks first."""
        with self.judging:
            if base.commit not in self.base_gates:
                found = check_base(self.ports.workspace, self.gate, base, self.kinds, stop)
                if stop.is_set():
                    return GateResult(checks=())
                self.base_gates[base.commit] = found
            return self.base_gates[base.commit]


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """What validator and gate say of one state of the tree (a git tree id).

    ``gate`` is None while the validator stops the item, the gate in the work tree when that failed, else the final gate
    on ``commit``. ``passed`` is true only for a commit whose final gate passed.
    """

    tree: str
    validator: ValidatorResult
    gate: GateResult | None = None
    commit: str | None = None

    @property
    def passed(self) -> bool:
        return self.commit is not None and self.gate is not None and self.gate.passed

    @property
    def fingerprints(self) -> frozenset[str]:
        """What is wrong, comparable between evaluations."""
        checks = self.gate.failures if self.gate else ()
        return self.validator.fingerprints.union(*(check.fingerprints for check in checks))

    @property
    def failed(self) -> tuple[str, ...]:
        """The names of what failed, validator tiers first."""
        checks = self.gate.failures if self.gate else ()
        return tuple(t.tier.value for t in self.validator.failures) + tuple(c.kind.value for c in checks)

    @property
    def complaint(self) -> str:
        """The same for people: checks by their names, tiers with the first thing that they found."""
        tiers = (
            f"{tier.tier.words} ({tier.findings[0].message[:300]})" if tier.findings else tier.tier.words
            for tier in self.validator.failures
        )
        checks = self.gate.failures if self.gate else ()
        return ", ".join([*tiers, *(check.kind.value for check in checks)])


class MoneySpent(MasonError):
    """What the run may cost is spent."""


class Settled(Exception):
    """Leaves the story of an item early, with its outcome."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


@dataclass(kw_only=True)
class ItemWork:
    """One item on its way. The fields from ``instructions`` on are filled in as the story goes.

    ``patterns`` is what the reviewing agent said last. ``session`` is the agent's that fixes.
    ``base`` is the commit that the work is meant for, and ``base_gate`` how it does by itself: the run's, until it
    moves. ``begin`` is the commit that the work starts from, ``installed`` the key of what the install step last made
    in the item's tree, ``evaluation`` the newest one, ``remark`` a sentence for the reader of the pull request,
    ``pictures`` another, about screenshots, ``subject`` what a person asked for on one that is there already.
    """

    run: RunContext
    claim: Claim
    item: Item
    branch: str
    position: int
    stop: Stop
    base: Base
    base_gate: GateResult
    instructions: str = ""
    context: PrdContext = field(default_factory=PrdContext)
    notes: tuple[render.TaskNote, ...] = ()
    begin: str = ""
    installed: str = ""
    evaluation: Evaluation | None = None
    patterns: TierResult | None = None
    remark: str = ""
    pictures: str = ""
    subject: str = ""
    usage: Usage = field(default_factory=Usage)
    iterations: tuple[Iteration, ...] = ()
    tasks_done: set[str] = field(default_factory=set)
    session: str | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def ports(self) -> Ports:
        return self.run.ports

    @property
    def briefing(self) -> render.Briefing:
        """What every prompt about this item starts from."""
        return render.Briefing(item=self.item, context=self.context, instructions=self.instructions)

    def report(self, event: ev.Event) -> None:
        self.ports.reporter.report(event)

    def reach(self, checkpoint: int, phase: ev.Phase, message: str) -> None:
        """Report one of the thirteen checkpoints, and stop here if somebody asked for it."""
        self.check_stop()
        self.report(ev.CheckpointReached(claim=self.claim, checkpoint=checkpoint, phase=phase, message=message))

    def note(self, message: str, level: ev.Level = ev.Level.INFO, **metadata: object) -> None:
        self.report(
            ev.Noted(message=message, level=level, run_id=self.run.id, claim=self.claim, metadata=dict(metadata))
        )

    def check_stop(self) -> None:
        """Leave the story when the run was cancelled or the claim lost. Raises Settled."""
        if self.stop.is_set():
            raise self.settled(Verdict.LOST if self.stop.reason == LOST else Verdict.RELEASED, self.stop.reason)

    def outcome(self, verdict: Verdict, reason: str = "") -> Outcome:
        """How the item ended, with what is known of it so far."""
        return Outcome(
            verdict=verdict,
            reason=reason,
            branch=self.branch if verdict is Verdict.COMPLETED else None,
            gate=self.evaluation.gate if self.evaluation else None,
            validator=self.evaluation.validator if self.evaluation else None,
            commit=self.evaluation.commit if self.evaluation and verdict is Verdict.COMPLETED else None,
            iterations=self.iterations,
            usage=self.usage,
            tasks_done=len(self.tasks_done),
        )

    def settled(self, verdict: Verdict, reason: str) -> Settled:
        """What to raise to leave the story here."""
        return Settled(self.outcome(verdict, reason))


def call_agent(
    work: ItemWork,
    path: Path,
    role: Role,
    prompt: str,
    *,
    schema: Mapping[str, object] | None = None,
    task_id: str | None = None,
    iteration: int | None = None,
    item: Item | None = None,
) -> AgentResult:
    """One call of the agent within the item's time and budget limits; its usage is added to the item's.

    ``item`` is what the agent is told it works on, where that is not the item as it stands.

    Raises Settled when the run stops or the item's money is spent; MoneySpent when the run's is, Unreachable when the
    model's API is away: then the item goes back.
    """
    limits = work.run.policy.limits
    check_budget(work)
    work.check_stop()
    request = AgentRequest(
        role=role,
        item=item or work.item,
        prompt=prompt,
        worktree=path,
        time_limit=limits.agent_timeout,
        schema=schema,
        budget_usd=limits.max_cost_usd,
        task_id=task_id,
        iteration=iteration,
        session=work.session if role is Role.FIX else None,
    )
    result = work.run.agent.run(
        request,
        work.stop,
        lambda message, file="": work.report(ev.AgentActivity(claim=work.claim, message=message, file=file)),
    )
    with work.lock:
        work.usage += result.usage
        work.session = (result.session or work.session) if role is Role.FIX else work.session
    work.check_stop()
    match result.failure if result.error else None:
        case Failure.UNAVAILABLE:
            raise Unreachable(result.error)
        case Failure.BUDGET:
            check_budget(work)
            raise MoneySpent(result.error)
    return result


def check_budget(work: ItemWork) -> None:
    """Raises Settled when the item has cost what it may cost."""
    limit = work.run.policy.limits.max_cost_usd
    if limit is not None and work.usage.cost_usd >= limit:
        raise work.settled(Verdict.REJECTED, f"The budget of ${limit:.2f} for this item is spent")


@dataclass(frozen=True, kw_only=True, slots=True)
class NoAnswer:
    """The agent gave no usable answer, twice; ``reason`` is a sentence."""

    reason: str


def ask_agent(
    work: ItemWork,
    tree: Tree,
    role: Role,
    prompt: Callable[[str], str],
    form: type[BaseModel],
    parse: Callable[[Mapping[str, object] | None], Answer | None],
    problem_with: Callable[[Answer], str] = lambda _: "",
) -> Answer | NoAnswer:
    """Put a question to the agent; a malformed answer is asked for once more.

    ``prompt`` is given what was wrong with the first answer, ``problem_with`` says what is wrong with one that fits
    its form. Whatever the agent did to the tree is undone.
    """
    before = tree.snapshot()
    problem = ""
    for _ in range(2):
        result = call_agent(work, tree.path, role, prompt(problem), schema=answers.schema(form))
        undo_changes(work, tree, before, role)
        answer = None if result.error else parse(result.answer)
        if answer is None:
            problem = result.error or "the answer did not fit the form that was asked for"
        elif not (problem := problem_with(answer)):
            return answer
    return NoAnswer(reason=problem)


def undo_changes(work: ItemWork, tree: Tree, before: str, role: Role) -> None:
    """Reading roles change nothing, whatever the agent did."""
    if tree.snapshot() != before:
        work.note(f"The agent changed files while it was only asked to {role.value}; undone", ev.Level.WARN)
        tree.restore(before)
