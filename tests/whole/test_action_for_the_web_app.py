"""Jobs on a pull request that the web app has asked for: its token, its run's id, and no run of the backlog's."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from app.domain.check_runs import Subject
from tests.fakes.token_exchange import TokenExchange
from tests.whole.hosted import Hosted
from tests.whole.prds import change, prd


@pytest.fixture
def web_app(hosted: Hosted) -> Iterator[TokenExchange]:
    with TokenExchange(hosted.github) as app:
        hosted.environment |= {
            "ACTIONS_ID_TOKEN_REQUEST_URL": hosted.github.oidc_request_url,
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": hosted.github.oidc_request_token,
        }
        yield app


def runs_named_by(hosted: Hosted, commit: str) -> set[object]:
    """The runs that the check runs of a commit name, all of them made by Mason's App."""
    found = hosted.checks(commit).values()
    assert found and {run.app.slug for run in found} == {"mason"}
    return {subject.run_id for run in found if (subject := Subject.parse(run.external_id))}


def test_fix__as_the_web_app_asks(hosted: Hosted, web_app: TokenExchange) -> None:
    hosted.project.approve_change("src/new.txt", "fine\n")
    assert hosted.job("run").code == 0
    (pull,) = hosted.there.pulls
    run, asked = uuid4(), prd(change("src/new.txt", "fine\n", "finer\n"))
    inputs = {"run_id": str(run), "app_url": web_app.server_url}
    done = hosted.job("fix", pull_request=str(pull.number), instructions=asked, **inputs)
    assert done.code == 0, done.log
    (pull,) = hosted.there.pulls
    assert hosted.there.git.text("show", f"{pull.head_sha}:src/new.txt") == "finer"
    assert runs_named_by(hosted, pull.head_sha) == {run}
    assert [request.path for request in web_app.requests] == [f"/api/runs/{run}/token"]
    assert not hosted.project.rows("select 1 from mason_pm_execution_runs where id = %s", run)


def test_validate__is_reported_as_the_web_app_asks(hosted: Hosted, web_app: TokenExchange) -> None:
    pull = hosted.there.open_pull_request_by_person("feature", {"src/hello.txt": "BUG\n"}, login="eve", fork=True)
    reader = hosted.github.token("actions", permissions={"contents": "read", "pull_requests": "read"})
    done = hosted.job("validate", pull_request=str(pull.number), github_token=reader)
    assert done.code == 1, done.log
    run = uuid4()
    inputs = {"run_id": str(run), "app_url": web_app.server_url, "github_token": reader}
    reported = hosted.job("finish", pull_request=str(pull.number), report=done.outputs["report"], **inputs)
    assert reported.code == 0, reported.log
    assert runs_named_by(hosted, pull.head_sha) == {run}
