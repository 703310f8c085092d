"""`POST /api/runs/{id}/token`: a job of GitHub Actions shows who it is, and gets a token for its repository.

The client is `forge/github/exchanged_tokens.py`; the rules for JWTs are in platform facts, Actions OIDC.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

import httpx
import jwt
from flask import Flask, request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.domain.runner_tokens import RunnerIdentity, RunnerToken
from app.errors import ForgeUnreachable, Unreachable
from app.web.api.framework import own_identity
from app.web.errors import BadIdentity
from app.web.signatures import bearer

log = logging.getLogger("mason")

LEEWAY = 60.0
"""Seconds that the issuer's clock and ours may be apart."""

REFETCH = 60.0
"""Seconds between two looks for a key that is not known."""

KEPT = 3600.0
"""Seconds after which keys are fetched anew, so that one that was withdrawn is soon refused."""

_JWKS_TIMEOUT = 5.0
_JWKS_LIMIT = 256 * 1024
_Claim = Annotated[str, Field(min_length=1, max_length=1_000)]


class _Claims(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    repository: _Claim
    repository_id: _Claim
    run_id: _Claim
    run_attempt: _Claim
    workflow_ref: _Claim
    job_workflow_ref: _Claim
    event_name: _Claim
    ref: _Claim


class OidcVerifier:
    """Verifies Actions' JWTs. ``audience`` is the app's public URL; ``fetch_jwks`` gives the issuer's keys and raises
    Unreachable; ``clock`` in seconds only says when to ask for them. Usable from any thread.
    """

    def __init__(
        self,
        *,
        issuer: str,
        audience: str,
        fetch_jwks: Callable[[], bytes],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuer = issuer
        self._audience = audience
        self._fetch = fetch_jwks
        self._clock = clock
        self._fetching = threading.Lock()
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._asked_at: float | None = None
        self._stale = True

    def identity(self, token: str) -> RunnerIdentity:
        """Raises BadIdentity for any trouble with the token, Unreachable while there are no keys to check it with."""
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._key(jwt.get_unverified_header(token)),
                algorithms=["RS256"],
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY,
                options={"require": ["exp", "nbf", "iat", "iss", "aud"], "strict_aud": True},
            )
            return RunnerIdentity(**_Claims.model_validate(claims).model_dump())
        except (jwt.PyJWTError, ValidationError, ValueError, OverflowError, RecursionError):
            raise BadIdentity from None

    def _key(self, header: Mapping[str, Any]) -> jwt.PyJWK:
        """The key that a token names. The issuer is asked for its keys at most once a minute, whatever tokens say."""
        name = header.get("kid")
        if header.get("alg") != "RS256" or not isinstance(name, str):
            raise BadIdentity
        with self._fetching:
            age = None if self._asked_at is None else self._clock() - self._asked_at
            if age is None or age > KEPT or (name not in self._keys and age >= REFETCH):
                self._asked_at = self._clock()
                self._renew()
            if name in self._keys:
                return self._keys[name]
            if self._stale or not self._keys:  # it may be a new one, which could not be asked for
                raise ForgeUnreachable("The keys of GitHub Actions are not known now.")
            raise BadIdentity

    def _renew(self) -> None:
        """Those that we have stay good while there are no others."""
        self._stale = True
        try:
            self._keys = _keys(self._fetch())
            self._stale = False
        except Unreachable as problem:
            log.warning("%s", problem)


def _keys(document: bytes) -> Mapping[str, jwt.PyJWK]:
    """The RSA keys of a JWKS by their ids. Raises ForgeUnreachable when it is none."""
    try:
        keys = jwt.PyJWKSet.from_dict(json.loads(document)).keys
    except (jwt.PyJWTError, ValueError, AttributeError, TypeError, KeyError, RecursionError):
        raise ForgeUnreachable("GitHub Actions gave keys that cannot be read.") from None
    return {key.key_id: key for key in keys if key.key_id and key.key_type == "RSA"}


def jwks_of(issuer: str, http: httpx.Client) -> Callable[[], bytes]:
    """Fetches the keys of an issuer, where Actions has them. Raises ForgeUnreachable."""

    def fetch() -> bytes:
        try:
            answer = http.get(f"{issuer}/.well-known/jwks", timeout=_JWKS_TIMEOUT).raise_for_status()
        except httpx.HTTPError as problem:
            raise ForgeUnreachable(f"The keys of GitHub Actions: {type(problem).__name__}") from None
        if len(answer.content) > _JWKS_LIMIT:
            raise ForgeUnreachable("GitHub Actions gave keys that cannot be read.")
        return answer.content

    return fetch


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenExchange:
    """``give`` makes a token for a run's runner. It raises UnknownRun, RunEnded, NotAllowed, and Unreachable."""

    verifier: OidcVerifier
    give: Callable[[UUID, RunnerIdentity], RunnerToken]


def add_runner_tokens(app: Flask, exchange: TokenExchange) -> None:
    @app.route("/api/runs/<uuid:run_id>/token", methods=["POST"])
    @own_identity
    def token(run_id: UUID) -> dict[str, str]:
        identity = exchange.verifier.identity(bearer(request.headers.get("Authorization")))
        given = exchange.give(run_id, identity)
        page = {"page": given.page} if given.page else {}
        return {"token": given.token, "expires_at": given.expires_at.isoformat(), **page}
