"""Pull requests as GitHub shows them: in a list, on their own, and in a check run."""

from __future__ import annotations

from typing import Any

from tests.fakes.github_api import shapes
from tests.fakes.github_api.issues import label_shape
from tests.fakes.github_api.records import Pull, User
from tests.fakes.github_api.repository import HEADS, FakeRepository

Shape = dict[str, Any]


def simple(repository: FakeRepository, pull: Pull) -> Shape:
    """As in a list."""
    hub, url, issue = repository.hub, f"{repository.url}/pulls/{pull.number}", f"{repository.url}/issues/{pull.number}"
    html = f"{repository.html_url}/pull/{pull.number}"
    links = {
        "self": url,
        "html": html,
        "issue": issue,
        "comments": f"{issue}/comments",
        "review_comments": f"{url}/comments",
        "review_comment": f"{repository.url}/pulls/comments{{/number}}",
        "commits": f"{url}/commits",
        "statuses": f"{repository.url}/statuses/{pull.head_sha}",
    }
    return {
        "id": pull.id,
        "node_id": shapes.node("PullRequest", pull.id),
        "number": pull.number,
        "url": url,
        "html_url": html,
        "diff_url": f"{html}.diff",
        "patch_url": f"{html}.patch",
        "issue_url": issue,
        "commits_url": links["commits"],
        "review_comments_url": links["review_comments"],
        "review_comment_url": links["review_comment"],
        "comments_url": links["comments"],
        "statuses_url": links["statuses"],
        "state": pull.state,
        "locked": False,
        "title": pull.title,
        "user": shapes.user(hub, pull.author),
        "body": pull.body,
        "labels": [label_shape(repository, name) for name in pull.labels],
        "milestone": None,
        "created_at": pull.created_at,
        "updated_at": pull.updated_at,
        "closed_at": pull.closed_at,
        "merged_at": pull.merged_at,
        "merge_commit_sha": pull.merge_commit_sha,
        "assignee": None,
        "assignees": [],
        "requested_reviewers": [shapes.user(hub, hub.user(name)) for name in pull.reviewers],
        "requested_teams": [{**_team(repository, name), "parent": None} for name in pull.teams],
        "head": _end(repository, pull.branch, pull.head_sha, pull.head_repository),
        "base": _end(repository, pull.base, pull.base_sha, repository.full_name),
        "_links": {name: {"href": address} for name, address in links.items()},
        "author_association": _association(repository, pull.author),
        "auto_merge": None,
        "draft": pull.draft,
    }


def full(repository: FakeRepository, pull: Pull) -> Shape:
    """As on its own."""
    base = base_of_diff(repository, pull)
    files = repository.git.changed_files(base, pull.head_sha)
    return {
        **simple(repository, pull),
        "requested_teams": [_team(repository, name) for name in pull.teams],
        "merged": pull.merged,
        "mergeable": None if pull.merged else True,
        "mergeable_state": "unknown" if pull.merged else "clean",
        "merged_by": shapes.user(repository.hub, pull.merged_by) if pull.merged_by else None,
        "comments": sum(comment.number == pull.number for comment in repository.comments),
        "review_comments": 0,
        "maintainer_can_modify": False,
        "commits": repository.git.ahead(base, pull.head_sha),
        "additions": sum(each.additions for each in files),
        "deletions": sum(each.deletions for each in files),
        "changed_files": len(files),
    }


def minimal(repository: FakeRepository, pull: Pull) -> Shape:
    """As in a check run."""
    where = {"id": repository.id, "url": repository.url, "name": repository.name}
    return {
        "id": pull.id,
        "number": pull.number,
        "url": f"{repository.url}/pulls/{pull.number}",
        "head": {"ref": pull.branch, "sha": pull.head_sha, "repo": where},
        "base": {"ref": pull.base, "sha": pull.base_sha, "repo": where},
    }


def base_of_diff(repository: FakeRepository, pull: Pull) -> str:
    """What a pull request is compared with: its base as it is now, for a merged one as it was."""
    tip = None if pull.merged else repository.git.resolve(HEADS + pull.base)
    return tip or pull.base_sha


def _end(repository: FakeRepository, branch: str, sha: str, full_name: str | None) -> Shape:
    owner = repository.hub.user((full_name or repository.full_name).partition("/")[0])
    if full_name == repository.full_name:
        where: Shape | None = shapes.repository(repository)
    else:
        where = shapes.forked_repository(repository, full_name) if full_name else None
    return {
        "label": f"{owner.login}:{branch}",
        "ref": branch,
        "sha": sha,
        "user": shapes.user(repository.hub, owner),
        "repo": where,
    }


def _association(repository: FakeRepository, user: User) -> str:
    if user == repository.owner:
        return "OWNER"
    return "COLLABORATOR" if user.login.lower() in repository.collaborators else "NONE"


def _team(repository: FakeRepository, slug: str) -> Shape:
    hub = repository.hub
    url = f"{hub.url}/organizations/{repository.owner.id}/team/{slug}"
    return {
        "id": sum(slug.encode()) + 1,
        "node_id": shapes.node("Team", slug),
        "name": slug,
        "slug": slug,
        "description": None,
        "privacy": "closed",
        "notification_setting": "notifications_enabled",
        "permission": "push",
        "url": url,
        "html_url": f"{hub.server_url}/orgs/{repository.owner.login}/teams/{slug}",
        "members_url": f"{url}/members{{/member}}",
        "repositories_url": f"{url}/repos",
        "type": "organization",
        "organization_id": repository.owner.id,
    }
