"""Endpoints of repositories, branches, commits and people."""

from __future__ import annotations

from typing import Any

from tests.fakes.github_api import shapes
from tests.fakes.github_api.routes import Ask, Refused, not_found, route


@route("GET /repos/{owner}/{repo}")
def get_repository(ask: Ask) -> tuple[int, Any]:
    return 200, shapes.full_repository(ask.repository, ask.actor)


@route("GET /repos/{owner}/{repo}/branches/{branch}", "contents=read")
def get_branch(ask: Ask) -> tuple[int, Any]:
    repository, name = ask.repository, ask.args["branch"]
    tip = repository.branches.get(name)
    if tip is None:
        raise Refused(404, "Branch not found")
    url = f"{repository.url}/branches/{name}"
    protected = repository.is_protected(name)
    return 200, {
        "name": name,
        "commit": shapes.commit(repository, repository.git.commit(tip)),
        "_links": {"self": url, "html": f"{repository.html_url}/tree/{name}"},
        "protected": protected,
        "protection": {"enabled": protected},
        "protection_url": f"{url}/protection",
    }


@route("GET /repos/{owner}/{repo}/collaborators/{username}/permission")
def get_permission(ask: Ask) -> tuple[int, Any]:
    repository = ask.repository
    user = ask.hub.users.get(ask.args["username"].lower())
    if user is None:
        raise Refused(404, f"{ask.args['username']} is not a user")
    role = repository.role(user)
    if role == "none" and not repository.private:
        role = "read"
    # ``permission`` knows four words only; the finer ones are in ``role_name``.
    permission = {"maintain": "write", "triage": "read"}.get(role, role)
    return 200, {
        "permission": permission,
        "role_name": role,
        "user": {**shapes.user(ask.hub, user), "role_name": role},
    }


@route("GET /users/{username}")
def get_user(ask: Ask) -> tuple[int, Any]:
    user = ask.hub.users.get(ask.args["username"].lower())
    if user is None:
        raise not_found()
    return 200, shapes.profile(ask.hub, user)


@route("GET /user")
def get_self(ask: Ask) -> tuple[int, Any]:
    if ask.actor.user is None:
        raise Refused(401, "Requires authentication")
    if ask.actor.app is not None:
        raise Refused(403, "Resource not accessible by integration")
    return 200, shapes.profile(ask.hub, ask.actor.user)


@route("GET /rate_limit")
def get_rate_limit(ask: Ask) -> tuple[int, Any]:
    rate = {"limit": 5000, "remaining": 4999, "used": 1, "reset": int(ask.hub.clock()) + 3600}
    return 200, {"resources": {"core": rate, "search": rate}, "rate": rate}


@route("GET /meta")
def get_meta(ask: Ask) -> tuple[int, Any]:
    return 200, {"verifiable_password_authentication": False}
