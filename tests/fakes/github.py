"""A GitHub of one's own: REST API, git over HTTP and Actions' identity service on one loopback port.

    with FakeGitHub(directory) as github:
        repository = github.repository("octo/app", bare)
        token = github.token("app")
        ...
        assert [pull.title for pull in repository.pulls] == ["…"]

It is stateful and stands on a real bare repository, so that what was pushed is what its API shows. Its answers have
GitHub's shapes, which tests/peers checks against GitHub's own description. Endpoints are in ``github_api``.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.fakes.faults import Answer
from tests.fakes.github_api import actions, apps, checks, contents, git_data, issues, pulls, repositories
from tests.fakes.github_api.actors import NOBODY, Actor, accepted, authorise
from tests.fakes.github_api.git_http import GitHttp, git_request
from tests.fakes.github_api.hub import Hub
from tests.fakes.github_api.oidc import Oidc
from tests.fakes.github_api.records import App
from tests.fakes.github_api.registration import PATH as REGISTRATION
from tests.fakes.github_api.registration import Registration
from tests.fakes.github_api.repository import FakeRepository
from tests.fakes.github_api.routes import Ask, Refused, Route, json_answer, match, not_found
from tests.fakes.github_api.webhooks import Webhooks
from tests.fakes.loopback import Described, Incoming, LoopbackServer, Observer

__all__ = ["FakeGitHub", "FakeRepository"]

ENDPOINTS = (actions, apps, checks, contents, git_data, issues, pulls, repositories)
PREFIX = "/api/v3"
_BY_NUMBER = re.compile(r"/repositories/(\d+)(/.*)?")


class FakeGitHub(LoopbackServer):
    """``directory`` is where it may write. ``observer`` sees every request and the answer made for it.

    ``clock`` gives seconds since the epoch; tokens end by it.
    """

    def __init__(
        self, directory: Path, *, observer: Observer | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(observer)
        self.hub = Hub(self.server_url, clock)
        self.webhooks = self.hub.webhooks = Webhooks(self.hub)
        self.registration = self.hub.registration = Registration(self.hub)
        self.token = self.hub.token
        self.oidc = Oidc(self.server_url)
        self._git = GitHttp(self.hub, directory / "fake-github-hooks")

    @property
    def url(self) -> str:
        """The API's address."""
        return self.hub.url

    @property
    def app(self) -> App:
        """Mason's App, with its private key."""
        return self.hub.app

    @property
    def oidc_request_url(self) -> str:
        return self.oidc.request_url

    @property
    def oidc_request_token(self) -> str:
        return self.oidc.request_token

    def repository(
        self, full_name: str, path: Path, *, private: bool = False, installed: bool = True
    ) -> FakeRepository:
        """A repository that lives in the bare one at ``path``; Mason's App is installed there unless told otherwise."""
        with self.hub.lock:
            made = self.hub.repositories[full_name.lower()] = FakeRepository(self.hub, full_name, path, private=private)
            if installed:
                self.hub.install(full_name)
            self.oidc.claims |= {"repository": full_name, "repository_id": str(made.id)}
            return made

    def __exit__(self, *error: Any) -> None:
        self.webhooks.close()
        super().__exit__(*error)

    def describe(self, incoming: Incoming) -> Described:
        actor = self._actor(incoming)
        if request := git_request(incoming):
            writing = incoming.path.endswith("/git-receive-pack")
            return Described(path=incoming.path, route=f"git {request[1]}", actor=actor.login, write=writing)
        path = self._path(incoming)
        found = match(incoming.method, path)
        route = found[0].template if found else ""
        return Described(path=path, route=route, actor=actor.login, write=incoming.method not in ("GET", "HEAD"))

    def answer(self, incoming: Incoming) -> Answer:
        if git_request(incoming):
            return self._git.answer(incoming)
        if REGISTRATION.fullmatch(incoming.path):
            with self.hub.lock:
                return self.registration.answer(incoming)
        headers = self._limits(incoming)
        try:
            if incoming.path.startswith(Oidc.PATH):
                authorization = incoming.headers.get("authorization", "")
                return json_answer(200, self.oidc.answer(incoming.path, incoming.fields, authorization))
            with self.hub.lock:
                answer = self._api(incoming)
        except Refused as refused:
            answer = refused.answer
        answer.headers = {**headers, **answer.headers}
        return answer

    def _api(self, incoming: Incoming) -> Answer:
        actor = self.hub.tokens.actor(incoming.headers.get("authorization"))
        path = self._path(incoming)
        found = match(incoming.method, path)
        if found is None:
            raise not_found()
        route, args = found
        if moved := self._moved(route, args, path):
            return moved
        repository = self._repository(args)
        self._authorise(route, actor, repository)
        if incoming.body and incoming.json is None:
            raise Refused(400, "Problems parsing JSON")
        ask = Ask(
            hub=self.hub,
            actor=actor,
            args=args,
            query=incoming.fields,
            body=incoming.json,
            url=self.hub.url + path,
            found=repository,
        )
        if repository is not None:
            repository.sync()
        status, value = route.endpoint(ask)
        return json_answer(status, value, {**_scopes(route, actor), **ask.headers})

    def _repository(self, args: dict[str, str]) -> FakeRepository | None:
        """The repository that a path names. Raises Refused (404)."""
        if "owner" not in args:
            return None
        repository = self.hub.repositories.get(f"{args['owner']}/{args['repo']}".lower())
        if repository is None:
            raise not_found()
        return repository

    def _moved(self, route: Route, args: dict[str, str], path: str) -> Answer | None:
        """A redirection, for a repository that was renamed: to the address by number."""
        full_name = f"{args.get('owner')}/{args.get('repo')}"
        now = self.hub.moved.get(full_name.lower())
        if now is None:
            return None
        number = self.hub.repositories[now.lower()].id
        url = f"{self.hub.url}/repositories/{number}{path[len(f'/repos/{full_name}') :]}"
        body = {"message": "Moved Permanently", "url": url, "documentation_url": "https://docs.github.com/rest"}
        return json_answer(307 if route.write else 301, body, {"Location": url})

    def _path(self, incoming: Incoming) -> str:
        """The path without the API's prefix, and with the name of a repository that is addressed by number."""
        path = incoming.path.removeprefix(PREFIX) or "/"
        if found := _BY_NUMBER.fullmatch(path):
            named = [each.full_name for each in list(self.hub.repositories.values()) if each.id == int(found[1])]
            return f"/repos/{named[0]}{found[2] or ''}" if named else path
        return path

    def _authorise(self, route: Route, actor: Actor, repository: FakeRepository | None) -> None:
        authorise(
            route,
            actor,
            full_name=repository.full_name if repository else None,
            private=repository.private if repository else False,
            role=repository.role(actor.user) if repository else "none",
        )
        if repository and repository.archived and route.write:
            raise Refused(403, "Repository was archived so is read-only.")

    def _actor(self, incoming: Incoming) -> Actor:
        try:
            return self.hub.tokens.actor(incoming.headers.get("authorization"))
        except Refused:
            return NOBODY

    def _limits(self, incoming: Incoming) -> dict[str, str]:
        used = min(len(self.requests), 4999)
        return {
            "X-GitHub-Api-Version-Selected": incoming.headers.get("x-github-api-version", "2022-11-28"),
            "X-RateLimit-Limit": "5000",
            "X-RateLimit-Used": str(used),
            "X-RateLimit-Remaining": str(5000 - used),
            "X-RateLimit-Reset": str(int(self.hub.clock()) + 3600),
            "X-RateLimit-Resource": "core",
        }


def _scopes(route: Route, actor: Actor) -> dict[str, str]:
    if actor.scopes is not None:
        return {"X-OAuth-Scopes": ", ".join(actor.scopes), "X-Accepted-OAuth-Scopes": "repo"}
    return {"X-Accepted-GitHub-Permissions": accepted(route)}
