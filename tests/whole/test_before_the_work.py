"""Steps 1 to 6 of the story: claim, approval, PRD, re-evaluation, routing, verification, plan."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.domain.items import approval_digest
from app.domain.results import Verdict
from app.planning.context import WRITTEN_BY_AGENT
from tests.whole.kit import FILES, Project, Turnstile, policy, reply
from tests.whole.prds import answer, new, prd, wave

MakeProject = Callable[..., Project]


# 1. Claim


def test_claim__an_item_that_another_runner_took_meanwhile_is_left_to_it(
    project: Project, turnstile: Turnstile
) -> None:
    project.commit(
        {".github/mason.yml": policy({"test": "if [ -f src/wait.txt ]; then " + turnstile.command + "; fi"})}
    )
    item = project.approve_change("src/wait.txt")
    with project.running() as first:
        turnstile.arrived()
        holder = project.item(item)["claimed_by"]
        assert project.run().run_id is None  # nothing is approved any more
        assert project.item(item)["claimed_by"] == holder
        turnstile.let_pass()
        assert [r.outcome.verdict for r in first.result().results] == [Verdict.COMPLETED]
    assert project.item(item)["execution_attempt"] == 1


def test_claim__nothing_approved_is_a_run_of_nothing(project: Project) -> None:
    result = project.run()
    assert (result.run_id, result.results) == (None, ())
    assert project.said == "Nothing to do: no item is approved."
    assert project.rows("select * from mason_pm_execution_runs") == []


def test_claim__limit_takes_the_most_important_first(project: Project) -> None:
    first, second = project.approve_change(title="First"), project.approve_change(title="Second")
    project.run(limit=1)
    assert (project.state(first), project.state(second)) == ("completed", "approved")


# 2. Approval and PRD


def test_approval__an_item_that_was_edited_since_goes_back_to_new(project: Project) -> None:
    item = project.approve_change()
    project.sql("update mason_pm_backlog_items set solution = 'Something else' where id = %s", item)
    outcome = project.run_one()
    assert outcome.verdict is Verdict.CHANGED
    row = project.item(item)
    assert row["status"] == "new"
    assert row["skip_reason"] == "The item was changed after it was approved; approve it again"
    assert (project.branches(), project.progress(item)) == ([], None)


@pytest.mark.parametrize("text", [None, "", " \n\t\r\n "])
def test_prd__an_item_without_one_is_deferred_and_says_why(project: Project, text: str | None) -> None:
    item = project.approve(text)
    assert project.run_one().verdict is Verdict.DEFERRED
    row = project.item(item)
    assert row["status"] == "deferred"
    assert row["skip_reason"] == "The item has no PRD; write one, or run with --generate-prd"
    assert project.progress(item) is None


WRITTEN = "# Written\n\nAdd `src/new.txt`.\n\n" + wave(1, "general-purpose: Write it")


def test_prd__one_that_cannot_be_worked_by_is_asked_for_again_and_never_stored(project: Project) -> None:
    item = project.approve(None)
    agent = project.agent(write_prd=reply(prd="# Written\n\nAdd `src/new.txt`."))
    assert project.run_one(generate_prd=True, **agent).verdict is Verdict.DEFERRED
    row = project.item(item)
    assert row["skip_reason"] == ("The item has no PRD and none could be written: it has no wave with a table of tasks")
    assert row["prd_content"] is None


def test_prd__the_agent_writes_one_which_is_stored_and_approved(project: Project) -> None:
    item = project.approve(None)
    agent = project.agent(
        write_prd=reply(prd=WRITTEN),
        verify=reply(decision="PROCEED"),
        implement="echo fine > src/new.txt",
    )
    assert project.run_one(generate_prd=True, **agent).verdict is Verdict.COMPLETED
    row = project.item(item)
    assert row["prd_content"] == f"{WRITTEN}\n\n{WRITTEN_BY_AGENT}\n"
    assert row["prd_generated_at"]
    written = approval_digest(row["title"], row["problem"], row["solution"], row["type"], row["prd_content"])
    assert row["approved_digest"] == written
    assert "prd_generated" in {e["event_type"] for e in project.rows("select event_type from mason_item_events")}
    assert f"Mason-Approval: {project.approval(item)}" in project.git("log", "-1", "--format=%B", "mason/add-a-thing")


def test_prd__the_patch_agent_cannot_write_one(project: Project) -> None:
    item = project.approve(None)
    assert project.run_one(generate_prd=True).verdict is Verdict.DEFERRED
    assert project.item(item)["skip_reason"] == (
        "The item has no PRD and none could be written: The patch agent has no model and cannot write a PRD."
    )


# 3. Re-evaluation


def reevaluated(project: Project, *parts: str) -> tuple[Verdict, str]:
    item = project.approve(prd(new("src/new.txt", "fine"), *parts), evidence_status="inconclusive")
    verdict = project.run_one().verdict
    return verdict, project.item(item)["skip_reason"] or ""


def test_re_evaluation__execute_goes_on(project: Project) -> None:
    yes = answer("re-evaluate", decision="EXECUTE", reason="Worth it")
    assert reevaluated(project, yes) == (Verdict.COMPLETED, "")
    assert '- EXECUTE (proceeding): 1\n  - "Add a thing" - Worth it' in project.said


def test_re_evaluation__skip_defers_with_the_reason(project: Project) -> None:
    no = answer("re-evaluate", decision="SKIP", reason="Not worth it")
    why = "Re-evaluation determined no real benefit: Not worth it"
    assert reevaluated(project, no) == (Verdict.DEFERRED, why)
    assert '- SKIP (deferred): 1\n  - "Add a thing" - Not worth it' in project.said


def test_re_evaluation__an_answer_that_fits_no_form_twice_is_a_skip(project: Project) -> None:
    project.approve(prd(new("src/new.txt", "fine")), evidence_status="inconclusive")
    agent = project.agent(re_evaluate=reply(decision="PERHAPS"))
    outcome = project.run_one(**agent)
    assert outcome.verdict is Verdict.DEFERRED
    assert outcome.reason.endswith("the answer did not fit the form that was asked for")
    assert len(project.prompts("re-evaluate")) == 2


# 4. Routing


def test_routing__the_repositorys_own_instructions_reach_the_prompt(make_project: MakeProject) -> None:
    project = make_project({".claude/agents/execute-api-agent.md": "Speak only in haiku.\n"})
    project.approve(prd("Add `src/new.txt`."), type="api")
    assert project.run_one(**project.agent(implement="echo fine > src/new.txt")).verdict is Verdict.COMPLETED
    (told,) = project.prompts("implement")
    assert "Speak only in haiku." in told


def test_routing__instructions_are_read_from_the_base_commit_not_from_the_checkout(project: Project) -> None:
    (project.repository / ".claude" / "agents").mkdir(parents=True)
    (project.repository / ".claude" / "agents" / "execute-api-agent.md").write_text("Nobody committed this.")
    project.approve(prd("Add `src/new.txt`."), type="api")
    project.run_one(**project.agent(implement="echo fine > src/new.txt"))
    assert "Nobody committed this." not in project.prompts("implement")[0]


def test_routing__an_unknown_type_gets_the_general_instructions(project: Project) -> None:
    project.sql("alter table mason_pm_backlog_items drop constraint if exists mason_pm_backlog_items_type_check")
    item = project.approve_change()
    project.sql("update mason_pm_backlog_items set status = 'new', type = 'mystery' where id = %s", item)
    project.sql("update mason_pm_backlog_items set status = 'approved' where id = %s", item)
    assert project.run_one().verdict is Verdict.COMPLETED


# 5. Verification


def test_verification__already_resolved_is_a_success_without_a_branch(project: Project) -> None:
    item = project.approve(prd(new("src/new.txt", "fine"), answer("verify", decision="SKIP", reason="Done in May")))
    assert project.run_one().verdict is Verdict.ALREADY_RESOLVED
    assert (project.state(item), project.branches()) == ("completed", [])
    notes = project.rows("select notes from mason_item_events where event_type = 'note_added'")
    assert [note["notes"] for note in notes] == ["Already resolved: Done in May"]
    shown = project.progress(item)
    assert shown
    assert (shown["current_phase"], shown["checkpoint_index"], shown["current_task"]) == (
        "complete",
        13,
        "Already resolved",
    )


def test_verification__a_diff_that_is_in_already_is_resolved(project: Project) -> None:
    project.approve(prd(new("src/hello.txt", "hello")))
    assert project.run_one().verdict is Verdict.ALREADY_RESOLVED


def test_verification__modified_amends_what_the_agent_is_told(project: Project) -> None:
    project.approve(prd("Add `src/new.txt`."))
    agent = project.agent(
        verify=reply(decision="MODIFIED", details="The file moved to the attic"),
        implement="echo fine > src/new.txt",
    )
    assert project.run_one(**agent).verdict is Verdict.COMPLETED
    assert "The file moved to the attic" in project.prompts("implement")[0]
    assert "The file moved to the attic" not in project.prompts("verify")[0]


def test_verification__no_usable_answer_goes_on_with_a_warning(project: Project) -> None:
    project.approve(prd("Add `src/new.txt`."))
    agent = project.agent(verify="echo nonsense", implement="echo fine > src/new.txt")
    assert project.run_one(**agent).verdict is Verdict.COMPLETED
    assert len(project.prompts("verify")) == 2
    assert any(line.startswith("warn: Verification gave no verdict, going on") for line in project.logs())


def test_questions__what_an_agent_writes_while_it_is_asked_is_undone(project: Project) -> None:
    project.approve(prd("Add `src/new.txt`."))
    agent = project.agent(
        verify="echo junk > src/junk.txt; " + reply(decision="PROCEED"),
        implement="echo fine > src/new.txt",
    )
    assert project.run_one(**agent).verdict is Verdict.COMPLETED
    assert project.changed("mason/add-a-thing") == ["src/new.txt"]


# 6. Plan


def test_plan__a_prd_without_waves_gets_the_default_plan_and_says_so(project: Project) -> None:
    item = project.approve_change()
    project.run()
    assert project.tasks(item) == [("1.1", "completed"), ("2.1", "completed"), ("3.1", "completed")]
    assert any("the default plan is used" in line for line in project.logs())


def test_plan__the_prds_own_waves_are_carried_out(project: Project) -> None:
    waves = [wave(1, "Explore: Look", "Magician: Find"), wave(2, "general-purpose: Write", after=1)]
    item = project.approve(prd(*waves, new("src/new.txt", "fine", task="2.1")))
    assert project.run_one().tasks_done == 3
    rows = project.rows("select subagent_type, status from mason_pm_execution_tasks where item_id = %s", item)
    assert sorted(row["subagent_type"] for row in rows) == ["Explore", "general-purpose", "general-purpose"]
    assert FILES.keys() <= set(project.git("ls-tree", "-r", "--name-only", "mason/add-a-thing").splitlines())
