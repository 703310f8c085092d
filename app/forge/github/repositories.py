"""The repositories that the web app has a way to: those that its GitHub App is installed on, or a token's."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeVar

from app.errors import MasonError, Unreachable, UsageError
from app.forge.github.app_tokens import RUNNER, WEB_APP, AppTokens
from app.forge.github.client import Client
from app.forge.github.limits import Limits, Pace
from app.forge.github.names import checked_repository
from app.forge.github.records import AppAnswer, UserAnswer
from app.forge.github.repository import GithubRepository
from app.forge.github.tokens import Grant, Learned, PlainToken, Tokens
from app.forge.github.workflows import Workflows

T = TypeVar("T")

MOST = 200
"""Repositories that are kept in mind."""

SEEN_LATELY = 15.0
"""Seconds for which it is believed that GitHub is (not) reachable."""

BRIEFLY = 5
"""Seconds of patience with a question about Mason itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GithubApp:
    """A GitHub App's id (or client id) and its PEM."""

    id: str
    private_key: str = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class WebOptions:
    """How the web app acts at GitHub: as an App, or (without check runs, and without tokens for runners) by a token.

    ``writes_per_minute`` is this process's share of GitHub's 80 for one installation. ``pace`` has the patience of one
    call with all its repetitions, in seconds: a job that gives up is done again later. ``timeout`` in seconds is for
    connecting and for every read. ``details_url`` is where a check run leads.
    """

    api_url: str
    acts_as: GithubApp | str = field(repr=False)
    writes_per_minute: int = 72
    pace: Pace = field(default_factory=lambda: Pace(patience=20.0))
    timeout: int = 10
    details_url: str = ""


class GithubRepositories:
    """Implements `app.ports.repository.Repositories`; from any thread. ``learned`` is told every new secret.

    Raises UsageError for a key or token that cannot be one.
    """

    def __init__(self, options: WebOptions, learned: Learned) -> None:
        self._options = options
        self._learned = learned
        self._kept: dict[str, tuple[GithubRepository, Tokens]] = {}
        self._runner_tokens: dict[str, AppTokens] = {}
        self._limits: dict[str, Limits] = {}
        self._lock = threading.Lock()
        self._looked: tuple[float, bool] | None = None
        own = self._own_tokens()
        self._plain = own if isinstance(options.acts_as, str) else None
        brief = replace(options, timeout=BRIEFLY, pace=replace(options.pace, patience=float(BRIEFLY)))
        self._itself = _client(brief, own, self._limits_of(""))

    def named(self, name: str | None) -> GithubRepository:
        """Raises UsageError for None, a name that is none, and a repository that the App is not installed on."""
        if name is None:
            raise UsageError("An item without a repository can only be worked on where Mason runs without GitHub")
        key = checked_repository(name).lower()
        with self._lock:
            repository, tokens = known = self._kept.get(key) or self._opened(name)
            _keep(self._kept, key, known)
        tokens.token()  # the App may not be installed there; one thread asks, the others wait for it
        return repository

    def workflows(self, name: str | None) -> Workflows:
        """Workflow runs of a repository, for the dispatcher. Raises as `named` does."""
        return self.named(name).workflows

    def runner_token(self, name: str) -> Grant:
        """A new token of this repository alone, with what a runner needs. Raises UsageError, Unreachable."""
        key = checked_repository(name).lower()
        with self._lock:
            tokens = self._runner_tokens.get(key) or self._app_tokens(name, RUNNER)
            _keep(self._runner_tokens, key, tokens)
        given = tokens.fetch()
        self._learned(given.token)
        return given

    def rate_left(self) -> int | None:
        """The fewest calls that any installation has left, as the last hour's answers say; None while none did."""
        with self._lock:
            left = [limits.left for limits in self._limits.values()]
        return min((one for one in left if one is not None), default=None)

    def reachable(self) -> bool:
        """Whether GitHub answers, be it with a no; asked every quarter of a minute at most."""
        now = self._options.pace.clock()
        looked = self._looked
        if looked is None or now - looked[0] >= SEEN_LATELY:
            looked = self._looked = (now, self._answers())
        return looked[1]

    def _answers(self) -> bool:
        try:
            self._who()
        except Unreachable:
            return False
        except MasonError:
            return True
        return True

    @cached_property
    def _login(self) -> str:
        """Whom Mason writes as."""
        return self._who()

    def _who(self) -> str:
        if self._plain is not None:
            return self._itself.call("GET", "/user", UserAnswer, doing="read whose token it is").login
        return f"{self._itself.call('GET', '/app', AppAnswer, doing='read the GitHub App').slug}[bot]"

    def _opened(self, name: str) -> tuple[GithubRepository, Tokens]:
        tokens = self._plain or self._app_tokens(name, WEB_APP)
        repository = GithubRepository(
            _client(self._options, tokens, self._limits_of(name)),
            name,
            me=lambda: self._login,
            check_runs=self._plain is None,
            details_url=self._options.details_url,
        )
        return repository, tokens

    def _app_tokens(self, name: str, permissions: dict[str, str]) -> AppTokens:
        app, options = self._options.acts_as, self._options
        if isinstance(app, str):
            raise UsageError("Runners get tokens from a GitHub App, and Mason has none (set MASON_GITHUB_APP_ID)")
        return AppTokens(
            options.api_url,
            name,
            app.id,
            app.private_key,
            self._learned,
            permissions=permissions,
            pace=options.pace,
            timeout=options.timeout,
        )

    def _own_tokens(self) -> Tokens:
        app = self._options.acts_as
        if isinstance(app, str):
            return PlainToken(app, self._learned)
        from app.forge.github.transport import AppJwts

        self._learned(app.private_key)
        return AppJwts(app.id, app.private_key)

    def _limits_of(self, name: str) -> Limits:
        """GitHub counts per installation, and an owner has one; a token's calls are counted together."""
        owner = "" if self._plain else name.partition("/")[0].lower()
        return self._limits.setdefault(owner, Limits(self._options.writes_per_minute, self._options.pace.clock))


def _client(options: WebOptions, tokens: Tokens, limits: Limits) -> Client:
    return Client(options.api_url, tokens, pace=options.pace, limits=limits, timeout=options.timeout)


def _keep(kept: dict[str, T], key: str, value: T) -> None:
    """Put it last; the one that nobody asked for the longest makes room."""
    kept.pop(key, None)
    while len(kept) >= MOST:
        kept.pop(next(iter(kept)))
    kept[key] = value
