"""A pull request that is there already: judge its head, or change it as a person asks (`/mason validate`, `fix`)."""

from __future__ import annotations

from dataclasses import replace
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

from app.domain import events as ev
from app.domain.claims import Claim
from app.domain.items import BRANCH_PREFIX, Item, ItemStatus
from app.domain.judgements import Judgement
from app.domain.policy import parse_policy
from app.domain.results import GateResult, Tier, TierResult, TierStatus, ValidatorResult, Verdict
from app.errors import ForgeRefused, GitFailed, UsageError
from app.flows.evaluation import evaluate, final_gate, install_in_work_tree
from app.flows.fix_cost import note_cost, refuse_a_spent_day
from app.flows.fix_loop import fix_loop
from app.flows.item_to_pr import keep_work
from app.flows.selection import adjusted, gate_kinds
from app.flows.work import Evaluation, ItemWork, Ports, RunContext, RunOptions, Settled, call_agent
from app.gate.toolchain import detect
from app.planning.context import read_context
from app.ports.agent import Role
from app.ports.forge import Publication, PullRequest, PullState
from app.ports.workspace import Tree
from app.process import Stop
from app.prompts import answers, render, routing


def validate_pull_request(ports: Ports, options: RunOptions, number: int, stop: Stop) -> Judgement:
    """Run the gate on a pull request's head, a fork's included, by the configuration of its base.

    Raises UsageError when there is no such open pull request.
    """
    pull = open_pull_request(ports, number)
    work = pull_request_work(ports, options, pull, described(pull), stop)
    try:
        gate = final_gate(work, work.begin)
    except Settled as settled:
        raise UsageError(settled.outcome.reason) from None
    return judged(work, Judgement(number=number, commit=work.begin, gate=gate))


def fix_pull_request(ports: Ports, options: RunOptions, number: int, instructions: str, stop: Stop) -> Judgement:
    """Change a pull request's branch as a person asks, and until its checks pass; push only what passed.

    Without instructions only what fails is fixed. Raises UsageError for a fork, a branch that is not Mason's (unless
    the policy allows it), a pull request that is not open, and a repository whose day is spent.
    """
    ports.forge.require_access()
    pull = open_pull_request(ports, number)
    work = pull_request_work(ports, options, pull, item_of(ports, pull), stop)
    refuse_what_is_not_ours(pull, work)
    refuse_a_spent_day(work)
    asked = read_context(replace(work.item, prd=instructions))  # what the person names is in scope now
    work.context = replace(work.context, files=asked.files, target=asked.target)
    work.subject = instructions
    try:
        with ports.workspace.tree(f"pull-{number}", work.begin, branch=pull.head_branch) as tree:
            try:
                change(work, tree, instructions)
            except (Settled, GitFailed) as problem:
                settled = problem if isinstance(problem, Settled) else work.settled(Verdict.REJECTED, str(problem))
                raise keep_work(work, tree.snapshot(), settled) from None
            finally:
                note_cost(work, pull)
        return publish_fix(work, pull)
    except Settled as settled:
        gate = settled.outcome.gate or GateResult(checks=())
        kept = f" (the work is kept: {settled.outcome.kept})" if settled.outcome.kept else ""
        return Judgement(number=number, commit=work.begin, gate=gate, reason=settled.outcome.reason + kept)


def report_judgement(ports: Ports, options: RunOptions, judgement: Judgement) -> Judgement:
    """Report what another job found, if it is still about the head of that pull request. Raises UsageError."""
    pull = open_pull_request(ports, judgement.number)
    if pull.head_commit != judgement.commit:
        raise UsageError(f"The report is about {judgement.commit[:10]}, but the head is {pull.head_commit[:10]} now")
    ports.reporter.report(
        ev.PullRequestJudged(
            run_id=options.run_id or uuid4(),
            item_id=None,
            number=pull.number,
            commit=judgement.commit,
            gate=judgement.gate,
        )
    )
    return judgement


def open_pull_request(ports: Ports, number: int) -> PullRequest:
    pull = ports.forge.pull_request(number)
    if pull.state is not PullState.OPEN:
        raise UsageError(f"Pull request {number} is {pull.state.value}")
    return pull


def refuse_what_is_not_ours(pull: PullRequest, work: ItemWork) -> None:
    """Mason pushes to its own branches; to others of this repository where the policy says so; to a fork never."""
    if pull.fork:
        raise UsageError(f"Pull request {pull.number} comes from a fork, which Mason does not push to")
    if not pull.head_branch.startswith(BRANCH_PREFIX) and not work.run.policy.pull_requests.fix_any_branch:
        raise UsageError(
            f"{pull.head_branch} is not a branch of Mason's: allow it with pull_requests.fix_any_branch in"
            f" {work.run.options.policy_path} on {pull.base_branch}"
        )


def pull_request_work(ports: Ports, options: RunOptions, pull: PullRequest, item: Item, stop: Stop) -> ItemWork:
    """The pull request's head as work on its item, judged by the base's policy; no claim, no row takes part.

    Its id is the web app's where that has asked for the work, so that check runs and buttons lead back to it.
    """
    base = ports.workspace.pin_base(pull.base_branch)
    head = ports.workspace.fetch_pull_request(pull.number)
    policy = adjusted(parse_policy(ports.workspace.read(base.commit, options.policy_path)), options)
    paths = ports.workspace.paths(base.commit)
    toolchain = detect(paths, lambda path: ports.workspace.read(base.commit, path), policy)
    run = RunContext(
        id=options.run_id or uuid4(),
        ports=ports,
        options=options,
        base=base,
        policy=policy,
        agent=ports.make_agent(policy.agent),
        gate=ports.make_gate(toolchain, policy),
        kinds=gate_kinds(policy, options),
        base_gates={},
        prds_wanted=frozenset(),
        total=1,
    )
    return ItemWork(
        run=run,
        claim=Claim(item_id=item.id, run_id=run.id, attempt=0, claimed_by=ports.claimed_by),
        item=item,
        branch=pull.head_branch,
        position=1,
        stop=stop,
        base=base,
        base_gate=run.gate_of(base, stop),
        begin=head,
        context=read_context(item),
        instructions=routing.instructions(item.type, lambda path: ports.workspace.read(base.commit, path)),
    )


def item_of(ports: Ports, pull: PullRequest) -> Item:
    """The item whose branch it is, else the pull request as it describes itself."""
    owner = None if pull.fork else ports.backlog.branch_owner(pull.head_branch)
    found = ports.backlog.items([owner]) if owner else []
    return found[0] if found else described(pull)


def described(pull: PullRequest) -> Item:
    """A pull request by its own words. Validating needs no more, and no backlog."""
    own_id = uuid5(NAMESPACE_URL, pull.url)
    return Item(id=own_id, title=pull.title or f"#{pull.number}", status=ItemStatus.COMPLETED, problem=pull.body)


def change(work: ItemWork, tree: Tree, instructions: str) -> None:
    """What the person asks for, once; then the fix loop, from the head where nothing was asked for.

    Raises Settled when it cannot be done.
    """
    if failure := install_in_work_tree(work, tree):
        raise work.settled(Verdict.REJECTED, f"The install step failed: {failure.reason or failure.output[-500:]}")
    if instructions.strip():
        asked = replace(work.item, prd=instructions)  # what there is to do now
        prompt, schema = render.request(work.briefing, instructions), answers.schema(answers.FixReport)
        result = call_agent(work, tree.path, Role.IMPLEMENT, prompt, schema=schema, item=asked)
        report = answers.parse_fix_report(result.answer)
        if result.error:
            raise work.settled(Verdict.REJECTED, result.error)
        if report and report.decision == "needs-human":
            raise work.settled(Verdict.REJECTED, f"A person has to decide: {report.reason or 'no reason given'}")
        evaluate(work, tree)
    else:
        work.evaluation = judge_head(work, tree)
    fix_loop(work, tree)


def judge_head(work: ItemWork, tree: Tree) -> Evaluation:
    """The head by its checks alone, as `validate` does: nothing was changed yet that the validator could judge. Where
    all pass, no agent is called.
    """
    not_run = ValidatorResult(tiers=tuple(TierResult(tier=tier, status=TierStatus.NOT_RUN) for tier in Tier))
    gate = final_gate(work, work.begin)
    return Evaluation(tree=tree.snapshot(), validator=not_run, gate=gate, commit=work.begin)


def publish_fix(work: ItemWork, pull: PullRequest) -> Judgement:
    """Push the commit whose final gate passed, where there is anything to push; report on the new head."""
    workspace, evaluation = work.ports.workspace, work.evaluation
    if evaluation is None or evaluation.gate is None or evaluation.commit is None:
        raise work.settled(Verdict.REJECTED, "No commit has passed its final gate")
    commit, changes = work.begin, tuple(workspace.changes(work.begin, evaluation.commit))
    if changes:
        outcome = work.outcome(Verdict.COMPLETED)
        publication = Publication(
            run_id=work.run.id,
            item=work.item,
            base=work.base,
            outcome=outcome,
            context=work.context,
            changes=tuple(workspace.changes(work.base.commit, evaluation.commit)),
            policy=work.run.policy.pull_requests,
            note=f"Changed as asked: {work.subject[:500]}" if work.subject.strip() else "",
        )
        try:
            commit = work.ports.forge.publish(publication).commit
        except (GitFailed, ForgeRefused) as problem:
            settled = work.settled(Verdict.REJECTED, str(problem))
            raise keep_work(work, evaluation.tree, settled) from problem
    done = Judgement(number=pull.number, commit=commit, gate=evaluation.gate, changed=bool(changes))
    return judged(work, done)


def judged(work: ItemWork, judgement: Judgement) -> Judgement:
    """Report a judgement: the check runs of that commit."""
    known: UUID | None = work.item.id if work.item.status is not ItemStatus.COMPLETED or work.item.branch else None
    work.report(
        ev.PullRequestJudged(
            run_id=work.run.id,
            item_id=known,
            number=judgement.number,
            commit=judgement.commit,
            gate=judgement.gate,
            validator=work.evaluation.validator if work.evaluation and judgement.changed else None,
        )
    )
    return judgement
