"""What a check run looks like in a request, within GitHub's limits (pure; platform facts, Checks)."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from app.domain.check_runs import ANNOTATION_LIMIT, TEXT_LIMIT, Button, CheckRun
from app.domain.results import Diagnostic, Severity
from app.forge.github.text import clean, head, one_line, tail

NAME_LIMIT = TITLE_LIMIT = 255
MESSAGE_BYTES = 64_000

_LEVELS = {Severity.ERROR: "failure", Severity.WARNING: "warning", Severity.NOTE: "notice"}

_BUTTONS = {
    Button.RETRY: ("Retry", "Run the item again from the start"),
    Button.FIX: ("Fix", "Have the agent fix what failed here"),
    Button.CANCEL: ("Cancel", "Stop the work on this item"),
}
"""Label (at most 20 characters) and description (at most 40)."""


def fields(check: CheckRun, chunk: list[dict[str, Any]], *, details_url: str, buttons: bool) -> dict[str, Any]:
    """The fields that make and update have in common. ``chunk`` are the annotations of this request."""
    output: dict[str, Any] = {
        "title": one_line(check.title, TITLE_LIMIT) or check.name,
        "summary": head(clean(check.summary), TEXT_LIMIT) or one_line(check.title, TITLE_LIMIT) or check.name,
    }
    if check.text:
        output["text"] = tail(clean(check.text), TEXT_LIMIT)
    if chunk:
        output["annotations"] = chunk
    asked: dict[str, Any] = {
        "name": one_line(check.name, NAME_LIMIT),
        "external_id": str(check.subject),
        "output": output,
        "actions": [_action(button) for button in check.buttons[:3]] if buttons else [],
    }
    asked |= {"details_url": details_url} if details_url else {}
    if check.conclusion is None:
        return asked | {"status": "in_progress"}
    return asked | {"status": "completed", "conclusion": check.conclusion.value}


def annotations_of(check: CheckRun) -> list[dict[str, Any]]:
    """The diagnostics as annotations, at most `ANNOTATION_LIMIT`. Those at a place that GitHub cannot show are left
    out; a line that is unknown is the first.
    """
    shown = [each for each in check.diagnostics if _has_place(each.path)]
    return [_annotation(each) for each in shown[:ANNOTATION_LIMIT]]


def _has_place(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return bool(parts) and path.isprintable() and not path.startswith("/") and ".." not in parts


def _annotation(diagnostic: Diagnostic) -> dict[str, Any]:
    line = max(1, diagnostic.line)
    message = clean(diagnostic.message).encode()[:MESSAGE_BYTES].decode(errors="ignore").strip()
    found: dict[str, Any] = {
        "path": str(PurePosixPath(diagnostic.path)),
        "start_line": line,
        "end_line": line,
        "annotation_level": _LEVELS[diagnostic.severity],
        "message": message or "(no message)",
    }
    if diagnostic.column > 0 and diagnostic.line > 0:
        found |= {"start_column": diagnostic.column, "end_column": diagnostic.column}
    if code := one_line(diagnostic.code, TITLE_LIMIT):
        found["title"] = code
    return found


def _action(button: Button) -> dict[str, str]:
    label, description = _BUTTONS[button]
    return {"label": label, "description": description, "identifier": button.value}
