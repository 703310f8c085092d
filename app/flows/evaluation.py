"""Evaluation: validator, then gate, then the final gate on a clean checkout of the exact commit (steps 9, 10, 12)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from app.domain import events as ev
from app.domain.results import CHECKS_OF_DOMAIN, CheckKind, CheckResult, CheckStatus, GateResult
from app.flows.base_gate import rewritten
from app.flows.commit_message import commit_message
from app.flows.pattern_review import review_patterns
from app.flows.work import Evaluation, ItemWork
from app.gate.checks import OUTPUT_KEPT
from app.gate.diagnostics import without_new_warnings
from app.gate.pages import SCREENSHOTS
from app.gate.tally import lost_runs
from app.ports.workspace import Change, Tree
from app.prompts import routing
from app.validator import Subject, validate, validator_json

Install = Callable[[ItemWork, Tree], CheckResult | None]


def evaluate(work: ItemWork, tree: Tree) -> Evaluation:
    """Judge what is in the tree now. Only a commit whose final gate passed comes back as passed.

    The checks may leave files behind: the tree is put back to what was judged.
    """
    workspace, snapshot = work.ports.workspace, tree.snapshot()
    changes = workspace.changes(work.begin, snapshot)
    validator = validate(subject_of(work, changes, snapshot))
    if validator.proceed:  # a review costs money: first what costs none
        validator = validator.with_tier(review_patterns(work, tree, snapshot, changes))
    report = validator_json(validator, domain=routing.domain_of(work.item.type))
    work.report(ev.Validated(claim=work.claim, result=validator, report=report))
    work.evaluation = Evaluation(tree=snapshot, validator=validator)
    if validator.proceed:
        gate = gate_in(work, tree, snapshot, install_in_work_tree, work.run.kinds)
        tree.restore(snapshot)
        work.evaluation = Evaluation(tree=snapshot, validator=validator, gate=gate)
        if gate.passed:
            message = commit_message(work.item, gate, work.run.agent.name, asked=work.subject)
            commit = workspace.commit(snapshot, work.begin, message, datetime.now(UTC))
            gate = final_gate(work, commit)
            work.evaluation = Evaluation(tree=snapshot, validator=validator, gate=gate, commit=commit)
    return work.evaluation


def subject_of(work: ItemWork, changes: Sequence[Change], state: str) -> Subject:
    """What the validator judges: the item's change up to this git tree or commit."""
    files = work.ports.workspace.files
    return Subject(
        changes=changes,
        context=work.context,
        policy=work.run.policy,
        domain=routing.domain_of(work.item.type),
        before=files(work.begin),
        after=files(state),
    )


def final_gate(work: ItemWork, commit: str) -> GateResult:
    """The evidence: every check on a clean checkout of the commit, from a pristine install, and those of its domain.

    The smoke test, where asked for, runs in the same checkout and blocks nothing.
    """
    domain = routing.domain_of(work.item.type)
    kinds = work.run.kinds + CHECKS_OF_DOMAIN.get(domain, ())
    with work.ports.workspace.tree(f"final-{work.item.id}", commit, branch=work.branch) as tree:
        gate = gate_in(work, tree, commit, prepare, kinds)
        work.pictures = keep_screenshots(work, tree)
        gate = void_if_rewritten(work, gate, rewritten(work.ports.workspace, tree, commit))
        if not (gate.passed and work.run.options.smoke_test):
            return gate
        smoke = run_checks(work, tree.path, commit, (CheckKind.SMOKE,))
        return GateResult(checks=gate.checks + smoke.checks, tree=commit, seconds=gate.seconds + smoke.seconds)


def void_if_rewritten(work: ItemWork, gate: GateResult, files: frozenset[str]) -> GateResult:
    """Checks that changed files while they ran have judged something else than the commit: nothing has passed.

    What the base's own checks do to the base's files is the repository's habit.
    """
    fresh = sorted(files - work.base_gate.rewritten)
    if not fresh or not gate.passed:
        return gate
    names = ", ".join(fresh[:5]) + (f" and {len(fresh) - 5} more" if len(fresh) > 5 else "")
    reason = f"the checks changed {names} while they ran, so what passed is not what is to be published"
    checks = tuple(
        replace(check, status=CheckStatus.ERROR, reason=reason) if check.status is CheckStatus.PASS else check
        for check in gate.checks
    )
    return replace(gate, checks=checks, rewritten=files)


def keep_screenshots(work: ItemWork, tree: Tree) -> str:
    """Keep what the pages looked like beside the run's other artifacts; where, in a sentence for the pull request."""
    if not (kept := work.ports.workspace.keep_images(work.branch.removeprefix("mason/"), tree.path / SCREENSHOTS)):
        return ""
    where = work.ports.artifacts_page or kept[0].rpartition("/")[0]
    return f"{len(kept)} screenshots of the pages are kept: {where}"


def gate_in(work: ItemWork, tree: Tree, state: str, install: Install, kinds: Sequence[CheckKind]) -> GateResult:
    """Install what the state needs, then every check of these kinds. A failed install is a failed gate."""
    if failure := install(work, tree):
        work.report(ev.CheckFinished(claim=work.claim, result=failure))
        return GateResult(checks=(failure,), tree=state, seconds=failure.seconds)
    return run_checks(work, tree.path, state, kinds)


def install_in_work_tree(work: ItemWork, tree: Tree) -> CheckResult | None:
    """The install step in the item's own tree, where its manifests changed since the last one."""
    key = work.run.gate.install_key(tree.path)
    if key == work.installed:
        return None
    failure = prepare(work, tree)
    work.installed = "" if failure else key
    return failure


def prepare(work: ItemWork, tree: Tree) -> CheckResult | None:
    """The install step; the failure, if it failed. What it leaves behind is not part of the item's work."""
    work.check_stop()
    if work.run.gate.toolchain.install is None:
        return None
    before = tree.snapshot()
    failure = work.run.gate.prepare(tree.path, work.stop)
    work.check_stop()
    tree.forget_untracked()
    tree.restore(before)
    return failure


def run_checks(work: ItemWork, path: Path, tree: str, kinds: Sequence[CheckKind]) -> GateResult:
    """One gate, its checks side by side; lint is held against the base's warnings. Raises Settled on a stop."""
    started = datetime.now(UTC)

    def finished(result: CheckResult) -> None:
        work.report(ev.CheckFinished(claim=work.claim, result=judged(work, result)))

    results = work.run.gate.run(
        path, kinds, work.stop, lambda kind: work.report(ev.CheckStarted(claim=work.claim, kind=kind)), finished
    )
    work.check_stop()
    seconds = (datetime.now(UTC) - started).total_seconds()
    return GateResult(checks=tuple(judged(work, r) for r in results), tree=tree, seconds=seconds)


def judged(work: ItemWork, result: CheckResult) -> CheckResult:
    """New warnings against the base fail the check (contracts §2); of its tests at least half have to have run."""
    base = work.base_gate.check(result.kind)
    if (
        result.status is CheckStatus.PASS
        and result.kind in (CheckKind.TEST, CheckKind.E2E)
        and len(result.output) <= OUTPUT_KEPT  # of a longer one the middle is missing
        and (reason := lost_runs(base, result))
    ):
        return replace(result, status=CheckStatus.ERROR, reason=reason)
    return without_new_warnings(base, result)


def record_checks(work: ItemWork, tree: Tree, kinds: Sequence[CheckKind]) -> None:
    """The checks after a writing wave: recorded, not blocking (contracts §2)."""
    snapshot = tree.snapshot()
    results = work.run.gate.run(tree.path, kinds, work.stop, lambda _: None, lambda _: None)
    tree.restore(snapshot)
    work.check_stop()
    for result in results:
        work.report(ev.CheckFinished(claim=work.claim, result=result, recorded_only=True))
