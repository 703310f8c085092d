"""Opens pages in Chromium: a program of its own, which runs as the user of a tree and knows nothing of Mason.

``python visit_pages.py '{"serve": …, "url": …, "pages": […], "wait": s, "limit": s, "screenshots": directory}'``
prints a line for each error (``page: what``) and ends with 1 when there was one.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
"""``--no-sandbox``: Chromium's own needs privileges that a contained command has given up."""

SHORT = "/tmp"  # noqa: S108 - Chromium's sockets lie in its temporary directory, and their paths have a limit of 107 bytes

MOST_ERRORS = 20
"""Errors of one page that are printed."""

_TICK = 0.1


def main(asked: dict[str, Any]) -> int:
    """The exit code: 0 without an error, 1 with one, 127 when a program is missing."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        print("sh: playwright: not found")
        print("Install Mason with its extra “browser”: pip install 'mason-bot[browser]'")
        return 127
    program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if program is None:
        print("sh: chromium: not found")
        return 127
    if listens(asked["url"]):
        print(f"{asked['url']}: something else answers there already, so it is not the change that would be looked at")
        return 1
    with tempfile.TemporaryFile() as said, served(asked["serve"], said) as server:
        if problem := wait_for(asked["url"], server, asked["wait"]):
            said.seek(0)
            print(f"{asked['serve']}: {problem}\n{said.read()[-20000:].decode('utf-8', 'replace')}")
            return 1
        with tempfile.TemporaryDirectory(prefix="pages", dir=SHORT) as place, sync_playwright() as playwright:
            environment: dict[str, str | float | bool] = {**os.environ, "TMPDIR": place}
            browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS), env=environment)
            try:
                failed = [visit(browser, asked, number, page) for number, page in enumerate(asked["pages"], 1)]
            finally:
                browser.close()
    print(f"{len(failed)} pages opened, {sum(failed)} with errors")
    return 1 if any(failed) else 0


@contextlib.contextmanager
def served(command: str, said: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """The dev server, killed at the end with all of its session."""
    words = ["/bin/sh", "-c", command]
    server = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True)
    try:
        yield server
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def wait_for(url: str, server: subprocess.Popen[bytes], wait: float) -> str:
    """Until the server answers; else the sentence that says why it does not."""
    end = time.monotonic() + wait
    while not answers(url):
        if server.poll() is not None:
            return f"ended with exit code {server.returncode} before it answered at {url}"
        if time.monotonic() > end:
            return f"did not answer at {url} within {wait:g} s"
        time.sleep(_TICK)
    return ""


def listens(url: str) -> bool:
    """Whether anything is there at all."""
    place = urlsplit(url)
    with contextlib.suppress(OSError), socket.create_connection((place.hostname or "", place.port or 80), timeout=2):
        return True
    return False


def answers(url: str) -> bool:
    """Whether anything speaks HTTP there, whatever it says."""
    with contextlib.suppress(OSError):
        with contextlib.suppress(urllib.error.HTTPError):
            urllib.request.urlopen(url, timeout=10).close()  # noqa: S310 - the policy allows http on loopback alone
        return True
    return False


def visit(browser: Browser, asked: dict[str, Any], number: int, page: str) -> bool:
    """Open one page and take its picture; whether it had an error."""
    errors: list[str] = []
    limit = asked["limit"] * 1000
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    try:
        tab = context.new_page()
        tab.set_default_timeout(limit / 3)
        tab.on("console", lambda message: errors.append(f"console: {message.text}") if is_error(message) else None)
        tab.on("pageerror", lambda problem: errors.append(f"uncaught: {problem}"))
        errors += open_page(tab, asked["url"] + page, limit / 3)
        directory = Path(asked["screenshots"])
        directory.mkdir(exist_ok=True)
        with contextlib.suppress(Exception):  # a picture proves nothing, so its failure fails nothing
            tab.screenshot(path=str(directory / f"{number:02}.png"), full_page=True)
    finally:
        context.close()
    for error in errors[:MOST_ERRORS]:
        print(f"{page}: {' '.join(error.split())[:500]}")
    return bool(errors)


def is_error(message: ConsoleMessage) -> bool:
    """A missing favicon is the browser's own wish, not the page's."""
    return message.type == "error" and not message.location.get("url", "").endswith("/favicon.ico")


def open_page(tab: Page, address: str, limit: float) -> Sequence[str]:
    """What went wrong with the page itself."""
    from playwright.sync_api import Error

    try:
        answer = tab.goto(address, wait_until="load", timeout=limit)
        with contextlib.suppress(Error):  # a page that polls is never idle
            tab.wait_for_load_state("networkidle", timeout=min(limit, 5000))
    except Error as problem:
        return [str(problem).partition("\n")[0]]
    return [f"answered with {answer.status}"] if answer and answer.status >= 400 else []


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
