"""Tokens for runners: who a job proves to be, and what it is answered."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from werkzeug.test import TestResponse

from app.domain.runner_tokens import RunnerIdentity, RunnerToken
from app.errors import ForgeUnreachable, MasonError, NotAllowed, RunEnded, UnknownRun
from app.web.errors import BadIdentity
from app.web.runner_tokens import OidcVerifier, TokenExchange, jwks_of
from tests.fakes.github import FakeGitHub
from tests.unit.web.ingress_kit import RUN, Door, error_of

ISSUER = "https://token.actions.example.com"
AUDIENCE = "https://mason.example.com"
WORKFLOW = "octo/app/.github/workflows/mason.yml@refs/heads/main"
CLAIMS = {
    "repository": "octo/app",
    "repository_id": "3",
    "run_id": "42",
    "run_attempt": "1",
    "workflow_ref": WORKFLOW,
    "job_workflow_ref": WORKFLOW,
    "event_name": "workflow_dispatch",
    "ref": "refs/heads/main",
}


@cache
def key(name: str) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def jwks(*names: str) -> bytes:
    found = [json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key(name).public_key())) for name in names]
    return json.dumps({"keys": [{**one, "kid": name} for one, name in zip(found, names, strict=True)]}).encode()


def token(*, kid: object = "first", signer: str = "first", algorithm: str = "RS256", **claims: Any) -> str:
    """A job's JWT; a claim that is None is left out."""
    now = int(time.time())
    whole = {**CLAIMS, "iss": ISSUER, "aud": AUDIENCE, "iat": now, "nbf": now, "exp": now + 300} | claims
    present = {name: value for name, value in whole.items() if value is not None}
    headers = {"kid": kid} if kid is not None else {}
    return jwt.encode(present, key(signer), algorithm=algorithm, headers=headers)


class Issuer:
    """The issuer's keys, and how often they were asked for."""

    def __init__(self, *names: str) -> None:
        self.document = jwks(*names)
        self.away = False
        self.asked = 0
        self.now = 1000.0

    def fetch(self) -> bytes:
        self.asked += 1
        if self.away:
            raise ForgeUnreachable
        return self.document

    @property
    def verifier(self) -> OidcVerifier:
        return OidcVerifier(issuer=ISSUER, audience=AUDIENCE, fetch_jwks=self.fetch, clock=lambda: self.now)


def test_identity__the_claims_of_a_job() -> None:
    assert Issuer("first").verifier.identity(token()) == RunnerIdentity(**CLAIMS)
    assert Issuer("first").verifier.identity(token(extra={"a": [1]})).repository == "octo/app"


@pytest.mark.parametrize("claim", ["exp", "nbf", "iat"])
def test_identity__clocks_may_be_a_minute_apart(claim: str) -> None:
    side = -1 if claim == "exp" else 1
    near, far = ({claim: int(time.time()) + side * seconds} for seconds in (30, 120))
    verifier = Issuer("first").verifier
    assert verifier.identity(token(**near))
    with pytest.raises(BadIdentity):
        verifier.identity(token(**far))


def unsigned() -> str:
    return jwt.encode({**CLAIMS, "iss": ISSUER, "aud": AUDIENCE}, "", algorithm="none", headers={"kid": "first"})


def signed_with_the_public_key() -> str:
    """The old trick: the public key as the secret of an HMAC."""
    secret = base64.b64encode(jwks("first")).decode()
    return jwt.encode({**CLAIMS, "iss": ISSUER, "aud": AUDIENCE}, secret, algorithm="HS256", headers={"kid": "first"})


BAD: dict[str, Callable[[], str]] = {
    "nothing": str,
    "no JWT": lambda: "abc",
    "not ASCII": lambda: "\xe4.\xf6.\xfc",
    "deep header": lambda: base64.urlsafe_b64encode(b"[" * 100_000).decode() + ".e30.e30",
    "no JSON": lambda: base64.urlsafe_b64encode(b"\xff").decode() + ".e30.e30",
    "truncated": lambda: token()[:-5],
    "another key": lambda: token(signer="second"),
    "unsigned": unsigned,
    "HS256": signed_with_the_public_key,
    "RS512": lambda: token(algorithm="RS512"),
    "PS256": lambda: token(algorithm="PS256"),
    "no key id": lambda: token(kid=None),
    "unknown key id": lambda: token(kid="third"),
    "another issuer": lambda: token(iss="https://evil.example.com"),
    "another audience": lambda: token(aud="https://other.example.com"),
    "two audiences": lambda: token(aud=[AUDIENCE, "https://other.example.com"]),
    **{f"no {name}": lambda name=name: token(**{name: None}) for name in (*CLAIMS, "iss", "aud", "exp", "nbf", "iat")},
    "a number": lambda: token(run_id=42),
    "an empty claim": lambda: token(repository=""),
    "a long claim": lambda: token(ref="a" * 1001),
    "no time": lambda: token(exp="soon"),
    "far away": lambda: token(exp=float("inf")),
}


@pytest.mark.parametrize("case", sorted(BAD))
def test_identity__anything_else_is_none(case: str) -> None:
    with pytest.raises(BadIdentity):
        Issuer("first").verifier.identity(BAD[case]())


def test_keys__are_fetched_once_and_anew_after_an_hour() -> None:
    issuer = Issuer("first")
    verifier = issuer.verifier
    for _ in range(3):
        verifier.identity(token())
    assert issuer.asked == 1
    issuer.document, issuer.now = jwks("second"), issuer.now + 3601
    with pytest.raises(BadIdentity):
        verifier.identity(token())
    assert verifier.identity(token(kid="second", signer="second"))
    assert issuer.asked == 2


def test_keys__a_new_one_is_looked_for_at_most_once_a_minute() -> None:
    issuer = Issuer("first")
    verifier = issuer.verifier
    verifier.identity(token())
    issuer.document = jwks("first", "second")
    for _ in range(5):
        with pytest.raises(BadIdentity):
            verifier.identity(token(kid="second", signer="second"))
    assert issuer.asked == 1
    issuer.now += 61
    assert verifier.identity(token(kid="second", signer="second"))
    assert issuer.asked == 2


def test_keys__the_issuer_away_is_no_refusal() -> None:
    issuer = Issuer("first")
    verifier = issuer.verifier
    issuer.away = True
    for _ in range(3):
        with pytest.raises(ForgeUnreachable):
            verifier.identity(token())
    assert issuer.asked == 1
    issuer.away, issuer.now = False, issuer.now + 61
    assert verifier.identity(token())


def test_keys__the_ones_we_have_stay_good_while_the_issuer_is_away() -> None:
    issuer = Issuer("first")
    verifier = issuer.verifier
    verifier.identity(token())
    issuer.away, issuer.now = True, issuer.now + 3601
    assert verifier.identity(token())


def test_keys__an_unknown_one_while_the_issuer_is_away_is_no_refusal() -> None:
    """It may be the issuer's newest: the job is to ask again."""
    issuer = Issuer("first")
    verifier = issuer.verifier
    verifier.identity(token())
    issuer.document = jwks("first", "second")
    issuer.away, issuer.now = True, issuer.now + 61
    for _ in range(3):
        with pytest.raises(ForgeUnreachable):
            verifier.identity(token(kid="second", signer="second"))
        assert verifier.identity(token())
    assert issuer.asked == 2
    issuer.away, issuer.now = False, issuer.now + 61
    assert verifier.identity(token(kid="second", signer="second"))
    with pytest.raises(BadIdentity):
        verifier.identity(token(kid="third", signer="third"))


@pytest.mark.parametrize(
    "document", [b"", b"[]", b"null", b'{"keys": 5}', b'{"keys": [5]}', b'{"keys": []}', b"[" * 99_999]
)
def test_keys__that_cannot_be_read_are_no_refusal(document: bytes) -> None:
    issuer = Issuer("first")
    issuer.document = document
    with pytest.raises(ForgeUnreachable):
        issuer.verifier.identity(token())


class Given:
    """What the exchange gives, or raises."""

    def __init__(self) -> None:
        self.asked: list[tuple[UUID, RunnerIdentity]] = []
        self.problem: MasonError | None = None
        self.page = ""

    def give(self, run_id: UUID, identity: RunnerIdentity) -> RunnerToken:
        self.asked.append((run_id, identity))
        if self.problem:
            raise self.problem
        return RunnerToken(token="ghs_abc", expires_at=datetime(2026, 1, 2, 4, tzinfo=UTC), page=self.page)


@pytest.fixture
def given() -> Given:
    return Given()


@pytest.fixture
def door(given: Given) -> Door:
    return Door(more={"exchange": TokenExchange(verifier=Issuer("first").verifier, give=given.give)})


def ask(door: Door, identity: str, run: str = RUN) -> TestResponse:
    return door.client.post(f"/api/runs/{run}/token", headers={"Authorization": f"Bearer {identity}"})


def test_exchange__a_job_gets_its_token(door: Door, given: Given) -> None:
    answer = ask(door, token())
    assert answer.status_code == 200
    assert answer.get_json() == {"token": "ghs_abc", "expires_at": "2026-01-02T04:00:00+00:00"}
    assert answer.headers["Cache-Control"] == "no-store"
    assert given.asked == [(UUID(RUN), RunnerIdentity(**CLAIMS))]


def test_exchange__says_where_the_run_is_shown(door: Door, given: Given) -> None:
    given.page = "https://mason.example/runs/1?key=1.x"
    assert ask(door, token()).get_json()["page"] == given.page


@pytest.mark.parametrize(
    ("problem", "status"),
    [(UnknownRun(), 404), (RunEnded(), 409), (NotAllowed(), 403), (ForgeUnreachable(), 503), (MasonError(), 500)],
)
def test_exchange__refuses_in_one_form(door: Door, given: Given, problem: MasonError, status: int) -> None:
    given.problem = problem
    assert error_of(ask(door, token()))[0] == status


@pytest.mark.parametrize("identity", ["", "abc", "\xe4"])
def test_exchange__without_an_identity_nobody_is_asked(door: Door, given: Given, identity: str) -> None:
    assert error_of(ask(door, identity))[0] == 401
    assert error_of(door.client.post(f"/api/runs/{RUN}/token"))[0] == 401
    assert given.asked == []


@pytest.mark.parametrize("run", ["1", "../x", RUN[:-1], RUN + "0"])
def test_exchange__of_no_run(door: Door, run: str) -> None:
    assert error_of(ask(door, token(), run))[0] == 404


def test_exchange__not_configured_has_no_endpoint() -> None:
    assert error_of(ask(Door(), token()))[0] == 404


@pytest.fixture
def github(tmp_path: Path) -> Iterator[FakeGitHub]:
    with FakeGitHub(tmp_path) as fake:
        yield fake


def test_jwks_of__fetches_what_the_issuer_publishes(github: FakeGitHub) -> None:
    with httpx.Client() as http:
        verifier = OidcVerifier(
            issuer=github.oidc.issuer, audience=AUDIENCE, fetch_jwks=jwks_of(github.oidc.issuer, http)
        )
        found = verifier.identity(github.oidc.identity(AUDIENCE, {"run_id": "77"}))
    assert (found.run_id, found.event_name) == ("77", "workflow_dispatch")


def test_jwks_of__nobody_there(github: FakeGitHub) -> None:
    with httpx.Client() as http, pytest.raises(ForgeUnreachable):
        jwks_of(f"{github.oidc.issuer}/nowhere", http)()


def test_token__is_not_in_a_repr() -> None:
    shown = repr(RunnerToken(token="ghs_abc", expires_at=datetime.now(UTC) + timedelta(hours=1)))
    assert "ghs_abc" not in shown
