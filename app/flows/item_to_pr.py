"""The story of one item, from its claim to its branch and pull request (design, The story of an item)."""

from __future__ import annotations

from dataclasses import replace

from app.domain import events as ev
from app.domain.items import Item
from app.domain.plans import Plan
from app.domain.results import Outcome, Verdict
from app.errors import BadRepository, ForgeRefused, GitFailed, MergeConflict
from app.flows.base_gate import base_failure
from app.flows.evaluation import evaluate, final_gate, install_in_work_tree, subject_of
from app.flows.fix_loop import fix_loop
from app.flows.waves import run_waves
from app.flows.work import Evaluation, ItemWork, NoAnswer, Settled, ask_agent
from app.planning.context import WRITTEN_BY_AGENT, read_context
from app.planning.waves import make_plan
from app.ports.agent import Role
from app.ports.forge import Publication
from app.ports.workspace import Tree
from app.prompts import answers, render, routing
from app.validator import validate


def item_to_pr(work: ItemWork) -> Outcome:
    """Take one claimed item to its end. Raises Settled where the story ends early; writing it down is the caller's.

    The tree is gone, and every process that worked in it dead, before anything is published.
    """
    check_approval(work)
    if published := find_start(work):
        return finish_earlier_attempt(work, published)
    with work.ports.workspace.tree(f"item-{work.item.id}", work.begin, branch=work.branch) as tree:
        check_prd(work, tree)
        re_evaluate(work, tree)
        route(work)
        verify(work, tree)
        plan = plan_waves(work)
        install(work, tree)
        try:
            run_waves(work, tree, plan)
            evaluate(work, tree)
            fix_loop(work, tree)
            follow_base(work, tree)
        except GitFailed as problem:
            raise keep_work(work, tree.snapshot(), work.settled(Verdict.REJECTED, str(problem))) from problem
        except Settled as settled:
            raise keep_work(work, tree.snapshot(), settled) from None
    return publish(work)


def check_approval(work: ItemWork) -> None:
    """Approval is bound to content: an item that was edited since goes back to ``new``."""
    item = work.item
    started = ev.ItemStarted(
        claim=work.claim, item=item, branch=work.branch, position=work.position, total=work.run.total
    )
    work.report(started)
    work.reach(3, ev.Phase.SITE_REVIEW, "Analyzing PRD and dependencies...")
    if item.approved_digest != item.content_digest:
        raise work.settled(Verdict.CHANGED, "The item was changed after it was approved; approve it again")


def find_start(work: ItemWork) -> str | None:
    """Find the commit to start from; or the commit that an earlier attempt of this approval got as far as pushing."""
    start = work.ports.workspace.start(work.branch, work.run.base, work.item.approval)
    work.begin = start.commit
    return start.published


def finish_earlier_attempt(work: ItemWork, commit: str) -> Outcome:
    """The commit is on its branch, so its final gate passed; the evidence died with its runner and is made again."""
    work.note(f"Branch {work.branch} already carries this approval's work; finishing what was left open")
    work.context = read_context(work.item)
    validator = validate(subject_of(work, work.ports.workspace.changes(work.begin, commit), commit))
    gate = final_gate(work, commit)
    work.evaluation = Evaluation(tree=commit, validator=validator, gate=gate, commit=commit)
    if not work.evaluation.passed:
        failed = work.evaluation.complaint
        raise work.settled(Verdict.REJECTED, f"The commit that an earlier attempt pushed does not pass again: {failed}")
    return publish_commit(work, work.outcome(Verdict.COMPLETED))


def check_prd(work: ItemWork, tree: Tree) -> None:
    """No PRD: have one written where that is wanted, else put the item off."""
    if not work.item.has_prd:
        if work.item.id not in work.run.prds_wanted:
            raise work.settled(Verdict.DEFERRED, "The item has no PRD; write one, or run with --generate-prd")
        write_prd(work, tree)
    work.reach(4, ev.Phase.SITE_REVIEW, "Loaded PRD content")
    work.context = read_context(work.item)


def write_prd(work: ItemWork, tree: Tree) -> None:
    """Have the agent write a PRD, parse it back, and store it before it is used; the approval's digest follows."""
    answer = ask_agent(
        work,
        tree,
        Role.WRITE_PRD,
        lambda again: render.write_prd(work.item, problem=again),
        answers.WrittenPrd,
        answers.parse_prd,
        lambda prd: problem_with_prd(replace(work.item, prd=prd)),
    )
    if isinstance(answer, NoAnswer):
        raise work.settled(Verdict.DEFERRED, f"The item has no PRD and none could be written: {answer.reason}")
    written = replace(work.item, prd=f"{answer}\n\n{WRITTEN_BY_AGENT}\n")
    if not work.ports.backlog.store_prd(work.claim, written.prd or ""):
        raise work.settled(Verdict.LOST, "The claim was lost")
    work.item = replace(written, approved_digest=written.content_digest)
    work.report(ev.PrdGenerated(claim=work.claim))


def problem_with_prd(item: Item) -> str:
    """What keeps a PRD that an agent wrote from being worked by, in a sentence; empty when it can be."""
    plan = make_plan(item.prd or "", frontend=routing.domain_of(item.type) in ("ui", "ux"))
    if plan.is_default:
        return "it has no wave with a table of tasks"
    if plan.warnings:
        return "; ".join(plan.warnings[:5])
    return "" if read_context(item).files else "it names no file that is to be changed"


def re_evaluate(work: ItemWork, tree: Tree) -> None:
    """Items whose evidence is inconclusive are looked at again before they cost anything (seed, step 2.5)."""
    if work.item.evidence_status != "inconclusive":
        return
    answer = ask_agent(
        work,
        tree,
        Role.RE_EVALUATE,
        lambda again: render.re_evaluate(work.item, again=again),
        answers.ReEvaluation,
        answers.parse_re_evaluation,
    )
    # No usable answer: the safe choice is not to spend anything.
    verdict, reason = ("SKIP", answer.reason) if isinstance(answer, NoAnswer) else (answer.decision, answer.reason)
    work.report(ev.Reevaluated(claim=work.claim, title=work.item.title, verdict=verdict, reason=reason))
    if verdict == "SKIP":
        raise work.settled(Verdict.DEFERRED, f"Re-evaluation determined no real benefit: {reason}")


def route(work: ItemWork) -> None:
    """The domain instructions; the repository's own on the base commit win over ours (seed, step 2.6)."""
    workspace, base = work.ports.workspace, work.run.base
    work.instructions = routing.instructions(work.item.type, lambda path: workspace.read(base.commit, path))


def verify(work: ItemWork, tree: Tree) -> None:
    """Is the problem still there? No usable answer counts as PROCEED: the gate decides anyway."""
    work.reach(5, ev.Phase.SITE_REVIEW, "Verifying that the problem still exists")
    answer = ask_agent(
        work,
        tree,
        Role.VERIFY,
        lambda again: render.verify(work.briefing, again=again),
        answers.Verification,
        answers.parse_verification,
    )
    if isinstance(answer, NoAnswer):
        work.note(f"Verification gave no verdict, going on: {answer.reason}", ev.Level.WARN)
    elif answer.decision == "SKIP":
        raise work.settled(Verdict.ALREADY_RESOLVED, answer.reason or "Already resolved")
    elif answer.decision == "MODIFIED":
        work.context = replace(work.context, amendment=answer.details or answer.reason)


def plan_waves(work: ItemWork) -> Plan:
    """The PRD's waves, or the default plan; what could not be read is said, not guessed."""
    plan = make_plan(work.item.prd or "", frontend=routing.domain_of(work.item.type) in ("ui", "ux"))
    for warning in plan.warnings:
        work.note(warning, ev.Level.WARN)
    work.report(ev.Planned(claim=work.claim, plan=plan))
    work.reach(6, ev.Phase.FOUNDATION, "Analysis complete")
    return plan


def install(work: ItemWork, tree: Tree) -> None:
    """The dependencies, before the agent starts: it may want to run the checks itself."""
    if failure := install_in_work_tree(work, tree):
        raise work.settled(Verdict.REJECTED, f"The install step failed: {failure.reason or failure.output[-500:]}")


def follow_base(work: ItemWork, tree: Tree) -> None:
    """Where base or branch moved meanwhile, take that in, once, and judge again.

    What cannot be merged, or a base that fails by itself now, is a note for the reader of the pull request.
    """
    if work.evaluation is None or not work.evaluation.passed:
        return
    workspace, moved = work.ports.workspace, work.base.branch
    try:
        base = workspace.now(work.base)
        moved = work.branch if base == work.base else base.branch
        start = workspace.start(work.branch, base, "")
        if start.commit == work.begin:
            return
        merged = workspace.merge(work.begin, start.commit, work.evaluation.tree)
    except (MergeConflict, BadRepository) as problem:
        work.remark = f"{moved} moved while Mason worked, and could not be merged: {problem}"
        return
    base_gate = work.run.gate_of(base, work.stop)
    if base_gate.failures:
        work.remark = f"{base_failure(base, base_gate)}, so this builds on {work.base.commit[:10]}"
        return
    work.note(f"{moved} moved while Mason worked: merged, and judged again")
    work.base, work.base_gate, work.begin = base, base_gate, start.commit
    tree.restore(merged)
    evaluate(work, tree)
    fix_loop(work, tree)


def publish(work: ItemWork) -> Outcome:
    """Publish the commit whose final gate passed; what the forge does not take is kept."""
    if work.evaluation is None or not work.evaluation.passed:
        raise work.settled(Verdict.REJECTED, "No commit has passed its final gate")
    try:
        return publish_commit(work, work.outcome(Verdict.COMPLETED))
    except (GitFailed, ForgeRefused) as problem:
        settled = work.settled(Verdict.REJECTED, str(problem))
        raise keep_work(work, work.evaluation.tree, settled) from problem


def publish_commit(work: ItemWork, outcome: Outcome) -> Outcome:
    """Push and open the pull request, if the claim is still ours: a runner that lost it publishes nothing."""
    work.check_stop()
    if work.claim not in work.ports.backlog.heartbeat([work.claim]):
        raise work.settled(Verdict.LOST, "The claim was lost")
    outcome = replace(outcome, diff=work.ports.workspace.diff(work.begin, outcome.commit or work.begin))
    policy = work.run.policy.pull_requests
    published = work.ports.forge.publish(
        Publication(
            run_id=work.run.id,
            item=work.item,
            base=work.base,
            outcome=outcome,
            context=work.context,
            changes=tuple(work.ports.workspace.changes(work.begin, outcome.commit or work.begin)),
            policy=policy.model_copy(update={"draft": policy.draft or work.run.options.draft}),
            note=" ".join(said for said in (work.remark, work.pictures) if said),
        )
    )
    pull = published.pull_request
    return replace(
        outcome,
        commit=published.commit,
        pull_request=pull.url if pull else None,
        pull_request_number=pull.number if pull else 0,
    )


def keep_work(work: ItemWork, snapshot: str, settled: Settled) -> Settled:
    """A permanently failed item keeps what was written: as a patch, and under refs/mason/wip (contracts §2)."""
    if settled.outcome.verdict is not Verdict.REJECTED:
        return settled
    workspace = work.ports.workspace
    if not workspace.changes(work.begin, snapshot):
        return settled
    kept = workspace.keep(work.branch.removeprefix("mason/"), work.begin, snapshot)
    return Settled(replace(settled.outcome, kept=kept, diff=workspace.diff(work.begin, snapshot)))
