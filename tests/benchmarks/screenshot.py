"""Makes `.github/run-page.png`, which the README begins with: ``python -m tests.benchmarks.screenshot``.

What it shows is a real run, `mason demo`'s, on its page, in the typeface that most screens have something like: the one
that Chromium finds on a build machine is not what people see.
"""

from __future__ import annotations

import base64
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from app.gate.visit_pages import BROWSERS
from tests.peers.kit import CHECKOUT, install_packages

IMAGE = CHECKOUT / ".github" / "run-page.png"
WIDTH, HEIGHT = 1200, 980
LARGEST = 200_000
"""Bytes of the image."""

FONT = "@fontsource-variable/inter/files/inter-latin-wght-normal.woff2"


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="mason-screenshot-") as directory:
        place = Path(directory)
        place.chmod(0o711)
        (place / "packages").mkdir()
        font = (install_packages(place / "packages") / FONT).read_bytes()
        words = [sys.executable, "-m", "app", "demo", "--serve", "--keep", str(place / "demo")]
        demo = subprocess.Popen(words, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True)
        try:
            shoot(finished_run(demo), font, place / "image.png")
        finally:
            demo.send_signal(signal.SIGINT)
            demo.communicate(timeout=120)
        size = (place / "image.png").stat().st_size
        assert size < LARGEST, f"the image has {size:,} bytes"
        shutil.move(place / "image.png", IMAGE)
        print(f"{IMAGE.relative_to(CHECKOUT)}: {size:,} bytes")
    return 0


def finished_run(demo: subprocess.Popen[str]) -> str:
    """The address that the demo says at its end."""
    assert demo.stdout is not None
    for line in demo.stdout:
        if found := re.search(r"http://\S+/runs/\S+", line):
            return found[0]
    raise AssertionError("the demo ended without a page")


def shoot(address: str, font: bytes, image: Path) -> None:
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        # The page's own policy would not let the typeface in.
        context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, bypass_csp=True)
        page = context.new_page()
        page.goto(address)
        dress(page, font)
        page.locator(".item.bad").first.scroll_into_view_if_needed()
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=image)
        browser.close()


def dress(page: Page, font: bytes) -> None:
    data = base64.b64encode(font).decode()
    page.add_style_tag(
        content=f"@font-face {{ font-family: Inter; font-weight: 100 900; src: url(data:font/woff2;base64,{data}) }}"
        ' :root { --sans: "Inter"; }'
    )
    page.evaluate("document.fonts.load('400 16px Inter').then(() => document.fonts.ready).then(() => true)")


if __name__ == "__main__":
    sys.exit(main())
