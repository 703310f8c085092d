"""The wiring: the only place that chooses adapters and puts the parts together."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO
from uuid import UUID, uuid4

import click

from app import process
from app.agents.adapters import ADAPTERS, AgentOptions
from app.backlog import migrate as migrations
from app.backlog import webhook
from app.backlog.direct import connected, direct_dsn, place, required_ref
from app.backlog.embedded import EmbeddedPostgres
from app.backlog.management_api import management_api
from app.backlog.none import no_backlog
from app.backlog.postgres import postgres_backlog
from app.backlog.realtime import Realtime, verify_realtime
from app.domain.claims import Claimant, JobClaimant
from app.domain.items import NewItem
from app.domain.judgements import Judgement
from app.domain.policy import POLICY_PATH, Policy
from app.domain.runs import RunResult
from app.errors import BadRepository, UsageError
from app.flows.plan_items import PlannedItem, plan_items
from app.flows.work import Ports, RunOptions
from app.forge.github.configured import configured_tokens
from app.forge.github.tokens import PlainToken, Tokens
from app.forge.local import LocalForge
from app.forge.names import repository_name
from app.gate.checks import Gate
from app.gate.steps import Toolchain
from app.inputs import Job
from app.log import Redactor, printable, set_up_logging
from app.ports.agent import Agent
from app.ports.backlog import Backlog
from app.ports.forge import Forge
from app.ports.reporter import Reporter
from app.removal import remove_leftovers
from app.reporting import summary
from app.reporting.actions import ActionsLog
from app.reporting.check_runs import CheckRunReporter
from app.reporting.commands import InertStream, mask
from app.reporting.commands import command as workflow_command
from app.reporting.console import console_reporter
from app.reporting.fan_out import FanOut
from app.reporting.job_files import outputs, write_outputs, write_summary
from app.reporting.spool import Spool
from app.reporting.status_lines import StatusLines
from app.reporting.store import StoreReporter
from app.settings import Settings, environment, runs_dir, state_dir
from app.workspace.remote import Remote, empty_repository
from app.workspace.source import Source
from app.workspace.worktrees import GitWorkspace

__all__ = ["InertStream", "write_outputs", "write_summary"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Surface:
    """The Actions job that this process is: who it is for claims, its log, and where kept work can be picked up.

    ``oidc`` is what Actions gives a job that may prove its identity: an address and a token for it.
    ``last``: it runs when every other job of the workflow run has ended.
    """

    job: Job
    stream: InertStream
    claimant: JobClaimant
    oidc: tuple[str, str]
    app_url: str | None = None
    last: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRequest:
    """The options of ``mason run``, and of the Action's commands.

    ``redactor`` knows every secret once the runner was made. ``backlog``: there is one; ``rows``: progress and logs go
    to it. ``shares``: how many runners share GitHub's limits.
    """

    repository: Path
    items: tuple[UUID, ...] = ()
    limit: int | None = None
    auto: bool = False
    smoke_test: bool = False
    e2e: bool = False
    max_parallel: int = 2
    agent: str | None = None
    agent_command: str | None = None
    generate_prd: bool = False
    base: str | None = None
    as_json: bool = False
    dry_run: bool = False
    run_id: UUID | None = None
    draft: bool = False
    sign_commits: bool = False
    setup_command: str | None = None
    max_cost_usd: float | None = None
    policy_path: str = POLICY_PATH
    model: str | None = None
    backlog: bool = True
    rows: bool = True
    shares: int = 1
    surface: Surface | None = None
    redactor: Redactor = field(default_factory=lambda: Redactor(()))


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
        stack.callback(process.kill_descendants, process.children())
        backlog = stack.enter_context(open_backlog(settings, state)) if request.backlog else no_backlog()
        run_directory = new_run_directory(runs_dir(settings), environ)
        tokens = github_tokens(settings, request, learner(redactor, surface))
        workspace = open_workspace(settings, request, tokens, run_directory, state, environ)
        stack.callback(workspace.close)
        scratch = run_directory / "agent"
        scratch.mkdir()
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
            sinks["check runs"] = CheckRunReporter(forge.check_runs)
        reporter = FanOut(sinks, redactor)
        stack.callback(reporter.close)
        yield Ports(
            backlog=backlog,
            forge=forge,
            workspace=workspace,
            agent=chosen_agent(settings, request, environ, scratch),
            reporter=reporter,
            make_gate=lambda toolchain, policy: make_gate(toolchain, policy, run_directory, state, environ),
            claimed_by=str(surface.claimant if surface else this_process()),
            is_dead=lambda claimed_by: is_dead(claimed_by, surface),
            ask=None
            if request.auto or surface or not sys.stdin.isatty()
            else lambda question: click.confirm(printable(question), err=True),
        )


def learner(redactor: Redactor, surface: Surface | None) -> Callable[[str], None]:
    """Who is told a secret that is made during a run: every log and row, and the job's own log."""

    def learned(secret: str) -> None:
        redactor.learn(secret)
        if surface:
            surface.stream.command(mask(secret))

    return learned


def github_tokens(settings: Settings, request: RunRequest, learned: Callable[[str], None]) -> Tokens | None:
    """Where GitHub tokens come from: Mason's web app, a GitHub App's key, or a token; None without any of them."""
    surface = request.surface
    if surface and surface.app_url:
        from app.forge.github.exchanged_tokens import ExchangedTokens

        url, token = surface.oidc
        run_id = str(request.run_id or "")
        return ExchangedTokens(
            app_url=surface.app_url, run_id=run_id, request_url=url, request_token=token, learned=learned
        )
    if not (settings.github_app_id or settings.github_token):
        return None
    key, given = settings.github_app_key, settings.github_token
    return configured_tokens(
        api_url=api_url(settings, surface),
        repository=surface.job.repository if surface else origin_name(request.repository),
        token=given.get_secret_value() if given else None,
        app_id=settings.github_app_id,
        app_key=key.get_secret_value() if key else None,
        learned=learned,
    )


def api_url(settings: Settings, surface: Surface | None) -> str:
    return surface.job.api_url if surface else settings.github_api_url


def origin_name(repository: Path) -> str:
    """``owner/name`` of a checkout's origin. Raises UsageError when there is none."""
    origin = Source.open(repository, environment().get("PATH", os.defpath)).origin_url
    if name := repository_name(origin):
        return name
    raise UsageError(f"{repository} has no origin on GitHub, so there is nowhere to open pull requests")


def open_workspace(
    settings: Settings,
    request: RunRequest,
    tokens: Tokens | None,
    run_directory: Path,
    state: Path,
    environ: Mapping[str, str],
) -> GitWorkspace:
    """The workspace over the user's repository; with a forge, over its remote, whatever is checked out here."""
    surface = request.surface
    artifacts = surface.job.workspace / "mason-artifacts" if surface else state / "artifacts"
    if tokens is None:
        return GitWorkspace(request.repository, run_directory, artifacts, environ)
    if surface:
        url = surface.job.remote_url
        source = checked_out(request.repository, environ) or empty_repository(run_directory / "origin.git", environ)
    else:
        url, source = f"{settings.github_server_url}/{origin_name(request.repository)}.git", request.repository
    return GitWorkspace(source, run_directory, artifacts, environ, remote=Remote(url=url, token=tokens.token))


def checked_out(repository: Path, environ: Mapping[str, str]) -> Path | None:
    """The job's checkout, where an earlier step made one: its objects need not be fetched again."""
    try:
        return Source.open(repository, environ.get("PATH", os.defpath)).named
    except BadRepository:
        return None


def chosen_forge(settings: Settings, request: RunRequest, tokens: Tokens | None, workspace: GitWorkspace) -> Forge:
    """GitHub where there is a token for it, else the repository itself."""
    if tokens is None:
        return LocalForge(workspace.push, repository_name(workspace.origin_url()))
    from app.forge.github.forge import WRITES_PER_MINUTE, GithubOptions, github_forge

    surface = request.surface
    return github_forge(
        GithubOptions(
            api_url=api_url(settings, surface),
            repository=surface.job.repository if surface else origin_name(request.repository),
            tokens=tokens,
            writes_per_minute=max(WRITES_PER_MINUTE // request.shares, 1),
            sign_commits=request.sign_commits,
            buttons=not isinstance(tokens, PlainToken),
            details_url=surface.job.page if surface else "",
        ),
        workspace,
    )


def default_console(request: RunRequest) -> TextIO:
    """Standard output belongs to machines when they were asked for."""
    return sys.stderr if request.as_json or request.auto else sys.stdout


def run_options(request: RunRequest) -> RunOptions:
    return RunOptions(
        item_ids=request.items,
        limit=request.limit,
        smoke_test=request.smoke_test,
        e2e=request.e2e,
        max_parallel=request.max_parallel,
        base=request.base,
        generate_prd=request.generate_prd,
        draft=request.draft,
        run_id=request.run_id,
        policy_path=request.policy_path,
        setup_command=request.setup_command,
        max_cost_usd=request.max_cost_usd,
    )


@contextmanager
def open_backlog(settings: Settings, state: Path) -> Iterator[Backlog]:
    """The backlog to use: a DSN's, a Supabase project's, else an embedded server's, started and migrated here."""
    patience = settings.database_patience
    with ExitStack() as stack:
        if settings.dsn:
            backlog = postgres_backlog(settings.dsn.get_secret_value(), patience=patience)
        elif settings.supabase_url and settings.supabase_key:
            from app.backlog.postgrest import supabase_backlog  # slow to import, and not always needed

            key = settings.supabase_key.get_secret_value()
            backlog = supabase_backlog(settings.supabase_url, key, patience=patience)
        else:
            server = EmbeddedPostgres(state / "postgres", bin_directory=settings.postgres_bin)
            stack.enter_context(server)
            migrations.apply(server.dsn)
            backlog = postgres_backlog(server.dsn, patience=patience)
        stack.callback(backlog.close)
        yield backlog


def spool_directory(settings: Settings, state: Path) -> Path:
    """Where rows wait for this database, and for no other."""
    where = place(settings.dsn.get_secret_value()) if settings.dsn else settings.supabase_url or "embedded"
    return state / "spool" / hashlib.sha256(where.encode()).hexdigest()[:12]


def has_backlog(settings: Settings, repository: Path) -> bool:
    """Whether there is a backlog to look at: a configured one, or an embedded one that something has made."""
    embedded = state_dir(settings, repository) / "postgres" / "postgres" / "data"
    return bool(settings.dsn or settings.supabase_url) or embedded.exists()


def keep_out_of_git(state: Path) -> None:
    """A state directory inside a checkout ignores itself: the checkout stays as clean as it was."""
    state.mkdir(parents=True, exist_ok=True)
    ignore = state / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n", encoding="utf-8")


@contextmanager
def throwaway_database(settings: Settings) -> Iterator[str]:
    """A migrated embedded server in a temporary directory, gone afterwards."""
    place = Path(tempfile.mkdtemp(prefix="mason-database-"))
    place.chmod(0o755)  # as root, the server is another user who has to get in
    try:
        with EmbeddedPostgres(place, bin_directory=settings.postgres_bin, throwaway=True) as server:
            migrations.apply(server.dsn)
            yield server.dsn
    finally:
        shutil.rmtree(place, ignore_errors=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class MigrateRequest:
    """The options of ``mason migrate``; what is None counts as not said. ``rls`` is default or strict."""

    repository: Path
    check: bool = False
    rls: str | None = None
    supabase_url: str | None = None
    webhook_url: str | None = None


def migrate(settings: Settings, request: MigrateRequest) -> list[str]:
    """Bring the database up to date (``check``: only look); what was done, or would be, a line each."""
    rls = migrations.Rls(request.rls) if request.rls else None
    if request.webhook_url:
        webhook.check_url(request.webhook_url)
    if settings.webhook_secret:
        webhook.secret_key(settings.webhook_secret.get_secret_value())
    with migration_target(settings, request) as target:
        if request.check:
            lines = [f"would apply {each.name}: {each.description}" for each in migrations.plan(target)]
            if rls and rls is not migrations.profile(target):
                lines.append(f"would change the access profile to {rls.value}")
            return lines + ([f"would send approvals to {request.webhook_url}"] if request.webhook_url else [])
        lines = [f"applied {each.name}: {each.description}" for each in migrations.apply(target, rls=rls)]
        lines += [f"the access profile is {rls.value}"] if rls else []
        lines += install_webhook(settings, target, request.webhook_url) if request.webhook_url else []
        return lines + realtime_lines(verify_realtime(target))


@contextmanager
def migration_target(settings: Settings, request: MigrateRequest) -> Iterator[migrations.Database]:
    """The database to migrate: by connection string, by a Supabase project's URL and password or token, or embedded."""
    password, token = settings.database_password, settings.access_token
    url = request.supabase_url or settings.supabase_url
    with ExitStack() as stack:
        if settings.dsn:
            yield stack.enter_context(connected(settings.dsn.get_secret_value()))
        elif password is not None:
            yield stack.enter_context(connected(direct_dsn(required_ref(url), password.get_secret_value())))
        elif token is not None:
            yield stack.enter_context(management_api(required_ref(url), token.get_secret_value()))
        elif url:
            raise UsageError(
                "A Supabase project's API key cannot change tables: give --database-password, --access-token or --dsn."
            )
        else:
            state = state_dir(settings, request.repository) / "postgres"
            embedded = stack.enter_context(EmbeddedPostgres(state, bin_directory=settings.postgres_bin))
            yield stack.enter_context(connected(embedded.dsn))


def install_webhook(settings: Settings, target: migrations.Database, url: str) -> list[str]:
    """Have approvals announced to Mason's web app; what happened, and a secret that was made here, shown only now."""
    given = settings.webhook_secret
    secret = given.get_secret_value() if given else webhook.new_secret()
    by_hand = webhook.install(target, url, secret)
    lines = [by_hand or f"approvals are announced to {url}"]
    return lines if given else [*lines, f"the webhook's secret, shown only now: {secret}"]


def realtime_lines(found: Realtime) -> list[str]:
    """What keeps the dashboard from hearing of changes, where it could."""
    if not found.publication or found.works:
        return []
    return [f"realtime does not work for {name}: run `mason doctor`" for name in {*found.unpublished, *found.partial}]


def add_item(settings: Settings, repository: Path, item: NewItem) -> UUID:
    """Add one item to the backlog of the repository. Raises BadRepository where there is none."""
    origin = Source.open(repository, environment().get("PATH", os.defpath)).origin_url
    with open_backlog(settings, state_dir(settings, repository)) as backlog:
        backlog.require_ready()
        return backlog.add_item(item, repository=repository_name(origin))


def chosen_agent(settings: Settings, request: RunRequest, environ: Mapping[str, str], scratch: Path) -> Agent:
    """The agent that was asked for; a command alone means the ``command`` adapter. ``scratch`` is its own."""
    command = request.agent_command or settings.agent_command
    name = request.agent or ("command" if request.agent_command else settings.agent)
    try:
        words = tuple(shlex.split(command or ""))
    except ValueError as problem:
        raise UsageError(f"--agent-command cannot be read: {problem}") from problem
    if name not in ADAPTERS:
        raise UsageError(f"There is no agent “{name}”; choose one of {', '.join(sorted(ADAPTERS))}")
    pass_env = tuple(settings.pass_env.split())
    return ADAPTERS[name](AgentOptions(environ=environ, command=words, pass_env=pass_env, scratch=scratch))


def make_gate(
    toolchain: Toolchain, policy: Policy, run_directory: Path, state: Path, environ: Mapping[str, str]
) -> Gate:
    """A gate whose commands share this machine: twice its processors, at least one gate's four checks."""
    slots = policy.limits.max_parallel_checks or max(4, 2 * (os.cpu_count() or 1))
    return Gate(toolchain, environ, slots, run_directory / "homes", state / "installs")


def this_process() -> Claimant:
    pid = os.getpid()
    return Claimant(
        host=process.host(), namespace=process.pid_namespace(), pid=pid, started=process.start_time(pid) or "unknown"
    )


def is_dead(claimed_by: str, surface: Surface | None = None) -> bool:
    """Whether who a claim names is known to be gone: a process of this host's, or a job of this workflow run's."""
    if surface and surface.claimant.outlived(claimed_by, last=surface.last):
        return True
    claimant, here = Claimant.parse(claimed_by), this_process()
    if claimant is None or (claimant.host, claimant.namespace) != (here.host, here.namespace):
        return False
    return here.started != "unknown" and process.start_time(claimant.pid) != claimant.started


def new_run_directory(runs: Path, environ: Mapping[str, str]) -> Path:
    """A directory name that tells whose it is; what killed runs left behind, running or lying, is removed first."""
    process.kill_orphans()
    runs.mkdir(mode=0o700, parents=True, exist_ok=True)
    remove_leftovers(
        runs,
        lambda path: is_dead(path.name.partition("+")[0].replace("_", " ").replace("=", "/")),
        environ.get("PATH", os.defpath),
    )
    owner = str(this_process()).replace("/", "=").replace(" ", "_")
    return runs / f"{owner}+{uuid4().hex[:8]}"


def show_plan(redactor: Redactor, ports: Ports, options: RunOptions) -> str:
    """The dry run as text, without a secret."""
    base, planned = plan_items(ports, options)
    return redactor.text(summary.plan_text([_preview(item) for item in planned], base))


def _preview(planned: PlannedItem) -> summary.Preview:
    note = "" if planned.plan else "no PRD: it would be deferred, or get one with --generate-prd"
    return summary.Preview(item=planned.item, branch=planned.branch, plan=planned.plan, note=note)


def show_result(redactor: Redactor, result: RunResult, *, as_json: bool) -> str:
    """The end of a run as text, without a secret: the summary, or JSON."""
    result = redactor.value(result)
    if as_json:
        return json.dumps(summary.as_json(result), indent=2, ensure_ascii=False)
    return summary.markdown(result) if result.run_id else "Nothing to do: no item is approved."


@contextmanager
def inert_output() -> Iterator[InertStream]:
    """The job's log: nothing that is written to it is a command to the runner, but for what is given as one."""
    stream = InertStream(sys.stdout)
    try:
        yield stream
    finally:
        stream.flush()


def mask_secrets(stream: InertStream, secrets: Sequence[str]) -> None:
    """Before anything else is written: what the runner must never show."""
    stream.command(*(mask(secret) for secret in dict.fromkeys(secrets)))


def show_error(stream: InertStream, sentence: str) -> None:
    """An error that ends the job, as an annotation on its page."""
    stream.command(workflow_command("error", printable(sentence), title="Mason"))


def result_outputs(redactor: Redactor, result: RunResult) -> dict[str, str]:
    return outputs(redactor.value(result))


def kept_rows(settings: Settings, request: RunRequest) -> str:
    """What the database did not take of this run: it would go with the machine."""
    place = spool_directory(settings, state_dir(settings, request.repository))
    files = sorted(place.glob("*.jsonl")) if place.is_dir() else []
    return "".join(file.read_text("utf-8", "replace") for file in files)


def show_judgement(redactor: Redactor, judgement: Judgement) -> str:
    """What was found about a pull request, as Markdown without a secret."""
    return summary.judgement_text(redactor.value(judgement))
