"""What Mason uses of PyGithub: its transport, and its App authentication.

Imported where it is first needed: PyGithub takes a third of a second, and a job is to reach its database before that.
"""

from __future__ import annotations

import logging
from functools import lru_cache

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from github import Auth, Github
from github.Requester import Requester

from app.errors import UsageError
from app.forge.github.tokens import Tokens

API_VERSION = "2022-11-28"


class TokenAuth(Auth.Auth):
    """PyGithub's view of a source of tokens: asked again for every request, so that a new token is used at once."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    @property
    def token_type(self) -> str:
        return "Bearer"

    @property
    def token(self) -> str:
        return self._tokens.token()


def make_requester(api_url: str, tokens: Tokens, timeout: int) -> Requester:
    """PyGithub's transport without its own retries and pauses: `Client` has them for all threads together."""
    logging.getLogger("github").setLevel(logging.INFO)  # below that it writes answers out, tokens among them
    return Github(
        base_url=api_url,
        auth=TokenAuth(tokens),
        timeout=timeout,
        user_agent="mason",
        retry=None,
        seconds_between_requests=0,
        seconds_between_writes=0,
        api_version=API_VERSION,
    ).requester


class AppJwts:
    """The JWTs of a GitHub App (its id and its PEM key): a source of tokens that are good for five minutes.

    Raises UsageError for an id or a key that cannot be one.
    """

    def __init__(self, app_id: str, private_key: str) -> None:
        if not app_id.strip():
            raise UsageError("the GitHub App's id is empty")
        try:
            key = _read_key(private_key)
        except (ValueError, TypeError):
            raise UsageError(
                "the GitHub App's private key is not a PEM key (MASON_GITHUB_APP_KEY takes its text, not a file's path)"
            ) from None
        self._auth = Auth.AppAuth(app_id.strip(), sign_func=lambda claims: jwt.encode(claims, key, algorithm="RS256"))

    def token(self) -> str:
        return self._auth.token

    def forget(self, _: str, /) -> bool:
        """One that is refused was made with a wrong key or clock, as the next would be."""
        return False


@lru_cache(maxsize=4)
def _read_key(pem: str) -> RSAPrivateKey:
    """Read once for all repositories, for it takes thirty milliseconds. Raises ValueError and TypeError."""
    key = load_pem_private_key(pem.encode(), password=None)
    if not isinstance(key, RSAPrivateKey):
        raise TypeError
    return key
