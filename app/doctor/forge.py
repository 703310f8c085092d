"""The probe of GitHub: may Mason open pull requests there, and will other workflows hear of them?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from app.flows.doctor import Finding, Status, ok, skipped
from app.forge.github.configured import configured_tokens
from app.forge.names import repository_name
from app.settings import Settings
from app.workspace.source import Source

PATIENCE = 10.0


def probe_github(settings: Settings, repository: Path, environ: Mapping[str, str]) -> Sequence[Finding]:
    """Raises the sentence that says what is missing: a repository, a scope, GitHub itself."""
    key = settings.github_app_key
    if not (settings.github_token or (settings.github_app_id and key)):
        return [skipped("GitHub", "no token and no App: branches stay here, nobody opens pull requests")]
    name = repository_name(Source.open(repository, environ.get("PATH", "")).origin_url)
    if name is None:
        return [skipped("GitHub", "the repository has no origin on GitHub")]
    from app.forge.github.access import probe  # slow to import
    from app.forge.github.client import Client
    from app.forge.github.limits import Pace

    tokens = configured_tokens(
        api_url=settings.github_api_url,
        repository=name,
        token=settings.github_token.get_secret_value() if settings.github_token else None,
        app_id=settings.github_app_id,
        app_key=key.get_secret_value() if key else None,
        learned=lambda _: None,
    )
    if tokens is None:
        return []
    access = probe(Client(settings.github_api_url, tokens, pace=Pace(patience=PATIENCE), writes_per_minute=60), name)
    return [ok("GitHub", f"pull requests can be opened on {name}"), judge_app(settings, checks=access.checks)]


def judge_app(settings: Settings, *, checks: bool) -> Finding:
    """A plain token can do less than an App, and tells nobody."""
    if settings.github_app_id and checks:
        return ok("GitHub App", "check runs can be made")
    fix = "set MASON_GITHUB_APP_ID and MASON_GITHUB_APP_KEY"
    if not checks:
        return Finding(check="GitHub App", status=Status.WARN, detail="there will be no check runs", fix=fix)
    detail = "if this is a job's own GITHUB_TOKEN, no other workflow runs on Mason's pull requests"
    return Finding(check="GitHub App", status=Status.WARN, detail=detail, fix=fix)
