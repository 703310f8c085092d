"""The backlog of a Supabase project by URL and key, through PostgREST: one request a call."""

from __future__ import annotations

import json
import math
import socket
import ssl
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast

import httpx
from postgrest import DEFAULT_POSTGREST_CLIENT_HEADERS, SyncPostgrestClient

from app.backlog.documents import jsonable
from app.backlog.refusals import Refusal, explain, one_line
from app.backlog.session import PATIENCE, Patience, Row, patiently
from app.backlog.store import Safe, SqlBacklog, unchanged
from app.domain.supabase_keys import project_ref, read_key
from app.errors import DatabaseRefused, DatabaseUnreachable, MasonError

CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0

_CONNECTIONS = 16
_PAUSED = 540

_HOPELESS = ("42", "54")
"""SQLSTATE classes that come with a 5xx and will come again: broken policies, limits of the server."""

_UNKNOWN_FUNCTION = "PGRST202"
_SETTLING, _SETTLING_STEP = 3.0, 0.2
"""Seconds in which PostgREST learns of functions that a migration has just made."""

_KEY_CODES = ("PGRST301", "PGRST302", "PGRST303")


class Answer(Exception):
    """A response that is not what a function returns. ``pause``: the seconds that it asks to wait for."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(response.status_code)
        self.status = response.status_code
        self.pause = _pause_asked(response.headers.get("retry-after", ""))
        self.is_page = response.text.lstrip().startswith("<")
        said = _json_object(response.text)
        self.code = str(said.get("code") or "")
        self.message = str(said.get("message") or said.get("msg") or said.get("error") or "")
        self.detail = str(said.get("details") or "")

    @property
    def may_pass(self) -> bool:
        """Whether waiting may help: busy or broken servers, and a success whose body was cut."""
        if self.status in (200, 408, 429):
            return not self.is_page or self.status != 200
        return self.status >= 500 and self.status != _PAUSED and not self.code.startswith(_HOPELESS)


def supabase_backlog(url: str, key: str, *, patience: float = PATIENCE, safe: Safe = unchanged) -> SqlBacklog:
    """The backlog of a project (``url`` as settings' ``checked_url`` leaves it); it connects at the first call."""
    return SqlBacklog(PostgrestSession(url, key, patience=patience), safe)


class PostgrestSession:
    """``app.backlog.session.Session`` with Supabase's own PostgREST client, over connections that are kept open.

    ``connect`` and ``read`` are seconds. An old key is a JWT and names its role; a new one (``sb_…``) is none and is
    not sent as one. Redirects are not followed: they would take the key elsewhere.
    """

    def __init__(
        self, url: str, key: str, *, patience: float, connect: float = CONNECT_SECONDS, read: float = READ_SECONDS
    ) -> None:
        if not key.isascii() or not key.isprintable() or " " in key:
            raise DatabaseRefused("The Supabase key holds characters that no key has: copy it again, as a whole.")
        self._url = url
        self._key = key
        self._patience = Patience(patience)
        self._answered = False
        self._http = httpx.Client(
            timeout=httpx.Timeout(read, connect=connect),
            limits=httpx.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS),
            follow_redirects=False,
            event_hooks={"response": [_only_success]},
        )
        headers = {**DEFAULT_POSTGREST_CLIENT_HEADERS, "apikey": key}
        headers |= {} if key.startswith("sb_") else {"Authorization": f"Bearer {key}"}
        self._client = SyncPostgrestClient(f"{url}/rest/v1", headers=headers, http_client=self._http)

    def rows(self, name: str, args: Mapping[str, object]) -> list[Row]:
        if self._http.is_closed:
            raise DatabaseUnreachable("The connections to the database were given back.")
        begun = time.monotonic()
        try:
            return patiently(
                lambda again: self._call(name, {**args, "again": again}),
                passing=lambda problem: self._wait(problem, time.monotonic() - begun),
                patience=self._patience,
            )
        except Answer as answer:
            raise self._explained(answer, args) from None
        except (httpx.HTTPError, httpx.InvalidURL) as problem:
            raise DatabaseUnreachable(self._unreachable(problem)) from None

    def close(self) -> None:
        self._http.close()

    def _call(self, name: str, args: Mapping[str, object]) -> list[Row]:
        try:
            answer = self._client.rpc(f"mason_{name}", {"args": jsonable(args)}).execute()
        except Answer:
            self._answered = True
            raise
        self._answered = True
        return cast(list[Row], answer.data or [])

    def _wait(self, problem: Exception, spent: float) -> bool | float:
        """Whether to try again, or after how many seconds; ``spent`` are those since the first time."""
        if isinstance(problem, Answer):
            if problem.code == _UNKNOWN_FUNCTION:
                return _SETTLING_STEP if spent < min(_SETTLING, self._patience.seconds) else False
            if not problem.may_pass or problem.pause is None:
                return problem.may_pass
            return problem.pause if spent + problem.pause < self._patience.seconds else False
        if isinstance(problem, httpx.UnsupportedProtocol | httpx.LocalProtocolError):
            return False
        causes = _causes(problem)
        if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
            return False
        unknown = any(isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_NONAME for cause in causes)
        return isinstance(problem, httpx.RequestError) and (self._answered or not unknown)

    def _explained(self, answer: Answer, args: Mapping[str, object]) -> MasonError:
        said = one_line(answer.message.replace(self._key, "***"))
        if answer.may_pass:
            return DatabaseUnreachable(f"The database did not answer: {said or f'status {answer.status}'}.")
        if answer.status == _PAUSED:
            return DatabaseRefused(f"The Supabase project {self._url} is paused: restore it in its dashboard.")
        if answer.code in _KEY_CODES or (answer.status == 401 and not answer.code):
            return DatabaseRefused(self._about_the_key(said))
        if answer.is_page or answer.status < 400 or not (answer.code or said):
            return DatabaseRefused(
                f"{self._url} does not answer like a Supabase project ({_kind(answer)}): "
                "check the URL, and what stands between it and Mason."
            )
        return explain(Refusal(code=answer.code, message=said, detail=answer.detail), args, self.rows)

    def _about_the_key(self, said: str) -> str:
        key, project = read_key(self._key), project_ref(self._url)
        if "expired" in said or (key.expires and key.expires < time.time()):
            return "The Supabase key has expired: copy a new one from the project's API settings."
        if key.ref and project and key.ref != project:
            return f"The Supabase key belongs to project {key.ref}, the URL to {project}: take both from one project."
        return (
            f"{self._url} does not accept the Supabase key: it belongs to another project, was revoked, or is not "
            "whole. Copy it again from the project's API settings."
        )

    def _unreachable(self, problem: Exception) -> str:
        causes = _causes(problem)
        if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
            return f"The certificate of {self._url} cannot be verified: check the URL and this machine's certificates."
        if any(isinstance(cause, socket.gaierror) for cause in causes):
            return f"No server has the name in {self._url}: check the URL, and whether the project still exists."
        if isinstance(problem, httpx.TimeoutException):
            return f"The database did not answer: {self._url} was silent for too long."
        said = one_line(str(problem)).replace(self._key, "***") or type(problem).__name__
        return f"The database did not answer: {said.rstrip('.')} ({self._url})."


def _only_success(response: httpx.Response) -> None:
    """Let nothing pass but what a function returns: no content, or a whole JSON document."""
    response.read()
    if response.status_code == 204:
        return
    if response.status_code not in (200, 201):
        raise Answer(response)
    try:
        json.loads(response.content)
    except ValueError:
        raise Answer(response) from None


def _json_object(text: str) -> dict[str, Any]:
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _pause_asked(header: str) -> float | None:
    """The seconds of a Retry-After header, a number or a date; None without a usable one."""
    try:
        seconds = float(header)
    except ValueError:
        try:
            at = parsedate_to_datetime(header)
        except ValueError:
            return None
        seconds = (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def _causes(problem: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    current: BaseException | None = problem
    while current and current not in found:
        found.append(current)
        current = current.__cause__ or current.__context__
    return found


def _kind(answer: Answer) -> str:
    return f"status {answer.status}" + (" with a web page" if answer.is_page else "")
