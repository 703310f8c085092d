"""A repository on GitHub as the web app sees it, and all those that the App is installed on."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable

from app.domain.runs import Base
from app.errors import ForgeRefused, UsageError
from app.forge.github.access import read_repository
from app.forge.github.checks import GithubCheckRuns
from app.forge.github.client import Client
from app.forge.github.comments import Comments
from app.forge.github.names import quoted
from app.forge.github.pulls import Pulls
from app.forge.github.records import CONTENT, PermissionAnswer, RefAnswer
from app.forge.github.refusals import Refusal
from app.forge.github.workflows import Workflows
from app.ports.check_runs import CheckRuns
from app.ports.forge import PullRequest
from app.ports.repository import Permission, Reaction

_LOGIN = re.compile(r"[\w-]{1,100}(?:\[bot\])?", re.ASCII)


class GithubRepository:
    """Implements `app.ports.repository.Repository`; its ``workflows`` are for the dispatcher.

    ``me`` gives the login that Mason writes as. ``check_runs``: whether it acts as an App, which alone can make them.
    """

    def __init__(
        self, client: Client, repository: str, *, me: Callable[[], str], check_runs: bool, details_url: str = ""
    ) -> None:
        self._client = client
        self._name = repository
        self._path = f"/repos/{quoted(repository)}"
        self._pulls = Pulls(client, repository)
        self._comments = Comments(client, repository, me)
        self._checks = (
            GithubCheckRuns(client, repository, details_url=details_url, buttons=True) if check_runs else None
        )
        self.workflows = Workflows(client, repository)

    @property
    def name(self) -> str | None:
        return self._name

    @property
    def check_runs(self) -> CheckRuns | None:
        return self._checks

    def base(self, branch: str | None = None) -> Base:
        """The tip of a branch, of the default branch for None. Raises UsageError when there is no such branch."""
        name = branch or read_repository(self._client, self._name).default_branch
        path = f"{self._path}/git/ref/heads/{quoted(name)}"
        try:
            found = self._client.call("GET", path, RefAnswer, doing=f"read the branch {name}")
        except Refusal as refused:
            if refused.status not in (404, 409):  # 409: a repository without a commit
                raise
            raise UsageError(f"{self._name} has no branch {name}") from refused
        return Base(commit=found.object.sha, branch=name)

    def read(self, commit: str, path: str) -> bytes | None:
        """A file of at most 1 MB at a commit, None when there is none. Raises UsageError for what is no such file."""
        address = f"{self._path}/contents/{quoted(path)}"
        try:
            found = self._client.call("GET", address, CONTENT, doing=f"read {path}", params={"ref": commit})
        except Refusal as refused:
            if refused.status != 404:
                raise
            if "no commit found" in refused.said.lower():
                raise UsageError(f"{self._name} has no commit {commit[:12]}") from refused
            return None
        kind = "directory" if isinstance(found, list) else found.type
        if isinstance(found, list) or found.type != "file":
            raise UsageError(f"{path} in {self._name} is a {kind}, and should be a file")
        if found.encoding != "base64":
            raise UsageError(f"{path} in {self._name} is larger than 1 MB")
        try:
            return base64.b64decode(found.content)
        except binascii.Error:
            raise ForgeRefused(f"GitHub gave {path} in another encoding than it says") from None

    def pull_request(self, number: int) -> PullRequest:
        """Raises UsageError when there is none."""
        return self._pulls.get(number)

    def permission(self, login: str) -> Permission | None:
        """None for somebody unknown, and for what is no login."""
        if not _LOGIN.fullmatch(login):
            return None
        path = f"{self._path}/collaborators/{quoted(login)}/permission"
        try:
            found = self._client.call("GET", path, PermissionAnswer, doing="read somebody's permission")
        except Refusal as refused:
            if refused.status != 404:
                raise
            return None
        return Permission(user_id=found.user.id, level=found.permission) if found.user else None

    def react(self, comment_id: int, reaction: Reaction) -> None:
        self._comments.react(comment_id, reaction)

    def say(self, number: int, marker: str, text: str, *, dispensable: bool = False) -> str:
        return self._comments.say(number, marker, text, dispensable=dispensable)
