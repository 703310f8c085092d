"""The Action on a Supabase project and a GitHub whose every request and answer fits GitHub's own description."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fakes.description import Description, Violations
from tests.fakes.faults import Fault
from tests.fakes.github import FakeGitHub
from tests.fakes.token_exchange import TokenExchange
from tests.peers.gateway import Gateway
from tests.peers.supabase import SERVICE_ROLE, database, gateway, project
from tests.unit.workspace.repositories import git, new_repository
from tests.whole.hosted import NAME, Hosted
from tests.whole.kit import FILES, Project, policy
from tests.whole.prds import change, new, prd
from tests.whole.test_action import HEAD_CHECKS

__all__ = ["database", "gateway", "project"]

pytestmark = pytest.mark.peer

POLICY = policy(pull_requests={"labels": ["mason", "backlog"], "reviewers": ["grace"]})


@contextmanager
def hosted_on(gateway: Gateway, database: str, place: Path, observer: Violations, **supabase: str) -> Iterator[Hosted]:
    """The sample repository on the fake GitHub, its backlog behind PostgREST."""
    repository = new_repository(place / "sample", {**FILES, ".github/mason.yml": POLICY})
    git(place, "clone", "-q", "--bare", str(repository), "app.git")
    with FakeGitHub(place, observer=observer) as github:
        there = github.repository(NAME, place / "app.git")
        there.add_collaborator("grace")
        backlog = {"MASON_DSN": "", "INPUT_SUPABASE-URL": gateway.url, "INPUT_SUPABASE-KEY": SERVICE_ROLE}
        sample = Project(repository=repository, dsn=database, root=place)
        yield Hosted(
            project=sample, github=github, there=there, token=github.token("actions"), environment=backlog | supabase
        )
        sample.close()


def test_action__every_command_on_supabase_within_githubs_description(
    gateway: Gateway, database: str, tmp_path: Path, github_description: Description
) -> None:
    seen = github_description.observer()
    with hosted_on(gateway, database, tmp_path, seen) as hosted:
        hosted.project.approve(
            prd(new("src/one.txt", "SLOPPY\n"), change("src/one.txt", "SLOPPY\n", "fine\n", fix=1)), "Add one"
        )
        hosted.project.approve_change("src/two.txt", "fine\n", "Add two")
        hosted.project.approve(prd(new("src/three.txt", "BUG\n")), "Add three")
        run = hosted.job("plan").outputs["run-id"]
        codes = [hosted.job("run", run_id=run, items=job["item"], max_parallel="1").code for job in hosted.matrix]
        assert codes == [0, 0, 1]
        assert hosted.job("finish", run_id=run).code == 0
        first, second = hosted.there.pulls
        assert (sorted(first.labels), first.reviewers) == (["backlog", "mason"], ["grace"])
        assert set(hosted.checks(first.head_sha)) == set(hosted.checks(second.head_sha)) == HEAD_CHECKS
        asked = prd(change("src/two.txt", "fine\n", "finer\n"))
        fixed = hosted.job("fix", pull_request=str(second.number), instructions=asked)
        assert fixed.code == 0, fixed.log
        assert hosted.job("validate", pull_request=str(first.number)).code == 0
        assert hosted.open_checks == []
        assert hosted.project.rows("select status from mason_remote_execution_runs")[0]["status"] == "failed"
    assert seen.found == []


def test_action__as_the_app_by_its_own_identity(
    gateway: Gateway, database: str, tmp_path: Path, github_description: Description
) -> None:
    seen = github_description.observer()
    with hosted_on(gateway, database, tmp_path, seen) as hosted, TokenExchange(hosted.github) as app:
        identity = {
            "INPUT_GITHUB-TOKEN": "",
            "ACTIONS_ID_TOKEN_REQUEST_URL": hosted.github.oidc_request_url,
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": hosted.github.oidc_request_token,
        }
        hosted.project.approve_change()
        run = hosted.job("plan").outputs["run-id"]
        (job,) = hosted.matrix
        done = hosted.job(
            "run", run_id=run, items=job["item"], max_parallel="1", app_url=app.server_url, environment=identity
        )
        assert done.code == 0, done.log
        (pull,) = hosted.there.pulls
        assert pull.author.login == hosted.github.app.slug + "[bot]"
        for check in hosted.checks(pull.head_sha).values():
            assert {action["identifier"] for action in check.actions} == {"retry", "fix", "cancel"}
    assert seen.found == []


@pytest.mark.parametrize("fault", [Fault.SERVER_ERROR, Fault.SECONDARY_LIMIT, Fault.HALF_RESPONSE])
def test_action__signed_commits_while_every_fifth_call_fails(
    gateway: Gateway, database: str, tmp_path: Path, github_description: Description, fault: Fault
) -> None:
    seen = github_description.observer()
    with hosted_on(gateway, database, tmp_path, seen) as hosted:
        hosted.project.approve_change()
        calls = 0

        def every_fifth(request: object) -> bool:
            nonlocal calls
            calls += 1
            return calls % 5 == 0 and not str(getattr(request, "route", "")).startswith("git ")

        hosted.github.fail(every_fifth, with_=fault, times=None)
        done = hosted.job("run", sign_commits="true", draft="true")
        assert done.code == 0, done.log
        (pull,) = hosted.there.pulls
        assert pull.draft
        assert pull.head_sha in hosted.there.verified
        assert hosted.open_checks == []
    assert seen.found == []
