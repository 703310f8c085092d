"""The Action's inputs: every one that is malformed or missing is named, before anything else, without a secret."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import yaml

from app.action import matrix
from app.domain.runs import RunResult
from app.errors import UsageError
from app.flows.planned_run import PlannedRun
from app.inputs import ActionCommand, Inputs, read_inputs, read_job
from app.reporting.job_files import outputs

ROOT = Path(__file__).parents[2]
ITEM, OTHER = UUID(int=1), UUID(int=2)
SECRET = "s3cr3t-value"

NEEDED = {"supabase-url": "https://x.supabase.co", "supabase-key": SECRET, "github-token": SECRET}
JOB = {"GITHUB_REPOSITORY": "octo/app", "GITHUB_RUN_ID": "4711"}


def read(given: Mapping[str, str] = {}, **environment: str) -> Inputs:
    """Inputs as the runner hands them over: upper case, hyphens kept."""
    return read_inputs({f"INPUT_{name.upper()}": value for name, value in given.items()} | environment)


def refused(given: Mapping[str, str], **environment: str) -> str:
    with pytest.raises(UsageError) as caught:
        read(given, **environment)
    said = str(caught.value)
    assert caught.value.exit_code == 2
    assert SECRET not in said
    assert "\n" not in said and len(said) < 400
    return said


# -- what is given ---------------------------------------------------------------------------------------------------


def test_inputs__have_their_names_with_hyphens() -> None:
    inputs = read(NEEDED | {"dry-run": "true", "max-parallel": "7", "agent-command": "codex exec", "run_id": "x"})
    assert (inputs.dry_run, inputs.max_parallel, inputs.agent_command, inputs.run_id) == (True, 7, "codex exec", None)


def test_inputs__empty_ones_are_as_if_not_given() -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    empty = dict.fromkeys(action["inputs"], "  \n")
    assert read(empty | NEEDED) == read(NEEDED)


def test_inputs__come_without_the_space_around_them() -> None:
    inputs = read(NEEDED | {"base": " main\n", "command": " run ", "github-token": f" {SECRET}\n"})
    assert (inputs.base, inputs.command) == ("main", ActionCommand.RUN)
    assert inputs.github_token is not None and inputs.github_token.get_secret_value() == SECRET


@pytest.mark.parametrize("between", [",", "\n", " ", ", ", ",\n", "\r\n", "\n\n,  "])
def test_items__are_separated_by_commas_and_white_space(between: str) -> None:
    assert read(NEEDED | {"items": f"{ITEM}{between}{OTHER}"}).items == (ITEM, OTHER)
    assert read(NEEDED | {"items": f"{between}{ITEM}{between}"}).items == (ITEM,)


@pytest.mark.parametrize(("word", "value"), [("true", True), ("TRUE", True), ("False", False), ("false", False)])
def test_switches__are_true_and_false_in_whatever_case(word: str, value: bool) -> None:
    assert read(NEEDED | {"auto": word}).auto is value


def test_secrets__are_known_and_not_shown() -> None:
    inputs = read(NEEDED | {"anthropic-api-key": f"{SECRET}-3"})
    assert set(inputs.secrets) == {SECRET, f"{SECRET}-3"}
    assert SECRET not in repr(inputs) and SECRET not in str(inputs)


# -- what is malformed -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("command", "execute"),
        ("items", "1, 2"),
        ("items", f"{ITEM},no"),
        ("limit", "0"),
        ("limit", "many"),
        ("limit", "1.5"),
        ("dry-run", "yes"),
        ("auto", "1"),
        ("smoke-test", "on"),
        ("e2e", "✓"),
        ("run-id", "4711"),
        ("pull-request", "-1"),
        ("pull-request", "#7"),
        ("pull-request", "99999999999"),
        ("max-parallel", "0"),
        ("max-parallel", "33"),
        ("max-cost-usd", "$5"),
        ("max-cost-usd", "0"),
        ("max-cost-usd", "nan"),
        ("max-cost-usd", "inf"),
        ("generate-prd", "maybe"),
        ("sign-commits", "TRUE!"),
        ("draft", "no"),
        ("limit", "x" * 10_000),
        ("limit", "1\n::error::gotcha"),
    ],
)
def test_malformed__is_named_and_shown(name: str, value: str) -> None:
    said = refused(NEEDED | {name: value})
    assert said.startswith(f"The input {name}: ")
    assert f"(it is {value[:100]!r})" in said


def test_malformed__a_secret_is_never_shown() -> None:
    """A secret can be too long for the message, or stand in an input beside the one that is wrong."""
    for name in ("github-token", "supabase-key", "anthropic-api-key"):
        said = refused({**NEEDED, name: SECRET, "limit": "x"})
        assert said.startswith("The input limit")


# -- what is missing -------------------------------------------------------------------------------------------------

BACKLOG = {"supabase-url", "supabase-key"}
RUN = {"run-id": str(uuid4())}
REQUIREMENTS: list[tuple[dict[str, str], set[str]]] = [
    ({}, BACKLOG | {"github-token"}),
    ({"command": "run"}, BACKLOG | {"github-token"}),
    ({"command": "run", "items": str(ITEM)}, BACKLOG | {"github-token"}),
    ({"command": "run", **RUN}, BACKLOG | {"github-token", "items"}),
    ({"command": "plan"}, BACKLOG | {"github-token"}),
    ({"command": "plan", **RUN}, BACKLOG | {"github-token"}),
    ({"command": "finish"}, BACKLOG | {"github-token", "run-id"}),
    ({"command": "finish", **RUN}, BACKLOG | {"github-token"}),
    ({"command": "finish", "pull-request": "7"}, {"github-token", "report"}),
    ({"command": "finish", "pull-request": "7", "report": "{}"}, {"github-token"}),
    ({"command": "validate"}, {"github-token", "pull-request"}),
    ({"command": "validate", "pull-request": "7"}, {"github-token"}),
    ({"command": "fix"}, BACKLOG | {"github-token", "pull-request"}),
    ({"command": "fix", "pull-request": "7"}, BACKLOG | {"github-token"}),
]


@pytest.mark.parametrize(("given", "needed"), REQUIREMENTS)
def test_missing__all_of_it_is_named_at_once(given: dict[str, str], needed: set[str]) -> None:
    said = refused(given)
    names, _, command = said.removeprefix("The inputs ").removeprefix("The input ").partition(" needed by ")
    assert set(names.removesuffix(" is").removesuffix(" are").split(", ")) == needed
    assert command == given.get("command", "run")


@pytest.mark.parametrize(("given", "needed"), REQUIREMENTS)
def test_missing__nothing_once_it_is_all_there(given: dict[str, str], needed: set[str]) -> None:
    values = {**NEEDED, **RUN, "items": str(ITEM), "pull-request": "7", "report": "{}"}
    inputs = read(given | {name: values[name] for name in needed})
    assert inputs.command.value == given.get("command", "run")


def test_missing__the_web_app_stands_in_for_a_token_and_a_dsn_for_a_project() -> None:
    assert read({"app-url": "https://mason.example.com"}, MASON_DSN="postgresql://x").github_token is None
    assert "supabase-key" in refused({"app-url": "https://mason.example.com", "supabase-url": "https://x"})


def test_one_of_many__is_a_job_with_a_run() -> None:
    assert read(NEEDED | RUN | {"items": str(ITEM)}).one_of_many
    assert not read(NEEDED | {"items": str(ITEM)}).one_of_many
    assert not read(NEEDED | RUN | {"command": "finish"}).one_of_many


# -- the job ---------------------------------------------------------------------------------------------------------


def test_job__is_what_the_runner_says() -> None:
    more = {"GITHUB_RUN_ATTEMPT": "2", "GITHUB_JOB": "item", "GITHUB_SERVER_URL": "https://git.example.com"}
    job = read_job(JOB | more | {"GITHUB_OUTPUT": "/o", "GITHUB_STEP_SUMMARY": "", "PATH": "/bin"})
    assert (job.repository, job.run_id, job.run_attempt, job.job) == ("octo/app", "4711", 2, "item")
    assert (job.output, job.step_summary) == (Path("/o"), None)
    assert job.page == "https://git.example.com/octo/app/actions/runs/4711"
    assert job.remote_url == "https://git.example.com/octo/app.git"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GITHUB_REPOSITORY", ""),
        ("GITHUB_REPOSITORY", "app"),
        ("GITHUB_REPOSITORY", "octo/app/../../x"),
        ("GITHUB_REPOSITORY", "octo/app\n"),
        ("GITHUB_REPOSITORY", "octo/a b"),
        ("GITHUB_RUN_ID", ""),
        ("GITHUB_RUN_ID", "12 13"),
        ("GITHUB_RUN_ID", "-1"),
        ("GITHUB_RUN_ATTEMPT", "0"),
        ("GITHUB_RUN_ATTEMPT", "first"),
        ("GITHUB_API_URL", "api.github.com"),
        ("GITHUB_API_URL", "javascript:alert(1)"),
        ("GITHUB_SERVER_URL", "ssh://git@github.com"),
    ],
)
def test_job__a_variable_that_cannot_be_is_named(name: str, value: str) -> None:
    with pytest.raises(UsageError, match=rf"^{name}\b") as caught:
        read_job(JOB | {name: value})
    assert caught.value.exit_code == 2


# -- action.yml ------------------------------------------------------------------------------------------------------


def test_action__its_outputs_are_those_that_mason_writes() -> None:
    """Its inputs: `test_action_files`."""
    action: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    of_a_run = outputs(RunResult(run_id=None, base=None))
    of_a_plan = matrix(PlannedRun(run=None))
    of_a_judgement = {"report", "status"}
    assert set(action["outputs"]) == of_a_run.keys() | of_a_plan.keys() | of_a_judgement
