"""Who acts: tokens, the JWT of an App, and what each may do."""

from __future__ import annotations

import base64
import binascii
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key

from tests.fakes.github_api.records import App, User
from tests.fakes.github_api.routes import Refused, Route, not_found

Kind = Literal["app", "actions", "user"]

ACTIONS = App(id=15368, slug="github-actions", name="GitHub Actions")
LONGEST_JWT = 600
LEVELS = {"read": 1, "write": 2, "admin": 3}
ROLES = {"none": 0, "read": 1, "triage": 2, "write": 3, "maintain": 4, "admin": 5}

EVERYTHING = {
    "actions": "write",
    "checks": "write",
    "contents": "write",
    "issues": "write",
    "metadata": "read",
    "pull_requests": "write",
}
"""What a token may do unless a test says otherwise: all but changing workflows, which Actions' own can never do."""


@dataclass(frozen=True, kw_only=True)
class Actor:
    """``permissions``: None for a person's classic token, which has ``scopes``. ``repositories``: None for all that it
    can see. ``jwt``: an App itself, not one of its installations.
    """

    login: str | None
    user: User | None = None
    app: App | None = None
    permissions: Mapping[str, str] | None = None
    scopes: tuple[str, ...] | None = None
    repositories: frozenset[str] | None = None
    expires: float | None = None
    jwt: bool = False
    token: str = field(default="", repr=False)

    @property
    def anonymous(self) -> bool:
        return self.login is None

    def may(self, needs: Iterable[str]) -> bool:
        """Whether any of these permissions is there (``checks=write``)."""
        given = self.permissions or {}
        for need in needs:
            name, _, level = need.partition("=")
            if LEVELS.get(given.get(name, "read" if name == "metadata" else ""), 0) >= LEVELS[level]:
                return True
        return False


NOBODY = Actor(login=None)


@cache
def private_key() -> RSAPrivateKey:
    """One key for all fakes of a process: making one takes a tenth of a second."""
    return generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: RSAPrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    ).decode()


@cache
def public_key(private: str) -> RSAPublicKey:
    """To read a key takes long, too. Raises ValueError."""
    read = serialization.load_pem_private_key(private.encode(), password=None).public_key()
    assert isinstance(read, RSAPublicKey)
    return read


def new_token(kind: Kind, claims: Mapping[str, Any]) -> str:
    """A token as long and as oddly shaped as GitHub's may be."""
    if kind == "user":
        return f"ghp_{secrets.token_hex(18)}"
    return "ghs_" + jwt.encode({**claims, "jti": secrets.token_hex(64)}, secrets.token_hex(32))


class Tokens:
    """The tokens that were given out; an Authorization header decides who acts."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self.apps: dict[int, App] = {}
        self._known: dict[str, Actor] = {}

    def add(self, actor: Actor) -> str:
        self._known[actor.token] = actor
        return actor.token

    def revoke(self, token: str) -> None:
        self._known.pop(token, None)

    def actor(self, header: str | None) -> Actor:
        """Raises Refused (401) for credentials that are not good."""
        if not header:
            return NOBODY
        token = _credentials(header)
        known = self._known.get(token)
        if known is not None and (known.expires is None or self.clock() < known.expires):
            return known
        if known is None and token.count(".") == 2 and not token.startswith("gh"):
            return self._app(token)
        raise Refused(401, "Bad credentials")

    def _app(self, token: str) -> Actor:
        try:
            claims = jwt.decode(token, options={"verify_signature": False})
            app = self.apps[int(claims["iss"])]
            key = public_key(app.private_key)
            claims = jwt.decode(token, key, algorithms=["RS256"], options={"require": ["exp", "iat"]})
        except jwt.ExpiredSignatureError:
            raise Refused(401, "'Expiration time' claim ('exp') must be a numeric value in the future") from None
        except (jwt.PyJWTError, KeyError, ValueError):
            raise Refused(401, "A JSON web token could not be decoded") from None
        if claims["exp"] > self.clock() + LONGEST_JWT or claims["exp"] - claims["iat"] > LONGEST_JWT + 60:
            raise Refused(401, "'Expiration time' claim ('exp') is too far in the future")
        return Actor(login=app.slug, app=app, jwt=True, token=token)


def authorise(route: Route, actor: Actor, *, full_name: str | None, private: bool, role: str) -> None:
    """Raises Refused unless the actor may call the route. ``role`` is what a person is in the repository."""
    if route.anyone:
        return
    if route.jwt != actor.jwt:
        raise Refused(401, "A JSON web token could not be decoded") if route.jwt else _not_accessible(route, actor)
    if actor.jwt:
        return
    if actor.anonymous:
        if private:
            raise not_found()
        if route.write:
            raise Refused(401, "Requires authentication")
        return
    if full_name is None:
        return
    if actor.permissions is not None:
        _authorise_installation(route, actor, full_name, private)
    if actor.app is None:
        _authorise_person(route, actor, private, role)


def _authorise_installation(route: Route, actor: Actor, full_name: str, private: bool) -> None:
    inside = actor.repositories is None or full_name.lower() in actor.repositories
    if not inside and private:
        raise not_found()
    open_to_all = not private and not route.write
    if not open_to_all and not (inside and actor.may(route.needs)):
        raise _not_accessible(route, actor)


def _authorise_person(route: Route, actor: Actor, private: bool, role: str) -> None:
    if actor.scopes is not None and (private or route.write):
        enough = "repo" in actor.scopes or (not private and "public_repo" in actor.scopes)
        if not enough:
            raise Refused(404, "Not Found", headers={"X-Accepted-OAuth-Scopes": "repo"})
    have = ROLES[role] if private else max(ROLES[role], ROLES["read"])
    if have < ROLES[route.role]:
        raise not_found()


def accepted(route: Route) -> str:
    """The value of X-Accepted-GitHub-Permissions."""
    return "; ".join(route.needs)


def _not_accessible(route: Route, actor: Actor) -> Refused:
    who = "integration" if actor.app else "personal access token"
    return Refused(403, f"Resource not accessible by {who}", headers={"X-Accepted-GitHub-Permissions": accepted(route)})


def _credentials(header: str) -> str:
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            raise Refused(401, "Bad credentials") from None
    if scheme.lower() in ("bearer", "token"):
        return value.strip()
    raise Refused(401, "Bad credentials")
