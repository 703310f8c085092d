"""The story of one execution of the agent runtime, as its own process tells it.

Whoever cancels it, or takes it for lost, does so in its row: this process learns of it when it renews its lease, stops
the agent with all that it started, and writes nothing that counts any more.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import stamina

from app.domain import executions as limits
from app.domain.executions import Execution, ExecutionOutput, ExecutionResult
from app.domain.executions import Workspace as Place
from app.domain.items import Item, plain_branch
from app.domain.policy import POLICY_PATH, AgentPolicy, Policy, parse_policy
from app.domain.results import REQUIRED_CHECKS, CheckKind, CheckResult, CheckStatus, Usage
from app.domain.runs import Base
from app.domain.text import one_line
from app.errors import DatabaseUnreachable, GitFailed, MasonError, NotNow, NotThere, UsageError
from app.flows.day_cost import allotted
from app.gate.checks import Gate
from app.gate.steps import Toolchain
from app.gate.toolchain import detect
from app.planning.context import read_context
from app.ports.agent import Agent, AgentRequest, Role
from app.ports.backlog import Backlog
from app.ports.executions import Executions
from app.ports.workspace import Tree, Workspace
from app.process import Stop
from app.prompts import render, routing
from app.prompts.data import fences_closed

log = logging.getLogger("mason")

TREE = "work"
"""The name of the tree that stays behind in the workspace."""

RENEWAL = 2.0
"""Seconds between two renewals, and at most from a cancel to the stop."""

_TOLD = 20
"""Lines of one failed check that the log shows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExecutionPorts:
    """The outside, as the wiring chose it. ``open_workspace`` makes the directory of a workspace, whose tree TREE stays
    when it is left; ``place`` says where that is, ``remove`` removes the directory. ``base`` pins the commit to start
    from. ``redact`` takes secrets out of a result. ``spent`` is what the models' calls have cost so far, in US dollars;
    it is asked from any thread. ``patience`` in seconds is for the end, should the database be away.
    """

    executions: Executions
    backlog: Backlog
    repository: str | None
    open_workspace: Callable[[UUID], AbstractContextManager[Workspace]]
    place: Callable[[UUID], Path]
    remove: Callable[[UUID], bool]
    base: Callable[[Workspace], Base]
    make_agent: Callable[[AgentPolicy], Agent]
    make_gate: Callable[[Toolchain, Policy], Gate]
    claimed_by: str
    redact: Callable[[ExecutionResult], ExecutionResult]
    spent: Callable[[], float]
    patience: float


class Journal:
    """What is told while it works: the newest lines, each bounded."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=limits.MOST_LINES - 1)
        self._told = 0

    def tell(self, message: str, file: str = "") -> None:
        self._told += 1
        self._lines.append(one_line(f"{message} ({file})" if file else message, limits.LONGEST_LINE))

    @property
    def lines(self) -> tuple[str, ...]:
        left_out = self._told - len(self._lines)
        return ((f"… {left_out} lines left out …",) if left_out else ()) + tuple(self._lines)


@dataclass(kw_only=True)
class ExecutionWork:
    """One execution on its way. The fields from ``journal`` on are filled in as the story goes."""

    ports: ExecutionPorts
    execution: Execution
    stop: Stop
    journal: Journal = field(default_factory=Journal)
    output: ExecutionOutput = field(default_factory=ExecutionOutput)
    usage: Usage = field(default_factory=Usage)

    def result(self, error: str = "") -> ExecutionResult:
        """How it ended, with what is known of it so far."""
        output = replace(self.output, logs=self.journal.lines)
        sentence = one_line(error[:1].upper() + error[1:], limits.LONGEST_ERROR)
        cost = max(self.usage.cost_usd, self.ports.spent())  # an agent that ended in a bug has told of no usage
        return ExecutionResult(error=sentence, output=output, usage=replace(self.usage, cost_usd=cost))


def execute(ports: ExecutionPorts, execution_id: UUID, stop: Stop) -> None:
    """Take an execution to its end, if it is still to be had. Raises DatabaseUnreachable when that cannot be written:
    then it counts as lost.
    """
    execution = ports.executions.take(execution_id, ports.claimed_by)
    if execution is None:
        log.warning("Execution %s is somebody else's, or was cancelled; nothing is done", execution_id)
        return
    work = ExecutionWork(ports=ports, execution=execution, stop=stop)
    with renewed(work):
        result = ports.redact(tell_story(work))
        if not write_down(work, result):
            log.warning("Execution %s was not ours to end any more", execution_id)


@contextmanager
def renewed(work: ExecutionWork, interval: float = RENEWAL) -> Iterator[None]:
    """Renew the lease in the background while the block runs, and tell what was spent: who is killed has told it. What
    is not ours any more is stopped.
    """
    done = threading.Event()

    def beat() -> None:
        while not done.wait(interval):
            ports = work.ports
            try:
                if not ports.executions.renew(work.execution.id, ports.claimed_by, spent=ports.spent()):
                    work.stop.set("It was cancelled")
            except MasonError as problem:  # the next beat tries again
                log.warning("The execution's lease could not be renewed: %s", problem)

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(timeout=interval)


def tell_story(work: ExecutionWork) -> ExecutionResult:
    """How it ends, whatever happens. This is the border of one execution."""
    try:
        carry_out(work)
        error = ""
    except MasonError as problem:
        error = str(problem)
    except Exception as problem:  # the named border of one execution
        log.exception("Mason itself failed on execution %s", work.execution.id)
        error = f"Mason itself failed: {type(problem).__name__}: {problem}"
    if work.stop.is_set():
        error = f"It was stopped before it ended: {work.stop.reason}."
    return work.result(error)


def carry_out(work: ExecutionWork) -> None:
    """The story. Raises MasonError with the sentence that says why it failed.

    The row of the workspace comes before its directory, so that a sweep finds what a crash leaves.
    """
    ports = work.ports
    item = item_of(work)
    branch = f"{plain_branch(item)}-{work.execution.id.hex[:8]}"
    workspace_id = uuid4()
    if not ports.executions.enter(place_of(work, workspace_id, branch)):
        raise NotThere("The execution is not running any more.")
    try:
        with ports.open_workspace(workspace_id) as workspace:
            work_in(workspace, work, item, branch)
    except NotNow:  # only the policy, which is read in there, says what a day may cost
        give_back(work, workspace_id)
        raise


def work_in(workspace: Workspace, work: ExecutionWork, item: Item, branch: str) -> None:
    """From the base to the judged change. Raises NotNow while nothing was begun, and MasonError."""
    ports, execution = work.ports, work.execution
    base = ports.base(workspace)
    policy = parse_policy(workspace.read(base.commit, POLICY_PATH))
    agent = ports.make_agent(policy.agent)
    agent.require_ready()
    gate = gate_of(work, workspace, base, policy) if execution.gate else None
    policy = allotted(ports.backlog, ports.executions, ports.repository, execution, policy)
    with workspace.tree(TREE, base.commit, branch=branch) as tree:
        if gate:
            install(work, gate, tree)
        call_agent(work, workspace, tree, item, policy, agent)
        snapshot = see_changes(work, workspace, tree)
    if gate:
        judge(work, workspace, gate, policy, base, snapshot, branch)


def give_back(work: ExecutionWork, workspace_id: UUID) -> None:
    """Remove a workspace in which there is nothing to look at; one that does not go is left to the sweep."""
    executions = work.ports.executions
    if work.ports.remove(workspace_id):
        executions.leave(work.execution.id)
        executions.removed(workspace_id)


def item_of(work: ExecutionWork) -> Item:
    found = work.ports.backlog.items([work.execution.work_item_id])
    if not found:
        raise NotThere("Its work item is gone.")
    return found[0]


def place_of(work: ExecutionWork, workspace_id: UUID, branch: str) -> Place:
    now = datetime.now(UTC)  # the database stamps it by its own clock
    return Place(
        id=workspace_id,
        execution_id=work.execution.id,
        worker_id=work.execution.worker_id,
        work_item_id=work.execution.work_item_id,
        repository=work.ports.repository,
        path=str(work.ports.place(workspace_id)),
        branch=branch,
        created_at=now,
        completed_at=None,
        cleanup_at=now + limits.LIFETIME,
    )


def gate_of(work: ExecutionWork, workspace: Workspace, base: Base, policy: Policy) -> Gate:
    """The gate by the base's configuration. Raises NoChecks before an agent costs anything."""
    paths = workspace.paths(base.commit)
    return work.ports.make_gate(detect(paths, lambda path: workspace.read(base.commit, path), policy), policy)


def install(work: ExecutionWork, gate: Gate, tree: Tree) -> None:
    """What the checks need, before the agent starts: it may want to run them itself. Not part of its work."""
    before = tree.snapshot()
    work.journal.tell("Installing what the checks need")
    if failure := gate.prepare(tree.path, work.stop, base=True):
        tell_check(work, failure)
        raise UsageError(f"The install step failed: {one_line(failure.reason or failure.output[-500:], 500)}")
    tree.forget_untracked()
    tree.restore(before)


def call_agent(work: ExecutionWork, workspace: Workspace, tree: Tree, item: Item, policy: Policy, agent: Agent) -> None:
    """One call, within the policy's limits of time and money; everything that it started is dead afterwards.

    The patch agent works from diffs: those of the request and of the item's PRD.
    """
    execution, start = work.execution, tree.start
    instructions = routing.instructions(execution.template_id, lambda path: workspace.read(start, path))
    briefing = render.Briefing(item=item, context=read_context(item), instructions=instructions)
    work.journal.tell(f"The agent {agent.name} begins, from {start[:10]}")
    result = agent.run(
        AgentRequest(
            role=Role.IMPLEMENT,
            item=replace(item, prd=f"{fences_closed(execution.prompt)}\n\n{item.prd or ''}"),
            prompt=render.execute(briefing, execution.prompt, gate=execution.gate),
            worktree=tree.path,
            time_limit=policy.limits.agent_timeout,
            budget_usd=policy.limits.max_cost_usd,
        ),
        work.stop,
        work.journal.tell,
    )
    work.usage += result.usage
    work.output = replace(work.output, summary=result.text.strip()[-limits.LONGEST_SUMMARY :])
    if result.error:
        with_changes(work, workspace, tree)
        raise MasonError(result.error)
    work.journal.tell("The agent is done")


def with_changes(work: ExecutionWork, workspace: Workspace, tree: Tree) -> None:
    """What a failed agent has done all the same, where git can read it."""
    try:
        see_changes(work, workspace, tree)
    except GitFailed as problem:
        work.journal.tell(f"What it changed cannot be read: {problem}")


def see_changes(work: ExecutionWork, workspace: Workspace, tree: Tree) -> str:
    """Note what differs from the base; the git tree of it."""
    snapshot = tree.snapshot()
    changed = tuple(change.path for change in workspace.changes(tree.start, snapshot))[: limits.MOST_FILES]
    diff = workspace.diff(tree.start, snapshot, limit=limits.LONGEST_DIFF)
    work.output = replace(work.output, files_changed=changed, diff=diff)
    return snapshot


def judge(
    work: ExecutionWork, workspace: Workspace, gate: Gate, policy: Policy, base: Base, snapshot: str, branch: str
) -> None:
    """The gate on a clean checkout of what the agent made: success is that it passed, not that the agent says so.

    Raises MasonError, which names the checks that failed.
    """
    kinds = REQUIRED_CHECKS + ((CheckKind.E2E,) if policy.all_checks.get(CheckKind.E2E) else ())
    commit = workspace.commit(snapshot, base.commit, "What the execution made", datetime.now(UTC))
    with workspace.tree("gate", commit, branch=branch) as tree:
        if failure := gate.prepare(tree.path, work.stop):
            tell_check(work, failure)
            raise MasonError("The checks could not be judged: the install step failed after the change.")
        results = gate.run(tree.path, kinds, work.stop, lambda _: None, lambda result: tell_check(work, result))
    tests = [result for result in results if result.kind in (CheckKind.TEST, CheckKind.E2E)]
    ran = [result for result in tests if result.status is not CheckStatus.SKIPPED]
    passed = bool(ran) and all(result.status is CheckStatus.PASS for result in ran)
    work.output = replace(work.output, tests_run=bool(ran), tests_passed=passed)
    if failed := [result.kind.value for result in results if result.blocks]:
        raise MasonError(f"The checks failed: {', '.join(failed)}.")


def tell_check(work: ExecutionWork, result: CheckResult) -> None:
    """A line for the log, and more where it failed."""
    reason = f": {result.reason}" if result.reason else ""
    work.journal.tell(f"{result.kind.value}: {result.status.value} in {result.seconds:.1f} s{reason}")
    if result.blocks:
        said = [str(found) for found in result.diagnostics] or result.output.strip().splitlines()[-_TOLD:]
        for line in said[:_TOLD]:
            work.journal.tell(f"  {line}")


def write_down(work: ExecutionWork, result: ExecutionResult) -> bool:
    """The end, also when the database is away for a while; whether it was ours to write."""
    ports = work.ports
    stamina.instrumentation.set_on_retry_hooks(())  # the heartbeat tells of an outage
    again = stamina.retry_context(
        on=DatabaseUnreachable, attempts=None, timeout=ports.patience, wait_initial=0.1, wait_max=2.0
    )
    for attempt in again:
        with attempt:
            return ports.executions.finish(work.execution.id, ports.claimed_by, result)
    raise AssertionError("the loop returns or raises")
