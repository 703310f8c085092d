"""The Action, started as the runner starts it: inputs in, pull requests, check runs, outputs and a summary out."""

from __future__ import annotations

import json

from tests.whole.hosted import Hosted
from tests.whole.prds import change, new, prd

HEAD_CHECKS = {"mason / validator", "mason / typecheck", "mason / lint", "mason / build", "mason / tests"}


def test_run__an_item_becomes_a_pull_request_with_five_completed_check_runs(hosted: Hosted) -> None:
    item = hosted.project.approve_change("src/new.txt", "fine\n", "Add a thing")
    done = hosted.job("run")
    assert done.code == 0, done.log
    (pull,) = hosted.there.pulls
    assert (pull.branch, pull.base, pull.state, pull.draft) == ("mason/add-a-thing", "main", "open", False)
    assert hosted.there.branches[pull.branch] == pull.head_sha
    head = hosted.checks(pull.head_sha)
    assert set(head) == HEAD_CHECKS
    assert {check.conclusion for check in head.values()} == {"success"}
    (base,) = hosted.checks(hosted.there.branches["main"]).values()
    assert (base.status, base.conclusion) == ("completed", "success")
    assert hosted.open_checks == []
    row = hosted.project.item(item)
    assert (row["status"], row["pr_url"]) == ("completed", f"{hosted.there.html_url}/pull/{pull.number}")
    assert done.outputs["prs-created"] == "1"
    assert json.loads(done.outputs["pr-urls"]) == [row["pr_url"]]
    assert (done.outputs["status"], done.outputs["items-failed"]) == ("success", "0")
    assert "Execution Complete" in done.summary
    assert hosted.token not in done.log.replace(f"::add-mask::{hosted.token}", "")


def test_run__a_failing_item_has_no_pull_request_and_leaves_the_base_green(hosted: Hosted) -> None:
    hosted.project.approve(prd(new("src/new.txt", "BUG\n")), "Add a bug")
    done = hosted.job("run")
    assert done.code == 1
    assert hosted.there.pulls == []
    (base,) = hosted.checks(hosted.there.branches["main"]).values()
    assert (base.status, base.conclusion) == ("completed", "neutral")
    assert any(command.startswith("::error ") for command in done.commands)
    assert (done.outputs["status"], done.outputs["items-failed"]) == ("failed", "1")
    assert "refs/mason/wip/add-a-bug" in hosted.there.git.refs()


def test_matrix__plan_jobs_finish(hosted: Hosted) -> None:
    hosted.project.approve_change("src/one.txt", "fine\n", "Add one")
    hosted.project.approve(prd(new("src/two.txt", "BUG\n")), "Add two")
    never = hosted.project.approve_change("src/three.txt", "fine\n", "Add three")
    planned = hosted.job("plan")
    assert planned.code == 0, planned.log
    run = planned.outputs["run-id"]
    jobs = hosted.matrix
    assert [job["title"] for job in jobs] == ["Add one", "Add two", "Add three"]
    assert {row["status"] for row in hosted.project.rows("select status from mason_pm_backlog_items")} == {"approved"}
    codes = [hosted.job("run", run_id=run, items=job["item"], max_parallel="1").code for job in jobs[:2]]
    assert codes == [0, 1]
    assert hosted.project.rows("select status from mason_remote_execution_runs")[0]["status"] == "in_progress"
    done = hosted.job("finish", run_id=run)
    assert done.code == 0, done.log
    (row,) = hosted.project.rows("select * from mason_remote_execution_runs")
    assert (row["status"], row["success_count"], row["failure_count"]) == ("failed", 1, 1)
    assert (done.outputs["items-executed"], done.outputs["prs-created"]) == ("2", "1")
    assert "Add one" in done.summary and "Add three" in done.summary
    assert hosted.project.item(never)["status"] == "approved"
    assert hosted.open_checks == []


def test_matrix__nothing_to_do(hosted: Hosted) -> None:
    done = hosted.job("plan")
    assert (done.code, done.outputs["matrix"], done.outputs["run-id"]) == (0, '{"include": []}', "")


def test_matrix__a_second_copy_of_a_job_leaves_without_effect(hosted: Hosted) -> None:
    hosted.project.approve_change()
    run = hosted.job("plan").outputs["run-id"]
    (job,) = hosted.matrix
    assert hosted.job("run", run_id=run, items=job["item"], max_parallel="1").code == 0
    pushes = len(hosted.there.pushes)
    again = hosted.job("run", run_id=run, items=job["item"], max_parallel="1")
    assert again.code == 0, again.log
    assert (len(hosted.there.pulls), len(hosted.there.pushes)) == (1, pushes)


def test_run__dry_run_writes_nothing(hosted: Hosted) -> None:
    hosted.project.approve_change()
    done = hosted.job("run", dry_run="true")
    assert done.code == 0, done.log
    assert "mason/add-a-thing" in done.log
    assert (hosted.there.pulls, hosted.there.check_runs, hosted.there.pushes) == ([], [], [])


def test_inputs__a_missing_one_is_named_before_anything_else(hosted: Hosted) -> None:
    done = hosted.job("validate")
    assert done.code == 2
    assert "pull-request" in done.log
    assert hosted.github.requests == []


def test_title__that_looks_like_a_command_is_none(hosted: Hosted) -> None:
    hosted.project.approve_change(title="::set-output name=status::pwned ##[error]no")
    done = hosted.job("run")
    assert done.code == 0, done.log
    assert not [line for line in done.commands if "pwned" in line and not line.startswith(("::notice", "::group"))]
    assert "##[" not in done.log


def test_validate__a_pull_request_by_the_bases_configuration(hosted: Hosted) -> None:
    hosted.there.push_as_person(
        "feature", {"src/hello.txt": "SLOPPY\n", ".github/mason.yml": "checks: {lint: 'true'}\n"}
    )
    pull = hosted.there.open_pull_request_by_person("feature")
    done = hosted.job("validate", pull_request=str(pull.number))
    assert done.code == 1, done.log
    head = hosted.checks(pull.head_sha)
    assert head["mason / lint"].conclusion == "failure"
    assert head["mason / tests"].conclusion == "success"
    assert done.outputs["status"] == "failed"


def test_validate__a_fork_is_reported_by_a_second_job(hosted: Hosted) -> None:
    pull = hosted.there.open_pull_request_by_person("feature", {"src/hello.txt": "BUG\n"}, login="eve", fork=True)
    reader = hosted.github.token("actions", permissions={"contents": "read", "pull_requests": "read"})
    done = hosted.job("validate", pull_request=str(pull.number), github_token=reader)
    assert done.code == 1, done.log
    assert hosted.there.check_runs == []
    reported = hosted.job("finish", pull_request=str(pull.number), report=done.outputs["report"])
    assert reported.code == 0, reported.log
    assert hosted.checks(pull.head_sha)["mason / tests"].conclusion == "failure"


def test_fix__changes_the_branch_as_a_person_asks(hosted: Hosted) -> None:
    hosted.project.approve_change("src/new.txt", "fine\n")
    assert hosted.job("run").code == 0
    (pull,) = hosted.there.pulls
    before = pull.head_sha
    asked = prd(change("src/new.txt", "fine\n", "finer\n"))
    done = hosted.job("fix", pull_request=str(pull.number), instructions=asked)
    assert done.code == 0, done.log
    (pull,) = hosted.there.pulls
    assert pull.head_sha != before
    assert hosted.there.git.text("merge-base", before, pull.head_sha) == before
    assert hosted.there.git.text("show", f"{pull.head_sha}:src/new.txt") == "finer"
    assert set(hosted.checks(pull.head_sha)) == HEAD_CHECKS


def test_fix__refuses_a_fork_and_a_branch_that_is_not_masons(hosted: Hosted) -> None:
    fork = hosted.there.open_pull_request_by_person("feature", {"src/hello.txt": "x\n"}, login="eve", fork=True)
    hosted.there.push_as_person("feature", {"src/hello.txt": "y\n"})
    own = hosted.there.open_pull_request_by_person("feature")
    for pull, word in ((fork, "fork"), (own, "not a branch of Mason's")):
        done = hosted.job("fix", pull_request=str(pull.number), instructions="please")
        assert done.code == 2
        assert word in done.log
