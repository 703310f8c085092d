"""``project``: the sample repository with its own fresh database. ``make_project``: one with other files or checks.

``turnstile``: where a check or an agent waits for the test. ``hosted``: the project on a GitHub of its own.
``make_fleet``: the web app over so many repositories on one, without any process yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.fakes.github import FakeGitHub
from tests.unit.workspace.repositories import git, new_repository
from tests.whole.fleet import WORKFLOW, Fleet, opened
from tests.whole.hosted import NAME, Hosted
from tests.whole.kit import FILES, Project, Turnstile, policy


@pytest.fixture
def make_project(tmp_path: Path, database: str) -> Iterator[Callable[..., Project]]:
    made: list[Project] = []

    def make(files: dict[str, str] | None = None, *, mason_yml: str | None = None, branch: str = "main") -> Project:
        content = {**FILES, ".github/mason.yml": mason_yml or policy(), **(files or {})}
        repository = new_repository(tmp_path / "sample", content, branch=branch)
        made.append(Project(repository=repository, dsn=database, root=tmp_path))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def project(make_project: Callable[..., Project]) -> Project:
    return make_project()


@pytest.fixture
def turnstile(tmp_path: Path) -> Iterator[Turnstile]:
    place = Turnstile(tmp_path)
    yield place
    place.close()


@pytest.fixture
def hosted(project: Project, tmp_path: Path) -> Iterator[Hosted]:
    git(tmp_path, "clone", "-q", "--bare", str(project.repository), "app.git")
    with FakeGitHub(tmp_path) as github:
        there = github.repository(NAME, tmp_path / "app.git")
        yield Hosted(project=project, github=github, there=there, token=github.token("actions"))
        project.close()


@pytest.fixture
def make_fleet(
    make_project: Callable[..., Project], empty_database: str, tmp_path: Path
) -> Iterator[Callable[..., Fleet]]:
    with ExitStack() as stack:

        def make(repositories: int, *, observer: Callable[..., None] | None = None, **limits: int) -> Fleet:
            project = make_project(WORKFLOW, mason_yml=policy(limits=limits))
            return stack.enter_context(
                opened(project, empty_database, tmp_path, repositories=repositories, observer=observer)
            )

        yield make
