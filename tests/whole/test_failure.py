"""Step 14 of the story, bases that fail by themselves, and claims that are lost in the middle."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import pytest

from app.domain.results import Verdict
from app.errors import DatabaseRefused
from tests.whole.kit import CHECKS, Project, Turnstile, policy
from tests.whole.prds import change, new, prd

MakeProject = Callable[..., Project]


def test_failure__keeps_the_work_asks_a_person_and_goes_on(project: Project) -> None:
    bad = project.approve(prd(new("src/bad.txt", "BUG")), "Bad one", type="security", area="frontend", effort_score=3)
    good = project.approve_change("src/good.txt", title="Good one")
    result = project.run(max_parallel=1)
    assert [r.outcome.verdict for r in result.results] == [Verdict.REJECTED, Verdict.COMPLETED]
    assert (project.state(bad), project.state(good)) == ("rejected", "completed")
    assert project.branches() == ["mason/good-one"]
    assert project.show("refs/mason/wip/bad-one", "src/bad.txt") == "BUG"
    assert "+BUG" in (project.root / "state" / "artifacts" / "bad-one.patch").read_text()
    row, (follow_up,) = project.item(bad), project.follow_ups()
    assert (row["validation_passed"], row["branch_name"]) == (False, "mason/bad-one")
    assert follow_up["status"] == "new"
    assert follow_up["title"] == "Needs attention: Bad one"
    assert [follow_up[name] for name in ("type", "area", "effort_score")] == ["security", "frontend", 3]
    assert "refs/mason/wip/bad-one" in follow_up["problem"]
    assert "Iteration 1. Failing before: test." in follow_up["solution"]


def test_failure__the_kept_patch_applies_to_the_base(project: Project) -> None:
    project.approve_change(content="BUG\n")
    project.run()
    patch = project.root / "state" / "artifacts" / "add-a-thing.patch"
    project.git("apply", str(patch))
    assert (project.repository / "src" / "new.txt").read_text() == "BUG\n"


def test_failure__an_item_approved_again_may_succeed(project: Project) -> None:
    item = project.approve_change(content="BUG\n")
    project.run()
    better = prd(new("src/new.txt", "fine"))
    project.sql("update mason_pm_backlog_items set status = 'approved', prd_content = %s where id = %s", better, item)
    assert project.run_one().verdict is Verdict.COMPLETED
    row = project.item(item)
    assert (row["status"], row["failure_reason"], row["validation_passed"]) == ("completed", None, True)
    assert row["execution_attempt"] == 1  # a new approval counts its attempts anew


# A base that fails by itself


def test_base__that_fails_gives_the_items_back_before_an_agent_is_paid(project: Project) -> None:
    project.commit({"src/hello.txt": "BUG\n"})
    item = project.approve(prd("Add `src/new.txt`."))
    agent = project.agent(implement="echo x > src/new.txt")
    outcome = project.run_one(**agent)
    base = project.git("rev-parse", "main")
    assert outcome.verdict is Verdict.RELEASED
    assert outcome.reason.startswith(f"The base commit {base[:10]} of main fails its own test (")
    row = project.item(item)
    assert (row["status"], row["failed_base"], row["execution_attempt"]) == ("approved", base, 0)
    assert (project.progress(item), project.prompts("implement")) == (None, [])
    assert {"phase": "error", "message": outcome.reason, "item_id": str(item)} in project.status


def test_base__that_failed_is_not_tried_again_before_it_moves(project: Project) -> None:
    project.commit({"src/hello.txt": "BUG\n"})
    item = project.approve_change()
    project.run()
    assert project.run().run_id is None
    project.commit({"src/hello.txt": "fine\n"})
    assert project.run_one().verdict is Verdict.COMPLETED
    assert project.item(item)["failed_base"] is None


def test_base__an_item_that_names_the_failing_check_is_there_to_repair_it(project: Project) -> None:
    project.commit({"src/hello.txt": "BUG\n"})
    repair = project.approve(prd("The tests fail.", change("src/hello.txt", "BUG\n", "fine\n")), "Repair it")
    other = project.approve_change()
    project.run()
    assert (project.state(repair), project.state(other)) == ("completed", "approved")
    assert project.branches() == ["mason/repair-it"]


# The fence


def held(project: Project, turnstile: Turnstile) -> None:
    """From now on the tests wait at the turnstile while there is a file src/wait.txt."""
    wait = "if [ -f src/wait.txt ]; then " + turnstile.command + "; fi"
    project.commit({".github/mason.yml": policy({**CHECKS, "test": wait})})


def test_fence__an_item_that_is_somebody_elses_now_is_not_published(project: Project, turnstile: Turnstile) -> None:
    held(project, turnstile)
    item, other = project.approve_change("src/wait.txt"), uuid4()
    with project.running() as run:
        turnstile.arrived()
        project.sql(
            "update mason_pm_backlog_items set execution_run_id = %s, execution_attempt = execution_attempt + 1,"
            " claimed_by = 'somebody else' where id = %s",
            other,
            item,
        )
        turnstile.let_pass()
        (only,) = run.result().results
    assert only.outcome.verdict is Verdict.LOST
    row = project.item(item)
    assert (row["status"], row["execution_run_id"], row["claimed_by"]) == ("in_progress", other, "somebody else")
    assert (project.branches(), project.follow_ups()) == ([], [])


def test_fence__a_heartbeat_that_matches_no_row_stops_the_item_at_once(project: Project, turnstile: Turnstile) -> None:
    """The check would wait for ever: only the lost lease ends it."""
    held(project, turnstile)
    item = project.approve_change("src/wait.txt")
    with project.running(heartbeat=0.02) as run:
        turnstile.arrived()
        project.sql("update mason_pm_backlog_items set execution_attempt = execution_attempt + 1 where id = %s", item)
        (only,) = run.result().results
    assert (only.outcome.verdict, project.branches()) == (Verdict.LOST, [])


def test_fence__a_deleted_item_is_lost_too(project: Project, turnstile: Turnstile) -> None:
    held(project, turnstile)
    item = project.approve_change("src/wait.txt")
    with project.running() as run:
        turnstile.arrived()
        project.sql("delete from mason_pm_backlog_items where id = %s", item)
        turnstile.let_pass()
        (only,) = run.result().results
    assert (only.outcome.verdict, project.branches()) == (Verdict.LOST, [])


def test_items__work_side_by_side(project: Project, turnstile: Turnstile) -> None:
    held(project, turnstile)
    for title in ("One", "Two"):
        project.approve_change("src/wait.txt", title=title)
    with project.running(max_parallel=2) as run:
        assert turnstile.arrived() != turnstile.arrived()
        turnstile.let_pass()
        result = run.result()
    assert [r.outcome.verdict for r in result.results] == [Verdict.COMPLETED] * 2


def refuse(project: Project, when: str, condition: str) -> None:
    """A rule of the user's own database."""
    project.sql(
        "create function refuse() returns trigger language plpgsql as"
        f" $$ begin if {condition} then raise exception 'a rule of the house'; end if; return new; end $$"
    )
    project.sql(f"create trigger refuse before {when} on mason_pm_backlog_items for each row execute function refuse()")


def test_failure__a_follow_up_that_the_database_refuses_holds_nothing_up(project: Project) -> None:
    bad, good = project.approve_change(content="BUG\n"), project.approve_change("src/good.txt", title="Good one")
    refuse(project, "insert", "new.status = 'new'")
    project.run(max_parallel=1)
    assert (project.state(bad), project.state(good)) == ("rejected", "completed")
    assert project.follow_ups() == []


def test_failure__a_claim_that_the_database_refuses_gives_the_others_back(project: Project) -> None:
    items = [project.approve_change(title="One"), project.approve_change("src/b.txt", title="Two")]
    refuse(project, "update", "new.title = 'Two' and new.status = 'in_progress'")
    with pytest.raises(DatabaseRefused, match="a rule of the house"):
        project.run()
    assert [(row["status"], row["execution_attempt"]) for row in map(project.item, items)] == [("approved", 0)] * 2
    assert [row["status"] for row in project.rows("select status from mason_remote_execution_runs")] == ["cancelled"]
