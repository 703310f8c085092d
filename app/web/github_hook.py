"""A verified delivery of GitHub's → what it means to Mason. Decides nothing: rows and GitHub are asked later."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qs
from uuid import UUID

from app.commands.comment import mentions
from app.domain.check_runs import Button, Subject
from app.domain.commands import Person, Request, Verb
from app.domain.deliveries import Asked, BacklogChanged, Delivery, RunChanged
from app.web import github_payloads as payloads
from app.web.errors import Malformed

_BUTTONS = {Button.RETRY: Verb.RETRY, Button.FIX: Verb.FIX, Button.CANCEL: Verb.CANCEL}
_RUN_ID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")


@dataclass(frozen=True, kw_only=True, slots=True)
class Signed:
    """A delivery that GitHub signed. ``event`` is one of `RELEVANT`, ``body`` JSON; ``id`` is GitHub's for it."""

    event: str
    id: str
    body: bytes
    received_at: datetime


def read_delivery(delivery: Signed) -> Delivery | None:
    """None when it means nothing to Mason. Raises Malformed when it is not what GitHub promises to send."""
    return _READERS[delivery.event](delivery)


def form_payload(body: bytes) -> bytes:
    """The JSON inside a delivery that is sent as a form (``payload=…``). Raises Malformed."""
    try:
        fields = parse_qs(body, strict_parsing=True, max_num_fields=10)
    except ValueError:
        raise Malformed("The form cannot be read.") from None
    if len(found := fields.get(b"payload", [])) != 1:
        raise Malformed("The form has no payload.")
    return found[0]


def _issue_comment(delivery: Signed) -> Delivery | None:
    if _action(delivery) != "created":  # an edit is no command (contracts §5)
        return None
    said = payloads.read(payloads.IssueComment, delivery.body)
    text, person = said.comment.body or "", _person(said.comment.user)
    if person is None or not mentions(text):
        return None
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    request = Request(
        key=f"comment {said.comment.id} {digest}",
        repository=said.repository.full_name,
        number=said.issue.number,
        on_pull_request=said.issue.pull_request is not None,
        person=person,
        body=text.replace("\0", ""),
        received_at=delivery.received_at,
        comment_id=said.comment.id,
    )
    return Asked(request=request)


def _check_run(delivery: Signed) -> Delivery | None:
    action = _action(delivery)
    if action not in ("rerequested", "requested_action"):
        return None
    pressed = payloads.read(payloads.CheckRun, delivery.body)
    subject, person = Subject.parse(pressed.check_run.external_id), _person(pressed.sender)
    if subject is None or person is None:
        return None
    if action == "rerequested":
        verb = Verb.VALIDATE if subject.pull_request else Verb.RETRY
        return _press(delivery, pressed.repository, person, verb, subject.pull_request, subject)
    if pressed.requested_action is None:
        raise Malformed("The payload is not what GitHub promises: requested_action (missing).")
    try:
        verb = _BUTTONS[Button(pressed.requested_action.identifier)]
    except ValueError:  # a button of an older Mason
        return None
    return _press(delivery, pressed.repository, person, verb, subject.pull_request, subject)


def _check_suite(delivery: Signed) -> Delivery | None:
    if _action(delivery) != "rerequested":
        return None
    pressed = payloads.read(payloads.CheckSuite, delivery.body)
    person, here = _person(pressed.sender), pressed.repository.id
    numbers = [
        pull.number for pull in pressed.check_suite.pull_requests if pull.base.repo is None or pull.base.repo.id == here
    ]
    if person is None or not numbers:
        return None
    return _press(delivery, pressed.repository, person, Verb.VALIDATE, numbers[0], None)


def _workflow_run(delivery: Signed) -> Delivery | None:
    _action(delivery)
    run = payloads.read(payloads.WorkflowRun, delivery.body).workflow_run
    found = _RUN_ID.search(run.display_title or "") or _RUN_ID.search(run.name or "")
    return RunChanged(run_id=UUID(found[0])) if found else None


def _push(delivery: Signed) -> Delivery | None:
    """Items may wait for the base branch to move (contracts §1, Going back)."""
    push = payloads.read(payloads.Push, delivery.body)
    moved = push.ref == f"refs/heads/{push.repository.default_branch}" and not push.deleted
    return BacklogChanged() if moved else None


def _installation(delivery: Signed) -> Delivery | None:
    """A repository that Mason had no way to may have approved items."""
    return BacklogChanged() if _action(delivery) in ("created", "added") else None


_READERS: Mapping[str, Callable[[Signed], Delivery | None]] = {
    "issue_comment": _issue_comment,
    "check_run": _check_run,
    "check_suite": _check_suite,
    "workflow_run": _workflow_run,
    "push": _push,
    "installation": _installation,
    "installation_repositories": _installation,
}
RELEVANT = frozenset(_READERS)
"""The events that may mean something to Mason; all others are settled by their name."""


def _action(delivery: Signed) -> str:
    return payloads.read(payloads.Action, delivery.body).action


def _press(
    delivery: Signed, where: payloads.Repository, person: Person, verb: Verb, number: int, subject: Subject | None
) -> Asked:
    """A press is the comment that it stands for. A redelivery has the same id."""
    request = Request(
        key=f"press {delivery.id}",
        repository=where.full_name,
        number=number,
        on_pull_request=number > 0,
        person=person,
        body=f"/mason {verb.value}",
        received_at=delivery.received_at,
        subject=subject,
    )
    return Asked(request=request)


def _person(account: payloads.Account | None) -> Person | None:
    """None for bots, organisations, and accounts that are gone: they are never authorised."""
    if account is None or account.type != "User":
        return None
    return Person(id=account.id, login=account.login, is_user=True)
