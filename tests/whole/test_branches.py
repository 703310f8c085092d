"""Step 7 of the story, and publishing: one branch an item, always the same, never overwritten."""

from __future__ import annotations

from app.domain.results import Verdict
from tests.unit.workspace.repositories import listing
from tests.whole.kit import Project
from tests.whole.prds import change, new, prd


def approve_again(project: Project, item: object) -> None:
    project.sql("update mason_pm_backlog_items set status = 'new' where id = %s", item)
    project.sql("update mason_pm_backlog_items set status = 'approved' where id = %s", item)


def test_branch__is_named_after_the_title_and_holds_one_commit_on_the_base(project: Project) -> None:
    project.approve_change(title="Añadir: a *thing*!")
    outcome = project.run_one()
    assert outcome.branch == "mason/anadir-a-thing"
    assert project.branches() == ["mason/anadir-a-thing"]
    assert project.git("rev-parse", "mason/anadir-a-thing^") == project.git("rev-parse", "main")
    assert project.git("rev-parse", "mason/anadir-a-thing") == outcome.commit


def test_branch__two_items_with_one_title_get_two_branches(project: Project) -> None:
    items = [project.approve_change("src/a.txt", title="Same"), project.approve_change("src/b.txt", title="Same")]
    project.run()
    branches = {project.item(item)["branch_name"] for item in items}
    assert branches == set(project.branches())
    assert len(branches) == 2
    assert "mason/same" in branches


def test_branch__a_foreign_name_in_a_row_takes_no_part(project: Project) -> None:
    items = [project.approve_change("src/a.txt", title="Same"), project.approve_change("src/b.txt", title="Same")]
    project.sql("update mason_pm_backlog_items set branch_name = 'feature/by-hand'")
    assert all(each.outcome.verdict is Verdict.COMPLETED for each in project.run().results)
    assert {project.item(item)["branch_name"] for item in items} == set(project.branches())


def test_branch__an_item_approved_again_builds_on_its_own_branch(project: Project) -> None:
    item = project.approve_change(content="first\n")
    first = project.run_one().commit
    prd_again = prd(change("src/new.txt", "first\n", "second\n"))
    project.sql("update mason_pm_backlog_items set prd_content = %s where id = %s", prd_again, item)
    approve_again(project, item)
    project.commit({"src/other.txt": "The base moved on.\n"})
    assert project.run_one().branch == "mason/add-a-thing"
    assert project.branches() == ["mason/add-a-thing"]
    assert project.show("mason/add-a-thing", "src/new.txt") == "second"
    assert project.git("merge-base", "--is-ancestor", str(first), "mason/add-a-thing") == ""
    assert project.git("merge-base", "--is-ancestor", "main", "mason/add-a-thing") == ""


def test_branch__a_persons_commit_on_it_stays(project: Project) -> None:
    item = project.approve_change()
    project.run()
    project.git("switch", "-q", "mason/add-a-thing")
    theirs = project.commit({"src/theirs.txt": "by hand\n"}, "By hand")
    project.git("switch", "-q", "main")
    project.sql("update mason_pm_backlog_items set prd_content = %s where id = %s", prd(new("src/more.txt", "x")), item)
    approve_again(project, item)
    assert project.run_one().verdict is Verdict.COMPLETED
    assert project.git("merge-base", "--is-ancestor", theirs, "mason/add-a-thing") == ""
    assert project.changed("mason/add-a-thing") == ["src/more.txt", "src/new.txt", "src/theirs.txt"]


def test_branch__one_that_cannot_be_merged_with_the_base_is_left_alone(project: Project) -> None:
    item = project.approve_change(content="ours\n")
    before = project.run_one().commit
    project.commit({"src/new.txt": "theirs\n"})
    project.sql("update mason_pm_backlog_items set prd_content = %s where id = %s", prd(new("src/more.txt", "x")), item)
    approve_again(project, item)
    outcome = project.run_one()
    assert (outcome.verdict, outcome.reason) == (Verdict.REJECTED, "conflicting changes in src/new.txt")
    assert project.git("rev-parse", "mason/add-a-thing") == before


def test_branch__approved_again_unchanged_is_worked_on_again(project: Project) -> None:
    """The first work is on the branch already: of the same content, but of another approval."""
    item = project.approve_change()
    assert project.run_one().verdict is Verdict.COMPLETED
    approve_again(project, item)
    assert project.run_one().verdict is Verdict.ALREADY_RESOLVED  # seen by looking, not taken from the branch's word


def test_branch__the_one_that_is_checked_out_is_not_changed_under_its_owner(project: Project) -> None:
    item = project.approve_change()
    project.git("switch", "-q", "-c", "mason/add-a-thing")
    outcome = project.run_one(base="main")
    assert outcome.verdict is Verdict.REJECTED
    assert "mason/add-a-thing is checked out in" in outcome.reason
    assert project.git("status", "--porcelain") == ""
    assert project.state(item) == "rejected"
    assert project.show("refs/mason/wip/add-a-thing", "src/new.txt") == "fine"


def test_checkout__the_users_own_is_never_touched(project: Project) -> None:
    (project.repository / "src" / "hello.txt").write_text("edited, not committed\n")
    (project.repository / "scratch.txt").write_text("untracked\n")
    before = listing(project.repository, without=(".git",))
    project.approve_change()
    assert project.run_one().verdict is Verdict.COMPLETED
    assert listing(project.repository, without=(".git",)) == before
    assert project.git("symbolic-ref", "HEAD") == "refs/heads/main"
    assert project.left_in_runs() == []


def test_commit__says_what_was_done_and_how_it_was_checked(project: Project) -> None:
    item = project.approve_change(title="Add a thing")
    project.run()
    approval = project.approval(item)
    assert project.git("log", "-1", "--format=%B", "mason/add-a-thing").rstrip() == (
        "feat: Add a thing\n\ns\n\nValidation Results:\n- TypeScript: ✅ Pass\n- ESLint: ✅ Pass\n- Build: ✅ Pass\n"
        f"- Tests: ✅ Pass\n\nImplements: PM-{item}\nMason-Approval: {approval}\n"
        "Co-Authored-By: Mason (patch agent) <mason@localhost>"
    )
    assert project.git("log", "-1", "--format=%(trailers:key=Implements,valueonly)", "main..mason/add-a-thing").strip()
