"""The fix loop: at most five iterations, autofixers first, then the agent; stops early when it goes in circles."""

from __future__ import annotations

from app.domain import events as ev
from app.domain.results import CheckKind, CheckResult, Iteration, Verdict
from app.errors import UsageError
from app.flows.evaluation import evaluate, run_checks
from app.flows.work import Evaluation, ItemWork, call_agent
from app.gate import dependencies
from app.gate.diagnostics import missing_dependency
from app.ports.agent import Role
from app.ports.workspace import Tree
from app.prompts import answers, render

CHANGED_KEPT = 6_000
"""Characters of an iteration's diff that the next one is shown."""


def fix_loop(work: ItemWork, tree: Tree) -> None:
    """Fix what the last evaluation found until one passes. Raises Settled (rejected) with the reason when none does.

    Every iteration starts from a failed evaluation and ends with a new one, so a fix cannot skip a single check.
    """
    limit = work.run.policy.limits.fix_iterations
    seen: set[frozenset[str]] = set()
    for number in range(len(work.iterations) + 1, limit + 1):
        before = current(work)
        if before.passed:
            return
        give_up_if_hopeless(work, before, seen)
        work.report(ev.IterationStarted(claim=work.claim, number=number, limit=limit))
        tried, needs_human = fix(work, tree, before, number)
        after = evaluate(work, tree)
        iteration = Iteration(
            number=number,
            failed_before=before.failed,
            tried=tried,
            changed=what_changed(work, before, after),
            gate=after.gate,
            validator=after.validator,
            passed=after.passed,
        )
        work.iterations += (iteration,)
        work.report(ev.IterationFinished(claim=work.claim, iteration=iteration))
        if needs_human and not after.passed:
            raise work.settled(Verdict.REJECTED, f"A person has to decide: {needs_human}")
    last = current(work)
    if not last.passed:
        raise work.settled(Verdict.REJECTED, f"Validation failed after {limit} fix iterations: {last.complaint}")


def what_changed(work: ItemWork, before: Evaluation, after: Evaluation) -> str:
    """The iteration's own diff, for the one that comes after it."""
    return work.ports.workspace.diff(before.tree, after.tree, limit=CHANGED_KEPT)


def current(work: ItemWork) -> Evaluation:
    if work.evaluation is None:
        raise work.settled(Verdict.REJECTED, "Nothing was evaluated")
    return work.evaluation


def give_up_if_hopeless(work: ItemWork, evaluation: Evaluation, seen: set[frozenset[str]]) -> None:
    """A set of failures that was there before, or a missing dependency, ends the loop (contracts §2)."""
    if evaluation.fingerprints in seen:
        done = len(work.iterations)
        raise work.settled(
            Verdict.REJECTED,
            f"Stopped after {done} fix {'iteration' if done == 1 else 'iterations'}, the same failures came back:"
            f" {evaluation.complaint}",
        )
    seen.add(evaluation.fingerprints)
    if package := lacking_package(work, evaluation):
        raise work.settled(Verdict.REJECTED, f"The dependency “{package}” is missing, and nobody declared it")


def lacking_package(work: ItemWork, evaluation: Evaluation) -> str | None:
    """A third-party package that a failed check asks for and that neither manifests nor repository know."""
    failures = evaluation.gate.failures if evaluation.gate else ()
    if not failures:
        return None
    workspace = work.ports.workspace
    paths = workspace.paths(evaluation.tree)
    try:
        declared = dependencies.declared(paths, lambda path: workspace.read(evaluation.tree, path))
    except UsageError:  # the agent broke a manifest: that is a failure to fix, not a missing package
        return None
    local = dependencies.local(paths, lambda path: workspace.read(evaluation.tree, path))
    found = (missing_dependency(check.diagnostics, check.output, declared, local) for check in failures)
    return next((package for package in found if package), None)


def fix(work: ItemWork, tree: Tree, before: Evaluation, number: int) -> tuple[str, str]:
    """One iteration's changes: what was tried, and the agent's question for a person, if it has one."""
    tried = []
    failures = before.gate.failures if before.gate else ()
    if lint := next((check for check in failures if check.kind is CheckKind.LINT), None):
        tried += work.run.gate.autofix(tree.path, (CheckKind.LINT,), work.stop)
        work.check_stop()
        failures = after_autofix(work, tree, failures, lint) if tried else failures
    if not failures and before.validator.proceed:
        return "; ".join(tried), ""
    found = render.Failures(
        iteration=number,
        checks=failures,
        validator=before.validator,
        history=work.iterations,
        limit=work.run.policy.limits.fix_iterations,
    )
    schema = answers.schema(answers.FixReport)
    result = call_agent(work, tree.path, Role.FIX, render.fix(work.briefing, found), schema=schema, iteration=number)
    report = answers.parse_fix_report(result.answer)
    if result.error:
        tried.append(f"agent: {result.error}")
    else:
        tried.append(f"agent: {(report.reason if report else '') or result.text or 'made changes'}"[:500])
    needs_human = report is not None and report.decision == "needs-human" and not result.error
    return "; ".join(tried), (report.reason or "no reason given") if report and needs_human else ""


def after_autofix(
    work: ItemWork, tree: Tree, failures: tuple[CheckResult, ...], lint: CheckResult
) -> tuple[CheckResult, ...]:
    """What is left for the agent once the autofixer ran: only lint is looked at again, the evaluation sees the rest."""
    snapshot = tree.snapshot()
    left = run_checks(work, tree.path, snapshot, (CheckKind.LINT,)).check(CheckKind.LINT)
    tree.restore(snapshot)
    return tuple(left if check is lint else check for check in failures if check is not lint or left.blocks)
