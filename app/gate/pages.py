"""The check of the pages (seed 8.3): a dev server is started, its pages are opened in Chromium, errors fail.

All of it is one command like any check's: contained, as the tree's user, dead afterwards.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from app.domain.policy import FrontendPolicy
from app.domain.results import CheckKind
from app.gate.steps import Check

SCREENSHOTS = ".mason-screenshots"
"""Where in the tree the pictures are, as PNG files."""

PAGE_LIMIT = 45.0
"""Seconds that one page may take."""

_VISITOR = Path(__file__).with_name("visit_pages.py")


def pages_check(policy: FrontendPolicy) -> Check:
    """The check for the pages that the policy names."""
    asked = {
        "serve": policy.serve,
        "url": policy.url,
        "pages": list(policy.pages),
        "wait": policy.wait,
        "limit": PAGE_LIMIT,
        "screenshots": SCREENSHOTS,
    }
    return Check(
        kind=CheckKind.FRONTEND,
        command=(sys.executable, "-P", str(_VISITOR), json.dumps(asked)),
        timeout=policy.wait + PAGE_LIMIT * len(policy.pages) + 60.0,
        alone=True,
    )
