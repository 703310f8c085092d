"""Check runs on the fake GitHub: made once, completed, and never somebody else's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from app.domain.check_runs import Button, CheckRun, Conclusion, Subject
from app.domain.results import Diagnostic
from app.errors import ForgeRefused, MissingPermission
from app.ports.check_runs import CheckRuns
from app.workspace.worktrees import GitWorkspace
from tests.fakes.faults import Fault, When
from tests.fakes.github_api.records import App
from tests.unit.forge.github_kit import World, world

CREATE = "POST /repos/{owner}/{repo}/check-runs"
UPDATE = "PATCH /repos/{owner}/{repo}/check-runs/{check_run_id}"
LOSSES = [Fault.SERVER_ERROR, Fault.BAD_GATEWAY, Fault.TIMEOUT, Fault.HALF_RESPONSE, Fault.DROPPED]


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        yield made


@pytest.fixture
def workspace(here: World) -> Iterator[GitWorkspace]:
    workspace = here.workspace()
    yield workspace
    workspace.close()


@pytest.fixture
def check(workspace: GitWorkspace) -> CheckRun:
    return CheckRun(
        name="mason / lint",
        commit=workspace.pin_base(None).commit,
        subject=Subject(run_id=UUID(int=1), item_id=UUID(int=2), pull_request=3),
        title="Working",
        summary="Wave 1",
        buttons=(Button.CANCEL,),
    )


def checks_of(here: World, workspace: GitWorkspace, *, token: str | None = None, buttons: bool = True) -> CheckRuns:
    found = here.forge(workspace, token=token, buttons=buttons, details_url="https://run.example/1").check_runs
    assert found is not None
    return found


def done(check: CheckRun, problems: int = 0) -> CheckRun:
    diagnostics = tuple(Diagnostic(path="a.txt", line=n + 1, message=f"problem {n}") for n in range(problems))
    return replace(check, conclusion=Conclusion.FAILURE, title="Done", diagnostics=diagnostics)


def test_check_runs__from_start_to_end(here: World, workspace: GitWorkspace, check: CheckRun) -> None:
    checks = checks_of(here, workspace)
    number = checks.start(check)
    made = here.repository.check("mason / lint")
    assert (made.id, made.status, made.details_url, made.external_id) == (
        number,
        "in_progress",
        "https://run.example/1",
        str(check.subject),
    )
    assert [action["identifier"] for action in made.actions] == ["cancel"]
    checks.write(number, done(check, problems=3))
    assert (made.status, made.conclusion, len(made.annotations)) == ("completed", "failure", 3)
    (found,) = checks.found(check.commit)
    assert (found.id, found.name, found.subject, found.completed) == (number, check.name, check.subject, True)
    assert checks.found(check.commit, name="another") == []


@pytest.mark.parametrize("problems", [0, 1, 50, 51, 120, 500])
def test_check_runs__annotations_in_chunks(
    here: World, workspace: GitWorkspace, check: CheckRun, problems: int
) -> None:
    checks = checks_of(here, workspace)
    number = checks.start(done(check, problems))
    made = here.repository.check(check.name)
    expected = [f"problem {n}" for n in range(min(200, problems))]
    assert [each["message"] for each in made.annotations] == expected
    checks.write(number, done(check, problems))
    assert len(made.annotations) == len(expected)


def test_check_runs__the_same_twice_is_one(here: World, workspace: GitWorkspace, check: CheckRun) -> None:
    checks = checks_of(here, workspace)
    assert checks.start(check) == checks.start(done(check, 60))
    again = checks_of(here, workspace)  # another process
    again.start(done(check, 60))
    assert len(here.repository.check_runs) == 1
    assert here.repository.check(check.name).completed
    assert len(here.repository.check(check.name).annotations) == 60
    other = replace(check, subject=replace(check.subject, item_id=UUID(int=7)))
    again.start(other)
    assert len(here.repository.check_runs) == 2


@pytest.mark.parametrize("fault", LOSSES, ids=lambda fault: fault.name)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("call", [CREATE, UPDATE])
def test_check_runs__lost_answers_make_no_second_one(
    here: World, workspace: GitWorkspace, check: CheckRun, fault: Fault, when: When, call: str
) -> None:
    checks = checks_of(here, workspace)
    here.github.fail(call, with_=fault, when=when)
    checks.start(done(check, problems=120))
    (made,) = here.repository.check_runs
    assert made.completed and [each["message"] for each in made.annotations] == [f"problem {n}" for n in range(120)]


def test_check_runs__another_apps_are_never_written_to(here: World, workspace: GitWorkspace, check: CheckRun) -> None:
    """The same name, commit and subject, made by GitHub Actions' token before the App's was there."""
    theirs = checks_of(here, workspace, token=here.github.token("actions"))
    foreign = theirs.start(check)
    checks = checks_of(here, workspace)
    ours = checks.start(replace(check, title="Ours"))
    assert ours != foreign
    assert [run.title for run in here.repository.check_runs] == ["Working", "Ours"]
    assert [found.id for found in checks.found(check.commit)] == [ours]
    with pytest.raises(ForgeRefused, match="Invalid app_id"):
        checks.write(foreign, done(check))
    assert not here.repository.check_runs[0].completed


def test_check_runs__those_that_are_not_masons_are_left_out(
    here: World, workspace: GitWorkspace, check: CheckRun
) -> None:
    checks = checks_of(here, workspace, token=here.github.token("actions"))
    checks.start(check)
    for number in range(130):  # two pages, of the same App
        run = replace(here.repository.check_runs[0], id=number + 1, name=f"job {number}", external_id="x")
        here.repository.check_runs.append(run)
    assert len(here.repository.check_runs) == 131
    assert [found.name for found in checks.found(check.commit)] == ["mason / lint"]
    assert [found.name for found in checks_of(here, workspace).found(check.commit)] == ["mason / lint"]


def test_check_runs__no_buttons_without_the_web_app(here: World, workspace: GitWorkspace, check: CheckRun) -> None:
    checks_of(here, workspace, buttons=False).start(check)
    assert here.repository.check(check.name).actions == []


def test_check_runs__dispensable_writes_are_left_out_near_the_limit(
    here: World, workspace: GitWorkspace, check: CheckRun
) -> None:
    found = here.forge(workspace, writes_per_minute=3).check_runs
    assert found is not None
    number = found.start(check)
    found.write(number, replace(check, title="Still working"), dispensable=True)
    found.write(number, replace(check, title="Left out"), dispensable=True)
    assert here.repository.check(check.name).title == "Still working"
    found.write(number, done(check))
    assert here.repository.check(check.name).completed and here.clock.slept == []


def test_check_runs__a_commit_that_github_does_not_have(here: World, workspace: GitWorkspace, check: CheckRun) -> None:
    with pytest.raises(ForgeRefused, match="No commit found"):
        checks_of(here, workspace).start(replace(check, commit="d" * 40))


def test_check_runs__a_persons_token(here: World, workspace: GitWorkspace, check: CheckRun) -> None:
    here.repository.add_collaborator("ada")
    with pytest.raises((ForgeRefused, MissingPermission), match="App"):
        checks_of(here, workspace, token=here.github.token("user")).start(check)


def test_check_runs__of_an_unknown_app_do_not_count(here: World, workspace: GitWorkspace, check: CheckRun) -> None:
    copycat = App(id=99, slug="copycat", name="Copycat")
    checks_of(here, workspace, token=here.github.token(app=copycat)).start(check)
    checks = checks_of(here, workspace)
    checks.start(check)
    assert [run.app.slug for run in here.repository.check_runs] == ["copycat", "mason"]
    assert len(checks.found(check.commit)) == 1
