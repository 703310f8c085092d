"""The fake GitHub against GitHub's own OpenAPI description: every endpoint, by PyGithub and by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest
from github import Auth, Github

from tests.fakes.description import Description, Violations
from tests.fakes.faults import Answer, Recorded
from tests.fakes.github import FakeGitHub, FakeRepository
from tests.fakes.github_api.records import Pull
from tests.fakes.github_api.routes import TABLE
from tests.unit.workspace.repositories import git, new_repository

pytestmark = pytest.mark.peer

WORKFLOW = """\
name: Mason
run-name: Mason ${{ inputs.run-id || format('#{0}', inputs.pull-request) }}
on:
  workflow_dispatch:
    inputs:
      run-id: {type: string, default: ""}
      pull-request: {type: string, default: ""}
"""


class World:
    """A fake under watch, with one repository and callers of every kind."""

    def __init__(self, github: FakeGitHub, repository: FakeRepository, watch: Violations) -> None:
        self.github = github
        self.repository = repository
        self.watch = watch
        self.token = github.token("app")

    def call(self, method: str, path: str, body: Any = None, *, token: str = "", **query: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token or self.token}"}
        return httpx.request(method, f"{self.github.url}{path}", json=body, params=query, headers=headers)

    def here(self, method: str, path: str, body: Any = None, *, token: str = "", **query: Any) -> httpx.Response:
        """A call below the repository."""
        return self.call(method, f"/repos/{self.repository.full_name}{path}", body, token=token, **query)

    @property
    def app_jwt(self) -> str:
        return Auth.AppAuth(self.github.app.id, self.github.app.private_key).token

    def pygithub(self) -> Github:
        auth = Auth.Token(self.token)
        return Github(
            base_url=self.github.url, auth=auth, retry=None, seconds_between_requests=0, seconds_between_writes=0
        )


@pytest.fixture
def world(tmp_path: Path, github_description: Description) -> Iterator[World]:
    files = {"README.md": "Hello\n", ".github/workflows/mason.yml": WORKFLOW, "old name.txt": "text\n" * 20}
    seed = new_repository(tmp_path / "seed", files)
    git(tmp_path, "clone", "-q", "--bare", str(seed), "bare.git")
    watch = github_description.observer()
    with FakeGitHub(tmp_path, observer=watch) as github:
        repository = github.repository("octo/app", tmp_path / "bare.git", private=True)
        repository.add_collaborator("ada")
        repository.add_collaborator("grace", "maintain")
        repository.teams.add("reviewers")
        yield World(github, repository, watch)


def _pull(world: World) -> Pull:
    files = {"new.txt": "new\n", "old name.txt": None, "renamed.txt": "text\n" * 20}
    return world.repository.open_pull_request_by_person("topic", files)


def _repositories(world: World) -> None:
    world.repository.protect("release/*")
    for path in ("", "/branches/main", "/collaborators/ada/permission", "/collaborators/grace/permission"):
        assert world.here("GET", path).status_code == 200
    assert world.here("GET", "/branches/none").status_code == 404
    assert world.call("GET", "/repos/octo/none").status_code == 404
    for path in ("/users/ada", "/rate_limit", "/meta"):
        assert world.call("GET", path).status_code == 200
    assert world.call("GET", "/user", token=world.github.token("user", login="ada")).status_code == 200
    assert world.call("GET", "/user", token="nonsense").status_code == 401
    link, module, large = (
        ("120000", "README.md", "link"),
        ("160000", "", "module"),
        ("100644", "x" * 1_000_001, "large"),
    )
    tip = world.repository.commit_entries("main", link, module, large)
    for path in ("README.md", ".github", ".github/workflows/mason.yml", "link", "module", "large"):
        assert world.here("GET", f"/contents/{path}", ref=tip).status_code == 200
    assert world.here("GET", "/contents/none").status_code == 404
    assert world.here("GET", "/contents/README.md", ref="0" * 40).status_code == 404
    world.repository.rename("octo/other")
    assert world.call("GET", "/repos/octo/app").status_code == 301


def registered(world: World) -> str:
    """The code of an App that a person has just registered."""
    manifest = {
        "name": "Mine",
        "url": "https://mason.example.com",
        "redirect_url": "https://mason.example.com/setup/github",
        "hook_attributes": {"url": "https://mason.example.com/webhooks/github", "active": True},
        "public": False,
        "default_permissions": {"checks": "write"},
        "default_events": ["check_run"],
    }
    fields = {"manifest": json.dumps(manifest), "state": "x"}
    answer = httpx.post(f"{world.github.server_url}/organizations/octo/settings/apps", data=fields)
    return parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]


def _apps(world: World) -> None:
    assert world.call("GET", "/app", token=world.app_jwt).status_code == 200
    installation = world.here("GET", "/installation", token=world.app_jwt).json()
    path = f"/app/installations/{installation['id']}/access_tokens"
    narrow = {"repositories": ["app"], "permissions": {"checks": "write"}}
    assert world.call("POST", path, narrow, token=world.app_jwt).status_code == 201
    assert world.call("POST", path, token=world.app_jwt).status_code == 201
    too_much = {"permissions": {"administration": "write"}}
    assert world.call("POST", path, too_much, token=world.app_jwt).status_code == 422
    assert world.call("GET", "/app/installations", token=world.app_jwt, per_page=1, page=1).json()[0]["id"]
    assert world.call("POST", f"/app-manifests/{registered(world)}/conversions").status_code == 201
    assert world.call("POST", "/app-manifests/0123456789abcdef/conversions").status_code == 404
    late = jwt.encode({"iss": "4711", "iat": 0, "exp": 9**11}, world.github.app.private_key, algorithm="RS256")
    assert world.call("GET", "/app", token=late).status_code == 401


def _pulls(world: World) -> None:
    pull = _pull(world)
    world.repository.push_as_person("mason/item", {"a.txt": "a"})
    world.repository.open_pull_request_by_person("idea", {"b.txt": "b"}, login="eve", fork=True)
    opened = {"title": "Item", "head": "mason/item", "base": "main", "body": None, "draft": True}
    assert world.here("POST", "/pulls", {**opened, "body": "Text"}).status_code == 201
    assert world.here("POST", "/pulls", {**opened, "body": "Text"}).status_code == 422
    assert world.here("POST", "/pulls", {**opened, "head": "main"}).status_code == 422
    assert world.here("POST", "/pulls", {**opened, "head": "none"}).status_code == 422
    reader = world.github.token("app", permissions={"pull_requests": "read"})
    assert world.here("POST", "/pulls", {**opened, "body": "Text"}, token=reader).status_code == 403
    query: dict[str, Any] = {
        "state": "all",
        "head": "octo:topic",
        "base": "main",
        "sort": "updated",
        "direction": "desc",
    }
    assert pull.number in [each["number"] for each in world.here("GET", "/pulls", **query).json()]
    assert world.here("GET", "/pulls", per_page=1, page=2).headers["link"].count("rel=") == 4
    assert world.here("GET", f"/pulls/{pull.number}/files").json()[1]["status"] == "renamed"
    asked = {"reviewers": ["grace"], "team_reviewers": ["reviewers"]}
    assert world.here("POST", f"/pulls/{pull.number}/requested_reviewers", asked).status_code == 201
    assert world.here("POST", f"/pulls/{pull.number}/requested_reviewers", {"reviewers": ["ada"]}).status_code == 422
    for change in ({"title": "New", "body": "Words"}, {"state": "closed"}, {"state": "open"}):
        assert world.here("PATCH", f"/pulls/{pull.number}", change).status_code == 200
    assert world.here("GET", "/pulls/99").status_code == 404
    world.repository.merge(pull.number)
    assert world.here("GET", f"/pulls/{pull.number}").json()["merged"]
    assert world.here("PATCH", f"/pulls/{pull.number}", {"state": "open"}).status_code == 422


def _issues(world: World) -> None:
    number = _pull(world).number
    assert world.here("POST", "/labels", {"name": "mason", "color": "00ff00", "description": "Ours"}).status_code == 201
    assert world.here("POST", "/labels", {"name": "Mason"}).status_code == 422
    for labels in ({"labels": ["mason", "new one"]}, ["bare"]):
        assert world.here("POST", f"/issues/{number}/labels", labels).status_code == 200
    for path in ("/labels", "/labels/new%20one", f"/issues/{number}/labels"):
        assert world.here("GET", path).status_code == 200
    assert world.here("GET", f"/pulls/{number}").json()["labels"][0]["name"] == "mason"
    comment = world.here("POST", f"/issues/{number}/comments", {"body": "Hello"}).json()["id"]
    assert world.here("PATCH", f"/issues/comments/{comment}", {"body": "Hello again"}).status_code == 200
    for status in (201, 200):
        path = f"/issues/comments/{comment}/reactions"
        assert world.here("POST", path, {"content": "rocket"}).status_code == status
    world.repository.comment_as_person(number, "/mason help", login="ada")
    for path in (f"/issues/{number}/comments", f"/issues/comments/{comment}", f"/issues/comments/{comment}/reactions"):
        assert world.here("GET", path).status_code == 200
    assert world.here("POST", f"/issues/{number}/comments", {"body": " "}).status_code == 422
    assert world.here("GET", "/issues/99/comments").status_code == 404


def _checks(world: World) -> None:
    commit = _pull(world).head_sha
    annotation = {"path": "new.txt", "start_line": 1, "end_line": 1, "annotation_level": "failure", "message": "No"}
    action = {"label": "Retry", "description": "Again", "identifier": "retry"}
    fields = {"name": "mason / lint", "head_sha": commit, "status": "in_progress", "external_id": "x"}
    output = {"title": "Lint", "summary": "At work", "text": "log", "annotations": [{**annotation, "start_column": 1}]}
    asked = {**fields, "output": output, "actions": [action], "details_url": "https://example.com"}
    number = world.here("POST", "/check-runs", asked).json()["id"]
    done = {"status": "completed", "conclusion": "failure", "output": {"title": "Lint", "summary": "One error"}}
    assert world.here("PATCH", f"/check-runs/{number}", done).status_code == 200
    assert world.here("PATCH", f"/check-runs/{number}", {"status": "in_progress"}).json()["conclusion"] is None
    for path in (f"/check-runs/{number}", f"/check-runs/{number}/annotations"):
        assert world.here("GET", path).status_code == 200
    query: dict[str, Any] = {
        "check_name": "mason / lint",
        "filter": "all",
        "app_id": world.github.app.id,
        "status": "in_progress",
    }
    assert world.here("GET", "/commits/topic/check-runs", **query).json()["total_count"] == 1
    assert world.here("POST", "/check-runs", {"name": "x", "head_sha": "0" * 40}).status_code == 422
    person, actions = world.github.token("user"), world.github.token("actions")
    assert world.here("POST", "/check-runs", fields, token=person).status_code == 403
    assert world.here("PATCH", f"/check-runs/{number}", done, token=actions).status_code == 403


def _git_data(world: World) -> None:
    tip = world.repository.branches["main"]
    head = world.here("GET", f"/git/commits/{tip}").json()
    blob = world.here("POST", "/git/blobs", {"content": "AAEC", "encoding": "base64"}).json()["sha"]
    entries = [
        {"path": "bin", "mode": "100755", "type": "blob", "sha": blob},
        {"path": "dir/text", "mode": "100644", "type": "blob", "content": "text"},
        {"path": "README.md", "mode": "100644", "type": "blob", "sha": None},
        {"path": "module", "mode": "160000", "type": "commit", "sha": tip},
    ]
    tree = world.here("POST", "/git/trees", {"base_tree": head["tree"]["sha"], "tree": entries}).json()
    asked = {"message": "Signed", "tree": tree["sha"], "parents": [tip]}
    commit = world.here("POST", "/git/commits", asked).json()
    assert commit["verification"]["verified"]
    by_person = {"author": {"name": "Ada", "email": "ada@example.com", "date": "2024-01-01T00:00:00Z"}}
    assert not world.here("POST", "/git/commits", {**asked, **by_person}).json()["verification"]["verified"]
    ref = {"ref": "refs/heads/mason/item", "sha": tip}
    assert [world.here("POST", "/git/refs", ref).status_code for _ in range(2)] == [201, 422]
    path = "/git/refs/heads/mason/item"
    assert world.here("PATCH", path, {"sha": commit["sha"], "force": False}).status_code == 200
    assert world.here("PATCH", path, {"sha": tip, "force": False}).status_code == 422
    assert world.here("GET", "/git/ref/heads/mason/item").json()["object"]["sha"] == commit["sha"]
    assert world.here("GET", "/git/ref/heads/none").status_code == 404
    assert world.here("GET", "/commits/mason/item").json()["sha"] == commit["sha"]
    assert world.here("DELETE", path).status_code == 204


def _actions(world: World) -> None:
    path = "/actions/workflows/mason.yml"
    asked = {"ref": "main", "inputs": {"run-id": "7"}}
    number = world.here("POST", f"{path}/dispatches", {**asked, "return_run_details": True}).json()["workflow_run_id"]
    assert world.here("POST", f"{path}/dispatches", asked).status_code == 204
    listed = world.here("GET", f"{path}/runs", event="workflow_dispatch", branch="main", status="queued").json()
    assert [run["display_title"] for run in listed["workflow_runs"]] == ["Mason 7", "Mason 7"]
    for below in ("", "/jobs"):
        assert world.here("GET", f"/actions/runs/{number}{below}").status_code == 200
    assert [world.here("POST", f"/actions/runs/{number}/cancel").status_code for _ in range(2)] == [202, 409]
    assert world.here("GET", f"/actions/runs/{number}/jobs").json()["jobs"][0]["conclusion"] == "cancelled"
    assert world.here("GET", f"{path}/runs", created=">=2100-01-01T00:00:00Z").json()["total_count"] == 0
    assert world.here("POST", "/actions/workflows/none.yml/dispatches", asked).status_code == 404
    assert world.here("POST", f"{path}/dispatches", {"ref": "main", "inputs": {"x": "y"}}).status_code == 422
    world.repository.disabled_workflows.add("mason.yml")
    assert world.here("POST", f"{path}/dispatches", asked).status_code == 422


TOURS: list[Callable[[World], None]] = [_repositories, _apps, _pulls, _issues, _checks, _git_data, _actions]


@pytest.mark.parametrize("tour", TOURS, ids=lambda tour: tour.__name__.strip("_"))
def test_fake_github__fits_the_description(world: World, tour: Callable[[World], None]) -> None:
    tour(world)
    assert shown(world.watch) == ""


def test_fake_github__no_endpoint_is_left_out(world: World, github_description: Description) -> None:
    for tour in reversed(TOURS):  # the first one renames the repository
        tour(world)
        for branch in world.repository.branches.keys() - {"main"}:
            world.repository.delete_branch(branch)
    well = {call for call, status in world.watch.calls if status < 300}
    assert {f"{each.method} {each.template}" for each in TABLE} - well == set()
    assert all(github_description.describes(each.method, each.template) for each in TABLE)


def test_fake_github__pygithub_fits_too(world: World) -> None:
    world.repository.push_as_person("mason/item", {"a.txt": "a"})
    there = world.pygithub().get_repo("octo/app")
    pull = there.create_pull(base="main", head="mason/item", title="Item", body="Text", draft=True)
    pull.add_to_labels("mason")
    pull.create_review_request(reviewers=["grace"])
    comment = pull.create_issue_comment("Hello")
    comment.edit("Hello again")
    comment.create_reaction("eyes")
    pull.edit(title="New", body="Words")
    pull.edit(state="closed")
    assert [file.filename for file in pull.get_files()] == ["a.txt"]
    check = there.create_check_run("mason / lint", pull.head.sha, output={"title": "Lint", "summary": "At work"})
    check.edit(status="completed", conclusion="success")
    assert [each.conclusion for each in there.get_commit(pull.head.sha).get_check_runs()] == ["success"]
    assert there.get_branch("mason/item").commit.sha == pull.head.sha
    assert there.get_collaborator_permission("ada") == "write"
    assert shown(world.watch) == ""


def shown(watch: Violations) -> str:
    return "\n".join(f"{each.call} {each.direction}: {each.message}" for each in watch.found)


def _recorded(method: str, route: str, body: Any = None, **query: str) -> Recorded:
    path = route.format(owner="octo", repo="app", check_run_id="7", pull_number="1")
    return Recorded(
        method=method,
        path=path,
        route=route,
        query=query,
        headers={},
        body=body,
        actor=None,
        write=method != "GET",
        at=0.0,
    )


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (_recorded("POST", "/repos/{owner}/{repo}/check-runs", {"name": "x"}), "'head_sha' is a required property"),
        (_recorded("PATCH", "/repos/{owner}/{repo}/check-runs/{check_run_id}", {"annotation": []}), "annotation"),
        (_recorded("PATCH", "/repos/{owner}/{repo}/pulls/{pull_number}", {"state": "merged"}), "merged"),
        (_recorded("POST", "/repos/{owner}/{repo}/pulls"), "a body is required"),
        (_recorded("GET", "/repos/{owner}/{repo}/pulls", branch="x"), "branch is no parameter"),
        (_recorded("GET", "/repos/{owner}/{repo}/pulls", per_page="many"), "per_page"),
        (_recorded("GET", "/repos/{owner}/{repo}/none"), "no such endpoint"),
    ],
)
def test_description__catches_a_wrong_request(github_description: Description, request_: Recorded, said: str) -> None:
    assert any(said in problem for problem in github_description.request_problems(request_))


def test_description__catches_a_wrong_response(world: World, github_description: Description) -> None:
    answer = world.here("GET", "")
    right, request = answer.json(), _recorded("GET", "/repos/{owner}/{repo}")

    def problems(status: int, body: Any) -> list[str]:
        made = httpx.Response(status, json=body)
        sent = Answer(status=status, body=made.content, headers={"Content-Type": "application/json"})
        return list(github_description.response_problems(request, sent))

    assert problems(200, right) == []
    assert problems(201, right) == ["the description knows no status 201"]
    without = {key: value for key, value in right.items() if key != "default_branch"}
    wrong = [
        without,
        {**right, "id": "1"},
        {**right, "html_url": "not an address"},
        {**right, "created_at": "yesterday"},
        {**right, "owner": None},
        {**right, "made_up": True},
    ]
    assert all(problems(200, body) for body in wrong)
