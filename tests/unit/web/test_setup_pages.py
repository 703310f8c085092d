"""`/setup` over HTTP: who gets in, forms, the way to GitHub and back, and what is never shown."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from werkzeug.test import Client, TestResponse

from app.domain.api_keys import Scope
from app.errors import BadCode, ForgeUnreachable
from app.flows.setup import Given
from app.web.app import WebParts, web_app
from app.web.health import Probes
from app.web.metrics import Samples, WebMetrics
from app.web.pages.setup import FORM_LIMIT
from app.web.pages.setup_entry import COOKIE, WAY_BACK, SetupPages, signer
from tests.fakes.api_keys import MemoryKeys
from tests.fakes.setup import CODE, KEY, PEM, TABLE_SECRET, MemorySetup
from tests.unit.web.ingress_kit import MemoryQueue

ORIGIN = "https://mason.example.com"
APP = {"name": "My Mason", "organisation": "", "app_url": ORIGIN}
PROJECT = {"url": "https://abcdefghijklmnopqrst.supabase.co", "key": KEY, "way": "password", "secret": TABLE_SECRET}
BROWSER = {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"}


@dataclass
class Door:
    """The pages of a setup in this process, and a browser."""

    there: MemorySetup = field(default_factory=MemorySetup)
    keys: MemoryKeys = field(default_factory=MemoryKeys)

    def __post_init__(self) -> None:
        queue = MemoryQueue()
        self.parts = WebParts(
            jobs=queue,
            probes=Probes(queue=queue, samples=lambda: Samples(queue=queue.queue_state())),
            metrics=WebMetrics(),
            setup=SetupPages(
                ports=self.there.ports,
                keys=self.keys,
                server_url="https://github.com",
                redact=lambda text: text.replace(PEM, "***"),
            ),
        )
        self.client = self.browser()

    def browser(self) -> Client:
        return Client(web_app(self.parts))

    def get(self, path: str, **headers: str) -> TestResponse:
        return self.client.get(path, base_url=ORIGIN, headers=headers)

    def post(self, path: str, fields: Mapping[str, str], headers: Mapping[str, str] = BROWSER) -> TestResponse:
        return self.client.post(path, base_url=ORIGIN, data=dict(fields), headers=dict(headers))

    def come_in(self, token: str = "token-1-of-the-tests") -> str:
        """Through the printed link; the forms' token."""
        answer = self.get(f"/setup?token={token}")
        assert (answer.status_code, answer.headers["Location"]) == (303, "/setup"), answer.text
        return form_of(self.get("/setup"))

    def to_github(self, **changes: str) -> tuple[str, str]:
        """Fill in the App; the page's text, and the state that GitHub gives back."""
        answer = self.post("/setup/app", APP | {"form": self.come_in()} | changes)
        assert answer.status_code == 200, said(answer)
        action = html.unescape(re.findall(r'action="([^"]+)"', answer.text)[0])
        return answer.text, parse_qs(urlsplit(action).query)["state"][0]

    def back(self, state: str, code: str = CODE) -> TestResponse:
        return self.client.get("/setup/github", base_url=ORIGIN, query_string={"code": code, "state": state})


def form_of(answer: TestResponse) -> str:
    return re.findall(r'name="form" value="([^"]+)"', answer.text)[0]


def said(answer: TestResponse) -> str:
    """The words of a page."""
    main = re.search(r"<main.*</main>", answer.text, re.DOTALL)
    assert main, answer.text
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", main[0])).split())


def test_setup__is_for_nobody_without_the_token() -> None:
    door = Door()
    for path in ("/setup", "/setup/checks", "/setup/github?code=x&state=y", "/setup?token=", "/setup?token=wrong"):
        answer = door.get(path)
        assert answer.status_code == 403 and "Mason printed" in said(answer), path
    for path in ("/setup/app", "/setup/supabase", "/setup/finish"):
        assert door.post(path, APP | PROJECT).status_code == 403, path
    assert door.there.sealed.kept == {} and not door.client.get_cookie(COOKIE, path="/setup")


def test_setup__the_token_leaves_the_address_for_a_cookie() -> None:
    door = Door()
    door.come_in()
    cookie = door.client.get_cookie(COOKIE, domain="mason.example.com", path="/setup")
    assert cookie and cookie.http_only and cookie.secure and cookie.same_site == "Lax"
    assert "token-1" not in cookie.value


def test_setup__pages_are_kept_nowhere_and_framed_nowhere() -> None:
    door = Door()
    door.come_in()
    answer = door.get("/setup")
    assert answer.headers["Cache-Control"] == "no-store" and answer.headers["X-Frame-Options"] == "DENY"
    policy = answer.headers["Content-Security-Policy"]
    assert "form-action 'self';" in policy and "unsafe" not in policy and "default-src 'none'" in policy
    assert (
        "<style" not in answer.text
        and " style=" not in answer.text
        and " on" not in re.sub(">[^<]*<", "><", answer.text)
    )


def test_app__the_manifest_goes_to_github_and_nowhere_else() -> None:
    door = Door()
    form = door.come_in()
    answer = door.post("/setup/app", APP | {"form": form, "organisation": "octo", "name": 'A "<b>" of mine'})
    policy = answer.headers["Content-Security-Policy"]
    assert "form-action 'self' https://github.com;" in policy
    assert 'action="https://github.com/organizations/octo/settings/apps/new?state=' in answer.text
    assert '"<b>"' not in answer.text
    manifest = html.unescape(re.findall(r'name="manifest" value="([^"]+)"', answer.text)[0])
    assert '"redirect_url": "https://mason.example.com/setup/github"' in manifest
    assert '"name": "A \\"\\u003cb\\u003e\\" of mine"' in manifest


def test_app__back_from_github_it_is_stored_and_no_secret_is_shown() -> None:
    door = Door()
    _, state = door.to_github()
    answer = door.back(state)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/setup#github")
    page = door.get("/setup")
    assert "My Mason (id 4711), of ada" in said(page) and "not installed yet" in said(page)
    assert "https://github.com/apps/my-mason/installations/new" in page.text
    assert "secret-pem" not in page.text and "a-hook-secret" not in page.text
    door.there.github.installed = ("octo", "<b>")
    assert "installed at octo, <b>" in said(door.get("/setup")) and "<b>" not in door.get("/setup").text
    door.there.github.installed = ForgeUnreachable(f"GitHub did not answer {PEM}")
    assert "could not be asked: GitHub did not answer ***" in said(door.get("/setup"))


def test_way_back__forged_expired_or_replayed_it_is_refused() -> None:
    door = Door()
    _, state = door.to_github()
    nonce = signer("token-1-of-the-tests").loads(state, salt="state")

    class Earlier(type(signer("x").make_signer("y"))):  # type: ignore[misc]
        def get_timestamp(self) -> int:
            return int(super().get_timestamp()) - WAY_BACK - 60

    earlier = signer("token-1-of-the-tests")
    earlier.signer = Earlier
    for forged in (
        *("", "x", state[:-1], state + "x", signer("another").dumps(nonce, salt="state")),
        *(signer("token-1-of-the-tests").dumps(nonce, salt="form"), earlier.dumps(nonce, salt="state")),
        signer("token-1-of-the-tests").dumps({"a": 1}, salt="state"),
    ):
        assert door.back(forged).status_code == 400, forged
    assert "more than an hour" in said(door.back(earlier.dumps(nonce, salt="state")))
    assert door.there.github.asked == []
    assert door.back(state).status_code == 303
    assert "used already" in said(door.back(state))
    assert door.there.github.asked == [CODE]


def test_way_back__of_another_browser_is_refused() -> None:
    door = Door()
    _, state = door.to_github()
    door.client = door.browser()
    assert door.back(state).status_code == 403
    door.come_in()
    assert door.back(state).status_code == 303


def test_way_back__while_github_is_away_the_page_offers_it_again() -> None:
    door = Door()
    _, state = door.to_github()
    door.there.github.fails = ForgeUnreachable("GitHub did not answer (ConnectError)")
    answer = door.back(state)
    assert answer.status_code == 503 and "GitHub did not answer (ConnectError)" in said(answer)
    again = html.unescape(re.findall(r'href="(/setup/github[^"]+)"', answer.text)[0])
    assert door.get(again).status_code == 303


def test_way_back__a_code_that_github_does_not_know_is_told() -> None:
    door = Door()
    _, state = door.to_github()
    answer = door.back(state, "0" * 40)
    assert answer.status_code == BadCode.http_status and "older than an hour" in said(answer)
    assert "begin again" in said(answer) and "Back to the setup" in said(answer)


def test_app__mistakes_are_told_and_nothing_is_lost() -> None:
    door = Door()
    form = door.come_in()
    answer = door.post(
        "/setup/app", {"form": form, "name": "<x>", "organisation": "octo", "app_url": "http://x.example"}
    )
    assert answer.status_code == 400 and "must begin with https://" in said(answer)
    assert 'role="alert"' in answer.text
    assert (
        'value="&lt;x&gt;"' in answer.text
        and 'value="octo"' in answer.text
        and 'value="http://x.example"' in answer.text
    )


def test_app__the_environments_address_is_not_asked_for() -> None:
    door = Door(there=MemorySetup(given=Given(app_url="https://own.example.com")))
    text, _ = door.to_github(app_url="https://evil.example.com")
    assert "https://own.example.com/webhooks/github" in text and "evil" not in text
    assert 'name="app_url"' not in door.get("/setup").text


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example.com"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site", "Origin": ORIGIN},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
    ],
)
def test_forms__of_another_site_are_refused(headers: dict[str, str]) -> None:
    door = Door()
    form = door.come_in()
    for path, fields in (("/setup/app", APP), ("/setup/supabase", PROJECT), ("/setup/finish", {})):
        assert door.post(path, {**fields, "form": form}, headers).status_code == 403, path
    assert door.there.sealed.kept == {}


def test_forms__without_our_token_or_with_another_browsers_are_refused() -> None:
    door = Door()
    foreign = door.come_in()
    door.client = door.browser()
    own = door.come_in()
    assert foreign != own
    for form in ("", "x", foreign, signer("token-1-of-the-tests").dumps("x", salt="form")):
        for path, fields in (("/setup/app", APP), ("/setup/supabase", PROJECT), ("/setup/finish", {})):
            answer = door.post(path, {**fields, "form": form})
            assert answer.status_code == 403 and "load the page again" in said(answer), (path, form)
    assert door.there.sealed.kept == {}


def test_forms__bad_ones_are_refused() -> None:
    door = Door()
    door.come_in()

    def status(body: bytes, kind: str = "application/x-www-form-urlencoded") -> int:
        headers = {**BROWSER, "Content-Type": kind}
        return door.client.post("/setup/app", base_url=ORIGIN, data=body, headers=headers).status_code

    assert status(b"x" * (FORM_LIMIT + 1)) == 413
    assert status(b"{}", "application/json") == 415
    for body in (b"name=a&name=b", b"name=%00", b"\xff\xfe", b"a=b&" * 100, b"nothing"):
        assert status(body) == 400, body
    assert status(b"") == 403
    assert door.client.put("/setup", base_url=ORIGIN).status_code == 405


def test_backlog__is_connected_and_its_secrets_are_never_shown() -> None:
    door = Door()
    form = door.come_in()
    for bad in ({"key": "wrong"}, {"secret": "wrong-secret"}, {"way": "magic"}, {"way": ""}, {"key": ""}):
        answer = door.post("/setup/supabase", PROJECT | {"form": form} | bad)
        assert answer.status_code == 400 and 'role="alert"' in answer.text, bad
        assert 'value="https://abcdefghijklmnopqrst.supabase.co"' in answer.text
        assert KEY not in answer.text and TABLE_SECRET not in answer.text and "wrong-secret" not in answer.text
    answer = door.post("/setup/supabase", PROJECT | {"form": form})
    assert answer.status_code == 200 and "<b>all</b> is well" in said(answer) and "<b>all" not in answer.text
    assert "https://abcdefghijklmnopqrst.supabase.co" in said(door.get("/setup"))
    assert KEY not in answer.text and TABLE_SECRET not in answer.text and "whsec_" not in answer.text


def test_steps__that_the_environment_settles_are_named_and_not_asked() -> None:
    given = Given(github="MASON_GITHUB_APP_ID", backlog="MASON_DSN")
    door = Door(there=MemorySetup(given=given))
    assert door.get("/setup?token=token-1-of-the-tests").status_code == 404
    _, text = door.keys.create("ops", Scope.ADMIN)
    url = open_again(door, text).get_json()["url"]
    assert door.get(url.removeprefix(ORIGIN)).status_code == 303
    page = door.get("/setup")
    assert "MASON_GITHUB_APP_ID" in said(page) and "MASON_DSN" in said(page)
    assert 'action="/setup/app"' not in page.text and 'action="/setup/supabase"' not in page.text


def test_checks__are_a_table_with_how_to_mend_each_line() -> None:
    door = Door()
    door.come_in()
    answer = door.get("/setup/checks")
    assert "something fails" in said(answer) and "agent <i>none</i> → install it" in said(answer)
    assert "<i>none" not in answer.text


def test_setup__finished_it_is_closed_for_everybody() -> None:
    door = Door()
    form = door.come_in()
    answer = door.post("/setup/finish", {"form": form})
    assert answer.status_code == 200 and "Mason is set up" in said(answer)
    for path in ("/setup", "/setup?token=token-1-of-the-tests", "/setup/checks", "/setup/github?code=x&state=y"):
        assert door.get(path).status_code == 404, path
    for path in ("/setup/app", "/setup/supabase", "/setup/finish"):
        assert door.post(path, {"form": form}).status_code == 404, path


def open_again(door: Door, text: str) -> TestResponse:
    return door.client.post("/setup/open", base_url=ORIGIN, headers={"Authorization": f"Bearer {text}"})


def test_setup__an_admin_key_opens_it_again_and_no_other() -> None:
    door = Door()
    door.post("/setup/finish", {"form": door.come_in()})
    assert door.client.post("/setup/open", base_url=ORIGIN).status_code == 401
    assert open_again(door, "mason_00000000_" + "x" * 43).status_code == 401
    for scope in (Scope.READ, Scope.RUN):
        assert open_again(door, door.keys.create(scope.value, scope)[1]).status_code == 403
    assert door.get("/setup").status_code == 404
    _, text = door.keys.create("ops", Scope.ADMIN)
    answer = open_again(door, text)
    assert answer.get_json() == {"url": f"{ORIGIN}/setup?token=token-2-of-the-tests"}
    assert answer.headers["Cache-Control"] == "no-store"
    door.come_in("token-2-of-the-tests")
    assert door.get("/setup?token=token-1-of-the-tests").status_code == 403


def test_setup__somebody_signed_in_as_admin_opens_it_with_a_button() -> None:
    door = Door()
    door.post("/setup/finish", {"form": door.come_in()})
    admin, _ = door.keys.create("ops", Scope.ADMIN)
    pages = door.parts.setup
    assert pages

    def client(key: Any) -> Client:
        mine = SetupPages(ports=pages.ports, keys=pages.keys, server_url=pages.server_url, session=lambda _: key)
        return Client(
            web_app(WebParts(jobs=door.parts.jobs, probes=door.parts.probes, metrics=WebMetrics(), setup=mine))
        )

    reader, _ = door.keys.create("reader", Scope.READ)
    assert "Open it again" not in client(reader).get("/setup", base_url=ORIGIN).text
    assert client(reader).post("/setup/open", base_url=ORIGIN, headers=BROWSER).status_code == 403
    browser = client(admin)
    assert "Open it again" in browser.get("/setup", base_url=ORIGIN).text
    assert browser.post("/setup/open", base_url=ORIGIN, headers={"Origin": "https://evil.example"}).status_code == 403
    answer = browser.post("/setup/open", base_url=ORIGIN, headers=BROWSER, follow_redirects=True)
    assert answer.status_code == 200 and "Set Mason up" in said(answer)


def test_setup__strangers_are_told_nothing_of_the_inside() -> None:
    door = Door()
    door.come_in()
    door.there.sealed.away = True
    answer = door.get("/setup")
    assert answer.status_code == 503 and "db.internal" not in answer.text
    assert answer.headers["Retry-After"]
    assert door.get("/setup?token=token-1-of-the-tests").status_code == 503


def test_setup__behind_a_proxy_the_address_is_the_one_outside() -> None:
    door = Door()
    answer = door.client.get("/setup?token=token-1-of-the-tests", headers={"Host": "mason.example.com"})
    assert answer.status_code == 303
    assert 'value="https://mason.example.com"' in door.client.get("/setup", headers={"Host": "mason.example.com"}).text
    local = Door()
    local.client.get("/setup?token=token-1-of-the-tests", headers={"Host": "127.0.0.1:8000"})
    assert 'value="http://127.0.0.1:8000"' in local.client.get("/setup", headers={"Host": "127.0.0.1:8000"}).text


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://["},
        {"Origin": "\xff"},
        {"Host": "[::1"},
        {"Host": 'evil"><b>'},
        {"X-Forwarded-Proto": "javascript"},
        {"Cookie": f"{COOKIE}=\xff"},
    ],
)
def test_setup__strange_headers_are_answered(headers: dict[str, str]) -> None:
    door = Door()
    form = door.come_in()
    for answer in (
        door.client.get("/setup", base_url=ORIGIN, headers=headers),
        door.client.post("/setup/app", base_url=ORIGIN, data=APP | {"form": form}, headers=headers),
    ):
        assert answer.status_code < 500 and "<b>" not in answer.text
