"""The state of the fake: who there is, which repositories, which tokens."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.fakes.github_api.actors import ACTIONS, EVERYTHING, Actor, Kind, Tokens, new_token, pem, private_key
from tests.fakes.github_api.bare import now_text
from tests.fakes.github_api.records import App, User

if TYPE_CHECKING:
    from tests.fakes.github_api.registration import Registration
    from tests.fakes.github_api.repository import FakeRepository
    from tests.fakes.github_api.webhooks import Webhooks

HOUR = 3600.0


@dataclass(frozen=True, kw_only=True)
class Installation:
    """``repositories``: full names in lower case."""

    id: int
    app: App
    account: User
    repositories: frozenset[str]
    permissions: Mapping[str, str]


class Hub:
    """Everything but HTTP. ``lock`` is held while an endpoint works."""

    webhooks: Webhooks
    registration: Registration

    def __init__(self, server_url: str, clock: Callable[[], float] = time.time) -> None:
        self.server_url = server_url
        self.url = f"{server_url}/api/v3"
        self.clock = clock
        self.lock = threading.RLock()
        self.tokens = Tokens(clock)
        self.token_life = HOUR
        self.users: dict[str, User] = {}
        self.repositories: dict[str, FakeRepository] = {}
        self.moved: dict[str, str] = {}
        self.installations: dict[int, Installation] = {}
        self._ids = itertools.count(1001)
        self.app = App(id=4711, slug="mason", name="Mason", private_key=pem(private_key()))
        for app in (self.app, ACTIONS):
            self.tokens.apps[app.id] = app
            self.user(app.login, kind="Bot")

    def new_id(self) -> int:
        return next(self._ids)

    def new_large_id(self) -> int:
        """Ids of check runs, workflow runs and comments have long left 32 bits."""
        return 30_000_000_000 + next(self._ids)

    @property
    def now(self) -> str:
        return now_text(self.clock())

    def user(self, login: str, *, kind: str = "User") -> User:
        """The user of that name, who is made when there is none."""
        found = self.users.get(login.lower())
        if found is None:
            found = self.users[login.lower()] = User(id=self.new_id(), login=login, kind=kind)
        return found

    def install(self, full_name: str, *, app: App | None = None, permissions: Mapping[str, str] | None = None) -> int:
        """Install an App on one repository; the installation's id."""
        app = app or self.app
        made = Installation(
            id=self.new_id(),
            app=app,
            account=self.user(full_name.partition("/")[0]),
            repositories=frozenset({full_name.lower()}),
            permissions=dict(EVERYTHING if permissions is None else permissions),
        )
        self.installations[made.id] = made
        return made.id

    def uninstall(self, full_name: str) -> None:
        there = [each.id for each in self.installations.values() if full_name.lower() in each.repositories]
        for number in there:
            del self.installations[number]

    def token(
        self,
        kind: Kind = "app",
        *,
        permissions: Mapping[str, str] | None = None,
        scopes: tuple[str, ...] | None = None,
        repositories: tuple[str, ...] | None = None,
        app: App | None = None,
        login: str = "ada",
        life: float | None = None,
    ) -> str:
        """A new token. ``app``: one of an installation (of Mason's App, or of ``app``). ``actions``: a workflow's
        GITHUB_TOKEN. ``user``: a person's, classic with ``scopes`` (repo unless told), or fine-grained when
        ``permissions`` are given. ``repositories``: full names that it is limited to. ``life`` in seconds.
        """
        acting = {"app": app or self.app, "actions": ACTIONS, "user": None}[kind]
        if kind != "user" and permissions is None:
            permissions = EVERYTHING
        user = self.user(acting.login, kind="Bot") if acting else self.user(login)
        actor = Actor(
            login=user.login,
            user=user,
            app=acting,
            permissions=None if permissions is None else dict(permissions),
            scopes=(scopes or ("repo",)) if permissions is None and scopes != () else scopes,
            repositories=None if repositories is None else frozenset(name.lower() for name in repositories),
            expires=None if life is None else self.clock() + life,
            token=new_token(kind, {"kind": kind, "iat": int(self.clock())}),
        )
        return self.tokens.add(actor)
