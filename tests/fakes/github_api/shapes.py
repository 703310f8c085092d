"""Records as GitHub shows them. Every address in them is the fake's own: clients follow what they are given."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tests.fakes.github_api.actors import ACTIONS, EVERYTHING, ROLES, Actor
from tests.fakes.github_api.bare import Commit, Signature
from tests.fakes.github_api.records import App, User

if TYPE_CHECKING:
    from tests.fakes.github_api.hub import Hub, Installation
    from tests.fakes.github_api.repository import FakeRepository

Shape = dict[str, Any]

_REPOSITORY_URLS = {
    "archive": "/{archive_format}{/ref}",
    "assignees": "/assignees{/user}",
    "blobs": "/git/blobs{/sha}",
    "branches": "/branches{/branch}",
    "collaborators": "/collaborators{/collaborator}",
    "comments": "/comments{/number}",
    "commits": "/commits{/sha}",
    "compare": "/compare/{base}...{head}",
    "contents": "/contents/{+path}",
    "contributors": "/contributors",
    "deployments": "/deployments",
    "downloads": "/downloads",
    "events": "/events",
    "forks": "/forks",
    "git_commits": "/git/commits{/sha}",
    "git_refs": "/git/refs{/sha}",
    "git_tags": "/git/tags{/sha}",
    "hooks": "/hooks",
    "issue_comment": "/issues/comments{/number}",
    "issue_events": "/issues/events{/number}",
    "issues": "/issues{/number}",
    "keys": "/keys{/key_id}",
    "labels": "/labels{/name}",
    "languages": "/languages",
    "merges": "/merges",
    "milestones": "/milestones{/number}",
    "notifications": "/notifications{?since,all,participating}",
    "pulls": "/pulls{/number}",
    "releases": "/releases{/id}",
    "stargazers": "/stargazers",
    "statuses": "/statuses/{sha}",
    "subscribers": "/subscribers",
    "subscription": "/subscription",
    "tags": "/tags",
    "teams": "/teams",
    "trees": "/git/trees{/sha}",
}

_USER_URLS = {
    "followers": "/followers",
    "following": "/following{/other_user}",
    "gists": "/gists{/gist_id}",
    "starred": "/starred{/owner}{/repo}",
    "subscriptions": "/subscriptions",
    "organizations": "/orgs",
    "repos": "/repos",
    "events": "/events{/privacy}",
    "received_events": "/received_events",
}


def node(kind: str, number: int | str) -> str:
    return base64.b64encode(f"{kind}:{number}".encode()).decode()


def user(hub: Hub, who: User) -> Shape:
    url = f"{hub.url}/users/{quote(who.login)}"
    return {
        "login": who.login,
        "id": who.id,
        "node_id": node("User", who.id),
        "avatar_url": f"{hub.server_url}/avatars/{who.id}",
        "gravatar_id": "",
        "url": url,
        "html_url": f"{hub.server_url}/{quote(who.login)}",
        **{f"{name}_url": url + path for name, path in _USER_URLS.items()},
        "type": who.kind,
        "site_admin": False,
    }


def profile(hub: Hub, who: User) -> Shape:
    nothing = dict.fromkeys(("name", "company", "blog", "location", "email", "hireable", "bio"))
    counts = dict.fromkeys(("public_repos", "public_gists", "followers", "following"), 0)
    made = "2020-01-01T00:00:00Z"
    return {**user(hub, who), **nothing, **counts, "created_at": made, "updated_at": made}


def app(hub: Hub, known: App) -> Shape:
    permissions = dict(EVERYTHING if known.permissions is None else known.permissions)
    return {
        "id": known.id,
        "slug": known.slug,
        "node_id": node("App", known.id),
        "owner": user(hub, hub.user("github" if known.id == ACTIONS.id else known.owner or "ada")),
        "name": known.name,
        "description": None,
        "external_url": known.url or hub.server_url,
        "html_url": f"{hub.server_url}/apps/{known.slug}",
        "created_at": "2020-01-01T00:00:00Z",
        "updated_at": "2020-01-01T00:00:00Z",
        "permissions": permissions,
        "events": list(known.events),
    }


def installation(hub: Hub, known: Installation) -> Shape:
    url = f"{hub.url}/app/installations/{known.id}"
    return {
        "id": known.id,
        "account": user(hub, known.account),
        "repository_selection": "selected",
        "access_tokens_url": f"{url}/access_tokens",
        "repositories_url": f"{hub.url}/installation/repositories",
        "html_url": f"{hub.server_url}/settings/installations/{known.id}",
        "app_id": known.app.id,
        "app_slug": known.app.slug,
        "target_id": known.account.id,
        "target_type": known.account.kind,
        "permissions": dict(known.permissions),
        "events": ["check_run"],
        "created_at": "2020-01-01T00:00:00Z",
        "updated_at": "2020-01-01T00:00:00Z",
        "single_file_name": None,
        "suspended_by": None,
        "suspended_at": None,
    }


def full_repository(known: FakeRepository, actor: Actor) -> Shape:
    """As on its own."""
    shape = {**repository(known), "subscribers_count": 0, "network_count": 0}
    if not actor.anonymous:
        shape["permissions"] = _permissions(known, actor)
    return shape


def repository(known: FakeRepository) -> Shape:
    """As part of something else."""
    hub = known.hub
    counts = ("forks", "forks_count", "stargazers_count", "watchers", "watchers_count", "size")
    return {
        "id": known.id,
        "node_id": node("Repository", known.id),
        "name": known.name,
        "full_name": known.full_name,
        "owner": user(hub, known.owner),
        "private": known.private,
        "visibility": "private" if known.private else "public",
        "html_url": known.html_url,
        "url": known.url,
        "clone_url": known.clone_url,
        "git_url": f"git://127.0.0.1/{known.full_name}.git",
        "ssh_url": f"git@127.0.0.1:{known.full_name}.git",
        "svn_url": known.html_url,
        "mirror_url": None,
        "description": None,
        "homepage": None,
        "language": None,
        "license": None,
        "fork": False,
        "is_template": False,
        "topics": [],
        **{f"{name}_url": known.url + path for name, path in _REPOSITORY_URLS.items()},
        "notifications_url": f"{known.url}/notifications{{?since,all,participating}}",
        **dict.fromkeys(counts, 0),
        "open_issues": _open(known),
        "open_issues_count": _open(known),
        "default_branch": known.default_branch,
        **dict.fromkeys(("has_issues", "has_projects", "has_wiki", "has_downloads"), True),
        **dict.fromkeys(("has_pages", "has_discussions"), False),
        "archived": known.archived,
        "disabled": known.disabled,
        "pushed_at": known.created_at,
        "created_at": known.created_at,
        "updated_at": known.created_at,
    }


def forked_repository(known: FakeRepository, full_name: str) -> Shape:
    """A fork of which nothing is known but its name."""
    owner, _, name = full_name.partition("/")
    url = f"{known.hub.url}/repos/{full_name}"
    html_url = f"{known.hub.server_url}/{full_name}"
    return {
        **repository(known),
        "id": known.id + 500_000,
        "node_id": node("Repository", full_name),
        "name": name,
        "full_name": full_name,
        "owner": user(known.hub, known.hub.user(owner)),
        "fork": True,
        "html_url": html_url,
        "svn_url": html_url,
        "clone_url": f"{html_url}.git",
        "url": url,
        **{f"{name}_url": url + path for name, path in _REPOSITORY_URLS.items()},
    }


def git_commit(known: FakeRepository, commit: Commit) -> Shape:
    url = f"{known.url}/git/commits"
    return {
        "sha": commit.sha,
        "node_id": node("Commit", commit.sha),
        "url": f"{url}/{commit.sha}",
        "html_url": f"{known.html_url}/commit/{commit.sha}",
        "author": person(commit.author),
        "committer": person(commit.committer),
        "tree": {"sha": commit.tree, "url": f"{known.url}/git/trees/{commit.tree}"},
        "message": commit.message,
        "parents": parents(known, commit, url),
        "verification": verification(known, commit),
    }


def parents(known: FakeRepository, commit: Commit, url: str) -> list[Shape]:
    html_url = f"{known.html_url}/commit"
    return [{"sha": sha, "url": f"{url}/{sha}", "html_url": f"{html_url}/{sha}"} for sha in commit.parents]


def person(signature: Signature) -> Shape:
    return {"name": signature.name, "email": signature.email, "date": signature.date}


def verification(known: FakeRepository, commit: Commit) -> Shape:
    if commit.sha not in known.verified:
        return {"verified": False, "reason": "unsigned", "signature": None, "payload": None, "verified_at": None}
    return {
        "verified": True,
        "reason": "valid",
        "signature": commit.signature,
        "payload": f"tree {commit.tree}\n",
        "verified_at": commit.committer.date,
    }


def commit(known: FakeRepository, found: Commit) -> Shape:
    url = f"{known.url}/commits/{found.sha}"
    inner = git_commit(known, found)
    return {
        "sha": found.sha,
        "node_id": inner["node_id"],
        "url": url,
        "html_url": inner["html_url"],
        "comments_url": f"{url}/comments",
        "commit": {
            "url": inner["url"],
            "author": inner["author"],
            "committer": inner["committer"],
            "message": found.message,
            "comment_count": 0,
            "tree": inner["tree"],
            "verification": inner["verification"],
        },
        "author": None,
        "committer": None,
        "parents": parents(known, found, f"{known.url}/commits"),
    }


def _permissions(known: FakeRepository, actor: Actor) -> dict[str, bool]:
    if actor.permissions is not None:
        inside = actor.repositories is None or known.full_name.lower() in actor.repositories
        can = {"pull": True, "push": inside and actor.may(("contents=write",))}
        return {"admin": False, "maintain": False, "triage": False, **can}
    have = ROLES[known.role(actor.user)]
    names = {"pull": "read", "triage": "triage", "push": "write", "maintain": "maintain", "admin": "admin"}
    return {name: name == "pull" or have >= ROLES[role] for name, role in names.items()}


def _open(known: FakeRepository) -> int:
    return sum(issue.state == "open" for issue in known.issues.values())
