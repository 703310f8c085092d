"""A Supabase project's database reached through the Management API, with an access token instead of a password."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import stamina

from app.backlog.sql_server import SqlRefused
from app.errors import DatabaseRefused, DatabaseUnreachable

API = "https://api.supabase.com"
PATIENCE = 120.0
"""Seconds for which a busy API is asked again: it lets one caller in about once a second."""

_LONGEST_WAIT = 15.0
_SECONDS = httpx.Timeout(120.0, connect=10.0)
_SQL_ERROR = re.compile(r"ERROR:\s+(?:([0-9A-Z]{5}): )?([^\n]*)")

_REFUSED = {
    401: "Supabase does not accept the access token: it is wrong or has expired; make a new one in your account's "
    "settings (Access Tokens).",
    403: "The access token may not change the database of project {ref}: it needs the scope database:write and a "
    "member's right to that project.",
    404: "Supabase knows no project {ref} that this access token may see.",
}


class Busy(DatabaseUnreachable):
    """Supabase's Management API has too many requests at the moment; try again in a minute."""

    seconds: float | None = None
    """After how long to try again, where it was said."""


class ManagementApi:
    """``SqlServer`` on the database of one project. One script is one request, which Postgres runs as one transaction.

    Only "too many requests" is repeated here: after it nothing has happened.
    """

    def __init__(self, ref: str, client: httpx.Client, *, patience: float = PATIENCE) -> None:
        self._ref = ref
        self._client = client
        self._patience = patience

    def run(self, script: str) -> list[dict[str, Any]]:
        deadline = time.monotonic() + self._patience

        def wait(problem: Exception) -> bool | float:
            """Whether to repeat, and after how many seconds where the server said it."""
            if not isinstance(problem, Busy) or problem.seconds is None:
                return isinstance(problem, Busy)
            return problem.seconds if time.monotonic() + problem.seconds < deadline else False

        for attempt in stamina.retry_context(
            on=wait, attempts=None, timeout=self._patience, wait_initial=1.0, wait_max=_LONGEST_WAIT
        ):
            with attempt:
                return self._ask(script)
        raise Busy  # pragma: no cover - the loop returns or raises

    def _ask(self, script: str) -> list[dict[str, Any]]:
        path = f"/v1/projects/{self._ref}/database/query"
        try:
            answer = self._client.post(path, json={"query": script})
        except httpx.TimeoutException:
            raise DatabaseUnreachable("Supabase's Management API took too long to answer; try again.") from None
        except (httpx.TransportError, httpx.DecodingError) as problem:
            reason = str(problem) or type(problem).__name__
            raise DatabaseUnreachable(f"Supabase's Management API did not answer: {reason}") from None
        if answer.status_code in (200, 201):
            return _rows(answer)
        raise _refusal(answer, self._ref)


@contextmanager
def management_api(ref: str, token: str, *, base: str = API, patience: float = PATIENCE) -> Iterator[ManagementApi]:
    """The API with an OAuth or personal access token, which no error and no log ever shows."""
    if not re.fullmatch(r"[!-~]+", token):
        raise DatabaseRefused("The access token is empty or holds a space or a character that no token has.")
    with httpx.Client(base_url=base, headers={"Authorization": f"Bearer {token}"}, timeout=_SECONDS) as client:
        yield ManagementApi(ref, client, patience=patience)


def _rows(answer: httpx.Response) -> list[dict[str, Any]]:
    content = _json(answer)
    if not isinstance(content, list):
        raise DatabaseUnreachable(f"Something else than Supabase answered ({answer.headers.get('content-type')}).")
    return [row for row in content if isinstance(row, dict)]


def _refusal(answer: httpx.Response, ref: str) -> Exception:
    """An answer that is no success, as the error that it stands for. The API's own words count only for SQL errors."""
    status, content = answer.status_code, _json(answer)
    if status in _REFUSED:
        return DatabaseRefused(_REFUSED[status].format(ref=ref))
    if status == 429:
        busy = Busy()
        busy.seconds = _seconds(answer.headers.get("retry-after", ""))
        return busy
    message = content.get("message") if isinstance(content, dict) else None
    if isinstance(message, str) and (error := _SQL_ERROR.search(message)):
        return SqlRefused(error[2].strip(), sqlstate=error[1])
    if status >= 500:
        return DatabaseUnreachable(f"Supabase's Management API failed (status {status}); try again in a few minutes.")
    if isinstance(message, str):
        return DatabaseRefused(f"Supabase refused (status {status}): {message.strip().partition(chr(10))[0][:300]}")
    return DatabaseRefused(f"Supabase refused (status {status}) without saying why.")


def _json(answer: httpx.Response) -> object:
    try:
        return answer.json()
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        return None


def _seconds(header: str) -> float | None:
    return float(header) if re.fullmatch(r"\d{1,9}", header) else None
