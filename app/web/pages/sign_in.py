"""Signing in with an API key: a form, and a cookie that names the key without holding it."""

from __future__ import annotations

import base64
import hmac
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qs

from flask import Flask, Request, Response, request

from app.domain.api_keys import ApiKey
from app.errors import NotAllowed
from app.ports.api_keys import ApiKeys
from app.web.bodies import FORM, Deadlines, content_type, read_body
from app.web.errors import Malformed
from app.web.pages.rendering import page, render

COOKIE = "mason_session"
WEEK = 7 * 86_400
"""Seconds for which one stays signed in."""

REMEMBERED = 5.0
"""Seconds after which a key that was revoked opens nothing any more."""

FORM_LIMIT = 4_096
"""Bytes of a form."""

_VALUE = re.compile(r"([0-9A-Za-z_-]{1,40})\.([0-9]{1,11})\.([A-Za-z0-9_-]{43})")
_LOCAL = re.compile(r"/(?!/)[A-Za-z0-9._~/-]{0,200}(?:\?[A-Za-z0-9._~=&-]{0,200})?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Sessions:
    """``signing``: the first signs, all verify. ``secure``: the app is reached by https. ``clock`` gives seconds since
    the epoch.
    """

    keys: ApiKeys
    signing: Sequence[bytes] = field(repr=False)
    secure: bool = False
    clock: Callable[[], float] = time.time
    _known: _Good = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_known", _Good(self.keys, self.clock))

    def begin(self, answer: Response, key: ApiKey) -> Response:
        """Sign in. The key's text is not in the cookie: only its prefix, by which it can be revoked."""
        expiry = str(int(self.clock()) + WEEK)
        value = f"{key.prefix}.{expiry}.{_mac(self.signing[0], key.prefix, expiry)}"
        answer.set_cookie(COOKIE, value, max_age=WEEK, httponly=True, samesite="Strict", secure=self._secure())
        return answer

    def end(self, answer: Response) -> Response:
        answer.delete_cookie(COOKIE, httponly=True, samesite="Strict", secure=self._secure())
        return answer

    def key(self, asking: Request) -> ApiKey | None:
        """Whom a request's cookie says that it comes from: the seam of `guard_api`. Raises DatabaseUnreachable."""
        found = _VALUE.fullmatch(asking.cookies.get(COOKIE, ""))
        if found is None:
            return None
        prefix, expiry, given = found.groups()
        signed = False
        for secret in self.signing:
            signed |= hmac.compare_digest(_mac(secret, prefix, expiry).encode(), given.encode())
        if not signed or self.clock() >= int(expiry):
            return None
        return self._known.key(prefix)

    def _secure(self) -> bool:
        return self.secure or request.is_secure


def _mac(secret: bytes, prefix: str, expiry: str) -> str:
    """What is signed begins with its purpose: no link can be taken for a session."""
    digest = hmac.digest(secret, f"session\n{expiry}\n{prefix}".encode(), "sha256")
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


class _Good:
    """The keys that are not revoked, asked for at most every few seconds."""

    def __init__(self, keys: ApiKeys, clock: Callable[[], float]) -> None:
        self._keys = keys
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[str, ApiKey] = {}
        self._at = float("-inf")

    def key(self, prefix: str) -> ApiKey | None:
        with self._lock:
            if not 0 <= self._clock() - self._at < REMEMBERED:
                self._seen = {key.prefix: key for key in self._keys.all() if key.revoked_at is None}
                self._at = self._clock()
            return self._seen.get(prefix)


class Attempts:
    """How often an address has tried in vain within a minute; a good key opens all the same, for many people may have
    one address. Keys cannot be guessed; this tells a person, or a program, to stop.
    """

    MOST, PERIOD, ADDRESSES = 10, 60.0, 1_000

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failed: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def allowed(self, address: str) -> bool:
        with self._lock:
            since, count = self._failed.get(address, (0.0, 0))
            return count < self.MOST or self._clock() - since >= self.PERIOD

    def failed(self, address: str) -> None:
        with self._lock:
            since, count = self._failed.pop(address, (self._clock(), 0))
            if self._clock() - since >= self.PERIOD:
                since, count = self._clock(), 0
            self._failed[address] = (since, count + 1)
            while len(self._failed) > self.ADDRESSES:
                self._failed.popitem(last=False)


def add_sign_in(app: Flask, sessions: Sessions, deadlines: Deadlines) -> None:
    """`/sign-in` and `/sign-out`."""
    attempts = Attempts(sessions.clock)

    @app.route("/sign-in")
    def sign_in_form() -> Response:
        return _form(local(request.args.get("next", "")))

    @app.route("/sign-in", methods=["POST"])
    def sign_in() -> Response:
        """Idempotent but for the cookie's time."""
        require_same_origin(request)
        content_type(request.environ, FORM)
        said = _fields(read_body(request.environ, FORM_LIMIT, deadlines))
        onward, address = local(said.get("next", [""])[0]), request.remote_addr or ""
        key = sessions.keys.verified(said.get("key", [""])[0].strip())
        if key is None:
            if not attempts.allowed(address):
                return _form(onward, "Too many attempts. Try again in a minute.", HTTPStatus.TOO_MANY_REQUESTS)
            attempts.failed(address)
            return _form(onward, "This key is not known, or it was revoked.", HTTPStatus.FORBIDDEN)
        return sessions.begin(_to(onward), key)

    @app.route("/sign-out", methods=["POST"])
    def sign_out() -> Response:
        require_same_origin(request)
        return sessions.end(_to("/sign-in"))


def _fields(body: bytes) -> dict[str, list[str]]:
    """Raises Malformed."""
    try:
        return parse_qs(body.decode("utf-8", "replace"), max_num_fields=10)
    except ValueError:
        raise Malformed("This is no form of ours.") from None


def _form(onward: str, problem: str = "", status: int = HTTPStatus.OK) -> Response:
    """Its answer must come with an origin, which no referrer policy may take away."""
    headers = {"Referrer-Policy": "same-origin", "Cache-Control": "no-store"}
    headers |= {"Retry-After": "60"} if status == HTTPStatus.TOO_MANY_REQUESTS else {}
    return page(render("sign_in.html", next=onward, problem=problem), status, headers)


def _to(path: str) -> Response:
    return Response(status=HTTPStatus.SEE_OTHER, headers={"Location": path})


def local(path: str) -> str:
    """The path, if it is one of ours; else that of the runs."""
    return path if _LOCAL.fullmatch(path) else "/runs"


def require_same_origin(asking: Request) -> None:
    """Raises NotAllowed for a form that another site sent. Browsers say so; who says nothing is no browser."""
    site = asking.headers.get("Sec-Fetch-Site")
    origin = asking.headers.get("Origin")
    own = origin is None or origin.partition("://")[2] == asking.host
    if not own if site is None else site != "same-origin":
        raise NotAllowed("This form was sent by another site.")
