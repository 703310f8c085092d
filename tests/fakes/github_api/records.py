"""What the fake remembers: people, Apps, pull requests, check runs, comments, labels, workflow runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class User:
    """``kind``: User, Bot or Organization."""

    id: int
    login: str
    kind: str = "User"


@dataclass(frozen=True, kw_only=True)
class App:
    """``private_key`` is a PEM, empty for an App whose key nobody has. ``permissions`` None: all there are."""

    id: int
    slug: str
    name: str
    private_key: str = field(default="", repr=False)
    owner: str = ""
    url: str = ""
    permissions: Mapping[str, str] | None = None
    events: tuple[str, ...] = ("check_run", "pull_request")

    @property
    def login(self) -> str:
        return f"{self.slug}[bot]"


@dataclass(kw_only=True)
class Label:
    id: int
    name: str
    color: str = "ededed"
    description: str | None = None


@dataclass(kw_only=True)
class Comment:
    id: int
    number: int
    author: User
    body: str
    created_at: str
    updated_at: str
    app: App | None = None
    reactions: list[Reaction] = field(default_factory=list)


@dataclass(kw_only=True)
class Reaction:
    id: int
    user: User
    content: str
    created_at: str


@dataclass(kw_only=True)
class Issue:
    """What issues and pull requests have in common: they share their numbers."""

    number: int
    id: int
    title: str
    author: User
    created_at: str
    updated_at: str
    body: str | None = None
    state: str = "open"
    closed_at: str | None = None
    labels: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class Pull(Issue):
    """``head_repository`` is a full name, another than the base's for a fork, None once that is gone."""

    branch: str
    head_sha: str
    base: str
    base_sha: str
    head_repository: str | None
    draft: bool = False
    merged_at: str | None = None
    merged_by: User | None = None
    merge_commit_sha: str | None = None
    reviewers: list[str] = field(default_factory=list)
    teams: list[str] = field(default_factory=list)

    @property
    def merged(self) -> bool:
        return self.merged_at is not None


@dataclass(kw_only=True)
class CheckRun:
    """``annotations`` and ``actions`` are as they were sent."""

    id: int
    name: str
    head_sha: str
    app: App
    suite: int
    status: str = "queued"
    conclusion: str | None = None
    external_id: str = ""
    details_url: str = ""
    started_at: str | None = None
    completed_at: str | None = None
    title: str | None = None
    summary: str | None = None
    text: str | None = None
    annotations: list[dict[str, Any]] = field(default_factory=list)
    actions: list[dict[str, str]] = field(default_factory=list)

    @property
    def completed(self) -> bool:
        return self.status == "completed"


@dataclass(kw_only=True)
class WorkflowRun:
    """A run of a workflow; a test moves it with ``start`` and ``finish``. ``changed`` is told the webhook's action."""

    id: int
    number: int
    workflow: str
    title: str
    branch: str
    head_sha: str
    actor: User
    inputs: dict[str, Any]
    created_at: str
    updated_at: str
    event: str = "workflow_dispatch"
    status: str = "queued"
    conclusion: str | None = None
    attempt: int = 1
    jobs: list[Job] = field(default_factory=list)
    changed: Callable[[str], None] = field(default=lambda _: None, repr=False, compare=False)

    def start(self) -> None:
        self.status = "in_progress"
        for job in self.jobs:
            job.status = "in_progress"
        self.changed("in_progress")

    def finish(self, conclusion: str = "success") -> None:
        self.status, self.conclusion = "completed", conclusion
        for job in self.jobs:
            job.status, job.conclusion = "completed", job.conclusion or conclusion
        self.changed("completed")


@dataclass(kw_only=True)
class Job:
    id: int
    name: str
    status: str = "queued"
    conclusion: str | None = None


@dataclass(frozen=True, kw_only=True)
class Push:
    """A ref that changed. ``old`` or ``new`` is forty zeros for a ref that was made or deleted."""

    ref: str
    old: str
    new: str
    forced: bool
    actor: str
    via: str
    """``git`` or ``api``."""
