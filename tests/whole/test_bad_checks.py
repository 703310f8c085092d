"""Bad input, part three: checks that hang, flood, fork, or write what is no text; and agents that do."""

from __future__ import annotations

from collections.abc import Callable

from app.domain.results import CheckKind, CheckStatus, Outcome, Verdict
from tests.whole.kit import Project, Turnstile, alive, policy
from tests.whole.prds import prd

MakeProject = Callable[..., Project]


def checked_by(make_project: MakeProject, command: str, timeout: float = 60) -> tuple[Project, Outcome]:
    """An item whose test is this command; the base does not have the file that starts it."""
    test = {"run": f"if [ -f src/new.txt ]; then {command}; fi", "timeout": timeout}
    project = make_project(mason_yml=policy({"test": test}, limits={"fix_iterations": 1}))
    project.approve_change()
    return project, project.run_one()


def test_check__that_hangs_is_a_timeout(make_project: MakeProject) -> None:
    project, outcome = checked_by(make_project, "sleep 600", timeout=0.2)
    assert outcome.gate
    result = outcome.gate.check(CheckKind.TEST)
    assert (outcome.verdict, result.status, result.reason) == (
        Verdict.REJECTED,
        CheckStatus.TIMEOUT,
        "took longer than 0.2 s",
    )
    assert project.left_in_runs() == []


def test_check__that_floods_is_cut_and_judged(make_project: MakeProject) -> None:
    """In the gate and in the final gate; only head and tail are kept."""
    _, outcome = checked_by(make_project, "echo first; yes xxxxxxx | head -c 134217728; echo last")
    assert outcome.verdict is Verdict.COMPLETED
    assert outcome.gate
    output = outcome.gate.check(CheckKind.TEST).output
    assert len(output) < 100_000
    assert output.startswith("first\nxxxxxxx\n")
    assert output.endswith("\nxxxxxxx\nlast\n")


def test_check__whose_children_survive_it_leaves_none(make_project: MakeProject) -> None:
    _, outcome = checked_by(make_project, "setsid sleep 600 & echo $!")
    assert outcome.gate
    child = int(outcome.gate.check(CheckKind.TEST).output)
    assert (outcome.verdict, alive(child)) == (Verdict.COMPLETED, False)


def test_check__that_writes_no_utf8_is_shown_all_the_same(make_project: MakeProject) -> None:
    project, outcome = checked_by(make_project, "printf 'bad: \\377\\376\\000 \\033[31mred\\033[0m\\n'; exit 1")
    assert outcome.verdict is Verdict.REJECTED
    (follow_up,) = project.follow_ups()
    assert "test" in follow_up["problem"]
    (row,) = project.rows("select failure_details::text as details from mason_pm_validation_iterations")
    assert "bad: " in row["details"]


def test_check__that_removes_its_own_tree_harms_only_itself(make_project: MakeProject) -> None:
    project, outcome = checked_by(make_project, 'rm -rf "$PWD"')
    assert outcome.verdict in (Verdict.COMPLETED, Verdict.REJECTED)
    assert (project.repository / "src" / "hello.txt").exists()
    assert project.left_in_runs() == []


def test_check__cannot_see_mason_s_secrets(project: Project) -> None:
    project.commit({".github/mason.yml": policy({"test": "env; if [ -f src/new.txt ]; then exit 1; fi"})})
    project.approve_change()
    done = project.mason("run", "--json", GITHUB_TOKEN="ghs_secret_token_1", ANTHROPIC_API_KEY="sk-ant-secret")
    assert done.returncode == 1
    kept = done.stdout + str(project.rows("select * from mason_execution_logs")) + str(project.follow_ups())
    rows = str(project.rows("select * from mason_pm_validation_iterations"))
    for secret in ("ghs_secret_token_1", "sk-ant-secret", "MASON_DSN"):
        assert secret not in kept + rows


def test_agent__that_hangs_is_ended_by_its_time_limit(make_project: MakeProject) -> None:
    project = make_project(mason_yml=policy(limits={"agent_timeout": 0.3}))
    item = project.approve(prd("Add `src/new.txt`."))
    outcome = project.run_one(**project.agent(implement="sleep 600"))
    assert outcome.verdict is Verdict.REJECTED
    assert "did not end within 0.3 s" in project.item(item)["failure_reason"]


def test_agent__that_floods_and_leaves_children_is_contained(project: Project) -> None:
    pid_file = project.root / "child"
    project.approve(prd("Add `src/new.txt`."))
    act = f"(setsid sleep 600 & echo $! > {pid_file}); head -c 50000000 /dev/zero; echo x > src/new.txt"
    assert project.run_one(**project.agent(implement=act)).verdict is Verdict.COMPLETED
    assert not alive(int(pid_file.read_text()))


def test_stop__ends_a_hanging_check_and_gives_the_item_back(project: Project, turnstile: Turnstile) -> None:
    hang = f"if [ -f src/new.txt ]; then {turnstile.command}; fi"
    project.commit({".github/mason.yml": policy({"test": hang})})
    item = project.approve_change()
    with project.running() as run:
        check = turnstile.arrived()
        run.stop.set("Cancelled")
        result = run.result()
    assert (result.cancelled, [r.outcome.verdict for r in result.results]) == (True, [Verdict.RELEASED])
    assert (project.state(item), alive(check), project.branches()) == ("approved", False, [])
    assert project.item(item)["execution_attempt"] == 0
