"""What webhooks carry, in the shapes that GitHub sends."""

from __future__ import annotations

from typing import Any

from tests.fakes.github_api import shapes
from tests.fakes.github_api.actions import workflow_number, workflow_run
from tests.fakes.github_api.bare import ZERO
from tests.fakes.github_api.checks import check_run
from tests.fakes.github_api.issues import comment_shape, label_shape
from tests.fakes.github_api.records import CheckRun, Comment, Pull, Push, User, WorkflowRun
from tests.fakes.github_api.repository import FakeRepository

Shape = dict[str, Any]


def of_workflow_run(repository: FakeRepository, run: WorkflowRun, action: str) -> Shape:
    number = workflow_number(run)
    where = f"{repository.html_url}/actions/workflows/{run.workflow}"
    workflow = {
        "id": number,
        "node_id": shapes.node("Workflow", number),
        "name": run.workflow,
        "path": f".github/workflows/{run.workflow}",
        "state": "active",
        "created_at": repository.created_at,
        "updated_at": repository.created_at,
        "url": f"{repository.url}/actions/workflows/{number}",
        "html_url": where,
        "badge_url": f"{where}/badge.svg",
    }
    made = {"action": action, "workflow_run": workflow_run(repository, run), "workflow": workflow}
    return {**made, **_where(repository, run.actor)}


def of_issue_comment(repository: FakeRepository, comment: Comment, action: str, sender: User) -> Shape:
    made = {
        "action": action,
        "issue": _issue(repository, comment.number),
        "comment": comment_shape(repository, comment),
    }
    return {**made, **_where(repository, sender)}


def of_check_run(repository: FakeRepository, run: CheckRun, action: str, sender: User) -> Shape:
    shape = {**check_run(repository, run), "check_suite": _suite(repository, run)}
    return {"action": action, "check_run": shape, **_where(repository, sender)}


def of_check_suite(repository: FakeRepository, run: CheckRun, action: str, sender: User) -> Shape:
    """The suite that a check run is in."""
    return {"action": action, "check_suite": _suite(repository, run), **_where(repository, sender)}


def of_push(repository: FakeRepository, push: Push) -> Shape:
    who = repository.hub.user(push.actor)
    return {
        "ref": push.ref,
        "before": push.old,
        "after": push.new,
        "created": push.old == ZERO,
        "deleted": push.new == ZERO,
        "forced": push.forced,
        "base_ref": None,
        "compare": f"{repository.html_url}/compare/{push.old[:12]}...{push.new[:12]}",
        "commits": [],
        "head_commit": None,
        "pusher": {"name": who.login, "email": None},
        **_where(repository, who),
    }


def _suite(repository: FakeRepository, run: CheckRun) -> Shape:
    shape = check_run(repository, run)
    return {
        "id": run.suite,
        "node_id": shapes.node("CheckSuite", run.suite),
        "head_branch": next((name for name, tip in repository.branches.items() if tip == run.head_sha), None),
        "head_sha": run.head_sha,
        "status": run.status,
        "conclusion": run.conclusion,
        "url": f"{repository.url}/check-suites/{run.suite}",
        "pull_requests": shape["pull_requests"],
        "app": shape["app"],
    }


def _where(repository: FakeRepository, sender: User) -> Shape:
    """What every event carries."""
    hub = repository.hub
    there = [each.id for each in hub.installations.values() if repository.full_name.lower() in each.repositories]
    installed = [{"id": number, "node_id": shapes.node("Installation", number)} for number in there]
    return {
        "repository": shapes.repository(repository),
        "sender": shapes.user(hub, sender),
        **({"installation": installed[0]} if installed else {}),
    }


def _issue(repository: FakeRepository, number: int) -> Shape:
    """The issue, or the pull request as an issue."""
    hub, issue = repository.hub, repository.issues[number]
    url, is_pull = f"{repository.url}/issues/{number}", isinstance(issue, Pull)
    page = f"{repository.html_url}/{'pull' if is_pull else 'issues'}/{number}"
    shape = {
        "url": url,
        "repository_url": repository.url,
        "labels_url": f"{url}/labels{{/name}}",
        "comments_url": f"{url}/comments",
        "events_url": f"{url}/events",
        "html_url": page,
        "id": issue.id,
        "node_id": shapes.node("Issue", issue.id),
        "number": number,
        "title": issue.title,
        "user": shapes.user(hub, issue.author),
        "labels": [label_shape(repository, name) for name in issue.labels],
        "state": issue.state,
        "locked": False,
        "assignee": None,
        "assignees": [],
        "milestone": None,
        "comments": sum(comment.number == number for comment in repository.comments),
        "created_at": issue.created_at,
        "updated_at": issue.updated_at,
        "closed_at": issue.closed_at,
        "author_association": "NONE",
        "active_lock_reason": None,
        "body": issue.body,
    }
    if isinstance(issue, Pull):
        pull = {"url": f"{repository.url}/pulls/{number}", "html_url": page, "merged_at": issue.merged_at}
        shape |= {
            "draft": issue.draft,
            "pull_request": {**pull, "diff_url": f"{page}.diff", "patch_url": f"{page}.patch"},
        }
    return shape
