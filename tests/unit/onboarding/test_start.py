"""`mason init`, through the command."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from app.cli import main
from tests.unit.workspace.repositories import git

COMMIT = "a" * 40
WORKFLOW = ".github/workflows/mason.yml"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    place = tmp_path / "a project"
    place.mkdir()
    git(place, "init", "-q", "-b", "main")
    return place


def init(project: Path, *words: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(main, ["init", "--repository", str(project), *words], env=env)


def uses(project: Path) -> str:
    loaded = yaml.safe_load((project / WORKFLOW).read_text())
    return str(loaded["jobs"]["mason"]["uses"])


@pytest.fixture
def server(tmp_path: Path) -> Path:
    """A server's directory with the repository `ada/mason`: two releases, the second with a commit that pins it."""
    place = tmp_path / "server" / "ada" / "mason"
    place.mkdir(parents=True)
    git(place, "init", "-q", "-b", "main")
    for name in ("user.name", "user.email"):
        git(place, "config", name, "ada@example.com")
    for tag in ("v1.0.0", "v1.1.0"):
        git(place, "commit", "-q", "--allow-empty", "-m", tag)
        git(place, "tag", "-a", "-m", tag, tag)
    git(place, "commit", "-q", "--allow-empty", "-m", "pin")
    git(place, "tag", "action/v1.1.0")
    return tmp_path / "server"


def test_init__writes_the_workflow_and_keeps_the_keys_out_of_git(project: Path) -> None:
    result = init(project, "--action", f"ada/mason@{COMMIT}")

    assert result.exit_code == 0, result.output
    assert uses(project) == f"ada/mason/{WORKFLOW}@{COMMIT}"
    assert (project / ".gitignore").read_text() == "mason.config.json\n"
    for word in ("SUPABASE_URL", "SUPABASE_KEY", "MASON_TOKEN", "mason migrate", "mason doctor"):
        assert word in result.output


def test_init__twice__changes_nothing_and_asks_nobody(project: Path) -> None:
    init(project, "--action", f"ada/mason@{COMMIT}")
    before = {path: path.read_bytes() for path in (project / WORKFLOW, project / ".gitignore")}

    result = init(project, env={"MASON_GITHUB_SERVER_URL": "file:///nowhere"})

    assert result.exit_code == 0, result.output
    assert result.output.count("unchanged: ") == 2
    assert {path: path.read_bytes() for path in before} == before


def test_init__from_a_directory_inside__writes_to_the_top_level(project: Path) -> None:
    (project / "src").mkdir()
    assert init(project / "src", "--action", f"ada/mason@{COMMIT}").exit_code == 0
    assert (project / WORKFLOW).is_file()


def test_init__a_workflow_that_differs__stays_unless_forced(project: Path) -> None:
    (project / WORKFLOW).parent.mkdir(parents=True)
    (project / WORKFLOW).write_text("name: Mine\n")

    refused = init(project, "--action", f"ada/mason@{COMMIT}")

    assert refused.exit_code == 2
    assert "--force" in refused.output
    assert (project / WORKFLOW).read_text() == "name: Mine\n"
    assert not (project / ".gitignore").exists()
    assert init(project, "--action", f"ada/mason@{COMMIT}", "--force").exit_code == 0
    assert uses(project).endswith(COMMIT)


def test_init__another_pin__is_a_difference(project: Path) -> None:
    init(project, "--action", f"ada/mason@{COMMIT}")
    assert init(project, "--action", f"ada/mason@{'b' * 40}").exit_code == 2
    assert uses(project).endswith(COMMIT)


@pytest.mark.parametrize(
    ("ignored", "expected"),
    [
        ("dist/", "dist/\nmason.config.json\n"),
        ("dist/\n", "dist/\nmason.config.json\n"),
        ("/mason.config.json\n", "/mason.config.json\n"),
        ("# mason.config.json\n", "# mason.config.json\nmason.config.json\n"),
    ],
)
def test_init__gitignore__gets_one_line(project: Path, ignored: str, expected: str) -> None:
    (project / ".gitignore").write_text(ignored)
    init(project, "--action", f"ada/mason@{COMMIT}")
    assert (project / ".gitignore").read_text() == expected


@pytest.mark.parametrize(("tag", "commit"), [("v1.0.0", "v1.0.0^{commit}"), ("v1.1.0", "action/v1.1.0")])
def test_init__a_tag__becomes_its_commit(project: Path, server: Path, tag: str, commit: str) -> None:
    result = init(project, "--action", f"ada/mason@{tag}", env={"MASON_GITHUB_SERVER_URL": f"file://{server}"})

    assert result.exit_code == 0, result.output
    expected = git(server / "ada" / "mason", "rev-parse", commit).strip()
    assert uses(project) == f"ada/mason/{WORKFLOW}@{expected}"
    assert (project / WORKFLOW).read_text().count(f"@{expected} # {tag}\n") == 1
    assert init(project).output.count("unchanged: ") == 2


@pytest.mark.parametrize(
    ("action", "code", "said"),
    [
        ("mason", 2, "must look like"),
        ("ada/mason", 2, "must look like"),
        ("ada/mason@v1;rm", 2, "must look like"),
        ("ada/mason@v9.9.9", 2, "no tag v9.9.9"),
        ("ada/nothing@v1.0.0", 3, "cannot ask"),
    ],
)
def test_init__a_reference_that_leads_nowhere__says_so_and_writes_nothing(
    project: Path, server: Path, action: str, code: int, said: str
) -> None:
    result = init(project, "--action", action, env={"MASON_GITHUB_SERVER_URL": f"file://{server}"})

    assert (result.exit_code, said in result.output) == (code, True), result.output
    assert not (project / WORKFLOW).exists()


def test_init__no_repository__says_so(tmp_path: Path) -> None:
    result = init(tmp_path, "--action", f"ada/mason@{COMMIT}")
    assert result.exit_code == 2
    assert "git init" in result.output
