"""The identity service of Actions: a JWT that says which job asks."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from typing import Any

import jwt

from tests.fakes.github_api.actors import private_key
from tests.fakes.github_api.routes import Refused

KEY_ID = "fake"


class Oidc:
    """``url``: where a job asks for its identity (ACTIONS_ID_TOKEN_REQUEST_URL), with ``request_token``."""

    PATH = "/_apis/oidc"

    def __init__(self, server_url: str) -> None:
        self.issuer = f"{server_url}{self.PATH}"
        self.request_url = f"{self.issuer}/token?api-version=2.0"
        self.request_token = secrets.token_hex(40)
        self.claims: dict[str, Any] = {
            "repository": "owner/name",
            "repository_id": "1",
            "run_id": "1",
            "run_attempt": "1",
            "workflow_ref": "owner/name/.github/workflows/mason.yml@refs/heads/main",
            "job_workflow_ref": "owner/name/.github/workflows/mason.yml@refs/heads/main",
            "event_name": "workflow_dispatch",
            "ref": "refs/heads/main",
        }

    def identity(self, audience: str, claims: Mapping[str, Any] | None = None) -> str:
        now = int(time.time())
        whole = {**self.claims, **(claims or {}), "iss": self.issuer, "aud": audience, "iat": now, "nbf": now}
        whole |= {"exp": now + 300, "jti": secrets.token_hex(8)}
        return jwt.encode(whole, private_key(), algorithm="RS256", headers={"kid": KEY_ID})

    def verified(self, identity: str, audience: str) -> dict[str, Any]:
        """The claims. Raises jwt.PyJWTError."""
        key = private_key().public_key()
        return jwt.decode(identity, key, algorithms=["RS256"], audience=audience, issuer=self.issuer)

    def answer(self, path: str, query: Mapping[str, str], authorization: str) -> Any:
        """What a GET below `PATH` answers. Raises Refused."""
        match path.removeprefix(self.PATH):
            case "/token":
                if not secrets.compare_digest(authorization.encode(), f"Bearer {self.request_token}".encode()):
                    raise Refused(401, "Bad credentials")
                identity = self.identity(query.get("audience", "https://github.com/owner"))
                return {"count": len(identity), "value": identity}
            case "/.well-known/openid-configuration":
                return {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/.well-known/jwks"}
            case "/.well-known/jwks":
                key = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(private_key().public_key()))
                return {"keys": [{**key, "kid": KEY_ID, "use": "sig", "alg": "RS256"}]}
        raise Refused(404, "Not Found")
