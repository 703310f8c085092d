"""The commit message of the seed (step 11), safe whatever an item's title contains (pure)."""

from __future__ import annotations

import re
import textwrap

from app.domain.items import Item
from app.domain.results import CheckKind, CheckStatus, GateResult

SUBJECT_LIMIT = 100
BODY_LIMIT = 500

_NAMES = {
    CheckKind.TYPECHECK: "TypeScript",
    CheckKind.LINT: "ESLint",
    CheckKind.BUILD: "Build",
    CheckKind.TEST: "Tests",
    CheckKind.E2E: "E2E",
    CheckKind.FRONTEND: "Pages",
    CheckKind.BACKEND: "Backend",
}
_MARKS = {CheckStatus.PASS: "✅ Pass", CheckStatus.SKIPPED: "⏭️ Skipped"}


def commit_message(item: Item, gate: GateResult, agent: str, *, asked: str = "") -> str:
    """Subject, description, validation results and trailers. ``asked`` is what a person asked for on a pull request.

    ``Mason-Approval`` binds the commit to what was approved: a runner that was killed after its push finds it again.
    The co-author is the agent that wrote the change, so that nobody gets credit for another's work.
    """
    results = [
        f"- {_NAMES[check.kind]}: {_MARKS.get(check.status, '❌ Fail')}"
        for check in gate.checks
        if check.kind in _NAMES
    ]
    author = "Claude <noreply@anthropic.com>" if agent == "claude" else f"Mason ({agent} agent) <mason@localhost>"
    trailers = [f"Implements: PM-{item.id}", f"Mason-Approval: {item.approval}", f"Co-Authored-By: {author}"]
    description = textwrap.fill(_one_line(prose(asked or item.solution or item.problem), BODY_LIMIT), width=78)
    parts = [
        f"{'fix' if asked else 'feat'}: {_one_line(prose(asked) or item.title, SUBJECT_LIMIT) or f'item {item.id}'}",
        description,
        "Validation Results:\n" + "\n".join(results),
        "\n".join(trailers),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def prose(text: str) -> str:
    """What comes before the first code fence: a PRD's diffs are in the commit anyway."""
    return re.split(r"^\s*(?:```|~~~)", text, maxsplit=1, flags=re.MULTILINE)[0]


def _one_line(text: str, limit: int) -> str:
    """Printable text on one line: no control, format or line separator character survives."""
    plain = re.sub(r"\s+", " ", "".join(c if c.isprintable() else " " for c in text)).strip()
    return plain if len(plain) <= limit else plain[: limit - 1].rstrip() + "…"
