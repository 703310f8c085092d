"""Endpoints that an App calls with its JWT."""

from __future__ import annotations

from typing import Any

from tests.fakes.github_api import shapes
from tests.fakes.github_api.actors import LEVELS
from tests.fakes.github_api.bare import now_text
from tests.fakes.github_api.hub import Installation
from tests.fakes.github_api.routes import Ask, Refused, not_found, route


@route("GET /app", jwt=True)
def get_app(ask: Ask) -> tuple[int, Any]:
    assert ask.actor.app
    return 200, shapes.app(ask.hub, ask.actor.app)


@route("POST /app-manifests/{code}/conversions", anyone=True)
def convert_manifest(ask: Ask) -> tuple[int, Any]:
    made = ask.hub.registration.exchange(ask.args["code"])
    return 201, {
        **shapes.app(ask.hub, made.app),
        "client_id": f"Iv23{made.app.id:016d}",
        "client_secret": made.client_secret,
        "webhook_secret": made.webhook_secret,
        "pem": made.app.private_key,
    }


@route("GET /app/installations", jwt=True)
def list_installations(ask: Ask) -> tuple[int, Any]:
    own = [each for each in ask.hub.installations.values() if each.app is ask.actor.app]
    return 200, [shapes.installation(ask.hub, each) for each in ask.page(own)]


@route("GET /repos/{owner}/{repo}/installation", jwt=True)
def get_installation(ask: Ask) -> tuple[int, Any]:
    for each in ask.hub.installations.values():
        if each.app is ask.actor.app and ask.repository.full_name.lower() in each.repositories:
            return 200, shapes.installation(ask.hub, each)
    raise not_found()


@route("POST /app/installations/{installation_id}/access_tokens", jwt=True)
def create_token(ask: Ask) -> tuple[int, Any]:
    installation = ask.hub.installations.get(ask.number("installation_id"))
    if installation is None or installation.app is not ask.actor.app:
        raise not_found()
    permissions = _narrowed(installation, ask.fields.get("permissions"))
    names = _chosen(installation, ask.fields.get("repositories"))
    life = ask.hub.token_life
    token = ask.hub.token("app", app=installation.app, permissions=permissions, repositories=names, life=life)
    answer: dict[str, Any] = {
        "token": token,
        "expires_at": now_text(ask.hub.clock() + life),
        "permissions": permissions,
        "repository_selection": "selected",
    }
    if "repositories" in ask.fields:
        answer["repositories"] = [shapes.repository(ask.hub.repositories[name]) for name in names]
    return 201, answer


def _narrowed(installation: Installation, asked: dict[str, str] | None) -> dict[str, str]:
    if asked is None:
        return dict(installation.permissions)
    for name, level in asked.items():
        if LEVELS.get(installation.permissions.get(name, ""), 0) < LEVELS.get(level, 9):
            raise Refused(422, "The permissions requested are not granted to this installation.")
    return {**asked, "metadata": "read"}


def _chosen(installation: Installation, asked: list[str] | None) -> tuple[str, ...]:
    if asked is None:
        return tuple(sorted(installation.repositories))
    by_name = {full_name.partition("/")[2]: full_name for full_name in installation.repositories}
    if not all(name.lower() in by_name for name in asked):
        raise Refused(
            422, "There is at least one repository that does not exist or is not accessible to the parent installation."
        )
    return tuple(by_name[name.lower()] for name in asked)
