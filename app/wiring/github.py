"""GitHub or the repository itself: tokens, the workspace over its remote, the forge."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from app.errors import BadRepository, UsageError
from app.forge.github.configured import configured_tokens
from app.forge.github.tokens import PlainToken, Tokens
from app.forge.local import LocalForge
from app.forge.names import repository_name
from app.ports.forge import Forge
from app.settings import Settings, environment
from app.wiring.requests import RunRequest, Surface
from app.workspace.remote import Remote, empty_repository
from app.workspace.source import Source
from app.workspace.user_pool import UserPool
from app.workspace.worktrees import GitWorkspace


def github_tokens(settings: Settings, request: RunRequest, learned: Callable[[str], None]) -> Tokens | None:
    """Where GitHub tokens come from: Mason's web app, a GitHub App's key, or a token; None without any of them."""
    surface = request.surface
    if surface and surface.app_url:
        from app.forge.github.exchanged_tokens import ExchangedTokens

        url, token = surface.oidc
        run_id = str(request.run_id or "")
        return ExchangedTokens(
            app_url=surface.app_url, run_id=run_id, request_url=url, request_token=token, learned=learned
        )
    if not (settings.github_app_id or settings.github_token):
        return None
    key, given = settings.github_app_key, settings.github_token
    return configured_tokens(
        api_url=api_url(settings, surface),
        repository=surface.job.repository if surface else origin_name(request.repository),
        token=given.get_secret_value() if given else None,
        app_id=settings.github_app_id,
        app_key=key.get_secret_value() if key else None,
        learned=learned,
    )


def api_url(settings: Settings, surface: Surface | None) -> str:
    return surface.job.api_url if surface else settings.github_api_url


def origin_name(repository: Path) -> str:
    """``owner/name`` of a checkout's origin. Raises UsageError when there is none."""
    origin = Source.open(repository, environment().get("PATH", os.defpath)).origin_url
    if name := repository_name(origin):
        return name
    raise UsageError(f"{repository} has no origin on GitHub, so there is nowhere to open pull requests")


def open_workspace(
    settings: Settings,
    request: RunRequest,
    tokens: Tokens | None,
    run_directory: Path,
    state: Path,
    environ: Mapping[str, str],
    users: UserPool | None,
) -> GitWorkspace:
    """The workspace over the user's repository; with a forge, over its remote, whatever is checked out here."""
    surface = request.surface
    artifacts = surface.job.workspace / "mason-artifacts" if surface else state / "artifacts"
    if tokens is None:
        return GitWorkspace(request.repository, run_directory, artifacts, environ, users=users)
    if surface:
        url = surface.job.remote_url
        source = checked_out(request.repository, environ) or empty_repository(run_directory / "origin.git", environ)
    else:
        url, source = f"{settings.github_server_url}/{origin_name(request.repository)}.git", request.repository
    remote = Remote(url=url, token=tokens.token)
    return GitWorkspace(source, run_directory, artifacts, environ, remote=remote, users=users)


def checked_out(repository: Path, environ: Mapping[str, str]) -> Path | None:
    """The job's checkout, where an earlier step made one: its objects need not be fetched again."""
    try:
        return Source.open(repository, environ.get("PATH", os.defpath)).named
    except BadRepository:
        return None


def chosen_forge(settings: Settings, request: RunRequest, tokens: Tokens | None, workspace: GitWorkspace) -> Forge:
    """GitHub where there is a token for it, else the repository itself."""
    if tokens is None:
        return LocalForge(workspace.push, repository_name(workspace.origin_url()))
    from app.forge.github.forge import WRITES_PER_MINUTE, GithubOptions, github_forge

    surface = request.surface
    return github_forge(
        GithubOptions(
            api_url=api_url(settings, surface),
            repository=surface.job.repository if surface else origin_name(request.repository),
            tokens=tokens,
            writes_per_minute=max(WRITES_PER_MINUTE // request.shares, 1),
            spread=request.shares > 1,
            sign_commits=request.sign_commits,
            buttons=not isinstance(tokens, PlainToken),
            details_url=surface.job.page if surface else "",
            page=lambda: page_of(tokens),
        ),
        workspace,
    )


def page_of(tokens: Tokens) -> str:
    """Where the web app shows the run, if it has given the tokens, and has said so."""
    from app.forge.github.exchanged_tokens import ExchangedTokens

    return tokens.page if isinstance(tokens, ExchangedTokens) else ""
