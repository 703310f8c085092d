"""A run whose items are taken by jobs of their own: planned, worked on side by side, finished by the last job."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from app import wiring
from app.domain.claims import DISPATCHED, JobClaimant
from app.domain.results import Verdict
from app.domain.runs import Run, RunResult
from app.errors import UsageError
from app.flows.planned_run import PlannedRun, finish_run, plan_run
from app.flows.run_items import run_items
from app.flows.work import Ports
from app.process import Stop
from tests.whole.hosted import Hosted
from tests.whole.kit import LONG, Project, Turnstile, policy
from tests.whole.prds import new, prd


class Jobs:
    """The jobs of a workflow run on one project. Each is a runner of its own, and names itself as a job does."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.attempt = 1
        self.started = 0

    @contextmanager
    def runner(self, *, last: bool = False, **options: Any) -> Iterator[tuple[Ports, wiring.RunRequest]]:
        self.started += 1
        me = JobClaimant(workflow_run="7", attempt=self.attempt, job="item", nonce=f"n{self.started}")
        request = wiring.RunRequest(repository=self.project.repository, auto=True, **options)
        with wiring.runner(self.project.settings, request, status=io.StringIO(), console=io.StringIO()) as ports:
            yield replace(ports, claimed_by=str(me), is_dead=lambda claim: me.outlived(claim, last=last)), request

    def plan(self, **options: Any) -> PlannedRun:
        with self.runner(**options) as (ports, request):
            return plan_run(ports, wiring.run_options(request))

    def item(self, run: UUID, *items: UUID, stop: Stop | None = None, **options: Any) -> RunResult:
        with self.runner(run_id=run, items=items, **options) as (ports, request):
            return run_items(ports, wiring.run_options(request), stop or Stop())

    def finish(self, run: UUID) -> RunResult:
        with self.runner(last=True) as (ports, _):
            return finish_run(ports, run)

    def dispatch(self, run: UUID, item: UUID) -> None:
        """Claim an item for the run, as the web app does before it dispatches the workflow."""
        with self.runner() as (ports, _):
            (found,) = ports.backlog.items([item])
            assert ports.backlog.claim(found, run_id=run, claimed_by=DISPATCHED, branch="mason/add-a-thing")

    def state(self, run: UUID) -> set[str]:
        tables = ("mason_remote_execution_runs", "mason_pm_execution_runs")
        return {self.project.rows(f"select status from {table} where id = %s", run)[0]["status"] for table in tables}


@pytest.fixture
def jobs(project: Project) -> Jobs:
    return Jobs(project)


def planned(jobs: Jobs) -> Run:
    run = jobs.plan().run
    assert run is not None
    return run


def verdicts(result: RunResult) -> list[Verdict]:
    return [each.outcome.verdict for each in result.results]


# -- the plan --------------------------------------------------------------------------------------------------------


def test_plan__opens_a_run_and_claims_nothing(project: Project, jobs: Jobs) -> None:
    items = [project.approve_change(f"src/{name}.txt", title=f"Add {name}") for name in ("one", "two")]
    plan = jobs.plan()
    assert plan.run is not None
    assert [(job.item_id, job.title) for job in plan.jobs] == [(items[0], "Add one"), (items[1], "Add two")]
    assert plan.run.item_ids == tuple(items)
    assert plan.run.base.commit == project.git("rev-parse", "main")
    assert (jobs.state(plan.run.id), [project.state(item) for item in items]) == ({"in_progress"}, ["approved"] * 2)
    assert project.branches() == []


def test_plan__nothing_to_do_leaves_no_run(project: Project, jobs: Jobs) -> None:
    assert jobs.plan() == PlannedRun(run=None)
    assert project.rows("select * from mason_remote_execution_runs") == []


def test_plan__has_as_many_jobs_as_were_asked_for(project: Project, jobs: Jobs) -> None:
    items = [project.approve_change(f"src/{n}.txt", title=f"Add {n}") for n in range(3)]
    assert [job.item_id for job in jobs.plan(limit=2).jobs] == items[:2]
    assert [job.item_id for job in jobs.plan(items=(items[2],)).jobs] == [items[2]]


def test_plan__with_the_id_of_a_run_has_that_runs_items(project: Project, jobs: Jobs) -> None:
    item = project.approve_change()
    run = planned(jobs)
    jobs.dispatch(run.id, item)
    project.approve_change("src/later.txt", title="Came later")
    again = jobs.plan(run_id=run.id)
    assert again.run == run
    assert [job.item_id for job in again.jobs] == [item]
    assert len(project.rows("select * from mason_remote_execution_runs")) == 1


def test_plan__an_item_that_waits_for_its_base_is_not_in_it(project: Project, jobs: Jobs) -> None:
    project.approve_change()
    project.sql("update mason_pm_backlog_items set failed_base = %s", project.git("rev-parse", "main"))
    assert jobs.plan().run is None


# -- a job -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dispatched", [True, False])
def test_job__takes_its_item_and_leaves_the_run_open(project: Project, jobs: Jobs, dispatched: bool) -> None:
    mine, other = project.approve_change(), project.approve_change("src/other.txt", title="Add another")
    run = planned(jobs)
    if dispatched:
        jobs.dispatch(run.id, mine)
    result = jobs.item(run.id, mine)
    assert (verdicts(result), result.run_id) == ([Verdict.COMPLETED], run.id)
    assert (project.state(mine), project.state(other)) == ("completed", "approved")
    assert project.item(mine)["execution_attempt"] == 1
    assert project.branches() == ["mason/add-a-thing"]
    assert jobs.state(run.id) == {"in_progress"}


def test_job__a_failing_one_leaves_the_run_open_too(project: Project, jobs: Jobs) -> None:
    item = project.approve(prd(new("src/new.txt", "BUG\n")))
    run = planned(jobs)
    assert verdicts(jobs.item(run.id, item)) == [Verdict.REJECTED]
    assert jobs.state(run.id) == {"in_progress"}


def test_job__a_copy_that_comes_later_finds_nothing_to_do(project: Project, jobs: Jobs) -> None:
    item = project.approve_change()
    run = planned(jobs)
    jobs.item(run.id, item)
    row, refs = project.item(item), project.refs()
    assert jobs.item(run.id, item).results == ()
    assert (project.item(item), project.refs()) == (row, refs)


@pytest.mark.parametrize("dispatched", [True, False])
def test_job__a_copy_that_comes_meanwhile_leaves_without_effect(
    project: Project, jobs: Jobs, turnstile: Turnstile, dispatched: bool
) -> None:
    project.commit({".github/mason.yml": policy({"test": f"if [ -f src/new.txt ]; then {turnstile.command}; fi"})})
    item = project.approve_change()
    run = planned(jobs)
    if dispatched:
        jobs.dispatch(run.id, item)
    with ThreadPoolExecutor(1) as pool:
        try:
            first = pool.submit(jobs.item, run.id, item)
            turnstile.arrived()
            row = project.item(item)
            copy = jobs.item(run.id, item)
            assert copy.results == ()
            assert project.item(item)["claimed_by"] == row["claimed_by"]
        finally:
            turnstile.let_pass()
        assert verdicts(first.result()) == [Verdict.COMPLETED]
    assert project.item(item)["execution_attempt"] == 1
    assert jobs.state(run.id) == {"in_progress"}


def test_job__one_of_several_copies_at_once_does_the_work(hosted: Hosted) -> None:
    """Each in a process of its own: a runner ends whatever its process has started."""
    item = hosted.project.approve_change()
    run = hosted.job("plan").outputs["run-id"]
    Jobs(hosted.project).dispatch(UUID(run), item)
    copies = [hosted.start("run", run_id=run, items=str(item)) for _ in range(3)]
    logs = [copy.communicate(timeout=LONG)[0] for copy in copies]
    assert [copy.returncode for copy in copies] == [0, 0, 0], logs
    assert len(hosted.there.pulls) == len(hosted.there.pushes) == 1
    row = hosted.project.item(item)
    assert (row["status"], row["execution_attempt"]) == ("completed", 1)
    assert hosted.open_checks == []


def test_job__starts_from_the_commit_that_the_plan_pinned(project: Project, jobs: Jobs) -> None:
    """Every job of a run is judged by the same configuration; what came since is merged before publishing."""
    item = project.approve_change()
    run = planned(jobs)
    moved = project.commit({"src/other.txt": "meanwhile\n", ".github/mason.yml": policy({"test": "false"})})
    result = jobs.item(run.id, item)
    assert result.base == run.base
    assert verdicts(result) == [Verdict.COMPLETED]
    assert project.git("merge-base", "mason/add-a-thing", moved) == moved


def test_job__a_plans_commit_that_the_branch_lost_is_not_worked_on(project: Project, jobs: Jobs) -> None:
    item = project.approve_change()
    run = planned(jobs)
    project.git("commit", "-q", "--amend", "-m", "Another beginning")
    result = jobs.item(run.id, item)
    assert result.base is not None and result.base.commit == project.git("rev-parse", "main") != run.base.commit
    assert verdicts(result) == [Verdict.COMPLETED]


def test_job__that_is_cancelled_gives_its_item_back_and_leaves_the_run_open(
    project: Project, jobs: Jobs, turnstile: Turnstile
) -> None:
    project.commit({".github/mason.yml": policy({"test": f"if [ -f src/new.txt ]; then {turnstile.command}; fi"})})
    item = project.approve_change()
    run = planned(jobs)
    stop = Stop()
    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(jobs.item, run.id, item, stop=stop)
        turnstile.arrived()
        stop.set("Cancelled")
        assert verdicts(job.result()) == [Verdict.RELEASED]
    assert (project.state(item), project.item(item)["execution_attempt"]) == ("approved", 0)
    assert jobs.state(run.id) == {"in_progress"}
    turnstile.let_pass()
    assert verdicts(jobs.item(run.id, item)) == [Verdict.COMPLETED], "the same job, run again"


def test_job__of_a_later_attempt_takes_over_from_the_one_that_died(project: Project, jobs: Jobs) -> None:
    item = project.approve_change()
    run = planned(jobs)
    with jobs.runner() as (ports, _):
        (found,) = ports.backlog.items([item])
        assert ports.backlog.claim(found, run_id=run.id, claimed_by=ports.claimed_by, branch="mason/add-a-thing")
    assert jobs.item(run.id, item).results == (), "it may be at work still"
    jobs.attempt = 2
    assert verdicts(jobs.item(run.id, item)) == [Verdict.COMPLETED]
    assert project.item(item)["execution_attempt"] == 2


def test_job__that_waited_longer_than_a_lease_claims_its_item_itself(project: Project, jobs: Jobs) -> None:
    item = project.approve_change()
    run = planned(jobs)
    jobs.dispatch(run.id, item)
    project.sql("update mason_pm_backlog_items set heartbeat_at = now() - interval '1 hour'")
    assert verdicts(jobs.item(run.id, item)) == [Verdict.COMPLETED]
    assert jobs.state(run.id) == {"in_progress"}


def wrong_run(jobs: Jobs, run: Run, item: UUID) -> object:
    return jobs.item(uuid4(), item)


def no_item(jobs: Jobs, run: Run, item: UUID) -> object:
    return jobs.item(run.id)


def unknown_item(jobs: Jobs, run: Run, item: UUID) -> object:
    return jobs.item(run.id, uuid4())


def item_of_no_run(jobs: Jobs, run: Run, item: UUID) -> object:
    return jobs.item(run.id, jobs.project.approve_change("src/late.txt", title="Late"))


def finish_of_nothing(jobs: Jobs, run: Run, item: UUID) -> object:
    return jobs.finish(uuid4())


def plan_of_nothing(jobs: Jobs, run: Run, item: UUID) -> object:
    return jobs.plan(run_id=uuid4())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (wrong_run, "There is no run .*: it has to be planned first"),
        (no_item, "has to be told which items are its own"),
        (unknown_item, "There is no item .* in run"),
        (item_of_no_run, "There is no item .* in run"),
        (finish_of_nothing, "There is no run"),
        (plan_of_nothing, "There is no run"),
    ],
)
def test_job__that_makes_no_sense_is_refused_before_anything(
    project: Project, jobs: Jobs, call: Callable[[Jobs, Run, UUID], object], message: str
) -> None:
    item = project.approve_change()
    run = planned(jobs)
    with pytest.raises(UsageError, match=message) as caught:
        call(jobs, run, item)
    assert caught.value.exit_code == 2
    assert (project.state(item), jobs.state(run.id)) == ("approved", {"in_progress"})


# -- the last job ----------------------------------------------------------------------------------------------------


def test_finish__writes_how_the_run_ended_from_what_its_items_say(project: Project, jobs: Jobs) -> None:
    good = project.approve_change("src/good.txt", title="Good")
    bad = project.approve(prd(new("src/bad.txt", "BUG\n")), "Bad")
    never, lost = (project.approve_change(f"src/{name}.txt", title=name) for name in ("never", "lost"))
    waiting = project.approve_change("src/waiting.txt", title="waiting")
    run = planned(jobs)
    jobs.item(run.id, good)
    jobs.item(run.id, bad)
    jobs.dispatch(run.id, never)
    with jobs.runner() as (ports, _):
        (found,) = ports.backlog.items([lost])
        assert ports.backlog.claim(found, run_id=run.id, claimed_by=ports.claimed_by, branch="mason/lost")
    result = jobs.finish(run.id)
    ends = {each.item.id: each.outcome.verdict for each in result.results}
    assert ends == {
        good: Verdict.COMPLETED,
        bad: Verdict.REJECTED,
        never: Verdict.RELEASED,
        lost: Verdict.RELEASED,
        waiting: Verdict.RELEASED,
    }
    assert [project.state(item) for item in (never, lost, waiting)] == ["approved"] * 3
    assert [project.item(item)["execution_attempt"] for item in (never, lost, waiting)] == [0, 1, 0]
    assert jobs.state(run.id) == {"failed"}
    (row,) = project.rows("select * from mason_remote_execution_runs")
    assert (row["success_count"], row["failure_count"], row["item_count"]) == (1, 1, 5)
    assert [each["title"] for each in row["item_results"]][:2] == ["Good", "Bad"]
    assert row["completed_at"] is not None


def test_finish__twice_is_once(project: Project, jobs: Jobs) -> None:
    item = project.approve_change()
    run = planned(jobs)
    jobs.item(run.id, item)
    first = jobs.finish(run.id)
    row = project.item(item)
    assert jobs.finish(run.id) == first
    assert (jobs.state(run.id), project.item(item)) == ({"success"}, row)


def test_finish__leaves_other_runs_alone(project: Project, jobs: Jobs) -> None:
    mine, theirs = project.approve_change(), project.approve_change("src/other.txt", title="Another")
    run, other = jobs.plan(items=(mine,)).run, jobs.plan(items=(theirs,)).run
    assert run is not None and other is not None
    jobs.dispatch(other.id, theirs)
    jobs.finish(run.id)
    assert project.item(theirs)["claimed_by"] == DISPATCHED
    assert (jobs.state(run.id), jobs.state(other.id)) == ({"success"}, {"in_progress"})


def test_finish__a_base_that_fails_by_itself_is_told(project: Project, jobs: Jobs) -> None:
    project.commit({"src/broken.txt": "BUG\n"})
    item = project.approve_change()
    run = planned(jobs)
    assert verdicts(jobs.item(run.id, item)) == [Verdict.RELEASED]
    result = jobs.finish(run.id)
    assert result.base_failed
    assert "fails its own test" in result.results[0].outcome.reason
    assert (project.state(item), jobs.state(run.id)) == ("approved", {"failed"})


def test_finish__is_as_if_one_runner_had_done_it_all(project: Project, jobs: Jobs) -> None:
    """What the last job collects from the rows says the same as each job said of its own item."""
    items = [
        project.approve_change("src/good.txt", title="Good"),
        project.approve(prd(new("src/bad.txt", "BUG\n")), "Bad"),
        project.approve(None, "No PRD"),
    ]
    run = planned(jobs)
    said = [jobs.item(run.id, item).results[0].outcome for item in items]
    collected = [each.outcome for each in jobs.finish(run.id).results]
    for one, other in zip(said, collected, strict=True):
        for name in ("verdict", "reason", "branch", "commit", "kept", "follow_up", "tasks_done", "usage"):
            assert getattr(one, name) == getattr(other, name), name
        checks = [[(c.kind, c.status) for c in o.gate.checks] if o.gate else [] for o in (one, other)]
        assert checks[0] == checks[1]
        assert [i.number for i in one.iterations] == [i.number for i in other.iterations]
