"""A GitHub App from a manifest: what it is granted, the pages of it, and GitHub's answer, whatever that is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from app.errors import BadCode, ForgeRefused, ForgeUnreachable, MissingPermission, UsageError
from app.flows.setup import AskedApp, manifest
from app.forge.github import app_tokens
from app.forge.github.app_manifest import LIMIT, GithubAppRegistration
from app.forge.github.limits import Pace
from app.web.github_hook import RELEVANT
from tests.fakes.faults import Fault
from tests.fakes.github import FakeGitHub
from tests.fakes.github_api.registration import CODE_LIFE, read_manifest

CODE = "a180b1a3d263c81bc6441d7b990bae27d4c10679"
GOOD = {
    "id": 4711,
    "slug": "my-mason",
    "name": "My Mason",
    "owner": {"login": "octo"},
    "pem": "-----BEGIN RSA PRIVATE KEY-----\nx\n-----END RSA PRIVATE KEY-----\n",
    "webhook_secret": "0123456789abcdef0123",
    "client_id": "Iv1",
    "client_secret": "which nobody needs",
}
CONVERT = "POST /app-manifests/{code}/conversions"


class Clock:
    now = 1_000_000_000.0

    def __call__(self) -> float:
        return self.now


def registration(
    api_url: str = "https://api.github.com",
    *,
    server_url: str = "https://github.com",
    http: httpx.Client | None = None,
    learned: Callable[[str], None] = lambda _: None,
) -> GithubAppRegistration:
    pace = Pace(patience=0.0)
    http = http or httpx.Client(limits=httpx.Limits(max_keepalive_connections=0))
    return GithubAppRegistration(server_url=server_url, api_url=api_url, http=http, learned=learned, pace=pace)


def answering(answer: Callable[[httpx.Request], httpx.Response]) -> GithubAppRegistration:
    return registration(http=httpx.Client(transport=httpx.MockTransport(answer)))


@pytest.fixture
def github(tmp_path: Path) -> Iterator[FakeGitHub]:
    with FakeGitHub(tmp_path) as fake:
        yield fake


def registered(github: FakeGitHub, **changes: Any) -> str:
    """The code of an App that a person has confirmed at GitHub."""
    asked = AskedApp(name="My Mason", organisation="", app_url="https://mason.example.com")
    made = {**manifest(asked, "https://mason.example.com", registration().permissions, RELEVANT), **changes}
    answer = httpx.post(f"{github.server_url}/settings/apps", data={"manifest": json.dumps(made), "state": "s"})
    return parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]


def test_permissions__are_what_tokens_are_asked_for_and_no_more() -> None:
    granted = registration().permissions
    level = ["read", "write", "admin"].index
    asked = [value for value in vars(app_tokens).values() if isinstance(value, dict) and "contents" in value]
    assert {app_tokens.RUNNER["checks"]} and app_tokens.RUNNER in asked and app_tokens.WEB_APP in asked
    for name in granted:
        assert level(granted[name]) == max(level(each[name]) for each in asked if name in each), name
    assert granted.keys() == {name for each in asked for name in each}


def test_manifest__is_one_that_github_takes_with_the_events_of_the_webhook() -> None:
    asked = AskedApp(name="My Mason", organisation="", app_url="https://mason.example.com")
    made = manifest(asked, "https://mason.example.com", registration().permissions, RELEVANT)
    assert read_manifest(json.dumps(made)) == made
    assert set(made["default_events"]) == RELEVANT - {"installation", "installation_repositories"}  # type: ignore[call-overload]


def test_pages__of_a_person_an_organisation_and_an_enterprise_server() -> None:
    assert registration().page(None) == "https://github.com/settings/apps/new"
    assert registration().page("oc/to?") == "https://github.com/organizations/oc%2Fto%3F/settings/apps/new"
    own = registration(server_url="https://github.example.com/")
    assert own.page("octo") == "https://github.example.com/organizations/octo/settings/apps/new"
    assert own.installation_page("my-mason") == "https://github.example.com/apps/my-mason/installations/new"
    with pytest.raises(UsageError, match="https"):
        registration(server_url="http://github.example.com").page(None)
    with pytest.raises(UsageError, match="https"):
        registration("http://github.example.com/api/v3").exchange(CODE)


def test_exchange__gives_the_app_once(github: FakeGitHub) -> None:
    code, learned = registered(github), list[str]()
    made = registration(github.url, learned=learned.append).exchange(code)
    there = github.registration.registered[0]
    assert (made.id, made.slug, made.name, made.owner) == (there.app.id, "my-mason", "My Mason", "ada")
    assert (made.private_key, made.webhook_secret) == (there.app.private_key, there.webhook_secret)
    assert learned == [made.private_key, made.webhook_secret]
    assert made.private_key not in repr(made) and there.client_secret not in repr(made)
    with pytest.raises(BadCode):
        registration(github.url).exchange(code)


def test_exchange__a_code_of_an_hour_ago_is_good_no_more(tmp_path: Path) -> None:
    clock = Clock()
    with FakeGitHub(tmp_path, clock=clock) as github:
        code = registered(github)
        clock.now += CODE_LIFE + 1
        with pytest.raises(BadCode):
            registration(github.url).exchange(code)


@pytest.mark.parametrize(
    "fault", [Fault.SERVER_ERROR, Fault.BAD_GATEWAY, Fault.UNAVAILABLE, Fault.TOO_MANY, Fault.DROPPED]
)
def test_exchange__github_away_is_told_and_the_code_stays_good(github: FakeGitHub, fault: Fault) -> None:
    code = registered(github)
    github.fail(lambda request: request.call == CONVERT, with_=fault)
    with pytest.raises(ForgeUnreachable) as told:
        registration(github.url).exchange(code)
    assert code not in str(told.value)
    assert registration(github.url).exchange(code).slug == "my-mason"


def test_exchange__a_lost_answer_is_told_as_a_code_that_was_used(github: FakeGitHub) -> None:
    code = registered(github)
    github.fail(lambda request: request.call == CONVERT, with_=Fault.HALF_RESPONSE, when="after")
    with pytest.raises(ForgeUnreachable):
        registration(github.url).exchange(code)
    with pytest.raises(BadCode):
        registration(github.url).exchange(code)


@pytest.mark.parametrize(
    "change",
    [
        {"id": "4711"},
        {"id": 0},
        {"id": True},
        {"slug": "../../settings"},
        {"slug": ""},
        {"name": ""},
        {"owner": None},
        {"owner": {"login": "<script>"}},
        {"pem": "no key"},
        {"pem": "-----BEGIN RSA PRIVATE KEY-----\n" + "x" * 20_001},
        {"webhook_secret": None},
        {"webhook_secret": "short"},
        {"webhook_secret": "with, a comma and blanks"},
    ],
)
def test_exchange__an_app_of_another_shape_is_refused(change: dict[str, Any]) -> None:
    there = answering(lambda _: httpx.Response(201, json=GOOD | change))
    with pytest.raises(ForgeRefused, match="another shape") as told:
        there.exchange(CODE)
    assert "BEGIN" not in str(told.value)


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{", b"\xff", b"<html>", b"[" * 100_000, b" " * (LIMIT + 1)])
def test_exchange__an_answer_that_is_no_app_is_refused(body: bytes) -> None:
    with pytest.raises(ForgeRefused, match="another shape"):
        answering(lambda _: httpx.Response(201, content=body)).exchange(CODE)


@pytest.mark.parametrize("status", [200, 204, 301, 400, 401, 403])
def test_exchange__any_other_status_is_refused(status: int) -> None:
    headers = {"Location": "https://elsewhere.example.com"}
    with pytest.raises(ForgeRefused, match=str(status)):
        answering(lambda _: httpx.Response(status, json=GOOD, headers=headers)).exchange(CODE)


def test_exchange__fields_that_github_adds_are_let_be() -> None:
    made = answering(lambda _: httpx.Response(201, json=GOOD | {"new": [1]})).exchange(CODE)
    assert (made.id, made.owner) == (4711, "octo")


def test_installed__asks_github_now(github: FakeGitHub) -> None:
    there = registration(github.url)
    made = there.exchange(registered(github))
    assert there.installed_at(str(made.id), made.private_key) == []
    app = github.registration.registered[0].app
    github.hub.install("octo/app", app=app, permissions=app.permissions)
    assert there.installed_at(str(made.id), made.private_key) == ["octo"]
    github.fail(lambda request: request.call == "GET /app/installations", times=None)
    with pytest.raises(ForgeUnreachable):
        there.installed_at(str(made.id), made.private_key)


def test_installed__an_app_that_was_deleted_is_told(github: FakeGitHub) -> None:
    with pytest.raises(MissingPermission):
        registration(github.url).installed_at("99", github.app.private_key)
