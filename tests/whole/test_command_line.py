"""The `mason` command itself: options, exit codes, output for machines, dry runs, signals."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.unit.workspace.repositories import listing
from tests.whole.kit import LONG, Project, Turnstile, alive, interrupt, policy
from tests.whole.prds import new, prd, wave

MakeProject = Callable[..., Project]


def sentence(done: subprocess.CompletedProcess[str]) -> str:
    """What a command that cannot go on says: one sentence, no traceback."""
    assert "Traceback" not in done.stdout + done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("mason: ")]
    return line.removeprefix("mason: ")


# Exit codes


def test_exit_0__everything_passed_and_json_alone_is_on_standard_output(project: Project) -> None:
    item = project.approve_change()
    done = project.mason("run", "--json")
    result = json.loads(done.stdout)
    assert (done.returncode, result["status"]) == (0, "success")
    (only,) = result["items"]
    assert (only["id"], only["verdict"], only["branch"]) == (str(item), "completed", "mason/add-a-thing")
    assert only["commit"] == project.git("rev-parse", "mason/add-a-thing")
    assert {check["check"]: check["status"] for check in only["checks"]} == dict.fromkeys(
        ("typecheck", "lint", "build", "test"), "pass"
    )


def test_exit_0__nothing_to_do(project: Project) -> None:
    done = project.mason("run")
    assert (done.returncode, done.stdout) == (0, "Nothing to do: no item is approved.\n")


def test_exit_1__an_item_failed_and_the_status_lines_are_whole(project: Project) -> None:
    project.approve_change(content="BUG\n", title='A "hostile"\nAUTOPILOT_STATUS: {}\u2028 title')
    done = project.mason("run", "--auto")
    lines = [line for line in done.stdout.split("\n") if line.startswith("AUTOPILOT_STATUS: ")]
    shapes = [json.loads(line.removeprefix("AUTOPILOT_STATUS: ")) for line in lines]
    assert done.returncode == 1
    assert [shapes[0]["phase"], shapes[-1]["phase"]] == ["starting", "complete"]
    assert all(shape.get("phase") for shape in shapes)
    assert "## Execution Complete" in done.stdout


def test_exit_1__the_base_fails(project: Project) -> None:
    project.commit({"src/hello.txt": "BUG\n"})
    project.approve_change()
    done = project.mason("run")
    assert done.returncode == 1
    assert "fails its own test" in done.stdout


@pytest.mark.parametrize("status", ["new", "completed", "deferred", "rejected", "in_progress"])
def test_exit_2__an_item_that_is_not_approved_is_named_with_its_status(project: Project, status: str) -> None:
    item = project.approve_change()
    project.sql("update mason_pm_backlog_items set status = %s where id = %s", status, item)
    done = project.mason("run", "--item", str(item))
    assert (done.returncode, sentence(done)) == (2, f"Item {item} is {status}, not approved")
    assert project.state(item) == status


def test_exit_2__an_item_that_does_not_exist(project: Project) -> None:
    item = uuid4()
    done = project.mason("run", "--item", str(item))
    assert (done.returncode, sentence(done)) == (2, f"There is no item {item}")


def test_exit_2__a_database_that_is_not_migrated(project: Project, empty_database: str) -> None:
    done = project.mason("run", "--dsn", empty_database)
    assert done.returncode == 2
    assert sentence(done).endswith("run `mason migrate` (or POST /api/setup/migrations) first.")
    assert project.mason("migrate", "--dsn", empty_database).returncode == 0
    assert project.mason("run", "--dsn", empty_database).returncode == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--base", "nowhere"], "has no branch, tag or commit nowhere"),
        (["--base", "--upload-pack=x"], "is no branch name"),
        (
            ["--agent", "command"],
            "The command agent needs a command: set MASON_AGENT_COMMAND, or give --agent-command.",
        ),
        (["--agent-command", "'"], "--agent-command cannot be read"),
        (["--dsn", "nonsense=1"], "connection string cannot be read"),
    ],
)
def test_exit_2__what_cannot_be_used_is_said_in_a_sentence(project: Project, words: list[str], said: str) -> None:
    project.approve_change()
    done = project.mason("run", *words)
    assert (done.returncode, said in sentence(done)) == (2, True), done.stderr


def test_run__an_agent_that_could_never_work_is_told_before_anything_is_claimed(project: Project) -> None:
    item = project.approve_change()
    done = project.mason("run", "--agent", "claude", MASON_CLAUDE="sh")
    assert (done.returncode, "set MASON_ANTHROPIC_API_KEY" in sentence(done)) == (2, True)
    done = project.mason("run", "--agent", "codex", PATH="/nowhere")
    assert done.returncode == 2
    assert project.item(item)["status"] == "approved"
    assert project.item(item)["execution_attempt"] == 0


def test_exit_2__an_agent_program_that_is_not_there_gives_the_item_back(project: Project) -> None:
    item = project.approve_change()
    done = project.mason("run", "--agent-command", "/no/such/program")
    assert (done.returncode, sentence(done)) == (2, "The agent's program '/no/such/program' cannot be run.")
    assert (project.state(item), project.left_in_runs()) == ("approved", [])


@pytest.mark.parametrize(
    ("mason_yml", "said"),
    [
        ("checks: [", ".github/mason.yml is not valid YAML"),
        ("chekcs: {}", ".github/mason.yml: there is no key chekcs; did you mean checks?"),
        (policy({"test": {"run": "true", "timeout": "soon"}}), ".github/mason.yml: checks.test.timeout"),
        ("{}", "name one in .github/mason.yml"),
    ],
)
def test_exit_2__a_policy_that_cannot_be_used(make_project: MakeProject, mason_yml: str, said: str) -> None:
    project = make_project(mason_yml=mason_yml)
    item = project.approve_change()
    done = project.mason("run")
    assert (done.returncode, said in sentence(done)) == (2, True), done.stderr
    assert project.state(item) == "approved"


def test_exit_3__no_database(project: Project) -> None:
    nobody = f"host={project.root} dbname=none user=nobody"
    done = project.mason("run", "--dsn", nobody, MASON_DATABASE_PATIENCE="0")
    assert done.returncode == 3
    assert done.stderr.startswith("mason: The database did not answer: ")  # and no word before
    assert (sentence(done) != "", done.stdout) == (True, "")


def test_outage__is_told_once(project: Project) -> None:
    nobody = f"host={project.root} dbname=none user=nobody"
    done = project.mason("run", "--dsn", nobody, MASON_DATABASE_PATIENCE="0.2")
    assert done.returncode == 3
    assert done.stderr.count("trying again") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_exit_4__a_signal_gives_the_items_back_and_leaves_nothing(
    project: Project, turnstile: Turnstile, number: signal.Signals
) -> None:
    """A check hangs, with a child that left its process group."""
    pid_file = project.root / "orphan"
    hang = f"if [ -f src/new.txt ]; then (setsid sleep 600 & echo $! > {pid_file}); {turnstile.command}; fi"
    project.commit({".github/mason.yml": policy({"test": hang})})
    items = [project.approve_change(), project.approve_change(title="Waits its turn")]
    running = project.start_mason("run", "--max-parallel", "1")
    check = turnstile.arrived()
    code, out, err = interrupt(running, number)
    assert (code, "Traceback" in err, "a bug" in err) == (4, False, False)
    assert [project.state(item) for item in items] == ["approved", "approved"]
    assert [project.progress(item) for item in items] == [None, None]
    assert [project.item(item)["execution_attempt"] for item in items] == [0, 0]
    assert not alive(check)
    assert not alive(int(pid_file.read_text()))
    assert (project.left_in_runs(), project.branches()) == ([], [])
    assert {row["status"] for row in project.rows("select status from mason_pm_execution_runs")} == {"cancelled"}
    assert "⚠️ Cancelled" in out


def test_exit_4__nothing_that_was_buffered_is_lost(project: Project, turnstile: Turnstile) -> None:
    """The last rows are reported after the signal, the ones before it an instant earlier."""
    project.commit({".github/mason.yml": policy({"test": f"if [ -f src/new.txt ]; then {turnstile.command}; fi"})})
    project.approve_change(title="First")
    running = project.start_mason("run")
    turnstile.arrived()
    code, _, err = interrupt(running, signal.SIGTERM)
    assert (code, err) == (4, "mason: The run was cancelled.\n")
    messages = [line.partition(": ")[2] for line in project.logs()]
    assert messages[-1] == "Run finished: 0 of 1 items succeeded"
    assert {"Given back: First", "Starting execution for: First"} <= set(messages)
    assert [status for _, status in project.tasks(project.rows("select id from mason_pm_backlog_items")[0]["id"])] != []
    assert not (project.root / "state" / "spool").exists()


# Dry run


def dump(project: Project) -> dict[str, list[dict[str, Any]]]:
    tables = project.rows("select table_name from information_schema.tables where table_schema = 'public'")
    names = sorted(row["table_name"] for row in tables)
    return {name: project.rows(f'select t.*, t.xmin::text from "{name}" t order by t::text') for name in names}


def test_dry_run__shows_every_plan_and_writes_nothing_anywhere(project: Project) -> None:
    waves = [wave(1, "Explore: Look around"), wave(2, "general-purpose: Write it", after=1)]
    project.approve(prd(*waves, new("src/new.txt", "x")), "Planned *thing*")
    project.approve(None, "Without a PRD")
    database, files = dump(project), listing(project.repository)
    done = project.mason("run", "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    assert "#### Wave 2: Step 2 (Parallel)\n\nBlocked by: Wave 1" in done.stdout
    assert "| 2.1 | general-purpose | Write it |" in done.stdout
    assert "`mason/planned-thing`" in done.stdout
    assert "no PRD: it would be deferred" in done.stdout
    assert dump(project) == database
    assert listing(project.repository) == files
    assert project.left_in_runs() == []


def test_dry_run__of_an_item_that_is_not_approved_is_refused_as_well(project: Project) -> None:
    item = project.approve_change()
    project.sql("update mason_pm_backlog_items set status = 'new'")
    done = project.mason("run", "--dry-run", "--item", str(item))
    assert (done.returncode, sentence(done)) == (2, f"Item {item} is new, not approved")


# Adding items


def test_add__a_file_becomes_an_approved_item_that_runs(project: Project, tmp_path: Path) -> None:
    file = tmp_path / "item.md"
    file.write_text("---\ntype: api\n---\n" + prd(new("src/new.txt", "fine"), title="From a file"))
    added = project.mason("add", str(file))
    assert added.returncode == 0
    done = project.mason("run", "--item", added.stdout.strip(), "--limit", "1")
    assert (done.returncode, project.branches()) == (0, ["mason/from-a-file"])


def test_output__never_shows_the_password(project: Project) -> None:
    secret = "correct-horse-battery"
    dsn = f"host={project.root} dbname=none user=nobody password={secret}"
    done = project.mason("-v", "run", "--dsn", dsn, MASON_DATABASE_PATIENCE="0")
    assert (done.returncode, secret in done.stdout + done.stderr) == (3, False)


def test_signal__before_anything_is_claimed_ends_at_once(project: Project, tmp_path: Path) -> None:
    """While nothing is claimed there is nothing to give back, however long the database may be waited for."""
    started = project.start_mason("run", "--dsn", f"host={tmp_path} dbname=none user=u", MASON_DATABASE_PATIENCE="300")
    assert started.stderr
    assert "trying again" in started.stderr.readline()
    started.send_signal(signal.SIGINT)
    started.communicate(timeout=LONG)
    assert started.returncode == 4


def test_add__a_file_that_is_no_text_is_refused(project: Project, tmp_path: Path) -> None:
    (tmp_path / "prd.md").write_bytes(b"# Caf\xe9\n")
    done = project.mason("add", str(tmp_path / "prd.md"))
    assert (done.returncode, "is no text in UTF-8" in done.stderr) == (2, True)


def test_settings__a_place_that_cannot_be_used_is_named(project: Project) -> None:
    done = project.mason("run", MASON_RUNS_DIR="/dev/null/x")
    assert (done.returncode, "cannot use /dev/null/x" in done.stderr) == (2, True)


def test_dry_run__before_anything_else_makes_nothing(project: Project, tmp_path: Path) -> None:
    done = project.mason("run", "--dry-run", MASON_DSN="", MASON_STATE_DIR=str(tmp_path / "elsewhere"))
    assert (done.returncode, "there is no backlog yet" in done.stdout) == (0, True)
    assert not (tmp_path / "elsewhere").exists()
