"""Endpoints of labels, comments and reactions."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from tests.fakes.github_api import shapes
from tests.fakes.github_api.records import Comment, Issue, Label, Reaction
from tests.fakes.github_api.repository import FakeRepository
from tests.fakes.github_api.routes import Ask, Refused, invalid, not_found, route

LONGEST_LABEL = 50
LONGEST_COMMENT = 65536
REACTIONS = ("+1", "-1", "laugh", "confused", "heart", "hooray", "rocket", "eyes")
EITHER_READ = ("issues=read", "pull_requests=read")
EITHER = ("issues=write", "pull_requests=write")
Shape = dict[str, Any]


@route("GET /repos/{owner}/{repo}/labels", *EITHER_READ)
def list_labels(ask: Ask) -> tuple[int, Any]:
    return 200, [label_shape(ask.repository, label.name) for label in ask.page(list(ask.repository.labels.values()))]


@route("POST /repos/{owner}/{repo}/labels", *EITHER)
def create_label(ask: Ask) -> tuple[int, Any]:
    name = ask.fields.get("name")
    if not isinstance(name, str) or not name:
        raise invalid("Label", "name", "missing_field")
    if name.lower() in ask.repository.labels:
        raise invalid("Label", "name", "already_exists")
    color = ask.fields.get("color") or "ededed"
    _add_label(ask.repository, name, color, ask.fields.get("description"))
    return 201, label_shape(ask.repository, name)


@route("GET /repos/{owner}/{repo}/labels/{name}", *EITHER_READ)
def get_label(ask: Ask) -> tuple[int, Any]:
    if ask.args["name"].lower() not in ask.repository.labels:
        raise not_found()
    return 200, label_shape(ask.repository, ask.args["name"])


@route("GET /repos/{owner}/{repo}/issues/{issue_number}/labels", *EITHER_READ)
def list_issue_labels(ask: Ask) -> tuple[int, Any]:
    return 200, [label_shape(ask.repository, name) for name in ask.page(_issue(ask).labels)]


@route("POST /repos/{owner}/{repo}/issues/{issue_number}/labels", *EITHER, role="triage")
def add_labels(ask: Ask) -> tuple[int, Any]:
    """Takes an object, and the bare array that PyGithub sends. A label that is not there yet is made."""
    issue, repository = _issue(ask), ask.repository
    given = ask.body if isinstance(ask.body, list) else ask.fields.get("labels")
    if not isinstance(given, list) or not given:
        raise invalid("Label", "labels", "missing_field")
    names: list[Any] = [each.get("name") if isinstance(each, dict) else each for each in given]
    if not all(isinstance(name, str) and name for name in names):
        raise invalid("Label", "name", "invalid")
    for name in names:
        if name.lower() not in repository.labels:
            _add_label(repository, name, "ededed", None)
        known = repository.labels[name.lower()].name
        if known not in issue.labels:
            issue.labels.append(known)
    return 200, [label_shape(repository, name) for name in issue.labels]


@route("GET /repos/{owner}/{repo}/issues/{issue_number}/comments", *EITHER_READ)
def list_comments(ask: Ask) -> tuple[int, Any]:
    number = _issue(ask).number
    found = [comment for comment in ask.repository.comments if comment.number == number]
    return 200, [comment_shape(ask.repository, comment) for comment in ask.page(found)]


@route("POST /repos/{owner}/{repo}/issues/{issue_number}/comments", *EITHER, role="read")
def create_comment(ask: Ask) -> tuple[int, Any]:
    issue = _issue(ask)
    comment = ask.repository.add_comment(issue.number, _body(ask), ask.actor)
    return 201, comment_shape(ask.repository, comment)


@route("GET /repos/{owner}/{repo}/issues/comments/{comment_id}", *EITHER_READ)
def get_comment(ask: Ask) -> tuple[int, Any]:
    return 200, comment_shape(ask.repository, _comment(ask))


@route("PATCH /repos/{owner}/{repo}/issues/comments/{comment_id}", *EITHER, role="read")
def update_comment(ask: Ask) -> tuple[int, Any]:
    comment = _comment(ask)
    if ask.actor.app is None and comment.author != ask.actor.user and ask.repository.role(ask.actor.user) == "none":
        raise Refused(403, "Must have admin rights to Repository.")
    comment.body, comment.updated_at = _body(ask), ask.hub.now
    assert ask.actor.user
    ask.hub.webhooks.issue_comment(ask.repository, comment, "edited", ask.actor.user)
    return 200, comment_shape(ask.repository, comment)


@route("POST /repos/{owner}/{repo}/issues/comments/{comment_id}/reactions", *EITHER, role="read")
def create_reaction(ask: Ask) -> tuple[int, Any]:
    """200 for one that is there already."""
    comment, content = _comment(ask), ask.fields.get("content")
    if content not in REACTIONS:
        raise invalid("Reaction", "content", "invalid")
    assert ask.actor.user
    there = [each for each in comment.reactions if (each.user, each.content) == (ask.actor.user, content)]
    if there:
        return 200, _reaction(ask.repository, there[0])
    made = Reaction(id=ask.hub.new_id(), user=ask.actor.user, content=content, created_at=ask.hub.now)
    comment.reactions.append(made)
    return 201, _reaction(ask.repository, made)


@route("GET /repos/{owner}/{repo}/issues/comments/{comment_id}/reactions", *EITHER_READ)
def list_reactions(ask: Ask) -> tuple[int, Any]:
    return 200, [_reaction(ask.repository, each) for each in ask.page(_comment(ask).reactions)]


def label_shape(repository: FakeRepository, name: str) -> Shape:
    label = repository.labels[name.lower()]
    return {
        "id": label.id,
        "node_id": shapes.node("Label", label.id),
        "url": f"{repository.url}/labels/{quote(label.name)}",
        "name": label.name,
        "description": label.description,
        "color": label.color,
        "default": False,
    }


def comment_shape(repository: FakeRepository, comment: Comment) -> Shape:
    hub, url = repository.hub, f"{repository.url}/issues/comments/{comment.id}"
    kind = "pull" if hasattr(repository.issues[comment.number], "branch") else "issues"
    return {
        "id": comment.id,
        "node_id": shapes.node("IssueComment", comment.id),
        "url": url,
        "html_url": f"{repository.html_url}/{kind}/{comment.number}#issuecomment-{comment.id}",
        "issue_url": f"{repository.url}/issues/{comment.number}",
        "user": shapes.user(hub, comment.author),
        "body": comment.body,
        "created_at": comment.created_at,
        "updated_at": comment.updated_at,
        "author_association": "OWNER" if comment.author == repository.owner else "NONE",
        "performed_via_github_app": shapes.app(hub, comment.app) if comment.app else None,
        "reactions": {
            "url": f"{url}/reactions",
            "total_count": len(comment.reactions),
            **{name: sum(each.content == name for each in comment.reactions) for name in REACTIONS},
        },
    }


def _issue(ask: Ask) -> Issue:
    found = ask.repository.issues.get(ask.number("issue_number"))
    if found is None:
        raise not_found()
    return found


def _comment(ask: Ask) -> Comment:
    number = ask.number("comment_id")
    for comment in ask.repository.comments:
        if comment.id == number:
            return comment
    raise not_found()


def _body(ask: Ask) -> str:
    body = ask.fields.get("body")
    if not isinstance(body, str) or not body.strip():
        raise invalid("IssueComment", "body", "missing_field", "Body cannot be blank")
    if len(body) > LONGEST_COMMENT:
        raise invalid("IssueComment", "body", "custom", f"Body is too long (maximum is {LONGEST_COMMENT} characters)")
    return body


def _reaction(repository: FakeRepository, reaction: Reaction) -> Shape:
    return {
        "id": reaction.id,
        "node_id": shapes.node("Reaction", reaction.id),
        "user": shapes.user(repository.hub, reaction.user),
        "content": reaction.content,
        "created_at": reaction.created_at,
    }


def _add_label(repository: FakeRepository, name: str, color: str, description: str | None) -> None:
    if len(name) > LONGEST_LABEL:
        raise invalid("Label", "name", "too_long", "name is too long (maximum is 50 characters)")
    label = Label(id=repository.hub.new_id(), name=name, color=color, description=description)
    repository.labels[name.lower()] = label
