"""Whole runs in which Mason is root, and agent and checks are not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.domain.results import Verdict
from app.settings import Settings
from tests.conftest import open_directory
from tests.other_users import IDS, needs_root
from tests.unit.workspace.repositories import git, new_repository
from tests.whole.hosted import Hosted
from tests.whole.kit import CHECKS, FILES, Project, alive, policy
from tests.whole.prds import new, prd, wave

pytestmark = needs_root
WHO = 'echo "$(id -u) $PWD" > "$WHERE/$MASON_ROLE.$MASON_TASK.$$"'


@dataclass
class Switched(Project):
    """The same project with other users for its commands."""

    @property
    def settings(self) -> Settings:
        return super().settings.model_copy(update={"users": f"{IDS[0]}-{IDS[-1]}", "pass_env": "WHERE"})

    def who(self, name: str) -> list[int]:
        """The users that have said so under this name, in the order of time."""
        said = sorted((self.root / "said").glob(name), key=lambda path: path.stat().st_mtime_ns)
        return [int(path.read_text().split()[0]) for path in said]


@pytest.fixture
def project(data_root: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Switched]:
    """In a place that other users can reach; what its commands say of themselves lies in ``said``."""
    for name in ("said", "told"):
        (data_root / name).mkdir()
        (data_root / name).chmod(0o777)
    monkeypatch.setenv("WHERE", str(data_root / "said"))
    checks = {**CHECKS, "test": f"id -u > {data_root}/said/check.$$; ! grep -rn BUG src"}
    files = {**FILES, ".github/mason.yml": policy(checks)}
    repository = new_repository(data_root / "sample", files)
    project = Switched(repository=repository, dsn=database, root=data_root)
    yield project
    project.close()


def test_run__each_tree_has_a_user_and_no_command_is_root(project: Switched) -> None:
    """Writers side by side, a conflict that runs again, a fix, and the final gate: nobody is root, few are the same."""
    project.approve(
        prd(wave(1, "general-purpose: A", "general-purpose: B"), "Changes `src/log.txt`, adds `src/1.txt`.")
    )
    agent = project.agent(
        implement=f'{WHO}; echo "$MASON_TASK BUG" >> src/log.txt', fix=f"{WHO}; sed -i 's/ BUG//' src/log.txt"
    )
    outcome = project.run_one(**agent)
    assert outcome.verdict is Verdict.COMPLETED, outcome.reason
    assert project.show("mason/add-a-thing", "src/log.txt") == "1.1\n1.2"
    said = project.who("*")
    assert set(said) <= set(IDS)
    (first,), second, (fixer,) = (project.who(name) for name in ("implement.1.1.*", "implement.1.2.*", "fix.*"))
    assert second[1] == fixer  # on the merged state, in the item's own tree
    assert len({first, *second}) == 3
    assert project.who("check.*")[-1] != fixer  # the final gate
    assert project.left_in_runs() == []


def test_run__a_hostile_agent_gains_nothing(project: Switched) -> None:
    """It looks for what is Mason's, tries to end Mason, and leaves a daemon that would change the work."""
    mine = os.getpid()
    looked = f"cat /proc/{mine}/environ {project.root}/state/* /etc/shadow; ls {project.root}/runs /root"
    daemon = "env -i setsid sh -c 'echo $$ > daemon; mv daemon said; exec sleep 600'"
    stay = f'cd "$WHERE" && ({daemon} &); until [ -e said ]; do :; done; cd "$OLDPWD"'
    project.approve(prd(wave(1, "general-purpose: A"), "Adds `src/new.txt`."))
    act = f'({looked}) > "$WHERE/stolen" 2> /dev/null; kill -9 {mine} -1; {stay}; echo fine > src/new.txt'
    outcome = project.run_one(**project.agent(implement=f"{WHO}; {act}"))
    assert outcome.verdict is Verdict.COMPLETED, outcome.reason
    assert (project.root / "said/stolen").read_text() == ""
    assert not alive(int((project.root / "said/said").read_text()))


def test_run__the_patch_agent(project: Switched) -> None:
    item = project.approve(prd(new("src/deep/new.txt", "fine\n")))
    assert project.run_one().verdict is Verdict.COMPLETED
    assert project.changed("mason/add-a-thing") == ["src/deep/new.txt"]
    assert project.state(item) == "completed"
    assert set(project.who("check.*")) <= set(IDS)


def test_run__items_side_by_side_have_different_users(project: Switched) -> None:
    for number in range(4):
        project.approve(
            prd(wave(1, "general-purpose: A"), f"Adds `src/{number}.txt`."), f"Item {number}", in_order=False
        )
    result = project.run(max_parallel=4, **project.agent(implement=f'{WHO}; echo fine > "src/$(id -u).txt"'))
    assert [each.outcome.verdict for each in result.results] == [Verdict.COMPLETED] * 4
    assert len(set(project.who("implement.*"))) == 4


def test_run__a_repository_of_somebody_else(project: Switched) -> None:
    """As in an Actions job: the workspace belongs to the runner's user, and Mason is root."""
    for directory, directories, files in os.walk(project.repository):
        for name in (".", *directories, *files):
            os.chown(Path(directory, name), 1001, 1001, follow_symlinks=False)
    project.approve_change()
    assert project.run_one().verdict is Verdict.COMPLETED
    assert git(project.repository, "-c", f"safe.directory={project.repository}", "branch", "--list", "mason/*")


def test_action__as_in_the_image(hosted: Hosted) -> None:
    """The agent tells as whom it runs and what of the job it can see."""
    look = 'id -u > src/who.txt; env | grep -c -E "INPUT_|GITHUB_|ACTIONS_|MASON_DSN" > src/seen.txt; true'
    hosted.project.approve("# Look\n\n## Solution\nSay who you are.\n", "Look around")
    script = hosted.project.agent(implement=look, verify="true")["agent_command"]
    with open_directory() as place:
        place.chmod(0o711)
        agent = place / "agent.sh"
        agent.write_text(Path(script.split()[-1].strip("'")).read_text().replace("cat >", "cat #"))
        agent.chmod(0o755)
        users = {"MASON_USERS": f"{IDS.start}-{IDS.stop - 1}", "MASON_RUNS_DIR": str(place / "runs")}
        done = hosted.job("run", agent="command", agent_command=f"sh {agent}", environment=users)
    assert done.code == 0, done.log[-3000:]
    (pull,) = hosted.there.pulls
    assert int(hosted.there.git.text("show", f"{pull.head_sha}:src/who.txt")) in IDS
    assert hosted.there.git.text("show", f"{pull.head_sha}:src/seen.txt") == "0"
