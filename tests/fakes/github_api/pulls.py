"""Endpoints of pull requests."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from tests.fakes.github_api.pull_shapes import base_of_diff, full, simple
from tests.fakes.github_api.records import Pull, User
from tests.fakes.github_api.repository import FakeRepository
from tests.fakes.github_api.routes import Ask, Refused, invalid, not_found, route

MOST_FILES = 3000
LONGEST = {"title": 256, "body": 65536}
Shape = dict[str, Any]


@route("GET /repos/{owner}/{repo}/pulls", "pull_requests=read")
def list_pulls(ask: Ask) -> tuple[int, Any]:
    query, found = ask.query, ask.repository.pulls
    state = query.get("state", "open")
    if state not in ("open", "closed", "all"):
        raise invalid("PullRequest", "state", "invalid")
    if state != "all":
        found = [pull for pull in found if pull.state == state]
    if base := query.get("base"):
        found = [pull for pull in found if pull.base == base]
    owner, colon, branch = query.get("head", "").partition(":")
    if colon:  # without an owner the filter is left out
        wanted = (owner.lower(), branch)
        found = [pull for pull in found if (_head_owner(ask.repository, pull).login.lower(), pull.branch) == wanted]
    by_update = query.get("sort") == "updated"
    direction = query.get("direction") or ("desc" if query.get("sort", "created") == "created" else "asc")
    found.sort(key=lambda pull: (pull.updated_at if by_update else "", pull.number), reverse=direction == "desc")
    return 200, [simple(ask.repository, pull) for pull in ask.page(found)]


@route("POST /repos/{owner}/{repo}/pulls", "pull_requests=write", role="read")
def create_pull(ask: Ask) -> tuple[int, Any]:
    repository, fields = ask.repository, ask.fields
    if ask.actor.app and ask.actor.app.slug == "github-actions" and not repository.actions_may_open_pulls:
        raise Refused(403, "GitHub Actions is not permitted to create or approve pull requests.")
    for name in ("head", "base", "title"):
        if not isinstance(fields.get(name), str) or not fields[name]:
            raise invalid("PullRequest", name, "missing_field")
    _check_lengths(fields)
    branch = fields["head"].removeprefix(f"{repository.owner.login}:")
    branches = repository.branches
    for name, value in (("head", branch), ("base", fields["base"])):
        if value not in branches:
            raise invalid("PullRequest", name, "invalid", value=value)
    base = fields["base"]
    if any(pull.state == "open" and (pull.branch, pull.base) == (branch, base) for pull in _own(repository)):
        said = f"A pull request already exists for {repository.owner.login}:{branch}."
        raise invalid("PullRequest", "", "custom", said)
    if repository.git.merge_base(branches[base], branches[branch]) is None:
        said = f"The {branch} branch has no history in common with {base}"
        raise invalid("PullRequest", "", "custom", said)
    if repository.git.ahead(branches[base], branches[branch]) == 0:
        raise invalid("PullRequest", "", "custom", f"No commits between {base} and {branch}")
    if fields.get("draft") and not repository.has_drafts:
        raise invalid("PullRequest", "", "custom", "Draft pull requests are not supported in this repository.")
    assert ask.actor.user
    pull = repository.add_pull(
        branch,
        branches[branch],
        base,
        author=ask.actor.user,
        title=fields["title"],
        body=fields.get("body"),
        draft=bool(fields.get("draft")),
    )
    return 201, full(repository, pull)


@route("GET /repos/{owner}/{repo}/pulls/{pull_number}", "pull_requests=read")
def get_pull(ask: Ask) -> tuple[int, Any]:
    return 200, full(ask.repository, the_pull(ask))


@route("PATCH /repos/{owner}/{repo}/pulls/{pull_number}", "pull_requests=write")
def update_pull(ask: Ask) -> tuple[int, Any]:
    repository, pull, fields = ask.repository, the_pull(ask), ask.fields
    _check_lengths(fields)
    if fields.get("title") == "":
        raise invalid("PullRequest", "title", "missing_field")
    if "base" in fields and fields["base"] not in repository.branches:
        raise invalid("PullRequest", "base", "invalid", value=fields["base"])
    if "state" in fields:
        _change_state(repository, pull, fields["state"])
    pull.title = fields.get("title", pull.title)
    pull.body = fields.get("body", pull.body)
    pull.base = fields.get("base", pull.base)
    pull.updated_at = ask.hub.now
    return 200, full(repository, pull)


@route("GET /repos/{owner}/{repo}/pulls/{pull_number}/files", "pull_requests=read")
def list_files(ask: Ask) -> tuple[int, Any]:
    repository, pull = ask.repository, the_pull(ask)
    files = repository.git.changed_files(base_of_diff(repository, pull), pull.head_sha)[:MOST_FILES]
    shown = []
    for each in ask.page(files):
        blob = f"{repository.html_url}/blob/{pull.head_sha}/{quote(each.path)}"
        shape = {
            "sha": each.blob,
            "filename": each.path,
            "status": each.status,
            "additions": each.additions,
            "deletions": each.deletions,
            "changes": each.additions + each.deletions,
            "blob_url": blob,
            "raw_url": blob.replace("/blob/", "/raw/"),
            "contents_url": f"{repository.url}/contents/{quote(each.path)}?ref={pull.head_sha}",
        }
        shown.append(shape | ({"previous_filename": each.before} if each.before else {}))
    return 200, shown


@route("POST /repos/{owner}/{repo}/pulls/{pull_number}/requested_reviewers", "pull_requests=write")
def request_reviewers(ask: Ask) -> tuple[int, Any]:
    repository, pull = ask.repository, the_pull(ask)
    people = [str(name) for name in ask.fields.get("reviewers") or []]
    teams = [str(name) for name in ask.fields.get("team_reviewers") or []]
    if pull.author.login.lower() in (name.lower() for name in people):
        raise Refused(422, "Review cannot be requested from pull request author.")
    unknown = [name for name in people if name.lower() not in repository.collaborators]
    if unknown or set(teams) - repository.teams:
        raise Refused(
            422,
            "Reviews may only be requested from collaborators. One or more of the users or teams you specified is not "
            f"a collaborator of the {repository.full_name} repository.",
        )
    pull.reviewers += [name for name in people if name not in pull.reviewers]
    pull.teams += [name for name in teams if name not in pull.teams]
    return 201, simple(repository, pull)


def the_pull(ask: Ask) -> Pull:
    """The pull request that the path names. Raises Refused (404)."""
    found = ask.repository.issues.get(ask.number("pull_number"))
    if not isinstance(found, Pull):
        raise not_found()
    return found


def _own(repository: FakeRepository) -> list[Pull]:
    return [pull for pull in repository.pulls if pull.head_repository == repository.full_name]


def _change_state(repository: FakeRepository, pull: Pull, state: Any) -> None:
    if state not in ("open", "closed"):
        raise invalid("PullRequest", "state", "invalid")
    if state == "closed" and pull.state == "open":
        repository.set_closed(pull)
    if state == "open" and pull.state == "closed":
        _reopen(repository, pull)


def _reopen(repository: FakeRepository, pull: Pull) -> None:
    tip = repository.branches.get(pull.branch)
    refusal = ""
    if pull.merged:
        refusal = "state cannot be changed. The pull request cannot be reopened."
    elif pull.head_repository == repository.full_name:
        if tip is None:
            refusal = f"state cannot be changed. The {pull.branch} branch has been deleted."
        elif not repository.git.is_ancestor(pull.head_sha, tip):
            refusal = f"state cannot be changed. The {pull.branch} branch was force-pushed or recreated."
    if any(one.state == "open" and (one.branch, one.base) == (pull.branch, pull.base) for one in _own(repository)):
        refusal = f"state cannot be changed. There is already an open pull request from {pull.branch} to {pull.base}."
    if refusal:
        raise invalid("PullRequest", "state", "invalid", refusal)
    pull.state, pull.closed_at = "open", None
    if tip is not None and pull.head_repository == repository.full_name and tip != pull.head_sha:
        pull.head_sha = tip
        repository.git.set_ref(f"refs/pull/{pull.number}/head", tip)


def _check_lengths(fields: Shape) -> None:
    for name, longest in LONGEST.items():
        if len(fields.get(name) or "") > longest:
            raise invalid("PullRequest", name, "custom", f"{name} is too long (maximum is {longest} characters)")


def _head_owner(repository: FakeRepository, pull: Pull) -> User:
    return repository.hub.user((pull.head_repository or repository.full_name).partition("/")[0])
