"""Fetching from and pushing to a remote: by path, by file URL, and over HTTP with a token that is seen nowhere."""

from __future__ import annotations

import base64
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.errors import BadRepository, ForgeUnreachable, GitFailed
from app.workspace.remote import Remote, empty_repository
from app.workspace.worktrees import GitWorkspace
from tests.fakes.faults import Answer, Fault, Recorded
from tests.fakes.github import FakeGitHub, FakeRepository
from tests.fakes.loopback import Described, Incoming, LoopbackServer
from tests.unit.workspace.repositories import ENVIRONMENT, commit, git

FIXED = datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)
NAME = "octo/app"
UPLOAD, RECEIVE = "git upload-pack", "git receive-pack"
SOON = 0.01
"""Seconds before something is tried again, in these tests."""

Open = Callable[..., GitWorkspace]


@pytest.fixture
def bare(repository: Path, tmp_path: Path) -> Path:
    git(tmp_path, "clone", "-q", "--bare", str(repository), "bare.git")
    return tmp_path / "bare.git"


@pytest.fixture
def open_at(tmp_path: Path) -> Iterator[Open]:
    """A workspace over a remote; the repository at hand is an empty one unless told otherwise."""
    opened: list[GitWorkspace] = []

    def open_it(remote: Remote, source: Path | None = None) -> GitWorkspace:
        number = len(opened)
        here = source or empty_repository(tmp_path / f"here{number}.git", ENVIRONMENT)
        run_dir, artifacts = tmp_path / f"workspace{number}", tmp_path / "artifacts"
        opened.append(GitWorkspace(here, run_dir, artifacts, ENVIRONMENT, remote=remote))
        return opened[-1]

    yield open_it
    for workspace in opened:
        workspace.close()


@dataclass
class Hosted:
    """A private repository on a server that wants a token."""

    server: FakeGitHub
    there: FakeRepository
    token: str
    bare: Path

    def remote(self, token: str | None = None, **more: Any) -> Remote:
        given = self.token if token is None else token
        return Remote(url=self.there.clone_url, token=lambda: given, wait=SOON, **more)

    def requests(self, service: str) -> list[Recorded]:
        return [request for request in self.server.requests if request.route == service]


@pytest.fixture
def hosted(bare: Path, tmp_path: Path) -> Iterator[Hosted]:
    with FakeGitHub(tmp_path) as server:
        there = server.repository(NAME, bare, private=True)
        yield Hosted(server, there, server.token("app"), bare)


def work(workspace: GitWorkspace, message: str = "Work") -> str:
    base = workspace.pin_base("main").commit
    return workspace.commit(base, base, message, FIXED)


# -- by path and by file URL -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "file://"])
def test_remote__branches_come_from_it_and_go_to_it(open_at: Open, repository: Path, bare: Path, prefix: str) -> None:
    ahead = commit(repository, {"a.txt": "ahead\n"})
    git(repository, "push", "-q", str(bare), "main")
    workspace = open_at(Remote(url=f"{prefix}{bare}"))
    assert workspace.pin_base("main").commit == ahead
    made = work(workspace)
    workspace.push(made, "mason/x")
    workspace.push(made, "mason/x")
    assert git(bare, "rev-parse", "mason/x") == made


def test_remote__wins_over_what_is_checked_out_here(open_at: Open, repository: Path, bare: Path) -> None:
    """The repository at hand only lends its objects: its own commits are nobody's business."""
    there = git(bare, "rev-parse", "main")
    commit(repository, {"a.txt": "local\n"})
    assert open_at(Remote(url=str(bare)), repository).pin_base("main").commit == there


def test_remote__is_asked_again_for_where_its_branches_are(open_at: Open, repository: Path, bare: Path) -> None:
    workspace = open_at(Remote(url=str(bare)))
    base = workspace.pin_base("main")
    ahead = commit(repository, {"a.txt": "ahead\n"})
    git(repository, "push", "-q", str(bare), "main")
    assert (workspace.now(base).commit, workspace.pin_base("main", base.commit)) == (ahead, base)
    git(bare, "update-ref", "-d", "refs/heads/main")
    with pytest.raises(BadRepository, match="has no branch main"):
        workspace.now(base)


def test_remote__a_branch_that_was_rewritten_does_not_keep_a_pinned_commit(
    open_at: Open, repository: Path, bare: Path
) -> None:
    workspace = open_at(Remote(url=str(bare)))
    pinned = workspace.pin_base("main").commit
    git(repository, "checkout", "-q", "--orphan", "other")
    rewritten = commit(repository, {"a.txt": "another history\n"})
    git(repository, "push", "-q", "--force", str(bare), "other:main")
    assert workspace.pin_base("main", pinned).commit == rewritten


def test_remote__a_shallow_checkout_gets_its_history(
    open_at: Open, repository: Path, bare: Path, tmp_path: Path
) -> None:
    first = git(repository, "rev-parse", "main")
    last = commit(repository, {"a.txt": "second\n"})
    git(repository, "push", "-q", str(bare), "main")
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{bare}", "shallow")
    workspace = open_at(Remote(url=f"file://{bare}"), tmp_path / "shallow")
    assert workspace.pin_base("main").commit == last
    assert [change.path for change in workspace.changes(first, last)] == ["a.txt"]
    workspace.push(work(workspace), "mason/x")
    assert git(bare, "merge-base", "main", "mason/x") == last
    assert (tmp_path / "shallow/.git/shallow").exists(), "the user's checkout stays as it is"


def test_remote__a_branch_that_is_not_there(open_at: Open, bare: Path) -> None:
    with pytest.raises(BadRepository, match=r"bare\.git has no branch nowhere"):
        open_at(Remote(url=str(bare))).pin_base("nowhere")


@pytest.mark.parametrize("prefix", ["", "file://"])
def test_remote__a_repository_that_is_not_there(open_at: Open, tmp_path: Path, prefix: str) -> None:
    with pytest.raises(GitFailed, match=r"nothing\.git could not be fetched from: .*does not appear to be a git repo"):
        open_at(Remote(url=f"{prefix}{tmp_path}/nothing.git")).pin_base("main")


def test_remote__the_head_of_a_pull_request(open_at: Open, repository: Path, bare: Path) -> None:
    head = commit(repository, {"a.txt": "from a fork\n"})
    git(repository, "push", "-q", str(bare), f"{head}:refs/pull/7/head")
    workspace = open_at(Remote(url=str(bare)))
    assert workspace.fetch_pull_request(7) == head
    with pytest.raises(GitFailed, match="no head of a pull request 8"):
        workspace.fetch_pull_request(8)


# -- over HTTP, with a token -----------------------------------------------------------------------------------------


def test_http__branches_come_from_it_and_go_to_it(open_at: Open, hosted: Hosted) -> None:
    workspace = open_at(hosted.remote())
    made = work(workspace)
    workspace.push(made, "mason/x")
    workspace.push(made, "mason/x")
    assert hosted.there.branches["mason/x"] == made
    assert [push.forced for push in hosted.there.pushes] == [False]
    assert workspace.keep("x", workspace.pin_base("main").commit, made) == "", "no work, nothing to keep"


def test_http__the_token_is_in_no_argument_and_no_file(
    open_at: Open, hosted: Hosted, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    basic = base64.b64encode(f"x-access-token:{hosted.token}".encode()).decode()
    secrets = [hosted.token.encode(), basic.encode()]
    told: list[bytes] = []

    def watch(_request: Recorded, _answer: Answer) -> None:
        """While git waits for its answer, what everybody can see of every process."""
        for process in Path("/proc").iterdir():
            if process.name.isdigit():
                try:
                    told.append((process / "cmdline").read_bytes())
                except OSError:
                    continue

    hosted.server.observer = watch
    workspace = open_at(hosted.remote())
    workspace.push(work(workspace), "mason/x")
    assert any(b"git\0push" in line for line in told), "nobody looked"
    seen = b"".join(told)
    assert not [secret for secret in secrets if secret in seen]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files for secret in secrets if secret in path.read_bytes()]
    assert hosted.token not in caplog.text and hosted.token not in repr(hosted.remote())


def test_http__the_token_of_the_moment_is_asked_for_each_time(open_at: Open, hosted: Hosted) -> None:
    tokens = iter([hosted.token, hosted.server.token("app"), hosted.server.token("app"), hosted.server.token("app")])
    workspace = open_at(Remote(url=hosted.there.clone_url, token=lambda: next(tokens), wait=SOON))
    workspace.pin_base("main")
    sent = {request.headers["authorization"] for request in hosted.requests(UPLOAD)}
    assert len(sent) == 2, "one for the branch, one for the tags"


@pytest.mark.parametrize("token", ["wr0ng-token", "", None])
def test_http__a_token_that_is_refused_or_missing_is_said_at_once(
    open_at: Open, hosted: Hosted, token: str | None
) -> None:
    remote = hosted.remote(token) if token is not None else Remote(url=hosted.there.clone_url, wait=SOON)
    with pytest.raises(
        GitFailed, match=r"octo/app\.git could not be fetched from: the token was refused, or"
    ) as caught:
        open_at(remote).pin_base("main")
    assert "wr0ng" not in str(caught.value)
    assert len(hosted.requests(UPLOAD)) <= 2, "that does not pass"


def test_http__a_repository_that_is_not_there_is_said_at_once(open_at: Open, hosted: Hosted) -> None:
    url = hosted.there.clone_url.replace(NAME, "octo/nothing")
    with pytest.raises(GitFailed, match="there is no such repository, or the token may not use it"):
        open_at(Remote(url=url, token=lambda: hosted.token, wait=SOON)).pin_base("main")
    assert len(hosted.requests(UPLOAD)) == 1


def test_http__a_branch_that_is_not_there(open_at: Open, hosted: Hosted) -> None:
    with pytest.raises(BadRepository, match=r"octo/app\.git has no branch nowhere"):
        open_at(hosted.remote()).pin_base("nowhere")


def test_http__a_token_that_may_only_read_cannot_push(open_at: Open, hosted: Hosted) -> None:
    reader = hosted.server.token("app", permissions={"contents": "read"})
    workspace = open_at(hosted.remote(reader))
    with pytest.raises(GitFailed, match=r"mason/x could not be pushed to .*the token may not use it \(.*403") as caught:
        workspace.push(work(workspace), "mason/x")
    assert reader not in str(caught.value)
    assert hosted.there.pushes == []


def test_http__a_protected_branch_says_so_at_once(open_at: Open, hosted: Hosted) -> None:
    hosted.there.protect("mason/*")
    workspace = open_at(hosted.remote())
    with pytest.raises(GitFailed, match=r"mason/x could not be pushed to .*: \[remote rejected\]"):
        workspace.push(work(workspace), "mason/x")
    assert len([request for request in hosted.requests(RECEIVE) if request.method == "POST"]) == 1


def test_http__a_person_who_was_there_first_is_not_overwritten(open_at: Open, hosted: Hosted) -> None:
    workspace = open_at(hosted.remote())
    made = work(workspace)
    theirs = hosted.there.push_as_person("mason/x", {"a.txt": "mine\n"})
    with pytest.raises(GitFailed, match="Mason never pushes by force"):
        workspace.push(made, "mason/x")
    assert hosted.there.branches["mason/x"] == theirs


class Redirecting(LoopbackServer):
    """Sends every request to another place."""

    def __init__(self, to: str, status: int) -> None:
        super().__init__()
        self.to, self.status = to, status

    def describe(self, incoming: Incoming) -> Described:
        return Described(path=incoming.path, route="", actor=None, write=False)

    def answer(self, incoming: Incoming) -> Answer:
        query = f"?{incoming.query}" if incoming.query else ""
        return Answer(status=self.status, headers={"Location": f"{self.to}{incoming.path}{query}"})


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_http__a_redirect_is_not_followed_with_the_token(open_at: Open, hosted: Hosted, status: int) -> None:
    with Redirecting(hosted.server.server_url, status) as elsewhere:
        remote = Remote(url=f"{elsewhere.server_url}/{NAME}.git", token=lambda: hosted.token, wait=SOON)
        with pytest.raises(GitFailed, match="it answers from another address, and the token is not sent there"):
            open_at(remote).pin_base("main")
        assert len(elsewhere.requests) == 1
    assert hosted.server.requests == []


def test_http__without_tls_only_on_loopback() -> None:
    assert "GIT_ALLOW_PROTOCOL" not in Remote(url="http://git.example.com/x.git").environment()
    assert "GIT_ALLOW_PROTOCOL" in Remote(url="http://[::1]:80/x.git").environment()
    assert "GIT_ALLOW_PROTOCOL" not in Remote(url="http://127.0.0.1.example.com/x.git").environment()


def test_http__in_the_clear_is_refused_at_once(open_at: Open) -> None:
    with pytest.raises(GitFailed, match="transport 'http' not allowed"):
        open_at(Remote(url="http://192.0.2.1/x.git", token=lambda: "secret", wait=SOON)).pin_base("main")


# -- what may pass ---------------------------------------------------------------------------------------------------

PASSING = [Fault.SERVER_ERROR, Fault.BAD_GATEWAY, Fault.UNAVAILABLE, Fault.TOO_MANY, Fault.DROPPED, Fault.HALF_RESPONSE]


@pytest.mark.parametrize("fault", PASSING)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_passing__a_fetch_is_tried_again(
    open_at: Open, hosted: Hosted, fault: Fault, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    rule = hosted.server.fail(f"{method} {UPLOAD}", with_=fault, times=2, when="after")
    workspace = open_at(hosted.remote())
    assert workspace.pin_base("main").commit == hosted.there.branches["main"]
    assert rule.left == 0
    assert [record.getMessage() for record in caplog.records] == [
        f"{hosted.there.clone_url} did not answer; trying again"
    ]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("fault", PASSING)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_passing__a_push_is_tried_again_and_happens_once(
    open_at: Open, hosted: Hosted, fault: Fault, method: str, when: Any
) -> None:
    workspace = open_at(hosted.remote())
    made = work(workspace)
    rule = hosted.server.fail(f"{method} {RECEIVE}", with_=fault, when=when)
    workspace.push(made, "mason/x")
    assert rule.left == 0
    assert hosted.there.branches["mason/x"] == made
    assert len(hosted.there.pushes) == 1


def test_passing__a_server_that_hangs_is_left_after_its_silence(open_at: Open, hosted: Hosted) -> None:
    hosted.server.fail(f"GET {UPLOAD}", with_=Fault.TIMEOUT)
    workspace = open_at(hosted.remote(silence=1))
    assert workspace.pin_base("main").commit == hosted.there.branches["main"]


@pytest.mark.parametrize("fault", [Fault.SERVER_ERROR, Fault.DROPPED])
def test_passing__what_does_not_pass_is_unreachable(open_at: Open, hosted: Hosted, fault: Fault) -> None:
    workspace = open_at(hosted.remote())
    made = work(workspace)
    before = len(hosted.server.requests)
    hosted.server.fail(lambda _: True, with_=fault, times=None)
    for call in (lambda: workspace.pin_base("main"), lambda: workspace.push(made, "mason/x")):
        with pytest.raises(ForgeUnreachable, match=r"octo/app\.git did not answer: ") as caught:
            call()
        said = str(caught.value)
        assert caught.value.exit_code == 3
        assert hosted.token not in said and "\n" not in said
    assert 2 <= len(hosted.server.requests) - before <= 10


def test_passing__work_that_cannot_be_pushed_is_kept_as_a_patch(open_at: Open, hosted: Hosted) -> None:
    workspace = open_at(hosted.remote())
    base = workspace.pin_base("main").commit
    with workspace.tree("work", base) as tree:
        (tree.path / "new.txt").write_text("new\n")
        snapshot = tree.snapshot()
    hosted.server.fail(lambda _: True, with_=Fault.UNAVAILABLE, times=None)
    assert workspace.keep("x", base, snapshot).endswith("x.patch")


def test_passing__nobody_listens(open_at: Open) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    url = f"https://ada:secret@127.0.0.1:{port}/x.git"
    with pytest.raises(ForgeUnreachable, match=rf"^https://127\.0\.0\.1:{port}/x\.git did not answer: ") as caught:
        open_at(Remote(url=url, wait=SOON)).pin_base("main")
    assert "secret" not in str(caught.value)


def test_passing__words_of_the_other_sides_hook_are_no_outage(open_at: Open, hosted: Hosted, tmp_path: Path) -> None:
    hook = next(path for path in tmp_path.rglob("update") if os.access(path, os.X_OK))
    hook.write_text("#!/bin/sh\necho 'the policy server timed out: HTTP 503' >&2\nexit 1\n")
    workspace = open_at(hosted.remote())
    with pytest.raises(GitFailed, match="could not be pushed"):
        workspace.push(work(workspace), "mason/x")
    assert len([request for request in hosted.requests(RECEIVE) if request.method == "POST"]) == 1
