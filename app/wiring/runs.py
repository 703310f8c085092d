"""A runner, put together and taken apart again."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TextIO
from uuid import uuid4

import click

from app import descendants, living
from app.backlog.none import no_backlog
from app.domain.claims import Claimant
from app.domain.policy import Policy
from app.domain.results import Outcome
from app.flows.work import Ports
from app.gate.checks import Gate
from app.gate.steps import Toolchain
from app.log import Redactor, printable, set_up_logging
from app.ports.reporter import Reporter
from app.removal import remove_leftovers
from app.reporting.actions import ActionsLog
from app.reporting.check_runs import CheckRunReporter
from app.reporting.commands import mask
from app.reporting.console import console_reporter
from app.reporting.fan_out import FanOut
from app.reporting.spool import Spool
from app.reporting.status_lines import StatusLines
from app.reporting.store import StoreReporter
from app.settings import ROOT_STATE, Settings, environment, runs_dir, state_dir, user_ids
from app.wiring.agents import agent_maker, model_proxy
from app.wiring.databases import keep_out_of_git, open_backlog, spool_directory
from app.wiring.github import chosen_forge, github_tokens, open_workspace
from app.wiring.requests import RunRequest, Surface
from app.workspace.user_pool import UserPool


@contextmanager
def runner(
    settings: Settings, request: RunRequest, *, status: TextIO | None = None, console: TextIO | None = None
) -> Iterator[Ports]:
    """Everything a run needs, put together, and taken apart again however the run ends."""
    environ = environment()
    state = state_dir(settings, request.repository)
    surface = request.surface
    redactor = request.redactor
    for secret in settings.secrets:
        redactor.learn(secret)
    set_up_logging(redactor, level=logging.getLogger().level, stream=surface.stream if surface else None)
    if not request.dry_run:
        keep_out_of_git(state)
    with ExitStack() as stack:
        stack.callback(descendants.kill_descendants, descendants.children())
        users = user_pool(settings, environ)
        backlog = (
            stack.enter_context(open_backlog(settings, state, without_secrets(redactor)))
            if request.backlog
            else no_backlog()
        )
        run_directory = new_run_directory(runs_dir(settings), environ)
        tokens = github_tokens(settings, request, learner(redactor, surface))
        workspace = open_workspace(settings, request, tokens, run_directory, state, environ, users)
        stack.callback(workspace.close)
        scratch = run_directory / "agent"
        scratch.mkdir(mode=0o711)
        proxy = stack.enter_context(model_proxy(settings, request, environ))
        forge = chosen_forge(settings, request, tokens, workspace)
        sinks: dict[str, Reporter] = {}
        if request.rows:
            sinks["database"] = StoreReporter(backlog, spool=Spool(spool_directory(settings, state)))
        sinks["console"] = (
            ActionsLog(surface.stream) if surface else console_reporter(console or default_console(request))
        )
        if request.auto:
            default = surface.stream if surface else (sys.stderr if request.as_json else sys.stdout)
            sinks["status lines"] = StatusLines(status or default)
        if forge.check_runs and not request.dry_run:
            sinks["check runs"] = CheckRunReporter(lambda: forge.check_runs)
        reporter = FanOut(sinks, redactor)
        stack.callback(reporter.close)
        yield Ports(
            backlog=backlog,
            forge=forge,
            workspace=workspace,
            make_agent=agent_maker(settings, request, environ, scratch, proxy),
            reporter=reporter,
            make_gate=lambda toolchain, policy: make_gate(toolchain, policy, run_directory, state, environ),
            claimed_by=str(surface.claimant if surface else this_process()),
            is_dead=lambda claimed_by: is_dead(claimed_by, surface),
            ask=None
            if request.auto or surface or not sys.stdin.isatty()
            else lambda question: click.confirm(printable(question), err=True),
            artifacts_page=f"{surface.job.page}#artifacts" if surface else "",
        )


def without_secrets(redactor: Redactor) -> Callable[[Outcome], Outcome]:
    """Outcomes without secrets, for rows that people are shown. What programs find things by stays as it is."""

    def safe(outcome: Outcome) -> Outcome:
        clean = redactor.value(outcome)
        return replace(
            clean,
            branch=outcome.branch,
            commit=outcome.commit,
            pull_request=outcome.pull_request,
            failed_base=outcome.failed_base,
        )

    return safe


def learner(redactor: Redactor, surface: Surface | None) -> Callable[[str], None]:
    """Who is told a secret that is made during a run: every log and row, and the job's own log."""

    def learned(secret: str) -> None:
        redactor.learn(secret)
        if surface:
            surface.stream.command(mask(secret))

    return learned


def default_console(request: RunRequest) -> TextIO:
    """Standard output belongs to machines when they were asked for."""
    return sys.stderr if request.as_json or request.auto else sys.stdout


def user_pool(settings: Settings, environ: Mapping[str, str]) -> UserPool | None:
    """The users that commands run as; every runner of this machine shares their locks."""
    ids = user_ids(settings)
    return UserPool(ids, ROOT_STATE / "users", environ.get("PATH", os.defpath)) if ids else None


def make_gate(
    toolchain: Toolchain, policy: Policy, run_directory: Path, state: Path, environ: Mapping[str, str]
) -> Gate:
    """A gate whose commands share this machine: twice its processors, at least one gate's four checks."""
    slots = policy.limits.max_parallel_checks or max(4, 2 * (os.cpu_count() or 1))
    return Gate(toolchain, environ, slots, run_directory / "homes", state / "installs")


def this_process() -> Claimant:
    pid = os.getpid()
    return Claimant(
        host=living.host(), namespace=living.pid_namespace(), pid=pid, started=living.start_time(pid) or "unknown"
    )


def is_dead(claimed_by: str, surface: Surface | None = None) -> bool:
    """Whether who a claim names is known to be gone: a process of this host's, or a job of this workflow run's."""
    if surface and surface.claimant.outlived(claimed_by, last=surface.last):
        return True
    claimant, here = Claimant.parse(claimed_by), this_process()
    if claimant is None or (claimant.host, claimant.namespace) != (here.host, here.namespace):
        return False
    return here.started != "unknown" and living.start_time(claimant.pid) != claimant.started


def new_run_directory(runs: Path, environ: Mapping[str, str]) -> Path:
    """A directory name that tells whose it is; what killed runs left behind, running or lying, is removed first."""
    descendants.kill_orphans()
    runs.mkdir(mode=0o711, parents=True, exist_ok=True)  # the users of trees pass through; what is in it is 0700
    remove_leftovers(
        runs,
        lambda path: is_dead(path.name.partition("+")[0].replace("_", " ").replace("=", "/")),
        environ.get("PATH", os.defpath),
    )
    owner = str(this_process()).replace("/", "=").replace(" ", "_")
    return runs / f"{owner}+{uuid4().hex[:8]}"
