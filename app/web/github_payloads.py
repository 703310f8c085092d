"""What Mason reads of GitHub's webhook payloads: strict in that, blind for everything else.

Shapes: GitHub's documentation, "Webhook events and payloads". The JSON parser bounds depth and size of numbers itself.
"""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.web.errors import Malformed

_Id = Annotated[int, Field(ge=1, lt=2**63)]
_Number = Annotated[int, Field(ge=1, lt=10**9)]
_Word = Annotated[str, Field(max_length=100)]
_Text = Annotated[str, Field(max_length=262_144)]
"""Four times what GitHub lets people write."""

_Ref = Annotated[str, Field(max_length=1_000)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class Action(_Part):
    action: _Word


class Account(_Part):
    id: _Id
    login: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[0-9A-Za-z_.\[\]-]+$")]
    type: _Word


class Repository(_Part):
    id: _Id
    full_name: Annotated[str, Field(pattern=r"^[0-9A-Za-z_.-]{1,100}/[0-9A-Za-z_.-]{1,100}$")]


class _Anything(_Part):
    pass


class _Issue(_Part):
    number: _Number
    pull_request: _Anything | None = None


class _Comment(_Part):
    id: _Id
    body: _Text | None
    user: Account | None


class IssueComment(_Part):
    issue: _Issue
    comment: _Comment
    repository: Repository


class _CheckRun(_Part):
    external_id: _Text | None = None


class _Pressed(_Part):
    identifier: _Word


class CheckRun(_Part):
    check_run: _CheckRun
    requested_action: _Pressed | None = None
    repository: Repository
    sender: Account


class _HasId(_Part):
    id: _Id


class _Side(_Part):
    repo: _HasId | None = None


class _Pull(_Part):
    number: _Number
    base: _Side


class _Suite(_Part):
    pull_requests: Annotated[tuple[_Pull, ...], Field(max_length=1_000, strict=False)] = ()


class CheckSuite(_Part):
    check_suite: _Suite
    repository: Repository
    sender: Account


class _Workflow(_Part):
    display_title: _Text | None = None
    name: _Text | None = None


class WorkflowRun(_Part):
    workflow_run: _Workflow


class _Branches(_Part):
    default_branch: _Ref


class Push(_Part):
    ref: _Ref
    deleted: bool = False
    repository: _Branches


P = TypeVar("P", bound=_Part)


def read(shape: type[P], body: bytes) -> P:
    """The payload. Raises Malformed, with the place of what is wrong and nothing of what stands there."""
    try:
        return shape.model_validate_json(body)
    except ValidationError as problem:
        first = problem.errors(include_input=False, include_context=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the body"
        raise Malformed(f"The payload is not what GitHub promises: {place} ({first['type']}).") from None
