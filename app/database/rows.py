"""Rows of the app database, to and from records: nothing raw goes further in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from app.domain.check_runs import Subject
from app.domain.commands import Person, Request
from app.domain.dispatches import Dispatch, DispatchState, Work
from app.domain.runs import Base
from app.ports.app_database import Answered

Row = Mapping[str, Any]

DISPATCH_COLUMNS = (
    *(
        "id",
        "work",
        "repository",
        "items",
        "approvals",
        "base_commit",
        "base_branch",
        "number",
        "instructions",
        "smoke_test",
        "e2e",
    ),
    *("request", "same", "project", "branch_name"),
    *("state", "tries", "workflow_run", "url", "cancelled_by", "outcome", "reason", "cost_usd"),
    *("created_at", "tried_at", "dispatched_at", "ended_at"),
)

REQUEST_COLUMNS = (
    *("key", "repository", "number", "on_pull_request", "person_id", "person_login", "person_is_user", "body"),
    *("received_at", "comment_id", "subject"),
)


def storable(text: str) -> str:
    """A text as Postgres can hold it: what strangers write may have a NUL or half a character in it."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def dispatch_row(dispatch: Dispatch) -> dict[str, object]:
    row: dict[str, object] = {
        name: getattr(dispatch, name) for name in DISPATCH_COLUMNS if not name.startswith("base_")
    } | {
        "work": dispatch.work.value,
        "state": dispatch.state.value,
        "items": list(dispatch.items),
        "approvals": list(dispatch.approvals),
        "base_commit": dispatch.base.commit if dispatch.base else None,
        "base_branch": dispatch.base.branch if dispatch.base else None,
    }
    return {name: storable(value) if isinstance(value, str) else value for name, value in row.items()}


def read_dispatch(row: Row) -> Dispatch:
    plain = {name: row[name] for name in DISPATCH_COLUMNS if not name.startswith("base_")}
    base = Base(commit=row["base_commit"], branch=row["base_branch"]) if row["base_commit"] is not None else None
    lists = {"items": _ids(row["items"]), "approvals": tuple(row["approvals"])}
    typed = {"work": Work(row["work"]), "state": DispatchState(row["state"]), "base": base}
    return Dispatch(**{**plain, **lists, **typed})


def request_row(request: Request) -> dict[str, object]:
    row: dict[str, object] = {
        "key": request.key,
        "repository": request.repository,
        "number": request.number,
        "on_pull_request": request.on_pull_request,
        "person_id": request.person.id,
        "person_login": request.person.login,
        "person_is_user": request.person.is_user,
        "body": request.body,
        "received_at": request.received_at,
        "comment_id": request.comment_id,
        "subject": str(request.subject) if request.subject else None,
    }
    return {name: storable(value) if isinstance(value, str) else value for name, value in row.items()}


def read_request(row: Row) -> Request:
    return Request(
        key=row["key"],
        repository=row["repository"],
        number=row["number"],
        on_pull_request=row["on_pull_request"],
        person=Person(id=row["person_id"], login=row["person_login"], is_user=row["person_is_user"]),
        body=row["body"],
        received_at=row["received_at"],
        comment_id=row["comment_id"],
        subject=Subject.parse(row["subject"]),
    )


def read_answered(row: Row) -> Answered:
    return Answered(request=read_request(row), answer=row["answer"], well=row["well"], finished=row["finished"])


def _ids(values: list[UUID]) -> tuple[UUID, ...]:
    return tuple(values)
