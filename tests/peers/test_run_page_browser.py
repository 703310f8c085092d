"""The run page in a real Chromium: a run that is watched to its end, the keyboard, a phone, the dark, axe."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright
from pydantic import SecretStr
from werkzeug.serving import make_server

from app.domain.api_keys import Scope
from app.domain.events import Level
from app.gate.visit_pages import BROWSERS
from app.settings import Settings
from app.wiring.signed_links import link_to_runs
from tests.unit.web.run_kit import (
    OTHER,
    RUN,
    MemoryRuns,
    Site,
    a_run,
    done_item,
    failed_item,
    going_item,
    item_id,
    log_line,
    task,
)
from tests.whole import conftest as whole
from tests.whole.kit import CHECKS, Project, Turnstile, policy
from tests.whole.prds import new, prd
from tests.whole.served import ROOT, Process, free_port, wait_for

pytestmark = pytest.mark.peer

make_project, turnstile = whole.make_project, whole.turnstile

LONG_WORD = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft" * 3
ROOM = 20_000
"""Milliseconds that nothing ever takes."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield opened
        opened.close()


class Watched:
    """A page, and what its browser complained about: the console, errors, what the policy refused."""

    def __init__(self, browser: Browser, **options: Any) -> None:
        self.context = browser.new_context(**({"viewport": {"width": 1200, "height": 900}} | options))
        self.page: Page = self.context.new_page()
        self.complaints: list[str] = []
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.set_default_timeout(ROOM)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def fits(self) -> bool:
        return bool(self.page.evaluate("document.documentElement.scrollWidth <= innerWidth"))

    def close(self) -> None:
        self.context.close()
        assert self.complaints == []


@contextmanager
def watching(browser: Browser, **options: Any) -> Iterator[Watched]:
    watched = Watched(browser, **options)
    yield watched
    watched.close()


@contextmanager
def serving(runs: MemoryRuns) -> Iterator[tuple[Site, str]]:
    """Pages over records in memory, and where they are."""
    site = Site(runs, clock=time.time)  # type: ignore[arg-type]
    server = make_server("127.0.0.1", 0, site.client.application, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield site, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def full_runs() -> MemoryRuns:
    """Something of everything, with words that no line can hold."""
    items = (
        done_item(1, title="Give a discount for large orders"),
        going_item(2, title=LONG_WORD, current_file="src/" + LONG_WORD),
        failed_item(3, title="<b>Bold</b> & co. " * 12, reason="Because " + LONG_WORD, kept="/" + LONG_WORD),
        going_item(4, started_at=None, phase=None, tasks=(), title=""),
        done_item(
            5, diff="+" + "wide " * 200, tasks=tuple(task(w, n, w * 5, w * 5 + n) for w in (1, 2) for n in range(1, 6))
        ),
    )
    levels = list(Level)
    lines = tuple(
        log_line(n, LONG_WORD if n % 50 == 0 else "", levels[n % 4], item_id(n % 5 + 1) if n % 2 else None)
        for n in range(300)
    )
    return MemoryRuns(
        a_run(*items, repository="octo/" + LONG_WORD, base_branch=LONG_WORD),
        a_run(*(done_item(n) for n in range(1, 51)), run_id=OTHER, ended=90),
        log=lines,
    )


ADDRESSES: dict[str, Callable[[Site], str]] = {
    "run": lambda site: site.signed("/runs", f"/{RUN}"),
    "fifty": lambda site: site.signed("/runs", f"/{OTHER}"),
    "log": lambda site: site.signed("/runs", f"/{RUN}/log"),
    "item": lambda site: site.signed("/runs", f"/{RUN}/items/{item_id(3)}"),
    "runs": lambda site: site.signed("/runs"),
    "sign_in": lambda _: "/sign-in",
    "no_run": lambda _: f"/runs/{RUN}",
}


# A run that is really run, by a Mason that is really served


@pytest.fixture
def served_project(
    make_project: Callable[..., Project], turnstile: Turnstile, empty_database: str
) -> Iterator[tuple[Project, str]]:
    """A project whose tests wait at the turnstile, and the web app over its backlog."""
    checks = CHECKS | {"test": f"if [ -f src/wait.txt ]; then {turnstile.command}; fi; ! grep -rn BUG src"}
    project = make_project(mason_yml=policy(checks))
    port = free_port()
    web = Process(
        command=[sys.executable, "-m", "app", "web", "--repository", str(project.repository), "--port", str(port)],
        environment={
            "PATH": os.environ["PATH"],
            "HOME": str(project.root),
            "MASON_DSN": project.dsn,
            "MASON_DATABASE_URL": empty_database,
            "MASON_STATE_DIR": str(project.root / "state"),
            "MASON_ENCRYPTION_KEY": "k" * 40,
            "MASON_WORKERS": "1",
        },
        log=project.root / "web.log",
        cwd=ROOT,
    )
    web.start()
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: answers(url), "the web server answers", web.log.read_text)
        yield project, url
    finally:
        web.kill()


def answers(url: str) -> bool:

    try:
        return httpx.get(f"{url}/healthz", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def signed_run(project: Project, url: str, run_id: UUID) -> str:
    settings = Settings(encryption_key=SecretStr("k" * 40), state_dir=project.root / "state")
    return link_to_runs(settings, project.repository, url, run_id)


def test_run__is_watched_to_its_end_without_a_reload(
    served_project: tuple[Project, str], turnstile: Turnstile, browser: Browser
) -> None:
    project, url = served_project
    project.approve(prd(new("src/wait.txt", "fine")), title="Wait for the test")
    with project.running() as running, watching(browser) as watched:
        turnstile.arrived()
        (row,) = project.rows("select id from mason_remote_execution_runs")
        page = watched.page
        page.goto(signed_run(project, url, row["id"]))
        page.evaluate("window.before = true")
        expect(page.locator("#status")).to_contain_text("Running")
        expect(page.locator("h1")).to_have_text("Wait for the test")
        expect(page.locator(".check", has_text="test")).to_contain_text("Running")
        page.get_by_role("link", name="Errors", exact=True).focus()
        turnstile.let_pass()
        assert running.result().succeeded
        expect(page.locator("#status")).to_contain_text("Succeeded")
        expect(page.locator("#status")).to_contain_text("1 completed")
        expect(page.locator("[id^=diff-]")).to_contain_text("+1")
        assert page.title().startswith("Succeeded: Wait for the test")
        assert page.evaluate("window.before && document.activeElement.textContent.trim()") == "Errors"
        page.locator("[id^=diff-] summary").click()
        expect(page.locator("[id^=diff-] .add", has_text="+fine")).to_be_visible()


# What the script does with a page that somebody reads


def test_live__what_the_reader_opened_chose_and_marked_stays(browser: Browser) -> None:
    items = [done_item(1), going_item(2), failed_item(3)]
    runs = MemoryRuns(a_run(*items), log=tuple(map(log_line, range(60))))
    with serving(runs) as (site, url), watching(browser) as watched:
        page = watched.page
        page.goto(url + site.signed())
        first, second, third = (page.locator(f"#item-{item_id(number)}") for number in (1, 2, 3))
        first.locator("> summary").click()
        third.locator("> summary").click()
        page.locator("#log .scroll").evaluate("one => { one.scrollTop = -200 }")
        second.locator("> summary").focus()
        first.locator(".tried").evaluate("one => getSelection().selectAllChildren(one)")
        scrolled = page.evaluate("[scrollY, document.querySelector('#log .scroll').scrollTop]")
        ended = replace(going_item(2), title="Renamed meanwhile", current_task="Something else")
        runs.change(
            a_run(replace(items[0], iterations=(replace(items[0].iterations[0], tried="Anew"),)), ended, items[2])
        )
        expect(second).to_contain_text("Renamed meanwhile")
        expect(second).to_contain_text("Something else")
        assert page.evaluate("getSelection().toString()") == "Removed an import"
        assert first.get_attribute("open") is not None
        assert third.get_attribute("open") is None
        assert page.evaluate("document.activeElement.parentElement.id") == f"item-{item_id(2)}"
        assert page.evaluate("[scrollY, document.querySelector('#log .scroll').scrollTop]") == scrolled
        page.evaluate("getSelection().removeAllRanges()")
        expect(first).to_contain_text("Anew")


def test_live__items_open_when_they_start_and_close_when_they_are_fine(browser: Browser) -> None:
    waiting = going_item(2, started_at=None, phase=None, tasks=())
    runs = MemoryRuns(a_run(done_item(1), waiting))
    with serving(runs) as (site, url), watching(browser) as watched:
        watched.page.goto(url + site.signed())
        second = watched.page.locator(f"#item-{item_id(2)}")
        assert second.get_attribute("open") is None
        runs.change(a_run(done_item(1), going_item(2)))
        expect(second).to_have_attribute("open", "")
        runs.change(a_run(done_item(1), done_item(2), ended=99))
        expect(second).not_to_have_attribute("open", "")
        expect(watched.page.locator("#run")).to_have_attribute("data-ended", "")


def test_live__an_ended_run_is_asked_for_once(browser: Browser) -> None:
    runs = MemoryRuns(a_run(done_item(1), ended=90))
    with serving(runs) as (site, url), watching(browser) as watched:
        asked: list[str] = []
        watched.page.on("request", lambda request: asked.append(request.url))
        watched.page.clock.install()
        watched.page.goto(url + site.signed())
        watched.page.clock.run_for(120_000)
        assert not [one for one in asked if "/live" in one]


def test_live__says_when_it_may_be_out_of_date(browser: Browser) -> None:
    runs = MemoryRuns(a_run(going_item(1)))
    with serving(runs) as (site, url), watching(browser) as watched:
        page = watched.page
        page.goto(url + site.signed())
        runs.away = True
        expect(page.locator("#stale")).to_contain_text("may be out of date")
        runs.away = False
        runs.change(a_run(done_item(1), ended=90))
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        expect(page.locator("#status")).to_contain_text("Succeeded")
        expect(page.locator("#stale")).to_be_hidden()
        assert [one for one in watched.complaints if "503" not in one] == []
        watched.complaints.clear()


# How it looks, and for whom


@pytest.mark.parametrize("width", [360, 768, 1200])
@pytest.mark.parametrize("name", ADDRESSES)
def test_pages__are_never_wider_than_the_screen(browser: Browser, name: str, width: int) -> None:
    with serving(full_runs()) as (site, url), watching(browser, viewport={"width": width, "height": 740}) as watched:
        watched.page.goto(url + ADDRESSES[name](site))
        assert watched.fits()
        for summary in watched.page.locator("summary").all()[:40]:
            summary.evaluate("one => one.parentElement.open = true")
        assert watched.fits()
        if name == "no_run":
            watched.complaints.clear()  # that it was not shown


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ADDRESSES)
def test_pages__axe_finds_nothing(browser: Browser, packages: Path, name: str, scheme: Any) -> None:
    axe = (packages / "axe-core" / "axe.min.js").read_text()
    with serving(full_runs()) as (site, url), watching(browser, color_scheme=scheme) as watched:
        watched.page.goto(url + ADDRESSES[name](site))
        watched.page.evaluate("for (const one of document.querySelectorAll('.item')) one.open = true")
        watched.page.evaluate(axe)
        found = watched.page.evaluate("axe.run().then(all => all.violations)")
        assert [
            (one["id"], [node["html"][:200] + node["failureSummary"] for node in one["nodes"][:3]]) for one in found
        ] == []
        if name == "no_run":
            watched.complaints.clear()


def test_page__dark_and_light_differ(browser: Browser) -> None:
    grounds = []
    for scheme in ("light", "dark"):
        with serving(full_runs()) as (site, url), watching(browser, color_scheme=scheme) as watched:
            watched.page.goto(url + site.signed())
            grounds.append(watched.page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert grounds[0] != grounds[1]


def test_page__with_the_keyboard_alone(browser: Browser) -> None:
    with serving(full_runs()) as (site, url), watching(browser) as watched:
        page = watched.page
        page.goto(url + site.signed())
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        seen: list[str] = []
        first = page.locator(f"#item-{item_id(1)}")
        for _ in range(60):
            page.keyboard.press("Tab")
            here = page.evaluate("document.activeElement.parentElement?.id || ''")
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none"
            seen.append(here)
            if here == f"item-{item_id(1)}":
                break
        assert first.get_attribute("open") is None
        page.keyboard.press("Enter")
        assert first.get_attribute("open") is not None
        page.keyboard.press("Space")
        assert first.get_attribute("open") is None
        assert f"lane-{item_id(1)}" in seen


def test_timeline__leads_to_its_item_and_opens_it(browser: Browser) -> None:
    with serving(full_runs()) as (site, url), watching(browser) as watched:
        watched.page.goto(url + site.signed())
        watched.page.locator(f"#lane-{item_id(5)} a").click()
        expect(watched.page.locator(f"#item-{item_id(5)}")).to_have_attribute("open", "")


def test_page__without_scripts_is_complete(browser: Browser) -> None:
    with serving(full_runs()) as (site, url), watching(browser, java_script_enabled=False) as watched:
        page = watched.page
        page.goto(url + site.signed())
        expect(page.locator("#status")).to_contain_text("Running")
        page.locator(f"#item-{item_id(1)} > summary").click()
        expect(page.locator(f"#item-{item_id(1)} .tasks").first).to_be_visible()
        page.get_by_role("link", name="Errors", exact=True).click()
        expect(page.locator("#log [aria-current]")).to_have_text("Errors")
        page.locator("text=Load this page again").click()
        expect(page.locator("h1")).to_contain_text("5 items")
        page.get_by_role("link", name="The whole log").click()
        expect(page.locator("h1")).to_contain_text("Log:")


def test_page__moves_nothing_for_who_asked_for_that(browser: Browser) -> None:
    with serving(full_runs()) as (site, url), watching(browser, reduced_motion="reduce") as watched:
        watched.page.goto(url + site.signed())
        assert watched.page.evaluate("document.getAnimations().length") == 0


def test_sign_in__in_a_browser(browser: Browser) -> None:
    with serving(full_runs()) as (site, url), watching(browser) as watched:
        _, text = site.keys.create("ada", Scope.READ)
        page = watched.page
        page.goto(f"{url}/runs/{RUN}")
        assert watched.complaints.pop()  # 401
        page.locator("a.button").click()
        page.locator("#key").fill("nonsense")
        page.keyboard.press("Enter")
        expect(page.locator("[role=alert]")).to_contain_text("not known")
        watched.complaints.clear()  # 403
        page.locator("#key").fill(text)
        page.keyboard.press("Enter")
        expect(page.locator("h1")).to_contain_text("5 items")
        assert page.url == f"{url}/runs/{RUN}"
        page.locator("text=All runs").click()
        expect(page.locator("h1")).to_have_text("Runs")
        page.locator("text=Sign out").click()
        expect(page.locator("h1")).to_have_text("Sign in")
        page.goto(f"{url}/runs")
        expect(page.locator("h1")).to_have_text("Not public")
        watched.complaints.clear()
