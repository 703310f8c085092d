"""The agent runtime, put together: what the web app and its worker ask of it, and the process of one execution."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from app import descendants, users
from app.database.executions import PostgresExecutions, stored_executions
from app.dispatch.executions import LocalExecutions
from app.dispatch.local import Runner
from app.domain.executions import ExecutionStatus, Worker
from app.domain.runs import Base
from app.errors import UsageError
from app.flows.agent_execution import TREE, ExecutionPorts, execute
from app.flows.agent_runtime import WORKERS
from app.flows.reconcile_execution import RuntimePorts
from app.forge.github.configured import configured_tokens
from app.log import Redactor, set_up_logging
from app.ports.workspace import Workspace
from app.process import Stop
from app.removal import remove
from app.settings import Settings, environment, runs_dir, state_dir
from app.web.api.agent_runtime import AgentRuntime
from app.wiring.agents import agent_maker, model_proxy
from app.wiring.app_parts import AppParts
from app.wiring.app_place import github_repositories, home_name, home_of, on_github, runner_environment
from app.wiring.databases import app_dsn, keep_out_of_git, open_backlog
from app.wiring.requests import RunRequest
from app.wiring.runs import is_dead, make_gate, new_run_directory, this_process, user_pool
from app.workspace.directories import Directories
from app.workspace.remote import Remote, empty_repository
from app.workspace.user_pool import UserPool
from app.workspace.worktrees import GitWorkspace


@dataclass(frozen=True, kw_only=True, slots=True)
class Runtime:
    """The agent runtime of one process. ``processes`` are those of this machine."""

    ports: RuntimePorts
    processes: LocalExecutions


def open_runtime(parts: AppParts) -> Runtime:
    """What is opened here ends with the parts."""
    settings, repository = parts.settings, parts.repository
    runner = Runner(
        mason=(sys.executable, "-P", "-m", "app"),
        repository=repository,
        environ=runner_environment(settings) | {"MASON_DATABASE_URL": app_dsn(settings)},
    )
    processes = LocalExecutions(state_dir(settings, repository) / "executions", runner)
    ports = RuntimePorts(
        executions=parts.ports.executions,
        processes=processes,
        directories=directories_of(settings),
        database=parts.database,
        jobs=parts.queue,
        is_dead=is_dead,
    )
    return Runtime(ports=ports, processes=processes)


def agent_runtime(parts: AppParts) -> AgentRuntime:
    """What the routes of the agent runtime stand on."""
    runtime = open_runtime(parts)
    return AgentRuntime(
        executions=runtime.ports.executions,
        backlog=parts.ports.backlog,
        directories=runtime.ports.directories,
        repository=home_name(parts.settings, parts.repository),
    )


def directories_of(settings: Settings) -> Directories:
    """Beside the directories of runs, outside of every checkout."""
    return Directories(runs_dir(settings) / "workspaces", TREE, environment().get("PATH", os.defpath))


def run_execution(settings: Settings, repository: Path, execution_id: UUID, stop: Stop) -> None:
    """`mason execute`: carry out one execution, in this process, and take everything apart again."""
    redactor = Redactor(settings.secrets)
    set_up_logging(redactor, level=logging.getLogger().level)
    users.hide_memory()
    with ExitStack() as stack:
        executions = stored_executions(app_dsn(settings), pool_size=2)
        stack.callback(executions.close)
        execution = executions.execution(execution_id)
        if execution is None or execution.status is not ExecutionStatus.PENDING:
            return
        worker = WORKERS.get(execution.worker_id)
        if worker is None:
            raise UsageError(f"This Mason has no worker {execution.worker_id!r}")
        with execution_ports(settings, repository, worker, executions, redactor) as ports:
            stop.heeded = True
            execute(ports, execution_id, stop)


@contextmanager
def execution_ports(
    settings: Settings, repository: Path, worker: Worker, executions: PostgresExecutions, redactor: Redactor
) -> Iterator[ExecutionPorts]:
    """Everything an execution needs, put together, and taken apart again however it ends."""
    environ, state = environment(), state_dir(settings, repository)
    keep_out_of_git(state)
    with ExitStack() as stack:
        stack.callback(descendants.kill_descendants, descendants.children())
        pool = user_pool(settings, environ)
        backlog = stack.enter_context(open_backlog(settings, state))
        run_directory = new_run_directory(runs_dir(settings), environ)
        run_directory.mkdir(mode=0o711)
        stack.callback(remove, run_directory, environ.get("PATH", os.defpath))
        scratch = run_directory / "agent"
        scratch.mkdir(mode=0o711)
        request = RunRequest(repository=repository, agent=worker.agent, redactor=redactor)
        proxy = stack.enter_context(model_proxy(settings, request, environ))
        directories, source = directories_of(settings), Origin.of(settings, repository, redactor)

        @contextmanager
        def open_workspace(workspace_id: UUID) -> Iterator[Workspace]:
            workspace = source.workspace(directories.directory(workspace_id), state, environ, pool)
            try:
                yield workspace
            finally:
                workspace.close()

        yield ExecutionPorts(
            executions=executions,
            backlog=backlog,
            repository=source.name,
            open_workspace=open_workspace,
            place=directories.place,
            remove=directories.remove,
            base=source.base,
            make_agent=agent_maker(settings, request, environ, scratch, proxy),
            make_gate=lambda toolchain, policy: make_gate(toolchain, policy, run_directory, state, environ),
            claimed_by=str(this_process()),
            redact=redactor.value,
            spent=lambda: proxy.spent() if proxy else 0.0,
            patience=settings.database_patience,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Where the code comes from: the repository on GitHub that ``remote`` is, else the checkout ``repository``."""

    settings: Settings
    repository: Path
    name: str | None
    redactor: Redactor
    remote: Remote | None = None

    @classmethod
    def of(cls, settings: Settings, repository: Path, redactor: Redactor) -> Origin:
        """Raises UsageError when GitHub is configured, and no repository there is known."""
        name = home_name(settings, repository)
        if not on_github(settings):
            return cls(settings=settings, repository=repository, name=name, redactor=redactor)
        if name is None:
            raise UsageError("Executions have no repository to work on: set MASON_REPOSITORY")
        key, token = settings.github_app_key, settings.github_token
        tokens = configured_tokens(
            api_url=settings.github_api_url,
            repository=name,
            token=token.get_secret_value() if token else None,
            app_id=settings.github_app_id,
            app_key=key.get_secret_value() if key else None,
            learned=redactor.learn,
        )
        url = f"{settings.github_server_url}/{name}.git"
        remote = Remote(url=url, token=tokens.token if tokens else None)
        return cls(settings=settings, repository=repository, name=name, redactor=redactor, remote=remote)

    def workspace(self, directory: Path, state: Path, environ: dict[str, str], pool: UserPool | None) -> GitWorkspace:
        """A workspace in this directory, made now; the checkout of the same repository lends its objects."""
        directory.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        directory.mkdir(mode=0o700)
        source = self.repository
        if self.remote and home_of(self.repository) != self.name:
            source = empty_repository(directory / "origin.git", environ)
        return GitWorkspace(source, directory, state / "artifacts", environ, remote=self.remote, users=pool, keeps=TREE)

    def base(self, workspace: Workspace) -> Base:
        """The tip of the default branch."""
        if self.remote is None:
            return workspace.pin_base(None)
        branch = github_repositories(self.settings, self.redactor).named(self.name).base().branch
        return workspace.pin_base(branch)
