"""The containerised Action: inputs in; rows, branches, pull requests, check runs, outputs and a summary out."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from uuid import uuid4

from pydantic import SecretStr

from app import wiring
from app.domain.claims import JobClaimant
from app.domain.judgements import Judgement, as_report, parse_report
from app.domain.runs import RunResult
from app.errors import Cancelled, MasonError, UsageError
from app.flows.planned_run import PlannedRun, finish_run, plan_run
from app.flows.pull_requests import fix_pull_request, report_judgement, validate_pull_request
from app.flows.run_items import run_items
from app.flows.work import Ports
from app.inputs import ActionCommand, Inputs, Job, read_inputs, read_job
from app.process import Stop
from app.settings import Settings, environment, read_settings
from app.signals import stop_on_signals

BUG = 70
_TITLE = 60


def main() -> int:
    """Run the Action as its environment says; the exit code (contracts §3). Every error ends here, as a sentence."""
    with wiring.inert_output() as stream, redirect_stdout(stream), redirect_stderr(stream):
        try:
            return act(environment(), stream)
        except MasonError as problem:
            wiring.show_error(stream, str(problem))
            return problem.exit_code
        except OSError as problem:
            wiring.show_error(stream, f"cannot use {problem.filename or 'a file'}: {problem.strerror or problem}")
            return 2
        except Exception as problem:  # the named border of the Action
            logging.getLogger("mason").exception("Internal error")
            wiring.show_error(stream, f"a bug: {type(problem).__name__}: {problem}")
            return BUG


def act(environ: Mapping[str, str], stream: wiring.InertStream) -> int:
    """Parse everything first, mask every secret, then do the one thing that was asked for."""
    inputs, job = read_inputs(environ), read_job(environ)
    settings = settled(read_settings(repository=job.workspace), inputs)
    wiring.mask_secrets(stream, (*settings.secrets, *inputs.secrets))
    request = run_request(inputs, job, environ, stream)
    with stop_on_signals() as stop, wiring.runner(settings, request) as ports:
        return COMMANDS[inputs.command](Doing(settings, request, inputs, job, ports, stop))


class Doing:
    """What a command has to work with, and the places where it leaves its results."""

    def __init__(
        self, settings: Settings, request: wiring.RunRequest, inputs: Inputs, job: Job, ports: Ports, stop: Stop
    ) -> None:
        self.settings, self.request, self.inputs, self.job, self.ports = settings, request, inputs, job, ports
        self.stop = stop
        self.redactor = request.redactor
        self.options = wiring.run_options(request)

    def put_out(self, values: Mapping[str, str]) -> None:
        wiring.write_outputs(self.job.output, values)

    def close_with(self, result: RunResult) -> None:
        """Outputs, and the summary in the log and on the job's page."""
        self.put_out(wiring.result_outputs(self.redactor, result))
        shown = wiring.show_result(self.redactor, result, as_json=False)
        print(shown)  # noqa: T201 - the job's log is this process's output
        wiring.write_summary(
            self.job.step_summary, shown, kept=self.redactor.text(wiring.kept_rows(self.settings, self.request))
        )


def run(doing: Doing) -> int:
    """A whole run in this job, or one item of a planned one."""
    if doing.inputs.dry_run:
        return show_plan(doing)
    result = run_items(doing.ports, doing.options, doing.stop, heartbeat=doing.settings.heartbeat)
    doing.ports.reporter.close()  # what is still on its way is in the rows, or kept, before the summary says so
    doing.close_with(result)
    if result.cancelled:
        raise Cancelled
    return 1 if result.failed or result.base_failed or result.unfinished else 0


def plan(doing: Doing) -> int:
    """Open a run and print its matrix: a job for each item."""
    if doing.inputs.dry_run:
        doing.put_out(matrix(PlannedRun(run=None)))
        return show_plan(doing)
    planned = plan_run(doing.ports, doing.options)
    doing.put_out(matrix(planned))
    for job in planned.jobs:
        print(f"{job.item_id}  {job.title[:200]}")  # noqa: T201
    print(f"{len(planned.jobs)} items in run {planned.run.id}" if planned.run else "Nothing to do")  # noqa: T201
    return 0


def show_plan(doing: Doing) -> int:
    """The dry run: what every item would do; nothing is written but the log and the job's page."""
    text = wiring.show_plan(doing.redactor, doing.ports, doing.options)
    print(text)  # noqa: T201
    wiring.write_summary(doing.job.step_summary, text)
    return 0


def finish(doing: Doing) -> int:
    """Close a planned run; or report what a job without any right has found about a pull request."""
    if doing.inputs.pull_request is not None:
        judgement = parse_report(doing.inputs.report)
        if judgement.number != doing.inputs.pull_request:
            raise UsageError(f"The report is about pull request {judgement.number}, not {doing.inputs.pull_request}")
        report_judgement(doing.ports, doing.options, judgement)
        return 0
    if doing.inputs.run_id is None:
        raise UsageError("The input run-id is needed by finish")
    doing.close_with(finish_run(doing.ports, doing.inputs.run_id))
    return 0


def validate(doing: Doing) -> int:
    """Run the gate on a pull request's head. A job that may not write check runs leaves its report to another one."""
    number = doing.inputs.pull_request or 0
    return judged(doing, validate_pull_request(doing.ports, doing.options, number, doing.stop))


def fix(doing: Doing) -> int:
    """Change a pull request's branch as a person asks, until its checks pass."""
    number, instructions = doing.inputs.pull_request or 0, doing.inputs.instructions
    return judged(doing, fix_pull_request(doing.ports, doing.options, number, instructions, doing.stop))


def judged(doing: Doing, judgement: Judgement) -> int:
    """The end of `validate` and `fix`."""
    shown = wiring.show_judgement(doing.redactor, judgement)
    print(shown)  # noqa: T201
    wiring.write_summary(doing.job.step_summary, shown)
    report = doing.redactor.text(as_report(judgement))
    doing.put_out({"report": report, "status": "success" if judgement.passed else "failed"})
    return 0 if judgement.passed else 1


COMMANDS: Mapping[ActionCommand, Callable[[Doing], int]] = {
    ActionCommand.RUN: run,
    ActionCommand.PLAN: plan,
    ActionCommand.FINISH: finish,
    ActionCommand.VALIDATE: validate,
    ActionCommand.FIX: fix,
}


def matrix(planned: PlannedRun) -> dict[str, str]:
    """The outputs of `plan`. Titles are for the job's name alone, so they are short and on one line."""
    jobs = [{"item": str(job.item_id), "title": " ".join(job.title.split())[:_TITLE]} for job in planned.jobs]
    return {
        "run-id": str(planned.run.id) if planned.run else "",
        "matrix": json.dumps({"include": jobs}),
        "status": "success",
    }


def settled(settings: Settings, inputs: Inputs) -> Settings:
    """The settings with the inputs' keys, which win over everything else."""
    given: dict[str, SecretStr | None] = {
        "github_token": inputs.github_token,
        "anthropic_api_key": inputs.anthropic_api_key,
        "openai_api_key": inputs.openai_api_key,
    }
    return settings.model_copy(update={name: value for name, value in given.items() if value})


def run_request(inputs: Inputs, job: Job, environ: Mapping[str, str], stream: wiring.InertStream) -> wiring.RunRequest:
    """What the inputs ask for, in the words of `mason run`."""
    only_forge = inputs.command is ActionCommand.VALIDATE or (
        inputs.command is ActionCommand.FINISH and inputs.pull_request is not None
    )
    surface = wiring.Surface(
        job=job,
        stream=stream,
        claimant=JobClaimant(
            workflow_run=job.run_id, attempt=job.run_attempt, job="-".join(job.job.split()), nonce=uuid4().hex[:8]
        ),
        oidc=(environ.get("ACTIONS_ID_TOKEN_REQUEST_URL", ""), environ.get("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "")),
        app_url=inputs.app_url,
        last=inputs.command is ActionCommand.FINISH,
    )
    return wiring.RunRequest(
        repository=job.workspace,
        items=inputs.items,
        limit=inputs.limit,
        auto=inputs.auto and inputs.command is ActionCommand.RUN,
        smoke_test=inputs.smoke_test,
        e2e=inputs.e2e,
        max_parallel=1 if inputs.one_of_many else inputs.max_parallel,
        agent=inputs.agent,
        agent_command=inputs.agent_command,
        model=inputs.model,
        generate_prd=inputs.generate_prd,
        base=inputs.base,
        dry_run=inputs.dry_run,
        run_id=inputs.run_id,
        draft=inputs.draft,
        sign_commits=inputs.sign_commits,
        setup_command=inputs.setup_command,
        max_cost_usd=inputs.max_cost_usd,
        policy_path=inputs.config,
        backlog=not only_forge,
        rows=inputs.command in (ActionCommand.RUN, ActionCommand.FINISH) and not only_forge,
        shares=inputs.max_parallel if inputs.one_of_many else 1,
        surface=surface,
    )
