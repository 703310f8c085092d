"""Tokens from Mason's web app, for a job that shows its Actions OIDC identity (platform facts, Actions OIDC)."""

from __future__ import annotations

import re
from typing import TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from app.errors import ForgeRefused, MasonError, UsageError
from app.forge.github.client import secure_url
from app.forge.github.limits import Later, Pace, asked_to_wait
from app.forge.github.records import GrantAnswer, OidcAnswer
from app.forge.github.tokens import Grant, Learned, RenewedTokens, grant

M = TypeVar("M", bound=BaseModel)

TIMEOUT = 30.0

_ACTIONS = "GitHub Actions"
_APP = "Mason's web app"

_MEANINGS = {
    401: "did not accept this job's identity: is app-url the right one, and may the job `id-token: write`?",
    403: "may not act for this repository: install its GitHub App there",
    404: "does not know this run, or it belongs to another repository",
    409: "says that this run has ended, or is somebody else's",
}


class ExchangedTokens(RenewedTokens):
    """Actions' JWT for ``app_url`` → ``POST {app_url}/api/runs/{run_id}/token`` → an installation token.

    ``request_url`` and ``request_token`` are what Actions gives a job with ``id-token: write``
    (``ACTIONS_ID_TOKEN_REQUEST_URL`` and ``…_TOKEN``). Raises UsageError for addresses that are not https.
    """

    def __init__(
        self,
        *,
        app_url: str,
        run_id: str,
        request_url: str,
        request_token: str,
        learned: Learned,
        pace: Pace | None = None,
        http: httpx.Client | None = None,
    ) -> None:
        super().__init__(learned, pace or Pace())
        if not request_url or not re.fullmatch(r"[\x21-\x7e]+", request_token):
            raise UsageError("app-url needs a job with the permission `id-token: write`, which this one lacks")
        if not re.fullmatch(r"[0-9A-Za-z-]{1,64}", run_id):
            raise UsageError("app-url needs the run's id (run-id)")
        secure_url(request_url.partition("?")[0], "Actions' identity service")
        self._audience = secure_url(app_url, _APP)
        self._exchange_url = f"{self._audience}/api/runs/{run_id}/token"
        self._request_url = httpx.URL(request_url).copy_merge_params({"audience": self._audience})
        self._request_token = request_token
        self._http = http or httpx.Client(timeout=TIMEOUT)
        self.page = ""
        """Where the web app shows this run; "" before the first token, and where it does not say."""
        learned(request_token)

    def fetch(self) -> Grant:
        identity = self._pace.insist(self._identity, _ACTIONS)
        self._learned(identity)
        return self._pace.insist(lambda: self._exchanged(identity), _APP)

    def _identity(self) -> str:
        request = self._http.build_request(
            "GET", self._request_url, headers={"Authorization": f"Bearer {self._request_token}"}
        )
        return self._answer(request, _ACTIONS, OidcAnswer).value

    def _exchanged(self, identity: str) -> Grant:
        request = self._http.build_request("POST", self._exchange_url, headers={"Authorization": f"Bearer {identity}"})
        answer = self._answer(request, _APP, GrantAnswer)
        self.page = self._own_page(answer.page)
        return grant(answer, _APP)

    def _own_page(self, said: object) -> str:
        """An address of the web app's own, else nothing: check runs lead there."""
        path = said.removeprefix(self._audience) if isinstance(said, str) and len(said) <= 500 else ""
        return f"{self._audience}{path}" if re.fullmatch(r"/runs/[0-9A-Za-z-]+\?key=[0-9A-Za-z._-]+", path) else ""

    def _answer(self, request: httpx.Request, service: str, shape: type[M]) -> M:
        """Send it once. Raises Later for what may pass, else an error whose text holds nothing that was sent."""
        try:
            answer = self._http.send(request)
        except httpx.HTTPError as problem:
            raise Later(f"no answer ({type(problem).__name__})") from None
        if answer.status_code >= 500:
            raise Later(f"an error of its own ({answer.status_code})")
        if later := asked_to_wait(answer.status_code, answer.headers, "", self._pace.clock()):
            raise later
        if not answer.is_success:
            raise _refused(service, answer.status_code)
        try:
            return shape.model_validate_json(answer.content)
        except ValidationError:
            raise ForgeRefused(f"{service} gave no token, but an answer of another shape") from None


def _refused(service: str, status: int) -> MasonError:
    if service == _APP and status in _MEANINGS:
        return UsageError(f"{_APP} {_MEANINGS[status]} ({status})")
    if service == _ACTIONS and status in (401, 403):
        return UsageError(
            f"{_ACTIONS} gives this job no identity ({status}): it needs the permission `id-token: write`"
        )
    return ForgeRefused(f"{service} refused to give a token ({status})")
