"""Signing in: a key for a cookie, which names the key and does not hold it."""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.test import TestResponse

from app.domain.api_keys import Scope
from app.web.pages.sign_in import COOKIE, REMEMBERED, WEEK
from tests.unit.web.run_kit import RUN, MemoryRuns, Site, a_run, done_item

PATH = f"/runs/{RUN}"
FORM = "application/x-www-form-urlencoded"


def site(**more: Any) -> Site:
    return Site(MemoryRuns(a_run(done_item())), **more)


def sign_in(made: Site, key: str, onward: str = PATH, **headers: str) -> TestResponse:
    return made.client.post("/sign-in", data={"key": key, "next": onward}, headers=headers)


def looks(made: Site, path: str = PATH) -> int:
    return made.client.get(path, headers={"Accept": "text/html"}).status_code


def cookie(made: Site) -> str:
    found = made.client.get_cookie(COOKIE)
    return found.value if found else ""


def test_sign_in__leads_to_where_one_was_going() -> None:
    made = site()
    key, text = made.keys.create("ada", Scope.READ)
    assert looks(made) == 401
    answer = sign_in(made, f"  {text}\n")
    assert (answer.status_code, answer.headers["Location"]) == (303, PATH)
    assert looks(made) == looks(made, "/runs") == looks(made, f"{PATH}/live") == 200
    value = cookie(made)
    assert key.prefix in value and text not in value and text.rpartition("_")[2] not in value
    said = answer.headers["Set-Cookie"]
    assert "HttpOnly" in said and "SameSite=Strict" in said and f"Max-Age={WEEK}" in said and "Secure" not in said


def test_sign_in__by_https_the_cookie_stays_there() -> None:
    made = site()
    _, text = made.keys.create("ada", Scope.READ)
    answer = made.client.post("/sign-in", data={"key": text}, base_url="https://localhost")
    assert "Secure" in answer.headers["Set-Cookie"]


def test_sign_in__opens_the_api_description_and_changes_nothing() -> None:
    made = site()
    _, text = made.keys.create("ada", Scope.ADMIN)
    sign_in(made, text)
    request = made.client.get(PATH).request
    assert made.sessions.key(request) is not None  # type: ignore[arg-type]


def test_sign_in__ends_after_a_week() -> None:
    made = site()
    _, text = made.keys.create("ada", Scope.READ)
    sign_in(made, text)
    made.clock.now += WEEK - 1
    assert looks(made) == 200
    made.clock.now += 1
    assert looks(made) == 401


def test_sign_in__ends_with_its_key() -> None:
    made = site()
    key, text = made.keys.create("ada", Scope.READ)
    sign_in(made, text)
    assert looks(made) == 200
    made.keys.revoke(key.prefix)
    made.clock.now += REMEMBERED
    assert looks(made) == 401


def test_sign_out__ends_it() -> None:
    made = site()
    _, text = made.keys.create("ada", Scope.READ)
    sign_in(made, text)
    assert "Sign out" in made.client.get(PATH).text
    answer = made.client.post("/sign-out", headers={"Sec-Fetch-Site": "same-origin"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/sign-in")
    assert looks(made) == 401


@pytest.mark.parametrize("key", ["", "nonsense", "mason_00000000_guess", "x" * 3_000, "\x00", "ü"])
def test_sign_in__with_a_wrong_key_stays_outside(key: str) -> None:
    made = site()
    made.keys.create("ada", Scope.READ)
    answer = sign_in(made, key)
    assert answer.status_code == 403
    assert "Set-Cookie" not in answer.headers
    assert "not known" in answer.text and (not key or key not in answer.text)
    assert f'value="{PATH}"' in answer.text


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value.replace("00000000", "00000001"),
        lambda value: value.replace(".1", ".2", 1),
        lambda value: value[:-1],
        lambda value: value + "A",
        lambda value: "",
        lambda value: "." * 90,
        lambda value: "00000000.99999999999." + "A" * 43,
    ],
)
def test_cookie__tampered_is_none(change: Any) -> None:
    made = site()
    _, text = made.keys.create("ada", Scope.READ)
    made.keys.create("ben", Scope.READ)
    sign_in(made, text)
    made.client.set_cookie(COOKIE, change(cookie(made)))
    assert looks(made) == 401


def test_cookie__a_signed_link_is_no_session_and_a_session_no_link() -> None:
    made = site()
    _, text = made.keys.create("ada", Scope.READ)
    sign_in(made, text)
    prefix, expiry, mac = cookie(made).split(".")
    made.client.delete_cookie(COOKIE)
    assert looks(made, f"{PATH}?key={expiry}.{mac}") == 401
    link_expiry, link_mac = made.signed().partition("key=")[2].split(".")
    made.client.set_cookie(COOKIE, f"{prefix}.{link_expiry}.{link_mac}")
    assert looks(made) == 401


def test_cookie__of_a_key_that_signs_no_more() -> None:
    made = site(signing=(b"o" * 32,))
    _, text = made.keys.create("ada", Scope.READ)
    sign_in(made, text)
    value = cookie(made)
    for signing, status in (((b"n" * 32, b"o" * 32), 200), ((b"n" * 32,), 401)):
        after = site(signing=signing, keys=made.keys)
        after.client.set_cookie(COOKIE, value)
        assert looks(after) == status


@pytest.mark.parametrize(
    "onward",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "/runs\r\nX: y",
        "",
        "/" + "x" * 500,
        "/\t/evil.example",
        "runs",
    ],
)
def test_sign_in__never_leads_to_another_site(onward: str) -> None:
    made = site()
    _, text = made.keys.create("ada", Scope.READ)
    assert sign_in(made, text, onward).headers["Location"] == "/runs"
    assert 'value="/runs"' in made.client.get("/sign-in", query_string={"next": onward}).text


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://[::1"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
    ],
)
@pytest.mark.parametrize("path", ["/sign-in", "/sign-out"])
def test_form__of_another_site_is_refused(path: str, headers: dict[str, str]) -> None:
    made = site()
    _, text = made.keys.create("ada", Scope.READ)
    answer = made.client.post(path, data={"key": text}, headers=headers)
    assert answer.status_code == 403
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("headers", [{}, {"Sec-Fetch-Site": "same-origin"}, {"Origin": "http://localhost"}])
def test_form__of_our_own_is_taken(headers: dict[str, str]) -> None:
    made = site()
    _, text = made.keys.create("ada", Scope.READ)
    assert sign_in(made, text, **headers).status_code == 303


def test_sign_in__many_attempts_have_to_wait_and_a_good_key_has_not() -> None:
    made = site()
    _, text = made.keys.create("ada", Scope.READ)
    assert [sign_in(made, "guess").status_code for _ in range(11)] == [403] * 10 + [429]
    late = sign_in(made, "guess")
    assert (late.status_code, late.headers["Retry-After"]) == (429, "60")
    assert sign_in(made, text).status_code == 303
    made.clock.now += 60
    assert sign_in(made, "guess").status_code == 403


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"key=x" * 2_000, FORM, 413),
        (b'{"key": "x"}', "application/json", 415),
        (b"&".join(b"a=1" for _ in range(100)), FORM, 400),
        (b"%ff%fe=%00", FORM, 403),
        (b"", FORM, 403),
    ],
)
def test_sign_in__a_form_that_is_none(body: bytes, kind: str, status: int) -> None:
    assert site().client.post("/sign-in", data=body, content_type=kind).status_code == status


def test_root__leads_to_the_runs() -> None:
    answer = site().client.get("/")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/runs")
