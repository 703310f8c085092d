"""Tokens of a GitHub App whose key is at hand: key → JWT → installation → token of one repository."""

from __future__ import annotations

from collections.abc import Mapping

from app.errors import UsageError
from app.forge.github.client import Client
from app.forge.github.limits import Pace
from app.forge.github.names import quoted
from app.forge.github.records import GrantAnswer, InstallationAnswer
from app.forge.github.refusals import Refusal
from app.forge.github.tokens import Grant, Learned, RenewedTokens, grant

RUNNER = {"contents": "write", "pull_requests": "write", "checks": "write", "metadata": "read"}
"""All that a runner's token is asked for, however much the App may do."""

WEB_APP = {
    "contents": "read",
    "issues": "write",
    "pull_requests": "write",
    "checks": "write",
    "actions": "write",
    "metadata": "read",
}
"""All that the web app's own are asked for."""


class AppTokens(RenewedTokens):
    """PyGithub signs the JWT; the token is fetched here, because PyGithub renews twenty seconds before the end and
    cannot ask for a token of one repository only.

    ``private_key`` is the App's PEM, ``permissions`` are those that a token gets. Raises UsageError when it is no key.
    """

    def __init__(
        self,
        api_url: str,
        repository: str,
        app_id: str,
        private_key: str,
        learned: Learned,
        *,
        permissions: Mapping[str, str] = RUNNER,
        pace: Pace | None = None,
        timeout: int = 30,
    ) -> None:
        pace = pace or Pace()
        super().__init__(learned, pace)
        from app.forge.github.transport import AppJwts

        learned(private_key)
        self._repository = repository
        self._permissions = permissions
        self._client = Client(api_url, AppJwts(app_id, private_key), pace=pace, timeout=timeout)
        self._installation: int | None = None

    def fetch(self) -> Grant:
        """Raises UsageError where the App is not installed (any more), and what calls raise."""
        known = self._installation
        try:
            return self._granted(known or self._find_installation())
        except Refusal as refused:
            if known is None or refused.status != 404:
                raise
        return self._granted(self._find_installation())  # that one was removed; there may be a new one

    def _granted(self, installation: int) -> Grant:
        self._installation = None
        name = self._repository.partition("/")[2]
        try:
            answer = self._client.call(
                "POST",
                f"/app/installations/{installation}/access_tokens",
                GrantAnswer,
                doing="give the App a token",
                body={"repositories": [name], "permissions": dict(self._permissions)},
            )
        except Refusal as refused:
            if refused.status != 422:
                raise
            wanted = ", ".join(f"{key.replace('_', '-')}: {level}" for key, level in self._permissions.items())
            raise UsageError(
                f"the GitHub App may not do all that Mason needs in {self._repository} ({wanted}): {refused.said}"
            ) from refused
        self._installation = installation
        return grant(answer, "GitHub")

    def _find_installation(self) -> int:
        path = f"/repos/{quoted(self._repository)}/installation"
        try:
            return self._client.call("GET", path, InstallationAnswer, doing="find the App's installation").id
        except Refusal as refused:
            if refused.status != 404:
                raise
            raise UsageError(f"the GitHub App is not installed on {self._repository}: install it there") from refused
