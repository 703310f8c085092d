"""`/api/docs` in a real Chromium, under its own Content-Security-Policy; and the API over a real connection."""

from __future__ import annotations

import http.client
import shutil
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from app.gate.visit_pages import BROWSERS
from tests.whole import served_api
from tests.whole.served_api import Served

pytestmark = pytest.mark.peer

served = served_api.served

ROOM = 120_000
"""Milliseconds that a page may take on a machine that is busy with other tests."""


@pytest.fixture
def browser() -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"], timeout=ROOM)
        yield opened
        opened.close()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_docs__are_shown_without_a_complaint(served: Served, browser: Browser, width: int, scheme: Any) -> None:
    page = browser.new_page(
        viewport={"width": width, "height": 900}, color_scheme=scheme, extra_http_headers=served.bearer
    )
    page.set_default_timeout(ROOM)
    complaints: list[str] = []

    def complain(message: ConsoleMessage) -> None:
        complaints.append(message.text)

    page.on("console", complain)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{served.url}/api/docs")
    assert [one for one in complaints if "favicon" not in one and "404" not in one] == []
    assert page.title() == "Mason: the REST API"
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    dark = "rgb(20, 24, 28)" if scheme == "dark" else "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark
    operations = sum(len(item) for item in served.get("/api/openapi.json")["paths"].values())
    assert page.locator("main article h3 b").count() == operations
    follow_links(page)


def follow_links(page: Page) -> None:
    """Every link within the page leads to something that is there; the first one is for the keyboard."""
    dead = page.evaluate(
        "[...document.querySelectorAll('a[href^=\"#\"]')].filter(a => !document.getElementById(a.hash.slice(1))).length"
    )
    assert dead == 0
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the routes"


def test_docs__for_who_has_signed_in(served: Served, browser: Browser) -> None:
    page = browser.new_page()
    page.set_default_timeout(ROOM)
    page.goto(f"{served.url}/api/docs")
    assert page.url == f"{served.url}/sign-in?next=/api/docs"
    page.locator("#key").fill(served.key)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{served.url}/api/docs")
    assert page.title() == "Mason: the REST API"


def connection(served: Served) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(served.url).netloc, timeout=30)


def test_body__over_a_real_connection(served: Served) -> None:
    headers = {**served.bearer, "Content-Type": "application/json"}

    def status(body: Any, **more: Any) -> int:
        there = connection(served)
        try:
            there.request("POST", "/api/execution/start", body=body, headers={**headers, **more.pop("h", {})}, **more)
            return there.getresponse().status
        finally:
            there.close()

    assert status(b"{}") == 400
    assert status(iter([b"{}"]), encode_chunked=True) == 411
    assert status(b"", h={"Content-Length": "10000000"}) == 413
    assert status(b"{", h={"Content-Type": "text/plain"}) == 415


def test_body__of_ten_megabytes_over_a_real_connection(served: Served) -> None:
    """The sender may be cut off while it is still sending; the server goes on."""
    there = connection(served)
    try:
        there.request("POST", "/api/execution/start", body=b"x" * 10_000_000, headers=served.bearer)
        assert there.getresponse().status in (413, 415)
    except (BrokenPipeError, ConnectionResetError):
        pass
    finally:
        there.close()
    assert served.get("/api/health")["status"] == "ok"


def test_methods__over_a_real_connection(served: Served) -> None:
    there = connection(served)
    there.request("HEAD", "/api/health", headers=served.bearer)
    found = there.getresponse()
    assert (found.status, found.read()) == (200, b"")
    there.request("OPTIONS", "/api/health", headers=served.bearer)
    assert there.getresponse().status == 405
    there.close()
