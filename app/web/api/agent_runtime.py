"""`/api/agent-runtime/*`: executions of agents, and the workspaces that they leave (seeds/agent-runtime-api.md)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Literal
from uuid import UUID

from flask import Response
from pydantic import Field, RootModel

from app.domain.api_keys import Scope
from app.domain.executions import Execution, ExecutionStatus, Worker, Workspace
from app.flows.agent_runtime import (
    WORKERS,
    Asked,
    cancel_execution,
    delete_workspace,
    execution_of,
    start_execution,
)
from app.ports.backlog import Backlog
from app.ports.executions import Executions, WorkspaceDirectories
from app.web.api.framework import ApiBlueprint, Failure, InPlace, Model, answer, needs

LONGEST_ID = 200
LONGEST_PROMPT = 50_000


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentRuntime:
    """What the routes stand on. ``repository`` is the one that executions work on."""

    executions: Executions
    backlog: Backlog
    directories: WorkspaceDirectories
    repository: str | None


class ExecuteBody(Model):
    """A worker's id (`GET /api/agent-runtime/workers`), a work item's, and what is to be done."""

    worker_id: str = Field(
        min_length=1,
        max_length=LONGEST_ID,
        description="Who works: an id of `GET /api/agent-runtime/workers`. `command` needs MASON_AGENT_COMMAND.",
    )
    work_item_id: str = Field(
        min_length=1,
        max_length=LONGEST_ID,
        description="The id of a backlog item, whose problem, solution and PRD the agent is given behind the prompt.",
    )
    prompt: str = Field(
        min_length=1,
        max_length=LONGEST_PROMPT,
        pattern=r"\S",
        description="What is to be done. The worker `patch` applies the code fences marked `diff` in it and in the PRD "
        "that name no task.",
    )
    gate: bool = Field(default=False, description="Whether the repository's checks are run on what the agent made.")


class Started(Model):
    execution_id: UUID


class ExecutionInPath(InPlace):
    id: UUID = Field(description="The execution's id.")


class WorkspaceInPath(InPlace):
    id: UUID = Field(description="The workspace's id.")


class Output(Model):
    summary: str
    files_changed: list[str]
    tests_run: bool
    tests_passed: bool
    logs: list[str]
    diff: str


class ExecutionAnswer(Model):
    """Numbers are 0, and the output is empty, until it has ended."""

    id: UUID
    worker_id: str
    work_item_id: UUID
    template_id: str
    status: ExecutionStatus
    error_message: str | None
    output: Output
    duration_ms: int
    tokens_used: int
    cost_usd: float
    tool_calls_count: int
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None


class WorkspaceAnswer(Model):
    """``completedAt`` is null while somebody works in it; the directory is removed at ``cleanupAt``."""

    id: UUID
    worker_id: str | None
    work_item_id: UUID | None
    repository_id: str | None
    path: str
    branch_name: str | None
    status: Literal["active"] = "active"
    created_at: datetime
    completed_at: datetime | None
    cleanup_at: datetime


class WorkerAnswer(Model):
    """``agent`` null: the one that the repository names; ``templateId`` null: that of the item's type."""

    id: str
    agent: str | None
    template_id: str | None


class Workspaces(RootModel[list[WorkspaceAnswer]]):
    """Newest first."""


class Workers(RootModel[list[WorkerAnswer]]):
    """Every profile."""


class Deleted(Model):
    message: str


def agent_runtime_routes(runtime: AgentRuntime) -> ApiBlueprint:
    api = ApiBlueprint("agent_runtime", tag="Agent runtime", prefix="/api/agent-runtime")
    executions = runtime.executions

    @api.post("/execute", responses={"201": Started, "404": Failure})
    @needs(Scope.RUN)
    def execute(body: ExecuteBody) -> Response:
        """Start an execution: an agent works on an item, in a workspace of its own."""
        asked = Asked(worker=body.worker_id, work_item=body.work_item_id, prompt=body.prompt, gate=body.gate)
        started = start_execution(executions, runtime.backlog, runtime.repository, asked)
        return answer(Started(execution_id=started), HTTPStatus.CREATED)

    @api.get("/executions/<id>", responses={"200": ExecutionAnswer, "404": Failure})
    @needs(Scope.READ)
    def execution(path: ExecutionInPath) -> Response:
        """How an execution is doing, and what came of it."""
        return answer(_execution(execution_of(executions, path.id)))

    @api.post("/executions/<id>/cancel", responses={"200": ExecutionAnswer, "404": Failure, "409": Failure})
    @needs(Scope.RUN)
    def cancel(path: ExecutionInPath) -> Response:
        """Cancel an execution that has not ended; its agent is stopped with all that it started."""
        return answer(_execution(cancel_execution(executions, path.id)))

    @api.get("/workspaces", responses={"200": Workspaces})
    @needs(Scope.READ)
    def workspaces() -> Response:
        """The workspaces that are there."""
        return answer(Workspaces([_workspace(one) for one in executions.workspaces()]))

    @api.delete("/workspaces/<id>", responses={"200": Deleted, "404": Failure, "409": Failure})
    @needs(Scope.RUN)
    def delete(path: WorkspaceInPath) -> Response:
        """Remove a workspace in which nobody works."""
        delete_workspace(executions, runtime.directories, path.id)
        return answer(Deleted(message=f"Workspace {path.id} deleted successfully"))

    @api.get("/workers", responses={"200": Workers})
    @needs(Scope.READ)
    def workers() -> Response:
        """The profiles that can be asked for: the agents, and the eight domains."""
        return answer(Workers([_worker(one) for one in WORKERS.values()]))

    return api


def _execution(execution: Execution) -> ExecutionAnswer:
    output, usage = execution.output, execution.usage
    return ExecutionAnswer(
        id=execution.id,
        worker_id=execution.worker_id,
        work_item_id=execution.work_item_id,
        template_id=execution.template_id,
        status=execution.status,
        error_message=execution.error or None,
        output=Output(
            summary=output.summary,
            files_changed=list(output.files_changed),
            tests_run=output.tests_run,
            tests_passed=output.tests_passed,
            logs=list(output.logs),
            diff=output.diff,
        ),
        duration_ms=execution.milliseconds,
        tokens_used=usage.input_tokens + usage.output_tokens,
        cost_usd=usage.cost_usd,
        tool_calls_count=usage.tool_calls,
        created_at=_utc(execution.created_at),
        started_at=_utc(execution.started_at) if execution.started_at else None,
        completed_at=_utc(execution.completed_at) if execution.completed_at else None,
    )


def _workspace(workspace: Workspace) -> WorkspaceAnswer:
    return WorkspaceAnswer(
        id=workspace.id,
        worker_id=workspace.worker_id,
        work_item_id=workspace.work_item_id,
        repository_id=workspace.repository,
        path=workspace.path,
        branch_name=workspace.branch,
        created_at=_utc(workspace.created_at),
        completed_at=_utc(workspace.completed_at) if workspace.completed_at else None,
        cleanup_at=_utc(workspace.cleanup_at),
    )


def _worker(worker: Worker) -> WorkerAnswer:
    return WorkerAnswer(id=worker.id, agent=worker.agent, template_id=worker.template)


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)
