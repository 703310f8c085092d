"""`/setup` in a real Chromium: a person walks through it, at Mason and at GitHub, with the mouse and the keyboard."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from app.gate.visit_pages import BROWSERS
from tests.unit.wiring.test_setup_supabase import KEY
from tests.whole import test_setting_up
from tests.whole.served import wait_for
from tests.whole.test_setting_up import Fresh

pytestmark = pytest.mark.peer

fresh, supabase = test_setting_up.fresh, test_setting_up.supabase

ROOM = 60_000
"""Milliseconds that nothing ever takes."""


@pytest.fixture
def browser() -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield opened
        opened.close()


class Person:
    """A browser's window, what it complained about, and pictures of it (kept where MASON_TEST_PICTURES says)."""

    def __init__(self, browser: Browser, place: Path, **options: Any) -> None:
        self.context = browser.new_context(**({"viewport": {"width": 1200, "height": 900}} | options))
        self.page: Page = self.context.new_page()
        self.complaints: list[str] = []
        self.place = Path(os.environ.get("MASON_TEST_PICTURES") or place)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.set_default_timeout(ROOM)

    def _console(self, message: ConsoleMessage) -> None:
        refused = "status of 4" in message.text  # a page that says what was filled in wrongly
        if message.type in ("error", "warning") and not refused:
            self.complaints.append(message.text)

    def picture(self, name: str) -> None:
        self.page.screenshot(path=self.place / f"{name}.png", full_page=True)
        assert self.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name

    def check(self, axe: str) -> None:
        """What axe finds is a complaint."""
        self.page.evaluate(axe)
        for one in self.page.evaluate("axe.run().then(all => all.violations)"):
            nodes = [node["html"][:200] + node["failureSummary"] for node in one["nodes"][:3]]
            self.complaints.append(f"{one['id']}: {nodes}")

    def close(self) -> None:
        self.context.close()
        assert self.complaints == []


def test_setup_page__a_person_walks_through_it(
    fresh: Fresh, supabase: tuple[str, str], browser: Browser, packages: Path, tmp_path: Path
) -> None:
    axe = (packages / "axe-core" / "axe.min.js").read_text()
    fresh.start("serve", "--port", str(fresh.port))
    person = Person(browser, tmp_path)
    page = person.page
    page.goto(fresh.link())
    expect(page.get_by_role("heading", name="Set Mason up", exact=True)).to_be_visible()
    assert page.url == f"{fresh.url}/setup"
    person.picture("1-empty")
    person.check(axe)

    page.get_by_label("Name of the App").fill("Mason of octo")
    page.get_by_label("Organisation").fill("oc to")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("alert")).to_contain_text("organisation is named as in its address")
    expect(page.get_by_label("Name of the App")).to_have_value("Mason of octo")
    person.picture("2-mistake")
    person.check(axe)
    page.get_by_label("Organisation").fill("octo")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("pull requests: write")).to_be_visible()
    person.picture("3-manifest")
    person.check(axe)
    page.get_by_role("button", name="Continue at GitHub").click()
    expect(page.get_by_role("heading", name="Create GitHub App")).to_be_visible()
    page.get_by_role("button", name="Create GitHub App for you").click()
    expect(page.get_by_text("not installed yet")).to_be_visible()
    assert page.url == f"{fresh.url}/setup#github"
    person.picture("4-made")

    with person.context.expect_page() as opened:
        page.get_by_role("link", name="Install the App").click()
    at_github = opened.value
    at_github.get_by_role("textbox").fill("octo/app")
    at_github.get_by_role("button", name="Install").click()
    expect(at_github.get_by_role("heading", name="Installed on octo/app")).to_be_visible()
    at_github.close()
    page.get_by_role("link", name="Look again").click()
    expect(page.locator("#github").get_by_text("at octo")).to_be_visible()

    url, dsn = supabase
    page.get_by_label("Project URL").fill(url)
    page.get_by_label("Secret key").fill(KEY)
    page.get_by_label("with a connection string").check()
    page.get_by_label("Password, token or connection string").fill(dsn)
    page.get_by_role("button", name="Connect").click()
    expect(page.get_by_role("status")).to_contain_text("approvals are announced")
    person.picture("5-connected")
    person.check(axe)
    page.get_by_role("link", name="Check everything").click()
    expect(page.get_by_role("table")).to_contain_text("installed at octo")
    person.picture("6-checks")
    person.check(axe)
    page.get_by_role("button", name="Finish").click()
    expect(page.get_by_role("heading", name="Mason is set up")).to_be_visible()
    person.picture("7-finished")
    person.check(axe)
    secret = fresh.github.registration.registered[-1].webhook_secret
    wait_for(lambda: fresh.hears_github(secret), "GitHub's webhooks are heard", lambda: fresh.log)
    assert page.goto(f"{fresh.url}/setup")
    expect(page.get_by_role("heading", name="The setup is closed")).to_be_visible()
    person.close()


def test_setup_page__on_a_phone_in_the_dark_by_keyboard_and_without_scripts(
    fresh: Fresh, browser: Browser, tmp_path: Path
) -> None:
    fresh.start("serve", "--port", str(fresh.port))
    phone: Any = {
        "viewport": {"width": 360, "height": 740},
        "color_scheme": "dark",
        "java_script_enabled": False,
    }
    person = Person(browser, tmp_path, **phone)
    page = person.page
    # GitHub is another site now: what it sends a browser back to still knows that browser.
    page.goto(fresh.link().replace("127.0.0.1", "localhost"))
    person.place.mkdir(exist_ok=True)
    page.screenshot(path=person.place / "8-phone.png", full_page=True)
    page.get_by_label("Name of the App").focus()
    page.keyboard.press("Control+A")
    page.keyboard.type("Pocket Mason")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Pocket Mason")).to_be_visible()
    page.screenshot(path=person.place / "9-phone-manifest.png", full_page=True)
    page.get_by_role("button", name="Continue at GitHub").focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Create GitHub App for you").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("not installed yet")).to_be_visible()
    assert page.url == f"http://localhost:{fresh.port}/setup#github"
    page.get_by_role("link", name="Check everything").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("table")).to_be_visible()
    page.screenshot(path=person.place / "10-phone-checks.png", full_page=True)
    person.close()
