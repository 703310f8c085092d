"""The fake GitHub keeps GitHub's rules: what it accepts, what it refuses and in which words, and how it fails."""

from __future__ import annotations

import base64
import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from github import Auth

from tests.fakes.faults import Fault
from tests.fakes.github import FakeGitHub, FakeRepository
from tests.fakes.token_exchange import TokenExchange
from tests.unit.workspace.repositories import ENVIRONMENT, commit, git, new_repository

CHECKS = "POST /repos/{owner}/{repo}/check-runs"
ANNOTATION = {"path": "a", "start_line": 1, "end_line": 1, "annotation_level": "failure", "message": "No"}


@pytest.fixture
def github(tmp_path: Path) -> Iterator[FakeGitHub]:
    seed = new_repository(tmp_path / "seed", {"README.md": "Hello\n", ".github/workflows/mason.yml": "on: push\n"})
    git(tmp_path, "clone", "-q", "--bare", str(seed), "bare.git")
    with FakeGitHub(tmp_path) as fake:
        fake.repository("octo/app", tmp_path / "bare.git")
        yield fake


@pytest.fixture
def repository(github: FakeGitHub) -> FakeRepository:
    return github.hub.repositories["octo/app"]


def call(github: FakeGitHub, method: str, path: str, body: Any = None, token: str | None = None) -> httpx.Response:
    """A call below the repository, by Mason's App unless another token is given; "" for none."""
    token = github.token("app") if token is None else token
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    where = path if path.startswith("/app") else f"/repos/octo/app{path}"
    return httpx.request(method, github.url + where, json=body, headers=headers, timeout=5)


def said(answer: httpx.Response) -> tuple[int, str]:
    """Its status and all of its words."""
    body = answer.json()
    errors = [str(each.get("message")) for each in body.get("errors", [])]
    return answer.status_code, " ".join([body["message"], *errors])


def opening(branch: str, **more: Any) -> dict[str, Any]:
    return {"title": "Item", "head": branch, "base": "main", "body": "Text", **more}


class Clone:
    """A clone over HTTP that pushes with a token."""

    def __init__(self, place: Path, url: str) -> None:
        self.place = place
        git(place.parent, "clone", "-q", url, str(place))
        git(place, "config", "user.name", "Ada")
        git(place, "config", "user.email", "ada@example.com")

    def commit(self, branch: str, files: dict[str, str]) -> str:
        git(self.place, "checkout", "-q", "-B", branch)
        return commit(self.place, files)

    def push(self, token: str, *words: str) -> str:
        """What git said on stderr."""
        basic = base64.b64encode(f"x-access-token:{token}".encode()).decode()
        options = ["-c", f"http.extraHeader=Authorization: Basic {basic}"] if token else []
        environment = {**ENVIRONMENT, "GIT_TERMINAL_PROMPT": "0"}
        asked = ["git", *options, "push", "-q", "origin", *words]
        done = subprocess.run(asked, cwd=self.place, env=environment, capture_output=True, text=True, check=False)
        return done.stderr


@pytest.fixture
def clone(tmp_path: Path, repository: FakeRepository) -> Clone:
    return Clone(tmp_path / "clone", repository.clone_url)


# Git over HTTP


def test_git__a_push_is_what_the_api_shows(github: FakeGitHub, repository: FakeRepository, clone: Clone) -> None:
    first = clone.commit("mason/item", {"a.txt": "a"})
    assert clone.push(github.token("app"), "mason/item") == ""
    assert call(github, "POST", "/pulls", opening("mason/item")).json()["head"]["sha"] == first
    second = clone.commit("mason/item", {"a.txt": "b"})
    clone.push(github.token("app"), "mason/item")
    assert call(github, "GET", "/pulls/1").json()["head"]["sha"] == second
    assert repository.git.resolve("refs/pull/1/head") == second
    assert [(push.new, push.forced, push.actor) for push in repository.pushes] == [
        (first, False, "mason[bot]"),
        (second, False, "mason[bot]"),
    ]


def test_git__large_pushes_arrive_in_chunks(github: FakeGitHub, repository: FakeRepository, clone: Clone) -> None:
    # No compression brings it below git's buffer for posts, which is 1 MiB.
    noise = "".join(hashlib.sha256(str(n).encode()).hexdigest() for n in range(50_000))
    pushed = clone.commit("mason/item", {"noise.txt": noise})
    assert clone.push(github.token("app"), "mason/item") == ""
    assert repository.branches["mason/item"] == pushed


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ({}, "could not read Username"),
        ({"kind": "app", "permissions": {"contents": "read"}}, "denied to mason[bot]"),
        ({"kind": "app", "repositories": ("octo/other",)}, "denied to mason[bot]"),
        ({"kind": "user", "login": "stranger"}, "denied to stranger"),
        ({"kind": "app", "life": -1.0}, "could not read Username"),
    ],
)
def test_git__who_may_not_push_is_told(github: FakeGitHub, clone: Clone, token: dict[str, Any], words: str) -> None:
    clone.commit("mason/item", {"a.txt": "a"})
    assert words in clone.push(github.token(**token) if token else "", "mason/item")


def test_git__protected_archived_forced_and_workflows(
    github: FakeGitHub, repository: FakeRepository, clone: Clone
) -> None:
    token = github.token("app")
    repository.protect("release/*")
    clone.commit("release/1", {"a.txt": "a"})
    assert "GH006" in clone.push(token, "release/1")
    clone.commit("mason/item", {"b.txt": "b"})
    assert clone.push(token, "mason/item") == ""
    git(clone.place, "commit", "-q", "--amend", "-m", "Another")
    assert "non-fast-forward" in clone.push(token, "+mason/item")
    assert "hidden ref" in clone.push(token, "HEAD:refs/pull/9/head")
    clone.commit("mason/flow", {".github/workflows/new.yml": "on: push\n"})
    assert "without `workflows` permission" in clone.push(token, "mason/flow")
    repository.archive()
    assert "archived" in clone.push(token, "mason/item")


def test_git__private_repositories_hide(github: FakeGitHub, repository: FakeRepository) -> None:
    repository.private = True
    address = f"{repository.clone_url}/info/refs?service=git-upload-pack"
    assert httpx.get(address).headers["www-authenticate"].startswith("Basic")
    stranger = base64.b64encode(f"x:{github.token('user', login='stranger')}".encode()).decode()
    assert httpx.get(address, headers={"Authorization": f"Basic {stranger}"}).status_code == 404


# Tokens


def test_tokens__a_missing_permission_is_named(github: FakeGitHub) -> None:
    token = github.token("app", permissions={"contents": "write", "checks": "read"})
    answer = call(github, "POST", "/check-runs", {"name": "x", "head_sha": "0" * 40}, token)
    assert said(answer) == (403, "Resource not accessible by integration")
    assert answer.headers["x-accepted-github-permissions"] == "checks=write"


def test_tokens__unknown_expired_and_absent(github: FakeGitHub) -> None:
    assert said(call(github, "GET", "", token="ghs_nonsense")) == (401, "Bad credentials")
    assert said(call(github, "GET", "", token=github.token("app", life=-1.0))) == (401, "Bad credentials")
    assert said(call(github, "POST", "/pulls", opening("x"), token="")) == (401, "Requires authentication")
    assert call(github, "GET", "", token="").status_code == 200


def test_tokens__scopes_of_people(github: FakeGitHub) -> None:
    answer = call(github, "GET", "", token=github.token("user", scopes=("read:org", "repo")))
    assert answer.headers["x-oauth-scopes"] == "read:org, repo"
    bare = github.token("user", login="octo", scopes=("read:org",))
    assert call(github, "POST", "/labels", {"name": "x"}, bare).status_code == 404
    assert call(github, "POST", "/labels", {"name": "x"}, github.token("user", login="octo")).status_code == 201


def test_apps__a_jwt_becomes_a_narrow_token(github: FakeGitHub) -> None:
    shown = Auth.AppAuth(github.app.id, github.app.private_key).token
    installation = call(github, "GET", "/installation", token=shown).json()
    path = f"/app/installations/{installation['id']}/access_tokens"
    asked = {"repositories": ["app"], "permissions": {"contents": "read"}}
    token = call(github, "POST", path, asked, shown).json()["token"]
    assert len(token) > 300
    assert call(github, "GET", "/branches/main", token=token).status_code == 200
    assert call(github, "POST", "/git/blobs", {"content": "x"}, token).status_code == 403
    wide = {"permissions": {"administration": "write"}}
    assert call(github, "POST", path, wide, shown).status_code == 422
    assert call(github, "POST", path, {"repositories": ["other"]}, shown).status_code == 422
    assert call(github, "GET", "/app", token=token).status_code == 401


def test_apps__a_jwt_is_verified(github: FakeGitHub) -> None:
    other = jwt.encode({"iss": "4711", "iat": 0, "exp": 2**40}, "s" * 32, algorithm="HS256")
    late = jwt.encode({"iss": "4711", "iat": 0, "exp": 2**40}, github.app.private_key, algorithm="RS256")
    old = jwt.encode({"iss": "4711", "iat": 0, "exp": 1}, github.app.private_key, algorithm="RS256")
    assert {call(github, "GET", "/app", token=each).status_code for each in (other, late, old)} == {401}


def test_exchange__an_identity_becomes_a_token(github: FakeGitHub) -> None:
    with TokenExchange(github) as app:
        asked = {"Authorization": f"Bearer {github.oidc_request_token}"}
        identity = httpx.get(f"{github.oidc_request_url}&audience={app.server_url}", headers=asked).json()["value"]

        def exchanged(shown: str, run: str = "7") -> httpx.Response:
            return httpx.post(f"{app.server_url}/api/runs/{run}/token", headers={"Authorization": f"Bearer {shown}"})

        token = exchanged(identity).json()["token"]
        assert call(github, "POST", "/labels", {"name": "x"}, token).status_code == 201
        assert exchanged(github.oidc.identity("https://elsewhere.example")).status_code == 401
        app.runs["7"] = "octo/app"
        assert [exchanged(identity, run).status_code for run in ("7", "8")] == [200, 404]
        github.hub.uninstall("octo/app")
        assert exchanged(identity).status_code == 403
    assert httpx.get(github.oidc_request_url).status_code == 401


# Pull requests


def test_pulls__refusals_of_new_ones(github: FakeGitHub, repository: FakeRepository) -> None:
    repository.push_as_person("topic", {"a.txt": "a"})
    call(github, "POST", "/pulls", opening("topic"))
    reasons = {
        "topic": "Validation Failed A pull request already exists for octo:topic.",
        "main": "Validation Failed No commits between main and main",
        "none": "Validation Failed None",
        "": "Validation Failed None",
    }
    assert {branch: said(call(github, "POST", "/pulls", opening(branch))) for branch in reasons} == {
        branch: (422, reason) for branch, reason in reasons.items()
    }
    repository.has_drafts = False
    repository.push_as_person("other", {"a.txt": "a"})
    assert "Draft" in said(call(github, "POST", "/pulls", opening("other", draft=True)))[1]
    repository.actions_may_open_pulls = False
    assert call(github, "POST", "/pulls", opening("other"), github.token("actions")).status_code == 403


def test_pulls__close_with_their_branch_and_open_again(github: FakeGitHub, repository: FakeRepository) -> None:
    pull = repository.open_pull_request_by_person("topic", {"a.txt": "a"})
    repository.delete_branch("topic")
    assert repository.pull(pull.number).state == "closed"
    reopen = {"state": "open"}
    assert "deleted" in said(call(github, "PATCH", "/pulls/1", reopen))[1]
    repository.push_as_person("topic", {"b.txt": "b"})
    assert "recreated" in said(call(github, "PATCH", "/pulls/1", reopen))[1]
    repository.git.set_ref("refs/heads/topic", pull.head_sha)
    assert call(github, "PATCH", "/pulls/1", reopen).json()["state"] == "open"


def test_pulls__merged_by_the_button_or_by_a_push(github: FakeGitHub, repository: FakeRepository) -> None:
    first = repository.open_pull_request_by_person("one", {"a.txt": "a"})
    repository.merge(first.number, delete_branch=True)
    second = repository.open_pull_request_by_person("two", {"b.txt": "b"})
    repository.git.set_ref("refs/heads/main", second.head_sha)
    assert [pull.merged for pull in repository.pulls] == [True, True]
    assert "reopened" in said(call(github, "PATCH", "/pulls/1", {"state": "open"}))[1]


def test_pulls__pages_filters_and_forks(github: FakeGitHub, repository: FakeRepository) -> None:
    for branch in ("one", "two", "three"):
        repository.open_pull_request_by_person(branch, {f"{branch}.txt": "x"})
    fork = repository.open_pull_request_by_person("one", {"x.txt": "x"}, login="eve", fork=True)
    assert repository.git.resolve(f"refs/pull/{fork.number}/head") == fork.head_sha
    page = call(github, "GET", "/pulls?per_page=3&page=1")
    assert [pull["number"] for pull in page.json()] == [4, 3, 2]
    following = page.links["next"]["url"]
    assert [pull["number"] for pull in httpx.get(following).json()] == [1]
    heads = {"octo:one": [1], "eve:one": [4], "octo:none": [], "one": [4, 3, 2, 1]}
    assert {
        head: [pull["number"] for pull in call(github, "GET", f"/pulls?head={head}").json()] for head in heads
    } == heads
    assert call(github, "GET", "/pulls/4").json()["head"]["repo"]["full_name"] == "eve/app"


def test_pulls__files_with_odd_names(github: FakeGitHub, repository: FakeRepository) -> None:
    repository.open_pull_request_by_person("topic", {'a "b"\n.txt': "1\n2\n", "README.md": None, "bytes": b"\0\xff"})
    found = call(github, "GET", "/pulls/1/files").json()
    assert {(each["filename"], each["status"], each["additions"]) for each in found} == {
        ('a "b"\n.txt', "added", 2),
        ("README.md", "removed", 0),
        ("bytes", "added", 0),
    }


def test_pulls__reviewers_and_labels(github: FakeGitHub, repository: FakeRepository) -> None:
    repository.open_pull_request_by_person("topic", {"a.txt": "a"}, login="ada")
    repository.add_collaborator("ada")
    repository.add_collaborator("grace")
    path = "/pulls/1/requested_reviewers"
    assert "author" in said(call(github, "POST", path, {"reviewers": ["ada"]}))[1]
    assert "collaborators" in said(call(github, "POST", path, {"reviewers": ["eve"]}))[1]
    assert call(github, "POST", path, {"reviewers": ["grace"]}).status_code == 201
    call(github, "POST", "/issues/1/labels", ["One"])
    call(github, "POST", "/issues/1/labels", {"labels": ["one", "two"]})
    assert (repository.pull(1).labels, repository.pull(1).reviewers) == (["One", "two"], ["grace"])


# Check runs


def check(**more: Any) -> dict[str, Any]:
    return {"name": "mason / lint", "output": {"title": "Lint", "summary": "At work"}, **more}


def output(**more: Any) -> dict[str, Any]:
    return {"output": {"title": "Lint", "summary": "At work", **more}}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (output(annotations=[ANNOTATION] * 51), "50 annotations"),
        (output(annotations=[{**ANNOTATION, "end_line": 2, "end_column": 1}]), "columns"),
        (output(text="x" * 65_536), "65535"),
        ({"status": "completed"}, "conclusion"),
        ({"conclusion": "fine"}, "not a member"),
        ({"actions": [{"label": "Retry", "description": "Again", "identifier": "retry"}] * 4}, "3 actions"),
        ({"actions": [{"label": "x" * 21, "description": "Again", "identifier": "retry"}]}, "actions.label"),
        ({"head_sha": "0" * 40}, "No commit found for SHA"),
    ],
)
def test_check_runs__what_breaks_a_rule_is_refused(
    github: FakeGitHub, repository: FakeRepository, wrong: dict[str, Any], words: str
) -> None:
    asked = {**check(head_sha=repository.branches["main"]), **wrong}
    status, sentence = said(call(github, "POST", "/check-runs", asked))
    assert (status, words in sentence) == (422, True), sentence
    assert repository.check_runs == []


def test_check_runs__annotations_add_up(github: FakeGitHub, repository: FakeRepository) -> None:
    asked = check(head_sha=repository.branches["main"], **output(annotations=[ANNOTATION] * 50))
    number = call(github, "POST", "/check-runs", asked).json()["id"]
    done = call(github, "PATCH", f"/check-runs/{number}", {"conclusion": "failure", **output(annotations=[ANNOTATION])})
    assert (done.json()["status"], done.json()["output"]["annotations_count"]) == ("completed", 51)
    again = call(github, "PATCH", f"/check-runs/{number}", {"status": "in_progress"})
    assert (again.json()["conclusion"], again.json()["output"]["annotations_count"]) == (None, 51)


def test_check_runs__belong_to_their_app(github: FakeGitHub, repository: FakeRepository) -> None:
    asked = check(head_sha=repository.branches["main"])
    number = call(github, "POST", "/check-runs", asked).json()["id"]
    theirs = call(github, "POST", "/check-runs", asked, github.token("actions")).json()
    assert theirs["app"]["id"] == 15368
    change = {"conclusion": "success"}
    assert "Invalid app_id" in said(call(github, "PATCH", f"/check-runs/{number}", change, github.token("actions")))[1]
    person = github.token("user", login="octo")
    assert said(call(github, "POST", "/check-runs", asked, person)) == (403, "You must authenticate via a GitHub App.")


def test_check_runs__filters(github: FakeGitHub, repository: FakeRepository) -> None:
    asked = check(head_sha=repository.branches["main"])
    for fields in (asked, asked, {**asked, "name": "other", "conclusion": "success"}):
        call(github, "POST", "/check-runs", fields)
    counts = {"": 2, "?filter=all": 3, "?filter=all&check_name=other": 1, "?status=completed": 1, "?app_id=15368": 0}
    assert {
        query: call(github, "GET", f"/commits/main/check-runs{query}").json()["total_count"] for query in counts
    } == counts


# Git data


def test_git_data__a_commit_of_the_app_is_signed(github: FakeGitHub, repository: FakeRepository) -> None:
    tip = repository.branches["main"]
    base = call(github, "GET", f"/git/commits/{tip}").json()["tree"]["sha"]
    entries = [
        {"path": "run.sh", "mode": "100755", "type": "blob", "content": "true\n"},
        {"path": "README.md", "mode": "100644", "type": "blob", "sha": None},
    ]
    tree = call(github, "POST", "/git/trees", {"base_tree": base, "tree": entries}).json()["sha"]
    made = call(github, "POST", "/git/commits", {"message": "Signed\n", "tree": tree, "parents": [tip]}).json()
    assert made["verification"]["verified"]
    assert made["author"]["name"] == "mason[bot]"
    ref = {"ref": "refs/heads/mason/item", "sha": made["sha"]}
    assert [call(github, "POST", "/git/refs", ref).status_code for _ in range(2)] == [201, 422]
    assert repository.git.text("ls-tree", "-r", "--name-only", "mason/item").split() == [
        ".github/workflows/mason.yml",
        "run.sh",
    ]
    back = {"sha": tip, "force": False}
    assert said(call(github, "PATCH", "/git/refs/heads/mason/item", back)) == (422, "Update is not a fast forward")
    git(repository.git.path, "fsck", "--strict")


def test_git_data__refusals(github: FakeGitHub, repository: FakeRepository) -> None:
    repository.protect("release/*")
    tip = repository.branches["main"]
    protected = {"ref": "refs/heads/release/1", "sha": tip}
    assert "protected" in said(call(github, "POST", "/git/refs", protected))[1]
    unknown = {"ref": "refs/heads/x", "sha": "0" * 39 + "1"}
    assert said(call(github, "POST", "/git/refs", unknown)) == (422, "Object does not exist")
    assert call(github, "GET", "/git/ref/heads/none").status_code == 404
    nothing = {"base_tree": tip, "tree": [{"path": "none", "mode": "100644", "type": "blob", "sha": None}]}
    assert call(github, "POST", "/git/trees", nothing).status_code == 422


# Repositories and workflows


def test_repository__archived_renamed_and_unknown(github: FakeGitHub, repository: FakeRepository) -> None:
    repository.archive()
    assert call(github, "GET", "").json()["archived"] is True
    assert "archived" in said(call(github, "POST", "/labels", {"name": "x"}))[1]
    assert httpx.get(f"{github.url}/repos/octo/none").status_code == 404
    repository.rename("octo/new")
    assert call(github, "POST", "/labels", {"name": "x"}).status_code == 307
    assert call(github, "GET", "").status_code == 301
    followed = httpx.get(repository.url.replace("new", "app") + "/labels", follow_redirects=True)
    assert (followed.json(), followed.url.path) == ([], f"/api/v3/repositories/{repository.id}/labels")
    # Also without the prefix of an Enterprise server.
    assert httpx.get(f"{github.server_url}/repos/octo/new").json()["full_name"] == "octo/new"


def test_dispatch__new_and_old_servers(github: FakeGitHub, repository: FakeRepository) -> None:
    text = "run-name: Mason ${{ inputs.run-id }}\non: [workflow_dispatch]\n"
    repository.push_as_person("main", {".github/workflows/mason.yml": text})
    path = "/actions/workflows/mason.yml"
    asked = {"ref": "main", "inputs": {"run-id": "7"}, "return_run_details": True}
    number = call(github, "POST", f"{path}/dispatches", asked).json()["workflow_run_id"]
    assert repository.workflow_runs[0].title == "Mason 7"
    repository.workflow_runs[0].start()
    assert call(github, "GET", f"/actions/runs/{number}").json()["status"] == "in_progress"
    repository.dispatch = "silent"
    assert call(github, "POST", f"{path}/dispatches", asked).status_code == 204
    repository.dispatch = "strict"
    assert call(github, "POST", f"{path}/dispatches", asked).status_code == 400
    assert call(github, "GET", f"{path}/runs").json()["total_count"] == 2


# Faults


def test_faults__before_and_after_the_effect(github: FakeGitHub, repository: FakeRepository) -> None:
    asked = check(head_sha=repository.branches["main"])
    github.fail(CHECKS, with_=Fault.BAD_GATEWAY)
    assert call(github, "POST", "/check-runs", asked).status_code == 502
    assert repository.check_runs == []
    github.fail(CHECKS, when="after")
    assert call(github, "POST", "/check-runs", asked).status_code == 500
    assert len(repository.check_runs) == 1
    assert call(github, "POST", "/check-runs", asked).status_code == 201
    assert [(each.status, each.fault) for each in github.calls(CHECKS)] == [
        (502, Fault.BAD_GATEWAY),
        (500, Fault.SERVER_ERROR),
        (201, None),
    ]


@pytest.mark.parametrize(
    ("fault", "status", "header"),
    [
        (Fault.SECONDARY_LIMIT, 403, ("retry-after", "1")),
        (Fault.TOO_MANY, 429, ("retry-after", "1")),
        (Fault.PRIMARY_LIMIT, 403, ("x-ratelimit-remaining", "0")),
    ],
)
def test_faults__limits(github: FakeGitHub, fault: Fault, status: int, header: tuple[str, str]) -> None:
    github.fail(2, with_=fault, retry_after=1, times=2)
    answers = [call(github, "GET", "") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, status, status, 200]
    assert answers[1].headers[header[0]] == header[1]


@pytest.mark.parametrize("fault", [Fault.HALF_RESPONSE, Fault.DROPPED, Fault.TIMEOUT])
@pytest.mark.parametrize("when", ["before", "after"])
def test_faults__lost_answers(github: FakeGitHub, repository: FakeRepository, fault: Fault, when: Any) -> None:
    rule = github.fail(lambda request: request.write, with_=fault, when=when)
    headers = {"Authorization": f"Bearer {github.token('app')}"}
    with pytest.raises(httpx.ReadTimeout if fault is Fault.TIMEOUT else httpx.RemoteProtocolError):
        httpx.post(f"{repository.url}/labels", json={"name": "x"}, headers=headers, timeout=1)
    assert rule.hit.is_set()
    assert len(repository.labels) == (when == "after")
    assert github.writes[0].body == {"name": "x"}


def test_faults__of_git(github: FakeGitHub, repository: FakeRepository, clone: Clone) -> None:
    clone.commit("mason/item", {"a.txt": "a"})
    github.fail("POST git receive-pack", when="after")
    assert "500" in clone.push(github.token("app"), "mason/item")
    assert "mason/item" in repository.branches


def test_fake__a_defect_of_its_own_fails_the_test(tmp_path: Path) -> None:
    new_repository(tmp_path / "seed", {"a": "a"})

    def observer(*_: object) -> None:
        raise ValueError("a defect")

    with pytest.raises(AssertionError, match="a defect"), FakeGitHub(tmp_path, observer=observer) as github:
        assert httpx.get(f"{github.url}/meta").status_code == 500
