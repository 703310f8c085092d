"""The one door to GitHub's API: PyGithub's transport, our patience, limits and errors; answers leave it typed."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, TypeAdapter, ValidationError

from app.errors import ForgeRefused, ForgeUnreachable, UsageError
from app.forge.github.limits import Later, Limits, Pace, asked_to_wait
from app.forge.github.refusals import refusal, words
from app.forge.github.tokens import Tokens

if TYPE_CHECKING:
    from github.Requester import Requester

T = TypeVar("T")
Model = TypeVar("Model", bound=BaseModel)

PAGE = 100
MOST_PAGES = 10


class Client:
    """Calls GitHub one request at a time, from any thread.

    PyGithub's connection keeps the request it is about to send in itself, so that two threads would mix theirs; and
    GitHub asks its clients not to send requests side by side. Waiting happens outside of the lock.
    ``limits`` are shared where GitHub counts several clients as one. ``timeout`` is in seconds, for connecting and for
    every read. ``calls`` counts requests by HTTP verb.
    """

    def __init__(
        self,
        api_url: str,
        tokens: Tokens,
        *,
        pace: Pace,
        writes_per_minute: int = 60,
        spread: bool = False,
        limits: Limits | None = None,
        timeout: int = 30,
    ) -> None:
        self._api_url = secure_url(api_url, "GitHub's API")
        self._tokens = tokens
        self._timeout = timeout
        self._pace = pace
        self._limits = limits or Limits(writes_per_minute, pace.clock, spread=spread)
        self._lock = threading.Lock()
        self.calls: Counter[str] = Counter()

    @cached_property
    def _requester(self) -> Requester:
        from app.forge.github.transport import make_requester

        return make_requester(self._api_url, self._tokens, self._timeout)

    @property
    def roomy(self) -> bool:
        """Whether writes that can be spared may be made now."""
        return self._limits.roomy

    def call(
        self,
        verb: str,
        path: str,
        shape: type[T] | TypeAdapter[T],
        *,
        doing: str,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        needs: str = "metadata: read",
        found: Callable[[], T | None] | None = None,
        once: bool = False,
    ) -> T:
        """Make a call and return its answer in ``shape``, repeating what may be repeated.

        A call that must not be made twice has ``found``: once an answer was lost, it is asked first whether the effect
        is there. Where that cannot be known so soon it is sent ``once``. ``doing`` completes "GitHub refused to …",
        ``needs`` is the permission that the call takes.
        A token that is not taken is replaced once, where it can be.
        Raises Unreachable, MissingPermission and ForgeRefused, and what the tokens raise.
        """
        adapter = shape if isinstance(shape, TypeAdapter) else TypeAdapter(shape)
        lost = False

        def attempt() -> T:
            nonlocal lost
            if lost and found is not None and (there := found()) is not None:
                return there
            self._wait_for_turn(verb)
            try:
                return self._once(verb, path, adapter, doing=doing, body=body, params=params, needs=needs)
            except Later as later:
                lost = True  # also after a limit: who says so may be a proxy, after the effect
                if once:
                    asked = later.seconds or (60.0 if later.limited else None)
                    raise ForgeUnreachable(f"GitHub: {later}", retry_after=asked) from later
                raise

        return self._pace.insist(attempt)

    def pages(
        self, path: str, shape: type[Model], items: Callable[[Model], list[T]], *, doing: str, params: Mapping[str, Any]
    ) -> list[T]:
        """The items of every page, at most `MOST_PAGES`."""
        everything: list[T] = []
        for page in range(1, MOST_PAGES + 1):
            asked = {**params, "per_page": PAGE, "page": page}
            found = items(self.call("GET", path, shape, doing=doing, params=asked))
            everything += found
            if len(found) < PAGE:
                break
        return everything

    def _wait_for_turn(self, verb: str) -> None:
        if (seconds := self._limits.paused_for()) > 0:
            raise Later("a rate limit was reached", seconds=seconds, limited=True)
        if verb != "GET":
            wait = self._limits.reserve_write(self._pace.patience)
            self._pace.pause(wait, "Mason's own limit of writes a minute is reached")

    def _once(
        self,
        verb: str,
        path: str,
        adapter: TypeAdapter[T],
        *,
        doing: str,
        body: Mapping[str, Any] | None,
        params: Mapping[str, Any] | None,
        needs: str,
    ) -> T:
        def send() -> tuple[int, Mapping[str, str], str]:
            return self._send(verb, path, doing=doing, body=body, params=params)

        token = self._tokens.token()  # a renewal takes its time, which nobody else should wait for
        status, headers, answer = send()
        if status == 401 and self._tokens.forget(token):  # nothing came of it, so it can be sent again, whatever it is
            self._tokens.token()
            status, headers, answer = send()
        if status >= 300:
            self._refuse(status, headers, answer, doing=doing, needs=needs)
        try:
            return adapter.validate_json(answer or "null")
        except ValidationError as problem:
            if problem.errors()[0]["type"] == "json_invalid":
                raise Later(f"half an answer when Mason tried to {doing}") from None
            where = ".".join(str(part) for part in problem.errors()[0]["loc"]) or "it"
            raise ForgeRefused(
                f"GitHub gave an answer of another shape when Mason tried to {doing} ({where})"
            ) from None

    def _send(
        self, verb: str, path: str, *, doing: str, body: Mapping[str, Any] | None, params: Mapping[str, Any] | None
    ) -> tuple[int, Mapping[str, str], str]:
        """One request: the status, headers and body of its answer. Raises Later and ForgeRefused."""
        try:
            with self._lock:
                self.calls[verb] += 1
                status, headers, answer = self._requester.requestJson(
                    verb, path, parameters=dict(params or {}), input=None if body is None else dict(body)
                )
        except OSError as problem:  # requests' exceptions are such
            raise Later(f"no answer when Mason tried to {doing} ({type(problem).__name__})") from problem
        except RuntimeError as problem:  # PyGithub's word for a redirection to another server
            raise ForgeRefused(f"GitHub sent Mason to another server to {doing}: check the API's address") from problem
        except (ValueError, OverflowError):  # a header that it reads as a number
            raise ForgeRefused(
                f"GitHub gave an answer of another shape when Mason tried to {doing} (headers)"
            ) from None
        self._limits.hear(headers)
        return status, headers, answer

    def _refuse(self, status: int, headers: Mapping[str, str], answer: str, *, doing: str, needs: str) -> None:
        """Raise what the answer means: Later, or an error."""
        said = words(answer)
        if status >= 500 or status == 408:
            raise Later(f"an error of GitHub's own ({status}) when Mason tried to {doing}")
        if later := asked_to_wait(status, headers, said, self._pace.clock()):
            if later.seconds is not None:
                self._limits.ask_for_pause(later.seconds)
            raise later
        raise refusal(status, headers, said, doing=doing, needs=needs)


def secure_url(url: str, what: str) -> str:
    """The address without a slash at its end. Raises UsageError unless it is https, or on this machine."""
    parts = urlsplit(url)
    local = parts.hostname in ("127.0.0.1", "::1", "localhost")
    if parts.scheme != "https" and not (parts.scheme == "http" and local):
        raise UsageError(f"the address of {what} must start with https://")
    if not parts.hostname or parts.username or parts.password or parts.query or parts.fragment:
        raise UsageError(f"the address of {what} must be a plain URL, without user, query or fragment")
    return url.rstrip("/")
