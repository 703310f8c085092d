"""The GitHub forge: branches, pull requests and check runs of one repository."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from app.errors import GitFailed
from app.forge.github.access import Access, probe, read_repository
from app.forge.github.checks import GithubCheckRuns
from app.forge.github.client import Client
from app.forge.github.limits import Pace
from app.forge.github.names import checked_repository
from app.forge.github.pulls import Pulls, carries
from app.forge.github.signing import SignedCommits
from app.forge.github.tokens import Tokens
from app.ports.check_runs import CheckRuns
from app.ports.forge import Publication, Published, PullRequest, PullState
from app.ports.workspace import Workspace

WRITES_PER_MINUTE = 72


@dataclass(frozen=True, kw_only=True, slots=True)
class GithubOptions:
    """``api_url``: ``https://api.github.com``, or an Enterprise server's ``https://<host>/api/v3``. ``repository``:
    ``owner/name``. ``writes_per_minute``: this process's share of GitHub's 80, ``spread`` evenly where other processes
    come after it (see `Limits`). ``buttons``: check runs carry Retry,
    Fix and Cancel, which need Mason's web app. ``timeout``: seconds of one connection or read; ``patience``: seconds
    of one call with all its repetitions. ``page`` is where check runs lead as soon as that is known, ``details_url``
    before.
    """

    api_url: str
    repository: str
    tokens: Tokens
    writes_per_minute: int = WRITES_PER_MINUTE
    spread: bool = False
    sign_commits: bool = False
    buttons: bool = False
    details_url: str = ""
    page: Callable[[], str] = lambda: ""
    timeout: int = 30
    patience: float = 600.0
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


class GithubForge:
    """Implements `app.ports.forge.Forge`. ``push`` takes a commit and a branch and gives the branch's new tip."""

    def __init__(self, client: Client, options: GithubOptions, push: Callable[[str, str], str]) -> None:
        self._client = client
        self._repository = options.repository
        self._push = push
        self._pulls = Pulls(client, options.repository)
        self._checks = GithubCheckRuns(
            client,
            options.repository,
            details_url=options.details_url,
            buttons=options.buttons,
            page=options.page,
        )
        self._access: Access | None = None

    @property
    def repository(self) -> str | None:
        return self._repository

    @property
    def check_runs(self) -> CheckRuns | None:
        """None once `require_access` has found that the token may make none."""
        return self._checks if self._access is None or self._access.checks else None

    @property
    def calls(self) -> dict[str, int]:
        """How many requests were sent, by HTTP verb."""
        return dict(self._client.calls)

    def default_branch(self) -> str | None:
        """As GitHub says. Raises UsageError when the repository cannot be seen, Unreachable."""
        if self._access is not None:
            return self._access.default_branch
        return read_repository(self._client, self._repository).default_branch

    def require_access(self) -> None:
        """See `app.ports.forge.Forge.require_access` and `access.probe`."""
        self._access = probe(self._client, self._repository)

    def publish(self, publication: Publication) -> Published:
        """See `app.ports.forge.Forge.publish`. Idempotent because branch, pull request and its section are each looked
        at before they are changed; a pull request that was merged with this very commit is left as it is.
        """
        commit, branch = publication.outcome.commit, publication.outcome.branch
        if not commit or not branch:
            raise GitFailed(f"there is no commit to publish for {publication.item.title[:80]!r}")
        known = self._pulls.find(publication, branch)
        if known is not None and known.merged_at and carries(known, publication):
            return Published(branch=branch, commit=known.head.sha, pull_request=known.record(self._repository))
        tip = self._push(commit, branch)
        pull = self._pulls.bring(publication, branch, tip, known).record(self._repository)
        if pull.state is PullState.OPEN:  # its answer may be older than the push
            pull = replace(pull, head_commit=tip)
        return Published(branch=branch, commit=tip, pull_request=pull)

    def pull_request(self, number: int) -> PullRequest:
        """One pull request. Raises UsageError when there is none."""
        return self._pulls.get(number)


def github_forge(options: GithubOptions, workspace: Workspace) -> GithubForge:
    """The forge of one repository. Raises UsageError for a repository or an address that cannot be one."""
    checked_repository(options.repository)
    client = Client(
        options.api_url,
        options.tokens,
        pace=Pace(patience=options.patience, clock=options.clock, sleep=options.sleep),
        writes_per_minute=options.writes_per_minute,
        spread=options.spread,
        timeout=options.timeout,
    )
    signed = SignedCommits(client, options.repository, workspace)

    def push(commit: str, branch: str) -> str:
        workspace.push(commit, branch)
        return commit

    return GithubForge(client, options, signed.publish if options.sign_commits else push)
