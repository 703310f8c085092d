"""Runners that ask the web app for a GitHub token: who they prove to be, and what they are given."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class RunnerIdentity:
    """The claims of an Actions OIDC token that Mason reads, as GitHub writes them (platform facts, Actions OIDC).

    ``run_id`` and ``run_attempt`` are the workflow run's. The two refs look like
    ``owner/name/.github/workflows/mason.yml@refs/heads/main``; they differ in a reusable workflow.
    """

    repository: str
    repository_id: str
    run_id: str
    run_attempt: str
    workflow_ref: str
    job_workflow_ref: str
    event_name: str
    ref: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RunnerToken:
    """An installation token, and when it ends (with its time zone); ``page`` shows its run, "" where nothing does."""

    token: str = field(repr=False)
    expires_at: datetime
    page: str = ""
