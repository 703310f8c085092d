"""Step 8 of the story: waves in order, readers undone, writers side by side, merged, and run again on a conflict."""

from __future__ import annotations

from app.domain.results import Verdict
from tests.whole.kit import Project, Turnstile
from tests.whole.prds import change, new, prd, wave


def test_waves__run_in_order_each_on_what_the_one_before_has_left(project: Project) -> None:
    first, second = wave(1, "general-purpose: First"), wave(2, "general-purpose: Second", after=1)
    project.approve(prd(first, second, "Changes `src/log.txt`."))
    act = 'echo "$MASON_TASK" >> src/log.txt'
    assert project.run_one(**project.agent(implement=act)).verdict is Verdict.COMPLETED
    assert project.show("mason/add-a-thing", "src/log.txt") == "1.1\n2.1"


def test_waves__one_that_waits_for_a_later_one_is_a_warning_that_names_the_line(project: Project) -> None:
    project.approve(prd(wave(2, "general-purpose: Late", after=9), "Changes `src/log.txt`."))
    assert project.run_one(**project.agent(implement="echo x > src/log.txt")).verdict is Verdict.COMPLETED
    assert any(line.startswith("warn: line 13: ") and "wave 9" in line for line in project.logs())


def test_readers__what_they_write_is_undone_and_what_they_say_is_passed_on(project: Project) -> None:
    project.approve(prd(wave(1, "Explore: Look"), wave(2, "general-purpose: Write", after=1), "Add `src/new.txt`."))
    agent = project.agent(explore="echo dirt > src/dirt.txt; echo The attic is empty", implement="echo x > src/new.txt")
    assert project.run_one(**agent).verdict is Verdict.COMPLETED
    assert project.changed("mason/add-a-thing") == ["src/new.txt"]
    assert "The attic is empty" in project.prompts("implement")[0]
    assert any("while it was only asked to explore; undone" in line for line in project.logs())


def test_readers__a_failing_one_does_not_stop_the_item(project: Project) -> None:
    item = project.approve(prd(wave(1, "Explore: Look"), wave(2, "general-purpose: Write"), "Add `src/new.txt`."))
    agent = project.agent(explore="exit 3", implement="echo x > src/new.txt")
    assert project.run_one(**agent).verdict is Verdict.COMPLETED
    assert project.tasks(item) == [("1.1", "failed"), ("2.1", "completed")]


def test_writers__of_one_wave_work_at_the_same_time_in_trees_of_their_own(
    project: Project, turnstile: Turnstile
) -> None:
    project.approve(prd(wave(1, "general-purpose: A", "general-purpose: B"), "Add `src/1.1.txt`, `src/1.2.txt`."))
    act = f'{turnstile.command}; ls src; echo x > "src/$MASON_TASK.txt"'
    with project.running(**project.agent(implement=act)) as run:
        assert turnstile.arrived() != turnstile.arrived()  # the second came while the first stood there
        turnstile.let_pass()
        (only,) = run.result().results
    assert only.outcome.verdict is Verdict.COMPLETED
    assert project.changed("mason/add-a-thing") == ["src/1.1.txt", "src/1.2.txt"]


def test_writers__with_a_conflict_the_later_one_runs_again_on_the_merged_state(project: Project) -> None:
    tasks = wave(1, "general-purpose: One", "general-purpose: Two")
    first = change("src/hello.txt", "hello\n", "hello\none\n", task="1.1")
    second = change("src/hello.txt", "hello\n", "hello\ntwo\n", task="1.2")
    item = project.approve(prd(tasks, first, second))
    assert project.run_one().verdict is Verdict.COMPLETED
    assert sorted(project.show("mason/add-a-thing", "src/hello.txt").split()) == ["hello", "one", "two"]
    assert any("Task 1.2 runs again on the merged state" in line for line in project.logs())
    assert project.tasks(item) == [("1.1", "completed"), ("1.2", "completed")]
    shown = project.progress(item)
    assert shown
    assert (shown["tasks_completed"], shown["tasks_total"]) == (2, 2)


def test_writers__a_failing_one_rejects_the_item_and_keeps_the_others_work(project: Project) -> None:
    item = project.approve(prd(wave(1, "general-purpose: A", "general-purpose: B"), "Add `src/1.1.txt`."))
    act = '[ "$MASON_TASK" = 1.1 ] || exit 3; echo x > src/1.1.txt'
    outcome = project.run_one(**project.agent(implement=act))
    assert outcome.verdict is Verdict.REJECTED
    assert outcome.reason == "Wave 1: task 1.2 failed: The agent 'sh' ended with exit code 3."
    assert project.changed("refs/mason/wip/add-a-thing") == ["src/1.1.txt"]
    assert project.tasks(item) == [("1.1", "completed"), ("1.2", "failed")]


def test_waves__the_checks_after_one_are_recorded_and_block_nothing(project: Project) -> None:
    bug = new("src/new.txt", "BUG", task="1.1")
    repair = change("src/new.txt", "BUG\n", "fine\n", task="2.1")
    project.approve(prd(wave(1, "general-purpose: A"), wave(2, "general-purpose: B", after=1), bug, repair))
    outcome = project.run_one()
    assert (outcome.verdict, outcome.iterations) == (Verdict.COMPLETED, ())
    query = (
        "select message from mason_execution_logs where metadata ->> 'recorded_only' = 'true' and log_level = 'warn'"
    )
    (warning,) = project.rows(query)
    assert "Tests" in warning["message"]
