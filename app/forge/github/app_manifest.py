"""A GitHub App from a manifest (port `app.ports.app_registration`): the pages of it, and the exchange of its code.

https://docs.github.com/apps/sharing-github-apps/registering-a-github-app-from-a-manifest
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated
from urllib.parse import quote

import httpx
from pydantic import Field, TypeAdapter, ValidationError

from app.errors import BadCode, ForgeRefused, ForgeUnreachable
from app.forge.github.app_tokens import RUNNER, WEB_APP
from app.forge.github.client import Client, secure_url
from app.forge.github.limits import Pace
from app.forge.github.records import Number, _Answer
from app.forge.github.tokens import Learned
from app.ports.app_registration import NewApp

TIMEOUT = 10.0
LIMIT = 256 * 1024
"""Bytes of GitHub's answer: an App takes six thousand."""

_LEVELS = ("read", "write", "admin")
_ACCEPT = "application/vnd.github+json"


class _Account(_Answer):
    login: Annotated[str, Field(pattern=r"^[\w.-]{1,100}$")]


class _Enterprise(_Answer):
    slug: Annotated[str, Field(pattern=r"^[\w.-]{1,100}$")]


class _NewApp(_Answer):
    """The client secret, which nobody here needs, is not read."""

    id: Number
    slug: Annotated[str, Field(pattern=r"^[a-z0-9][\w.-]{0,99}$")]
    name: Annotated[str, Field(min_length=1, max_length=100)]
    owner: _Account | _Enterprise
    pem: Annotated[str, Field(pattern=r"^-----BEGIN [A-Z ]*PRIVATE KEY-----\s", max_length=20_000)]
    webhook_secret: Annotated[str, Field(min_length=16, max_length=1_000, pattern=r"^[\x21-\x2b\x2d-\x7e]+$")]


class _Installation(_Answer):
    account: _Account | _Enterprise | None = None


_INSTALLATIONS: TypeAdapter[list[_Installation]] = TypeAdapter(list[_Installation])


class GithubAppRegistration:
    """``http`` is for the exchange alone, which no App and no token stands behind yet. ``learned`` is told the new
    secrets before anybody else. Addresses that are not https are refused when they are needed (UsageError): a web app
    that has no GitHub does not.
    """

    def __init__(
        self, *, server_url: str, api_url: str, http: httpx.Client, learned: Learned, pace: Pace | None = None
    ) -> None:
        self._server_url = server_url.rstrip("/")
        self._api_url = api_url
        self._http = http
        self._learned = learned
        self._pace = pace or Pace(patience=TIMEOUT)

    @property
    def permissions(self) -> Mapping[str, str]:
        return {
            name: max(RUNNER.get(name, "read"), WEB_APP.get(name, "read"), key=_LEVELS.index)
            for name in sorted(RUNNER.keys() | WEB_APP.keys())
        }

    def page(self, organisation: str | None) -> str:
        owner = f"/organizations/{quote(organisation, safe='')}" if organisation else ""
        return f"{secure_url(self._server_url, 'GitHub')}{owner}/settings/apps/new"

    def installation_page(self, app: str) -> str:
        return f"{self._server_url}/apps/{quote(app, safe='')}/installations/new"

    def exchange(self, code: str) -> NewApp:
        body = self._converted(code)
        try:
            made = _NewApp.model_validate_json(body)
        except ValidationError as problem:
            where = ".".join(str(part) for part in problem.errors()[0]["loc"]) or "it"
            raise ForgeRefused(f"GitHub gave an App of another shape ({where})") from None
        self._learned(made.pem)
        self._learned(made.webhook_secret)
        return NewApp(
            id=made.id,
            slug=made.slug,
            name=made.name,
            owner=_name(made.owner),
            private_key=made.pem,
            webhook_secret=made.webhook_secret,
        )

    def installed_at(self, app_id: str, private_key: str) -> Sequence[str]:
        from app.forge.github.transport import AppJwts  # slow to import

        client = Client(self._api_url, AppJwts(app_id, private_key), pace=self._pace, timeout=int(TIMEOUT))
        found = client.call(
            "GET",
            "/app/installations",
            _INSTALLATIONS,
            doing="list where the App is installed",
            params={"per_page": 100},
        )
        return [_name(each.account) for each in found if each.account]

    def _converted(self, code: str) -> bytes:
        """The body of GitHub's answer. Errors never hold the code."""
        url = f"{secure_url(self._api_url, 'the API of GitHub')}/app-manifests/{quote(code, safe='')}/conversions"
        headers = {"Accept": _ACCEPT, "User-Agent": "mason"}
        try:
            with self._http.stream("POST", url, headers=headers, timeout=TIMEOUT) as answer:
                status, body = answer.status_code, _bounded(answer)
        except httpx.HTTPError as problem:
            raise ForgeUnreachable(f"GitHub did not answer ({type(problem).__name__})") from None
        if status >= 500 or status in (408, 429):
            raise ForgeUnreachable(f"GitHub had an error of its own ({status})")
        if status in (404, 422):
            raise BadCode
        if status != 201:
            raise ForgeRefused(f"GitHub refused to hand over the new App ({status})")
        return body


def _bounded(answer: httpx.Response) -> bytes:
    body = b""
    for part in answer.iter_bytes():
        body += part
        if len(body) > LIMIT:
            raise ForgeRefused("GitHub gave an App of another shape (too long)")
    return body


def _name(account: _Account | _Enterprise) -> str:
    return account.login if isinstance(account, _Account) else account.slug
