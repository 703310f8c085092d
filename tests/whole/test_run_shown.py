"""What a run leaves to be shown: checks with their output, findings, diffs, iterations; and no secret."""

from __future__ import annotations

from app.backlog.postgres import postgres_backlog
from app.domain.events import Phase
from app.domain.items import ItemStatus
from app.domain.results import CheckKind, Verdict
from app.domain.run_views import LogPage, RunView
from tests.whole.kit import CHECKS, Project, policy
from tests.whole.prds import new, prd

SECRET = "ghs_a_secret_of_the_tests"


def shown(project: Project) -> tuple[RunView, LogPage]:
    """The newest run."""
    store = postgres_backlog(project.dsn, patience=5)
    try:
        (line,) = store.run_lines(limit=1)
        view = store.run_view(line.id)
        assert view is not None
        return view, store.log_page(line.id, after=None, limit=1000)
    finally:
        store.close()


def test_run_shown__a_completed_item_has_its_diff_and_the_output_of_its_checks(project: Project) -> None:
    project.commit({".github/mason.yml": policy(CHECKS | {"test": "echo all 7 tests passed; ! grep -rn BUG src"})})
    item = project.approve_change("src/new.txt", "fine\n")
    outcome = project.run_one()
    view, log = shown(project)
    assert view.ended
    assert (view.run.items, view.run.succeeded, view.run.failed) == (1, 1, 0)
    (one,) = view.items
    assert (one.id, one.status, one.verdict, one.phase) == (
        item,
        ItemStatus.COMPLETED,
        Verdict.COMPLETED,
        Phase.COMPLETE,
    )
    assert (one.commit, one.branch) == (outcome.commit, "mason/add-a-thing")
    assert one.diff == outcome.diff
    assert one.diff.startswith("diff --git a/src/new.txt b/src/new.txt\n")
    assert one.diff.endswith("+fine\n")
    checks = {check.kind: check for check in one.checks}
    assert checks[CheckKind.TEST].status == "pass"
    assert checks[CheckKind.TEST].output.strip() == "all 7 tests passed"
    assert "grep" in checks[CheckKind.TEST].command
    assert one.tasks
    assert {line.item_id for line in log.lines} == {None, item}


def test_run_shown__a_rejected_item_has_what_failed_and_the_diff_of_what_is_kept(project: Project) -> None:
    project.approve(prd(new("src/bad.txt", "BUG")), "Bad one")
    agent = project.agent(implement="printf 'BUG\\n' > src/bad.txt", fix="printf 'BUG again\\n' > src/bad.txt")
    project.run(**agent)
    view, _ = shown(project)
    (one,) = view.items
    assert (one.status, one.branch, one.commit) == (ItemStatus.REJECTED, "", "")
    assert "refs/mason/wip/bad-one" in one.kept
    assert one.follow_up is not None
    assert "+BUG again" in one.diff
    failed = next(check for check in one.checks if check.kind is CheckKind.TEST)
    assert failed.status == "fail"
    assert "src/bad.txt:1:BUG" in failed.output
    assert one.iterations[0].failed == ("test",)
    assert one.iterations[0].still_failing == ("test",)
    assert "-BUG\n+BUG again\n" in one.iterations[0].changed


def test_run_shown__what_the_validator_found_stands_beside_it(project: Project) -> None:
    project.approve(prd(new("src/one.txt", "fine")), "One")
    agent = project.agent(implement="echo x > src/one.txt; mkdir -p .github; echo y > .github/new.yml")
    project.run(**agent)
    (one,) = shown(project)[0].items
    assert one.status is ItemStatus.REJECTED
    assert any(".github/new.yml" in found for found in one.findings)


def test_run_shown__an_item_that_was_put_off_says_why(project: Project) -> None:
    project.approve(None)
    project.run()
    (one,) = shown(project)[0].items
    assert (one.status, one.verdict) == (ItemStatus.DEFERRED, Verdict.DEFERRED)
    assert "has no PRD" in one.reason
    assert (one.diff, one.checks) == ("", ())


def test_run_shown__no_secret_is_in_it(project: Project) -> None:
    """Mason's own secrets, wherever an agent or a check may have come by them."""
    project.commit(
        {".github/mason.yml": policy({"test": f"echo found {SECRET}; if [ -f src/b.txt ]; then exit 1; fi"})}
    )
    project.approve_change("src/a.txt", f"token = {SECRET}\n", title="a")
    project.approve_change("src/b.txt", f"token = {SECRET}\n", title="b")
    done = project.mason("run", "--json", MASON_METRICS_TOKEN=SECRET)
    assert done.returncode == 1, done.stderr
    view, _ = shown(project)
    assert [item.status for item in view.items] == [ItemStatus.COMPLETED, ItemStatus.REJECTED]
    for item in view.items:
        assert "+token = ***" in item.diff
        assert [check.output for check in item.checks if check.output] == ["found ***\n"]
    everything = [
        project.rows(f"select * from {table}")
        for table in (
            *("mason_pm_execution_results", "mason_pm_validation_iterations", "mason_execution_logs"),
            *("mason_execution_progress", "mason_remote_execution_runs"),
        )
    ]
    columns = "select execution_result, failure_reason from mason_pm_backlog_items"
    assert SECRET not in str(everything) + str(project.rows(columns)) + repr(view)
