"""action.yml, the workflows and `mason init`'s agree with each other and with the code."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.inputs import ActionCommand, Inputs
from app.installation import ACTION
from tests.unit.workspace.repositories import git

ROOT = Path(__file__).parents[2]
WORKFLOWS = ROOT / ".github" / "workflows"
TEMPLATE = ROOT / "app" / "onboarding" / "templates" / "mason.yml"
RANK = {"none": 0, "read": 1, "write": 2}


def load(path: Path) -> dict[str, Any]:
    """A workflow; YAML 1.1 reads its ``on`` as true."""
    loaded: dict[Any, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {"on" if key is True else key: value for key, value in loaded.items()}


ACTION_FILE = load(ROOT / "action.yml")
MASON = load(WORKFLOWS / "mason.yml")
STEPS = [
    (name, step)
    for name, job in MASON["jobs"].items()
    for step in job["steps"]
    if str(step["uses"]).startswith(f"{ACTION}@")
]


def test_action__its_inputs_are_those_that_mason_reads() -> None:
    read = {name.replace("_", "-"): field for name, field in Inputs.model_fields.items()}
    assert ACTION_FILE["inputs"].keys() == read.keys()
    assert all(one["description"] and "default" in one for one in ACTION_FILE["inputs"].values())


def test_action__its_defaults_are_those_that_mason_has() -> None:
    defaults = {name: one["default"] for name, one in ACTION_FILE["inputs"].items() if one["default"]}
    token = defaults.pop("github-token")
    assert token == "${{ github.token }}"
    by_default, none_given = Inputs.model_validate(defaults), Inputs.model_validate({})
    assert by_default == none_given


def test_action__names_its_commands() -> None:
    described = ACTION_FILE["inputs"]["command"]["description"]
    assert all(f"{command}:" in described for command in ActionCommand)


def test_workflow__calls_the_action_with_inputs_that_it_has() -> None:
    assert {name for name, _ in STEPS} == set(MASON["jobs"])
    for name, step in STEPS:
        assert step["with"].keys() <= ACTION_FILE["inputs"].keys(), name


def test_workflow__takes_the_same_inputs_from_a_caller_and_from_the_actions_tab() -> None:
    called, dispatched = (MASON["on"][trigger]["inputs"] for trigger in ("workflow_call", "workflow_dispatch"))
    assert list(called) == list(dispatched)
    assert len(dispatched) <= 25
    for name, one in called.items():
        assert (one["description"], one["default"]) == (dispatched[name]["description"], dispatched[name]["default"])


def test_workflow__the_job_that_runs_foreign_code_has_no_secret_and_can_only_read() -> None:
    job = MASON["jobs"]["validate"]
    assert set(job["permissions"].values()) == {"read"}
    assert "secrets." not in yaml.dump(job)


def test_workflow__runs_no_shell_and_drops_no_waiting_run() -> None:
    for workflow in (MASON, load(TEMPLATE.with_name("mason.yml"))):
        assert "concurrency" not in yaml.dump(workflow)
        assert not [step for job in workflow["jobs"].values() for step in job.get("steps", ()) if "run" in step]


def test_template__hands_over_inputs_and_secrets_that_the_workflow_has_and_permissions_that_suffice() -> None:
    template = load(TEMPLATE)
    job, call = template["jobs"]["mason"], MASON["on"]["workflow_call"]
    assert job["with"].keys() == template["on"]["workflow_dispatch"]["inputs"].keys()
    assert job["with"].keys() <= call["inputs"].keys()
    assert job["secrets"].keys() == call["secrets"].keys()
    for called in MASON["jobs"].values():
        for scope, access in called["permissions"].items():
            assert RANK[job["permissions"].get(scope, "none")] >= RANK[access], scope


@pytest.mark.parametrize("path", [*sorted(WORKFLOWS.glob("*.yml"))], ids=lambda path: path.name)
def test_workflows__every_action_is_pinned_to_a_commit_every_job_has_a_limit(path: Path) -> None:
    workflow = load(path)
    assert workflow["permissions"] == {}
    for name, job in workflow["jobs"].items():
        assert job["timeout-minutes"] <= 360, name
        assert "permissions" in job, name
    for used in re.findall(r"uses: (\S+)", path.read_text()):
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", used), used


def test_release__pins_the_action_to_its_image_and_the_workflow_to_that_action(tmp_path: Path) -> None:
    for name in (".ci/pin-release", "action.yml", ".github/workflows/mason.yml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    for words in (["init", "-q", "-b", "main"], ["add", "-A"]):
        git(tmp_path, *words)
    git(tmp_path, "-c", "user.name=Ada", "-c", "user.email=ada@example.com", "commit", "-qm", "v1.2.3")
    image = f"ghcr.io/ada/mason@sha256:{'c' * 64}"

    script = ["bash", ".ci/pin-release", "Ada/mason", "v1.2.3"]
    subprocess.run([*script, image], cwd=tmp_path, check=True, capture_output=True)

    released, action = (git(tmp_path, "rev-parse", name).strip() for name in ("action/v1.2.3", "action/v1.2.3~1"))
    assert git(tmp_path, "rev-parse", "HEAD").strip() == released
    assert load(tmp_path / "action.yml")["runs"]["image"] == f"docker://{image}"
    assert git(tmp_path, "show", f"{action}:action.yml").strip() == (tmp_path / "action.yml").read_text().strip()
    pinned = re.findall(r"uses: (Ada/mason@\S+ # \S+)", (tmp_path / ".github/workflows/mason.yml").read_text())
    assert pinned == [f"Ada/mason@{action} # v1.2.3"] * len(STEPS)
    assert subprocess.run([*script, "mason:latest"], cwd=tmp_path, check=False, capture_output=True).returncode == 1
