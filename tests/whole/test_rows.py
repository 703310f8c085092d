"""What the dashboard and machines see: progress, logs, tasks, events, runs, status lines (contracts §1 and §3)."""

from __future__ import annotations

from typing import Any

from app.domain.progress import CHECKPOINTS
from tests.whole.kit import CHECKS, Project, Turnstile, policy
from tests.whole.prds import answer, change, new, prd


def percentage(row: dict[str, Any]) -> int:
    """As the dashboard computes it."""
    return int(100 * max(len(row["checkpoints_completed"]), row["checkpoint_index"]) / row["checkpoint_total"])


def test_progress__of_a_completed_item_reads_as_a_success(project: Project) -> None:
    item = project.approve_change()
    result = project.run()
    row = project.progress(item)
    assert row
    assert (row["current_phase"], row["wave_status"], percentage(row)) == ("complete", "completed", 100)
    assert row["run_id"] == str(result.run_id)
    assert row["completed_at"] >= row["started_at"]
    ids = [checkpoint["id"] for checkpoint in row["checkpoints_completed"]]
    assert ids == sorted(set(ids))
    names = {checkpoint["id"]: checkpoint["name"] for checkpoint in row["checkpoints_completed"]}
    assert names.items() <= CHECKPOINTS.items()
    assert {row[f"validation_{name}"] for name in ("typescript", "eslint", "build", "tests")} == {"pass"}


def test_progress__of_a_rejected_item_stays_where_it_failed_and_says_why(project: Project) -> None:
    item = project.approve_change(content="BUG\n")
    project.run()
    row = project.progress(item)
    assert row
    why = "Failed: Stopped after 1 fix iteration, the same failures came back: test"
    assert (row["current_task"], row["checkpoint_message"], row["current_phase"]) == (why, why, "inspection")
    assert row["completed_at"]
    assert (row["validation_tests"], row["validation_build"]) == ("fail", "pass")
    assert percentage(row) < 100


def test_progress__is_there_at_once_for_every_item_of_the_run(project: Project, turnstile: Turnstile) -> None:
    """The base is still being checked, and the dashboard's window is open for both items."""
    project.commit({".github/mason.yml": policy({"test": turnstile.command})})
    items = [project.approve_change(f"src/{name}.txt", title=name) for name in ("a", "b")]
    with project.running() as run:
        turnstile.arrived()
        rows = [project.progress(item) for item in items]
        assert [row and (row["current_phase"], row["completed_at"]) for row in rows] == [("site_review", None)] * 2
        assert {project.state(item) for item in items} == {"in_progress"}
        turnstile.let_pass()
        run.result()


def test_progress__shows_the_fix_iteration_while_it_runs(project: Project, turnstile: Turnstile) -> None:
    item = project.approve(prd("Add `src/new.txt`."))
    agent = project.agent(implement="echo BUG > src/new.txt", fix=f"{turnstile.command}; echo fine > src/new.txt")
    with (
        project.watching("mason_execution_progress", "new.fix_iteration = 1") as written,
        project.running(**agent) as run,
    ):
        turnstile.arrived()
        written()
        row = project.progress(item)
        turnstile.let_pass()
        run.result()
    assert row
    assert (row["fix_iteration"], row["checkpoint_message"]) == (1, "Fix iteration 1/5...")
    assert (row["validation_tests"], row["completed_at"]) == ("fail", None)


def test_progress__an_earlier_attempt_makes_room_for_the_next(project: Project) -> None:
    item = project.approve_change(content="BUG\n")
    project.run()
    before = project.progress(item)
    project.sql("update mason_pm_backlog_items set status = 'approved' where id = %s", item)
    project.run()
    after = project.progress(item)
    assert before
    assert after
    assert after["id"] != before["id"]
    assert after["started_at"] > before["started_at"]


def test_progress__a_row_that_the_dashboard_made_or_deleted_does_not_matter(
    project: Project, turnstile: Turnstile
) -> None:
    wait = "if [ -f src/wait.txt ]; then " + turnstile.command + "; fi"
    project.commit({".github/mason.yml": policy({**CHECKS, "test": wait})})
    item = project.approve_change("src/wait.txt")
    with project.running() as run:
        turnstile.arrived()
        project.sql("delete from mason_execution_progress")
        turnstile.let_pass()
        run.result()
    row = project.progress(item)
    assert row
    assert (row["current_phase"], percentage(row)) == ("complete", 100)


def test_runs__are_closed_in_both_tables_with_their_counts(project: Project) -> None:
    repaired = prd(new("src/a.txt", "BUG"), change("src/a.txt", "BUG\n", "fine\n", fix=1))
    items = [project.approve(repaired, "Good"), project.approve_change("src/b.txt", "BUG\n", "Bad")]
    result = project.run()
    (remote,) = project.rows("select * from mason_remote_execution_runs")
    (local,) = project.rows("select * from mason_pm_execution_runs")
    assert remote["id"] == local["id"] == result.run_id
    assert remote["status"] == local["status"] == "failed"
    assert (remote["success_count"], remote["failure_count"], remote["item_count"]) == (1, 1, 2)
    assert set(remote["item_ids"]) == set(items)
    assert {entry["item_id"]: entry["success"] for entry in remote["item_results"]} == {
        str(items[0]): True,
        str(items[1]): False,
    }
    assert remote["completed_at"]
    assert remote["total_fix_iterations"] == 2
    assert remote["validation_summary"]["items"] == {"completed": 1, "rejected": 1}


def test_logs__tell_the_story_in_order_under_the_run(project: Project) -> None:
    project.approve_change()
    result = project.run()
    story = [line.partition(": ")[2] for line in project.logs() if not line.startswith("debug")]
    assert story[0] == "Found 1 approved item"
    assert story[-2:] == ["Execution complete: Add a thing", "Run finished: 1 of 1 items succeeded"]
    assert {row["execution_run_id"] for row in project.rows("select * from mason_execution_logs")} == {result.run_id}


def test_events__tell_each_move_of_an_item(project: Project) -> None:
    item = project.approve_change(content="BUG\n")
    project.run()
    query = "select * from mason_item_events where item_id = %s order by created_at"
    events = project.rows(query, item)
    moves = [(e["old_value"], e["new_value"]) for e in events if e["event_type"] == "status_changed"]
    assert moves == [("approved", "in_progress"), ("in_progress", "rejected")]
    assert [e["new_value"] for e in events if e["event_type"] == "branch_created"] == ["mason/add-a-thing"]
    (note,) = [e["notes"] for e in events if e["event_type"] == "note_added"]
    assert note.startswith("The unfinished work is kept: ")


def test_status_lines__are_exactly_the_five_shapes(project: Project) -> None:
    good = project.approve_change("src/a.txt", title="Good")
    bad = project.approve_change("src/b.txt", "BUG\n", "Bad")
    project.approve(prd(answer("verify", decision="SKIP")), "Done")
    project.run(max_parallel=1)
    shapes = {
        "starting": {"phase", "items_count"},
        "executing": {"phase", "item_id", "item_title", "progress"},
        "validating": {"phase", "item_id", "check"},
        "error": {"phase", "message", "item_id"},
        "complete": {"phase", "items_executed", "prs_created"},
    }
    assert all(set(line) == shapes[line["phase"]] for line in project.status)
    assert project.status[0] == {"phase": "starting", "items_count": 3}
    assert project.status[-1] == {"phase": "complete", "items_executed": 2, "prs_created": 0}
    starts = [(line["item_id"], line["progress"]) for line in project.status if line["phase"] == "executing"]
    assert starts[:2] == [(str(good), "1/3"), (str(bad), "2/3")]
    assert {line["check"] for line in project.status if line["phase"] == "validating"} == {
        "typescript",
        "eslint",
        "build",
        "tests",
    }
    assert [line["item_id"] for line in project.status if line["phase"] == "error"] == [str(bad)]
