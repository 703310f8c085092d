"""Where the web app's runs go, and where they are told of: GitHub, or this machine and its checkout."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from app.dispatch.github_actions import GithubActions
from app.dispatch.local import LocalProcesses, Runner
from app.domain.dispatches import Dispatch
from app.errors import BadRepository, ForgeUnreachable, UsageError
from app.flows.own_projects import kept
from app.forge.local_repository import LocalRepository
from app.forge.names import repository_name
from app.log import Redactor
from app.ports.dispatcher import Dispatcher
from app.ports.repository import Repositories
from app.ports.sealed import Sealed
from app.settings import Settings, environment, state_dir
from app.workspace.source import Source

if TYPE_CHECKING:
    from app.forge.github.repositories import GithubRepositories

_OURS = frozenset(
    {
        "DATABASE_URL",
        "MASON_DATABASE_URL",
        "MASON_ENCRYPTION_KEY",
        "MASON_GITHUB_WEBHOOK_SECRET",
        "MASON_METRICS_TOKEN",
        "MASON_WEBHOOK_SECRET",
    }
)

_BACKLOG = frozenset(
    {
        *("MASON_DSN", "MASON_SUPABASE_URL", "MASON_SUPABASE_KEY", "INPUT_SUPABASE-URL", "INPUT_SUPABASE-KEY"),
        *("MASON_DATABASE_PASSWORD", "MASON_ACCESS_TOKEN"),
        *("SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_ANON_KEY"),
    }
)
"""What names the backlog, and opens it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where things are: ``repositories`` are GitHub's or the one on this machine, which ``home`` is the name of."""

    repositories: Repositories
    dispatcher: Dispatcher
    home: str | None
    github: GithubRepositories | None = None


def dispatches_locally(settings: Settings) -> bool:
    """Whether runs are processes on this machine. Raises UsageError for GitHub Actions without GitHub."""
    if settings.dispatcher == "github_actions" and not on_github(settings):
        raise UsageError("MASON_DISPATCHER is github_actions, but no GitHub App (or token) is configured")
    return settings.dispatcher == "local" or not on_github(settings)


def on_github(settings: Settings) -> bool:
    return bool(settings.github_app_id or settings.github_token)


def place_of(settings: Settings, repository: Path, redactor: Redactor, sealed: Sealed) -> Place:
    """Where the runs go, and where they are told of. ``sealed`` holds the credentials of runs that have their own."""
    home = home_name(settings, repository)
    github = github_repositories(settings, redactor) if on_github(settings) else None
    repositories: Repositories = github or local_repository(repository, home)
    if github is None or dispatches_locally(settings):
        runner = Runner(
            mason=(sys.executable, "-P", "-m", "app"), repository=repository, environ=runner_environment(settings)
        )
        return Place(
            repositories=repositories,
            dispatcher=LocalProcesses(
                state_dir(settings, repository) / "local-runs",
                runner,
                environ_of=lambda dispatch: own_environment(runner.environ, dispatch, sealed, redactor),
            ),
            home=home if github else None,
            github=github,
        )
    dispatcher = GithubActions(github.workflows, file=settings.workflow)
    return Place(repositories=repositories, dispatcher=dispatcher, home=home, github=github)


def runner_environment(settings: Settings) -> dict[str, str]:
    """What a local run inherits: not the app's own database and secrets, which are none of its business."""
    secrets = {
        "MASON_DSN": settings.dsn,
        "MASON_SUPABASE_KEY": settings.supabase_key,
        "MASON_GITHUB_APP_KEY": settings.github_app_key,
    }
    named = {"MASON_SUPABASE_URL": settings.supabase_url, "MASON_GITHUB_APP_ID": settings.github_app_id}
    named |= {name: secret.get_secret_value() for name, secret in secrets.items() if secret}
    inherited = {name: value for name, value in environment().items() if name not in _OURS}
    return inherited | {name: value for name, value in named.items() if value}


def own_environment(
    inherited: Mapping[str, str], dispatch: Dispatch, sealed: Sealed, redactor: Redactor
) -> Mapping[str, str]:
    """What the process of a run inherits: of a run on a project of its own that project, and nothing of our backlog.

    Raises CredentialsGone.
    """
    if not dispatch.project:
        return inherited
    credentials = kept(sealed, dispatch.id)
    redactor.learn(credentials.key)
    rest = {name: value for name, value in inherited.items() if name not in _BACKLOG}
    return rest | {"MASON_SUPABASE_URL": credentials.url, "MASON_SUPABASE_KEY": credentials.key}


def github_repositories(settings: Settings, redactor: Redactor) -> GithubRepositories:
    from app.forge.github.repositories import GithubApp, GithubRepositories, WebOptions

    key, token = settings.github_app_key, settings.github_token
    if settings.github_app_id and not key:
        raise UsageError("MASON_GITHUB_APP_ID is set without MASON_GITHUB_APP_KEY")
    acts_as: GithubApp | str = (
        GithubApp(id=settings.github_app_id, private_key=key.get_secret_value())
        if settings.github_app_id and key
        else token.get_secret_value()
        if token
        else ""
    )
    return GithubRepositories(WebOptions(api_url=settings.github_api_url, acts_as=acts_as), redactor.learn)


def home_name(settings: Settings, repository: Path) -> str | None:
    """``owner/name`` of what runs and executions without a repository of their own work on, None for a checkout without
    a name: what they cost counts together under it. Without GitHub the origin alone names it, as for `mason run`.
    """
    return (settings.repository if on_github(settings) else None) or home_of(repository)


def home_of(repository: Path) -> str | None:
    """``owner/name`` of the checkout's origin, where there is one."""
    try:
        return repository_name(Source.open(repository, environment().get("PATH", os.defpath)).origin_url)
    except BadRepository:
        return None


def require_checkout(settings: Settings, repository: Path) -> None:
    """Local runs need a repository with a commit. Raises BadRepository, a sentence, where there is none."""
    if dispatches_locally(settings):
        Source.open(repository, environment().get("PATH", os.defpath)).pin(None)


def local_repository(repository: Path, name: str | None) -> LocalRepository:
    """The checkout, by its name. It is opened anew for each question: it may have been made, or remade, meanwhile."""

    def source() -> Source:
        return Source.open(repository, environment().get("PATH", os.defpath))

    @lru_cache(maxsize=64)  # a commit's files never change, and each question costs several processes
    def read(commit: str, path: str) -> bytes | None:
        return source().read(commit, path)

    return LocalRepository(
        pin=lambda branch: source().pin(branch),
        read=read,
        name=name,
    )


def require_github(place: Place) -> None:
    if place.github is not None and not place.github.reachable():
        raise ForgeUnreachable
