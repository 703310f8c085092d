"""What the tests of the GitHub forge share: a clock, and a repository on the fake GitHub with work on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from app.domain.check_runs import CheckRun, Conclusion, Subject
from app.domain.items import Item, ItemStatus
from app.domain.policy import PullRequestPolicy
from app.domain.results import CheckKind, CheckResult, CheckStatus, GateResult, Outcome, Verdict
from app.domain.runs import Base
from app.forge.github.forge import GithubForge, GithubOptions, github_forge
from app.forge.github.limits import Pace
from app.forge.github.tokens import PlainToken
from app.ports.forge import Forge, Publication
from app.workspace.remote import Remote
from app.workspace.worktrees import GitWorkspace
from tests.fakes.github import FakeGitHub
from tests.fakes.github_api.repository import FakeRepository
from tests.unit.workspace.repositories import ENVIRONMENT, git, new_repository

NAME = "octo/engine"
BRANCH = "mason/add-it"
ITEM = UUID(int=1)
RUN = UUID(int=2)
FILES = {"a.txt": "one\n", "dir/b.txt": "two\n", "old.txt": "gone soon\n"}


@dataclass
class Clock:
    now: float = 1_000_000.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def pace(clock: Clock, patience: float = 600.0) -> Pace:
    return Pace(patience=patience, clock=clock, sleep=clock.sleep, jitter=lambda: 1.0)


@dataclass(kw_only=True)
class World:
    """A bare repository on the fake GitHub, and a workspace on a clone of it."""

    directory: Path
    github: FakeGitHub
    repository: FakeRepository
    clock: Clock = field(default_factory=Clock)
    clones: int = 0

    def workspace(self, token: str | None = None) -> GitWorkspace:
        self.clones += 1
        given = token or self.github.token()
        remote = Remote(url=self.repository.clone_url, token=lambda: given)
        run_directory = self.directory / f"run{self.clones}"
        return GitWorkspace(
            self.directory / "clone", run_directory, self.directory / "artifacts", ENVIRONMENT, remote=remote
        )

    def forge(self, workspace: GitWorkspace, *, token: str | None = None, **options: Any) -> GithubForge:
        tokens = PlainToken(token or self.github.token(), lambda _: None)
        given = {"patience": 600.0, "clock": self.clock, "sleep": self.clock.sleep, "timeout": 1} | options
        return github_forge(GithubOptions(api_url=self.github.url, repository=NAME, tokens=tokens, **given), workspace)

    def commit(self, workspace: GitWorkspace, files: dict[str, bytes | str | None], *, start: str | None = None) -> str:
        """A commit of an item's work: path → content, None for a deleted file."""
        begin = start or workspace.pin_base(None).commit
        with workspace.tree(f"work{len(list(self.directory.iterdir()))}", begin) as tree:
            for name, content in files.items():
                place = tree.path / name
                if content is None:
                    place.unlink()
                    continue
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content.encode() if isinstance(content, str) else content)
            return workspace.commit(tree.snapshot(), begin, MESSAGE, datetime(2026, 1, 2, tzinfo=UTC))


MESSAGE = "feat: add it\n\nSome words.\n\nMason-Approval: 0123abcd\n"


@contextmanager
def world(directory: Path) -> Iterator[World]:
    new_repository(directory / "seed", FILES)
    git(directory, "clone", "-q", "--bare", "seed", "engine.git")
    git(directory, "clone", "-q", "engine.git", "clone")
    with FakeGitHub(directory) as github:
        yield World(directory=directory, github=github, repository=github.repository(NAME, directory / "engine.git"))


def publication(commit: str, **changes: Any) -> Publication:
    """A finished item's. ``branch`` as in `Outcome`; ``note``, ``policy`` and ``run_id`` as in `Publication`; anything
    else as in `Item`.
    """
    branch = changes.pop("branch", BRANCH)
    given: dict[str, Any] = {key: changes.pop(key) for key in ("note", "policy", "run_id") if key in changes}
    item: dict[str, Any] = {
        "id": ITEM,
        "title": "Add it",
        "status": ItemStatus.IN_PROGRESS,
        "problem": "It is missing.",
    }
    check = CheckResult(kind=CheckKind.TEST, status=CheckStatus.PASS, command="pytest -q", seconds=1.5)
    return Publication(
        **({"run_id": RUN, "policy": PullRequestPolicy()} | given),
        item=Item(**(item | changes)),
        base=Base(commit="b" * 40, branch="main"),
        outcome=Outcome(verdict=Verdict.COMPLETED, branch=branch, commit=commit, gate=GateResult(checks=(check,))),
    )


CHECKS = tuple(f"mason / {name}" for name in ("validator", "typecheck", "lint", "build", "tests"))


def publish_with_checks(forge: Forge, finished: Publication) -> None:
    """All that one item does at a forge: access, branch, pull request, five check runs."""
    forge.require_access()
    published = forge.publish(finished)
    if forge.check_runs is None:
        return
    assert published.pull_request
    subject = Subject(run_id=finished.run_id, item_id=finished.item.id, pull_request=published.pull_request.number)
    for name in CHECKS:
        check = CheckRun(name=name, commit=published.commit, subject=subject, title="Passed", summary="It passed.")
        forge.check_runs.start(replace(check, conclusion=Conclusion.SUCCESS))


def assert_one_of_each(repository: FakeRepository, branch: str, where: str) -> None:
    """One branch, one open pull request with one section, five completed check runs."""
    tip = repository.branches[branch]
    (pull,) = [pull for pull in repository.pulls if pull.branch == branch]
    checks = [run for run in repository.check_runs if run.head_sha == tip]
    assert (pull.state, pull.head_sha, pull.labels) == ("open", tip, ["mason"]), where
    assert (pull.body or "").count("<!-- mason:begin") == 1, where
    assert sorted(run.name for run in checks) == sorted(CHECKS) and all(run.completed for run in checks), where
    assert [push.new for push in repository.pushes if push.ref == f"refs/heads/{branch}"] == [tip], where
