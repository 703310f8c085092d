"""`POST /api/execution/start` (seeds/execution-api-routes.md, contracts §4), and `runs/{id}/cancel` beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

from flask import Response
from pydantic import ConfigDict, Field

from app.domain.api_keys import ApiKey, Scope
from app.domain.credentials import Credentials
from app.flows.start_execution import MOST_ITEMS, Start
from app.web.api.framework import ApiBlueprint, Failure, InPlace, Model, answer, needs, shown_as
from app.web.api.guard import api_key
from app.web.errors import Invalid

BranchName = Annotated[
    str, Field(min_length=1, max_length=200, pattern=r"^[^-/\x00-\x20\x7f~^:?*\[\\][^\x00-\x20\x7f~^:?*\[\\]*$")
]
"""A name that git may take for a branch's."""


class StartBody(Model):
    """Without ``supabaseUrl`` and ``supabaseKey`` the configured backlog is meant, without ``repositoryId`` the one
    repository that all items are of, without ``baseBranch`` its default branch.
    """

    model_config = shown_as(
        configured={"itemIds": ["123e4567-e89b-12d3-a456-426614174000"]},
        project={
            "supabaseUrl": "https://abcdefghijklmnopqrst.supabase.co",
            "supabaseKey": "sb_secret_…",
            "itemIds": ["123e4567-e89b-12d3-a456-426614174000"],
            "branchName": "mason/execute-batch-1",
            "baseBranch": "main",
        },
    )

    supabase_url: str | None = Field(default=None, min_length=1, max_length=500)
    supabase_key: str | None = Field(default=None, min_length=1, max_length=5000)
    repository_id: UUID | None = None
    item_ids: list[UUID] = Field(min_length=1, max_length=MOST_ITEMS)
    branch_name: BranchName | None = Field(
        default=None, description="Kept with the run; items have branches of their own."
    )
    base_branch: BranchName | None = None


class StartHeader(InPlace):
    """The same key stands for the same run, however often it is sent."""

    model_config = ConfigDict(extra="ignore")

    idempotency_key: str | None = Field(
        default=None, alias="Idempotency-Key", min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$"
    )


class ExecutionStarted(Model):
    success: Literal[True] = True
    execution_run_id: UUID


class RunInPath(InPlace):
    id: UUID = Field(description="The run's id.")


class CancelAccepted(Model):
    success: Literal[True] = True


def execution_routes(start: Callable[[Start], UUID], cancel: Callable[[UUID, str], None]) -> ApiBlueprint:
    """``start`` answers with the run's id; ``cancel`` is told who asks."""
    api = ApiBlueprint("execution", tag="Runs", prefix="/api/execution")

    @api.post("/start", responses={"200": ExecutionStarted, "409": Failure})
    @needs(Scope.RUN)
    def start_run(body: StartBody, header: StartHeader) -> Response:
        """Start a run of approved items. It goes on after the answer."""
        return answer(ExecutionStarted(execution_run_id=start(asked(body, header.idempotency_key, api_key()))))

    @api.post("/runs/<id>/cancel", responses={"200": CancelAccepted, "404": Failure, "409": Failure})
    @needs(Scope.RUN)
    def cancel_run(path: RunInPath) -> Response:
        """Stop a run. Its items that have not ended are deferred."""
        cancel(path.id, api_key().name)
        return answer(CancelAccepted())

    return api


def asked(body: StartBody, idempotency_key: str | None, key: ApiKey) -> Start:
    """What a request means. Raises Invalid when one half of the credentials is missing."""
    if (body.supabase_url is None) != (body.supabase_key is None):
        lacking = "supabaseKey" if body.supabase_key is None else "supabaseUrl"
        raise Invalid("The request is not valid.", (((lacking,), "supabaseUrl and supabaseKey belong together"),))
    return Start(
        run_id=uuid5(NAMESPACE_URL, f"{key.prefix} {idempotency_key}") if idempotency_key else uuid4(),
        items=tuple(dict.fromkeys(body.item_ids)),
        repository=body.repository_id,
        branch_name=body.branch_name or "",
        base_branch=body.base_branch,
        credentials=Credentials(url=body.supabase_url, key=body.supabase_key)
        if body.supabase_url and body.supabase_key
        else None,
    )
