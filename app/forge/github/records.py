"""GitHub's answers, as far as Mason reads them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from app.domain.dispatches import WorkflowRun
from app.ports.forge import PullRequest, PullState


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


Sha = Annotated[str, Field(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")]
WebAddress = Annotated[str, Field(pattern=r"^https?://[^\s<>\"]+$")]
Number = Annotated[int, Field(ge=1, lt=2**63)]

ANYTHING: TypeAdapter[object] = TypeAdapter(object)


class RepositoryAnswer(_Answer):
    full_name: str
    default_branch: str
    archived: bool = False
    disabled: bool = False
    permissions: dict[str, bool] | None = None


class _Repository(_Answer):
    full_name: str


class _Head(_Answer):
    ref: str
    sha: Sha
    repo: _Repository | None = None


class _BaseBranch(_Answer):
    ref: str


class _User(_Answer):
    login: str


class _Label(_Answer):
    name: str


class PullAnswer(_Answer):
    number: Number
    html_url: WebAddress
    title: str
    body: str | None = None
    state: Literal["open", "closed"]
    merged_at: str | None = None
    head: _Head
    base: _BaseBranch
    user: _User | None = None
    labels: tuple[_Label, ...] = ()
    requested_reviewers: tuple[_User, ...] | None = ()
    requested_teams: tuple[object, ...] | None = ()

    def of(self, repository: str, branch: str) -> bool:
        """Whether its head is this branch of this repository."""
        return self.head.ref == branch and not self.fork(repository)

    def fork(self, repository: str) -> bool:
        return self.head.repo is None or self.head.repo.full_name.lower() != repository.lower()

    def record(self, repository: str) -> PullRequest:
        state = PullState.MERGED if self.merged_at else PullState(self.state)
        return PullRequest(
            number=self.number,
            url=self.html_url,
            title=self.title,
            body=self.body or "",
            state=state,
            head_commit=self.head.sha,
            head_branch=self.head.ref,
            base_branch=self.base.ref,
            fork=self.fork(repository),
        )


PULLS: TypeAdapter[list[PullAnswer]] = TypeAdapter(list[PullAnswer])


class _App(_Answer):
    id: int


class _Output(_Answer):
    annotations_count: int = 0


class CheckRunAnswer(_Answer):
    id: Number
    name: str
    status: str
    external_id: str | None = None
    app: _App | None = None
    output: _Output = _Output()

    @property
    def app_id(self) -> int | None:
        return self.app.id if self.app else None


class CheckRunsAnswer(_Answer):
    check_runs: list[CheckRunAnswer]


class GitObject(_Answer):
    sha: Sha


class RefAnswer(_Answer):
    object: GitObject


class _Verification(_Answer):
    verified: bool = False


class CommitAnswer(_Answer):
    sha: Sha
    tree: GitObject
    message: str
    verification: _Verification | None = None


class InstallationAnswer(_Answer):
    id: Number


class GrantAnswer(_Answer):
    """A token and when it ends (ISO 8601). Its value never shows. ``page``: Mason's web app adds where its run is
    shown, whatever that says.
    """

    token: str = Field(min_length=1, max_length=10_000, pattern=r"^[\x21-\x7e]+$", repr=False)
    expires_at: str
    page: object = None


class OidcAnswer(_Answer):
    value: str = Field(min_length=1, max_length=20_000, pattern=r"^[\x21-\x7e]+$", repr=False)


class AppAnswer(_Answer):
    slug: str


class UserAnswer(_Answer):
    id: Number
    login: str


class PermissionAnswer(_Answer):
    permission: str
    user: UserAnswer | None = None


class FileAnswer(_Answer):
    """A file, a link or a submodule, by ``type``. ``encoding`` is ``none`` for a file that is too large."""

    type: str
    encoding: str = "none"
    content: str = Field(default="", repr=False)


CONTENT: TypeAdapter[FileAnswer | list[object]] = TypeAdapter(FileAnswer | list[object])
"""The list is a directory's."""


class CommentAnswer(_Answer):
    id: Number
    html_url: WebAddress
    body: str | None = None
    user: _User | None = None


COMMENTS: TypeAdapter[list[CommentAnswer]] = TypeAdapter(list[CommentAnswer])


class DispatchAnswer(_Answer):
    workflow_run_id: Number
    html_url: WebAddress


MAYBE_DISPATCH: TypeAdapter[DispatchAnswer | None] = TypeAdapter(DispatchAnswer | None)


class WorkflowRunAnswer(_Answer):
    id: Number
    status: str | None = None
    conclusion: str | None = None
    display_title: str = ""
    html_url: WebAddress
    run_attempt: int = 1

    def record(self) -> WorkflowRun:
        """GitHub's other words for what has not begun are ``requested``, ``waiting`` and ``pending``."""
        status = self.status if self.status in ("in_progress", "completed") else "queued"
        return WorkflowRun(
            id=str(self.id),
            status=status,
            conclusion=self.conclusion or "" if status == "completed" else "",
            url=self.html_url,
            attempt=self.run_attempt,
        )


class WorkflowRunsAnswer(_Answer):
    workflow_runs: list[WorkflowRunAnswer]
