"""What GitHub's refusals mean, in sentences (pure)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from app.errors import ForgeRefused, MasonError, MissingPermission
from app.forge.github.text import one_line

_WORDS_LIMIT = 300


class Refusal(ForgeRefused):
    """GitHub answered with an error. ``status`` is HTTP's, ``said`` GitHub's own words."""

    def __init__(self, sentence: str, *, status: int, said: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.said = said


def refusal(status: int, headers: Mapping[str, str], said: str, *, doing: str, needs: str) -> MasonError:
    """The error for an answer of 300 and more. ``doing`` completes "GitHub refused to …"; ``needs`` is a permission."""
    if status == 401:
        return MissingPermission(
            f"GitHub refused the token (to {doing}): it is expired, revoked, or not one of this server"
        )
    if status == 403 and re.search(r"(?i)resource not accessible|must have admin rights|SAML|not granted|scope", said):
        named = _accepted(headers) or needs
        return MissingPermission(
            f"the GitHub token may not {doing}: it lacks the permission {named}; grant it in the workflow's "
            "`permissions:`, or in the settings of the App or token"
        )
    if status == 403 and "not permitted to create or approve pull requests" in said:
        return MissingPermission(
            f'GitHub Actions may not {doing}: switch on "Allow GitHub Actions to create and approve pull requests" in '
            "the repository's settings (Actions, General), or use the token of an App"
        )
    if status == 403 and "archived" in said.lower():
        return Refusal(f"GitHub refused to {doing}: the repository is archived", status=status, said=said)
    if 300 <= status < 400:
        return Refusal(f"GitHub sent Mason elsewhere to {doing}: was the repository renamed?", status=status, said=said)
    return Refusal(f"GitHub refused to {doing}: {said or 'without a reason'} ({status})", status=status, said=said)


def words(body: str) -> str:
    """GitHub's own message and the errors below it, printable, on one line, short; empty when there is none."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(answer, dict):
        return ""
    parts = [answer.get("message"), *_errors(answer.get("errors"))]
    return one_line("; ".join(part for part in parts if isinstance(part, str) and part), _WORDS_LIMIT)


def _errors(errors: object) -> list[object]:
    found = errors if isinstance(errors, list) else [errors]
    return [_error(error) if isinstance(error, dict) else error for error in found[:5]]


def _error(error: Mapping[str, object]) -> object:
    if error.get("message"):
        return error["message"]
    return " ".join(str(error[key]) for key in ("resource", "field", "code") if isinstance(error.get(key), str))


def _accepted(headers: Mapping[str, str]) -> str:
    """``X-Accepted-GitHub-Permissions`` in the spelling of a workflow: ``checks: write``."""
    accepted = headers.get("x-accepted-github-permissions", "")
    pairs = re.findall(r"\b([a-z_]{1,40})=([a-z]{1,10})\b", accepted)
    return " or ".join(f"{name.replace('_', '-')}: {level}" for name, level in pairs[:4])
