"""The one endpoint of Mason's web app that a runner needs, until tests can start the web app itself."""

from __future__ import annotations

import re

import jwt

from tests.fakes.faults import Answer
from tests.fakes.github import FakeGitHub
from tests.fakes.github_api.bare import now_text
from tests.fakes.github_api.routes import json_answer
from tests.fakes.loopback import Described, Incoming, LoopbackServer, Observer

ROUTE = "/api/runs/{run_id}/token"
_PATH = re.compile(r"/api/runs/([^/]+)/token")


class TokenExchange(LoopbackServer):
    """``POST /api/runs/{run_id}/token`` with a job's OIDC identity gives an installation token of its repository.

    ``runs``: run → the repository it belongs to; while it is empty, every run belongs to whoever asks. ``life`` in
    seconds is how long its tokens are good.
    """

    def __init__(self, github: FakeGitHub, *, observer: Observer | None = None, life: float = 3600.0) -> None:
        super().__init__(observer)
        self.runs: dict[str, str] = {}
        self.life = life
        self._github = github

    def describe(self, incoming: Incoming) -> Described:
        route = ROUTE if _PATH.fullmatch(incoming.path) else ""
        return Described(path=incoming.path, route=route, actor=None, write=incoming.method == "POST")

    def answer(self, incoming: Incoming) -> Answer:
        found = _PATH.fullmatch(incoming.path)
        if not found or incoming.method != "POST":
            return _error(404, "There is nothing at this address.")
        identity = incoming.headers.get("authorization", "").removeprefix("Bearer ")
        try:
            claims = self._github.oidc.verified(identity, self.server_url)
        except jwt.PyJWTError:
            return _error(401, "This is no identity of a GitHub Actions job for this address.")
        repository = str(claims["repository"])
        if self.runs and self.runs.get(found[1], "").lower() != repository.lower():
            return _error(404, f"There is no run {found[1]} of {repository}.")
        if not self._installed(repository):
            return _error(403, f"Mason's App is not installed on {repository}.")
        token = self._github.token("app", repositories=(repository,), life=self.life)
        return json_answer(200, {"token": token, "expires_at": now_text(self._github.hub.clock() + self.life)})

    def _installed(self, repository: str) -> bool:
        return any(repository.lower() in each.repositories for each in self._github.hub.installations.values())


def _error(status: int, sentence: str) -> Answer:
    return json_answer(status, {"error": sentence, "statusCode": status})
