"""The base, or the item's branch, moves while an agent is at work: taken in once, judged again, nothing overwritten."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.domain.results import Verdict
from tests.whole.hosted import Done, Hosted
from tests.whole.kit import LONG, Project, Turnstile, policy

BRANCH = "mason/add-a-thing"


class Meanwhile:
    """A job whose agent has written its file and waits. ``done`` once the test has left the block."""

    done: Done


@contextmanager
def meanwhile(hosted: Hosted, turnstile: Turnstile, implement: str, **acts: str) -> Iterator[Meanwhile]:
    """What the test does inside happens while the agent is at work."""
    options = hosted.project.agent(implement=f"{implement}; {turnstile.command}", **acts)
    hosted.project.approve("# A PRD\n\nAdd it.\n")
    process = hosted.start("run", **options)
    turnstile.arrived()
    here = Meanwhile()
    yield here
    turnstile.let_pass()
    log, _ = process.communicate(timeout=LONG)
    here.done = Done(code=process.returncode, log=log, outputs=hosted.outputs, summary=hosted.summary)


def gates(hosted: Hosted) -> int:
    """How often the checks of the repository have run; see `counted`."""
    return len((hosted.project.root / "gates").read_text().split())


def counted(hosted: Hosted, test: str = "! grep -rn BUG src") -> None:
    """Checks whose test notes that it ran."""
    place = hosted.project.root / "gates"
    place.write_text("")
    checks = {"test": f"echo x >> {place}; {test}"}
    hosted.there.push_as_person("main", {".github/mason.yml": policy(checks)})


def holds(hosted: Hosted, commit: str, branch: str = BRANCH) -> bool:
    tip = hosted.there.branches[branch]
    return hosted.there.git.text("merge-base", commit, tip) == commit


def show(hosted: Hosted, path: str, revision: str = BRANCH) -> str:
    return hosted.there.git.text("show", f"{revision}:{path}")


def published(hosted: Hosted, here: Meanwhile) -> str:
    """The body of the pull request that it ended with; its commit passed, and all of its check runs ended."""
    assert here.done.code == 0, here.done.log
    (pull,) = hosted.there.pulls
    assert hosted.there.branches[BRANCH] == pull.head_sha
    assert {check.conclusion for check in hosted.checks(pull.head_sha).values()} <= {"success", "skipped"}
    assert hosted.open_checks == []
    assert not [push for push in hosted.there.pushes if push.forced]
    return pull.body or ""


def test_base__that_stays_where_it_is_costs_no_second_gate(hosted: Hosted, turnstile: Turnstile) -> None:
    counted(hosted)
    with meanwhile(hosted, turnstile, "echo fine > src/new.txt") as here:
        pass
    body = published(hosted, here)
    assert "moved while" not in body
    assert gates(hosted) == 3, "the base's, the one in the tree, the final one"


def test_base__that_moved_is_merged_and_judged_again(hosted: Hosted, turnstile: Turnstile) -> None:
    counted(hosted)
    with meanwhile(hosted, turnstile, "echo fine > src/new.txt") as here:
        moved = hosted.there.push_as_person("main", {"src/other.txt": "somebody else's\n"})
    body = published(hosted, here)
    assert holds(hosted, moved)
    assert (show(hosted, "src/new.txt"), show(hosted, "src/other.txt")) == ("fine", "somebody else's")
    assert "could not be merged" not in body
    assert gates(hosted) == 6, "once more each"
    (pull,) = hosted.there.pulls
    assert hosted.there.git.text("diff", "--name-only", f"main...{pull.head_sha}").split() == ["src/new.txt"]


def test_base__that_moved_twice_is_followed_once(hosted: Hosted, turnstile: Turnstile, tmp_path: Path) -> None:
    """What comes during the second gate is for the pull request's own checks."""
    (tmp_path / "second").mkdir()
    second = Turnstile(tmp_path / "second")
    wait = f"if [ -f src/other.txt ] && [ -f src/new.txt ]; then {second.command}; fi"
    hosted.there.push_as_person("main", {".github/mason.yml": policy({"test": wait})})
    with meanwhile(hosted, turnstile, "echo fine > src/new.txt") as here:
        moved = hosted.there.push_as_person("main", {"src/other.txt": "somebody else's\n"})
        turnstile.let_pass()
        second.arrived()
        again = hosted.there.push_as_person("main", {"src/other.txt": "and again\n"})
        second.let_pass()
    second.close()
    published(hosted, here)
    assert holds(hosted, moved) and not holds(hosted, again)


def test_base__that_moved_against_the_change_is_left_and_said(hosted: Hosted, turnstile: Turnstile) -> None:
    before = hosted.there.branches["main"]
    with meanwhile(hosted, turnstile, "echo ours > src/hello.txt") as here:
        moved = hosted.there.push_as_person("main", {"src/hello.txt": "theirs\n"})
    body = published(hosted, here)
    assert "main moved while Mason worked, and could not be merged: conflicting changes in src/hello.txt" in body
    assert not holds(hosted, moved) and holds(hosted, before)
    assert show(hosted, "src/hello.txt") == "ours"


def test_base__that_moved_and_fails_by_itself_is_left_and_said(hosted: Hosted, turnstile: Turnstile) -> None:
    before = hosted.there.branches["main"]
    with meanwhile(hosted, turnstile, "echo fine > src/new.txt") as here:
        moved = hosted.there.push_as_person("main", {"src/other.txt": "BUG\n"})
    body = published(hosted, here)
    assert f"commit {moved[:10]} of main fails its own test" in body
    assert f"so this builds on {before[:10]}" in body
    assert not holds(hosted, moved)


def test_base__whose_move_breaks_the_change_is_the_agents_to_fix(hosted: Hosted, turnstile: Turnstile) -> None:
    """Each is good by itself: a word that the change uses was forbidden meanwhile."""
    forbidden = '! { [ -f forbidden ] && grep -rn "$(cat forbidden)" src; }'
    hosted.there.push_as_person("main", {".github/mason.yml": policy({"test": forbidden})})
    with meanwhile(hosted, turnstile, "echo grand > src/new.txt", fix="echo fine > src/new.txt") as here:
        moved = hosted.there.push_as_person("main", {"forbidden": "grand\n"})
    published(hosted, here)
    assert holds(hosted, moved)
    assert show(hosted, "src/new.txt") == "fine"
    (prompt,) = hosted.project.prompts("fix")
    assert "src/new.txt" in prompt
    (item,) = hosted.project.rows("select validation_iterations from mason_pm_backlog_items")
    assert item["validation_iterations"] == 1


def test_base__that_was_deleted_is_said(hosted: Hosted, turnstile: Turnstile) -> None:
    hosted.there.push_as_person("release", {"src/release.txt": "1\n"})
    options = hosted.project.agent(implement=f"echo fine > src/new.txt; {turnstile.command}")
    hosted.project.approve("# A PRD\n\nAdd it.\n")
    process = hosted.start("run", base="release", **options)
    turnstile.arrived()
    hosted.there.delete_branch("release")
    turnstile.let_pass()
    log, _ = process.communicate(timeout=LONG)
    assert process.returncode == 1, log
    (item,) = hosted.project.rows("select * from mason_pm_backlog_items where not 'needs-attention' = any (tags)")
    assert item["status"] == "rejected"
    assert hosted.there.pulls == []


def test_branch__that_a_person_pushed_to_meanwhile_is_merged(hosted: Hosted, turnstile: Turnstile) -> None:
    with meanwhile(hosted, turnstile, "echo fine > src/new.txt") as here:
        theirs = hosted.there.push_as_person(BRANCH, {"src/theirs.txt": "by hand\n"})
    published(hosted, here)
    assert holds(hosted, theirs)
    assert (show(hosted, "src/new.txt"), show(hosted, "src/theirs.txt")) == ("fine", "by hand")
    assert f"info: {BRANCH} moved while Mason worked: merged, and judged again" in hosted.project.logs()


def test_branch__and_base_that_moved_both_are_in_it(hosted: Hosted, turnstile: Turnstile) -> None:
    with meanwhile(hosted, turnstile, "echo fine > src/new.txt") as here:
        theirs = hosted.there.push_as_person(BRANCH, {"src/theirs.txt": "by hand\n"})
        moved = hosted.there.push_as_person("main", {"src/other.txt": "somebody else's\n"})
    published(hosted, here)
    assert holds(hosted, theirs) and holds(hosted, moved)


def test_branch__that_a_person_pushed_a_failing_change_to_is_the_agents_to_fix(
    hosted: Hosted, turnstile: Turnstile
) -> None:
    with meanwhile(hosted, turnstile, "echo fine > src/new.txt", fix="echo fine > src/theirs.txt") as here:
        theirs = hosted.there.push_as_person(BRANCH, {"src/theirs.txt": "BUG\n"})
    published(hosted, here)
    assert holds(hosted, theirs)
    assert show(hosted, "src/theirs.txt") == "fine"


def test_branch__that_a_person_pushed_a_conflict_to_is_theirs(hosted: Hosted, turnstile: Turnstile) -> None:
    with meanwhile(hosted, turnstile, "echo ours > src/new.txt") as here:
        theirs = hosted.there.push_as_person(BRANCH, {"src/new.txt": "by hand\n"})
    assert here.done.code == 1, here.done.log
    assert hosted.there.branches[BRANCH] == theirs
    assert hosted.there.pulls == []
    (item,) = hosted.project.rows("select * from mason_pm_backlog_items where not 'needs-attention' = any (tags)")
    assert item["status"] == "rejected"
    assert "Mason never pushes by force" in item["failure_reason"]
    assert hosted.there.git.text("show", "refs/mason/wip/add-a-thing:src/new.txt") == "ours", "the work is kept"


def test_branch__that_arrived_before_its_runner_died_gets_its_evidence_again(hosted: Hosted) -> None:
    """Push and bookkeeping are two steps: the next attempt finds the branch, and judges its commit once more."""
    counted(hosted)
    item = hosted.project.approve_change("src/new.txt", "fine\n")
    assert hosted.job("run").code == 0
    (pull,) = hosted.there.pulls
    first = gates(hosted)
    hosted.project.sql(
        "update mason_pm_backlog_items set status = 'in_progress', claimed_by = 'job 4711 0 item x', pr_url = null,"
        " heartbeat_at = now() - interval '1 hour' where id = %s",
        item,
    )
    again = hosted.job("run")
    assert again.code == 0, again.log
    assert gates(hosted) == first + 2, "the base's, and the one on the commit"
    assert [(one.number, one.head_sha) for one in hosted.there.pulls] == [(pull.number, pull.head_sha)]
    assert {check.conclusion for check in hosted.checks(pull.head_sha).values()} == {"success", "skipped"}
    assert hosted.project.item(item)["pr_url"].endswith(f"/pull/{pull.number}")
    assert len([push for push in hosted.there.pushes if push.ref == f"refs/heads/{BRANCH}"]) == 1


def test_branch__that_arrived_and_does_not_pass_any_more_is_no_success(hosted: Hosted) -> None:
    flag = hosted.project.root / "broken"
    counted(hosted, f"! {{ [ -f {flag} ] && [ -f src/new.txt ]; }}")
    item = hosted.project.approve_change("src/new.txt", "fine\n")
    assert hosted.job("run").code == 0
    flag.touch()
    hosted.project.sql(
        "update mason_pm_backlog_items set status = 'in_progress', claimed_by = 'job 4711 0 item x', pr_url = null,"
        " heartbeat_at = now() - interval '1 hour' where id = %s",
        item,
    )
    again = hosted.job("run")
    assert again.code == 1, again.log
    row = hosted.project.item(item)
    assert row["status"] == "rejected"
    assert "does not pass again: test" in row["failure_reason"]


@pytest.mark.parametrize("moved", ["src/other.txt", "src/hello.txt"])
def test_local__a_base_that_moved_in_the_users_own_repository(
    project: Project, turnstile: Turnstile, moved: str
) -> None:
    """Without a remote, the branches are those of the repository at hand."""
    project.approve("# A PRD\n\nAdd it.\n")
    conflict = moved == "src/hello.txt"
    options = project.agent(implement=f"echo ours > src/hello.txt; {turnstile.command}")
    with project.running(**options) as running:
        turnstile.arrived()
        tip = project.commit({moved: "theirs\n"})
        turnstile.let_pass()
        (result,) = running.result().results
    assert result.outcome.verdict is Verdict.COMPLETED
    assert (project.git("merge-base", BRANCH, tip) == tip) is not conflict
    assert project.show(BRANCH, "src/hello.txt") == "ours"
