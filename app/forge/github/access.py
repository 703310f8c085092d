"""What a run will need of GitHub, probed before anything is claimed and without an effect."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from app.errors import MissingPermission, UsageError
from app.forge.github.client import Client
from app.forge.github.names import quoted
from app.forge.github.records import ANYTHING, RepositoryAnswer
from app.forge.github.refusals import Refusal

_log = logging.getLogger(__name__)

NO_COMMIT = "0" * 39 + "1"
"""A commit id that no repository has."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """``checks``: whether Mason may make check runs."""

    default_branch: str
    checks: bool


def read_repository(client: Client, repository: str) -> RepositoryAnswer:
    """Raises UsageError when there is no such repository, or the token does not see it."""
    try:
        path = f"/repos/{quoted(repository)}"
        return client.call("GET", path, RepositoryAnswer, doing=f"read the repository {repository}")
    except Refusal as refused:
        if refused.status not in (404, 451):
            raise
        raise UsageError(f"there is no repository {repository}, or the GitHub token cannot see it") from refused


def probe(client: Client, repository: str) -> Access:
    """Ask for what cannot be done: who may do it is told that it cannot (422), who may not that they may not (403).

    Raises UsageError with the sentence that says what is missing. Missing check runs are a warning.
    """
    answer = read_repository(client, repository)
    if answer.full_name.lower() != repository.lower():
        raise UsageError(f"{repository} is called {answer.full_name} now: use that name")
    if answer.archived:
        raise UsageError(f"{repository} is archived: nothing can be published there")
    if answer.disabled:
        raise UsageError(f"GitHub has disabled {repository}: nothing can be published there")
    path = f"/repos/{quoted(repository)}"
    branch = answer.default_branch
    if answer.permissions is not None and not answer.permissions.get("push", False):
        # An App's permissions are not always told there: a hint, not an answer.
        ref = {"ref": "refs/heads/mason/no-such-commit", "sha": NO_COMMIT}
        _require(client, f"{path}/git/refs", ref, doing=f"push to {repository}", needs="contents: write")
    pull = {"title": "Mason asks whether it may", "head": branch, "base": branch}
    _require(client, f"{path}/pulls", pull, doing=f"open pull requests in {repository}", needs="pull-requests: write")
    check = {"name": "mason", "head_sha": NO_COMMIT}
    missing = _missing(
        client, f"{path}/check-runs", check, doing=f"make check runs in {repository}", needs="checks: write"
    )
    if missing:
        _log.warning("there will be no check runs: %s", missing)
    return Access(default_branch=branch, checks=missing is None)


def _require(client: Client, path: str, body: dict[str, Any], *, doing: str, needs: str) -> None:
    if missing := _missing(client, path, body, doing=doing, needs=needs):
        raise missing


def _missing(client: Client, path: str, body: dict[str, Any], *, doing: str, needs: str) -> MissingPermission | None:
    """The error that a real call would end with, None when it may be made."""
    try:
        client.call("POST", path, ANYTHING, doing=doing, body=body, needs=needs)
    except MissingPermission as missing:
        return missing
    except Refusal as refused:
        if refused.status in (403, 404):
            return MissingPermission(
                f"the GitHub token may not {doing}: it lacks the permission {needs} ({refused.said or refused.status})"
            )
        if refused.status not in (409, 422):
            raise
    return None
