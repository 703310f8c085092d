"""Step 11 of the story: at most five iterations, autofixers first, early ends, and a row for each."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from app.domain.results import Verdict
from tests.whole.kit import CHECKS, Project, policy, reply
from tests.whole.prds import answer, change, new, prd

MakeProject = Callable[..., Project]
WORDS = ["one", "two", "three", "four", "five", "six"]


def test_fix__one_iteration_repairs_and_is_recorded(project: Project) -> None:
    item = project.approve(prd(new("src/new.txt", "BUG"), change("src/new.txt", "BUG\n", "fine\n", fix=1)))
    outcome = project.run_one()
    assert (outcome.verdict, len(outcome.iterations)) == (Verdict.COMPLETED, 1)
    (row,) = project.iterations(item)
    assert (row["iteration_number"], row["passed"], row["checks_failed"]) == (1, True, 0)
    assert "Applied 1 diff of the PRD" in row["tried"]
    assert project.item(item)["validation_iterations"] == 1
    assert project.show("mason/add-a-thing", "src/new.txt") == "fine"


def test_fix__ends_after_five_iterations(project: Project) -> None:
    steps = [
        change("src/new.txt", f"BUG {before}\n", f"BUG {after}\n", fix=number)
        for number, (before, after) in enumerate(pairwise(WORDS), 1)
    ]
    item = project.approve(prd(new("src/new.txt", "BUG one"), *steps))
    outcome = project.run_one()
    assert outcome.verdict is Verdict.REJECTED
    assert outcome.reason == "Validation failed after 5 fix iterations: test"
    assert [row["iteration_number"] for row in project.iterations(item)] == [1, 2, 3, 4, 5]
    assert project.show("refs/mason/wip/add-a-thing", "src/new.txt") == "BUG six"


def test_fix__the_fifth_may_still_save_it(project: Project) -> None:
    steps = [
        change("src/new.txt", f"BUG {before}\n", f"BUG {after}\n" if number < 5 else "fine\n", fix=number)
        for number, (before, after) in enumerate(pairwise(WORDS), 1)
    ]
    project.approve(prd(new("src/new.txt", "BUG one"), *steps))
    outcome = project.run_one()
    assert (outcome.verdict, len(outcome.iterations)) == (Verdict.COMPLETED, 5)


def test_fix__stops_early_when_the_same_failures_come_back(project: Project) -> None:
    there = change("src/new.txt", "BUG one\n", "BUG two\n", fix=1)
    back = change("src/new.txt", "BUG two\n", "BUG one\n", fix=2)
    project.approve(prd(new("src/new.txt", "BUG one"), there, back))
    outcome = project.run_one()
    assert outcome.reason == "Stopped after 2 fix iterations, the same failures came back: test"


def test_fix__an_autofixer_alone_is_enough_and_no_agent_is_called(make_project: MakeProject) -> None:
    lint = {"run": "! grep -rn SLOPPY src", "fix": "sed -i s/SLOPPY/neat/ src/new.txt"}
    project = make_project(mason_yml=policy({**CHECKS, "lint": lint}))
    project.approve(prd("Add `src/new.txt`."))
    outcome = project.run_one(**project.agent(implement="echo SLOPPY > src/new.txt", fix="exit 9"))
    assert (outcome.verdict, len(outcome.iterations)) == (Verdict.COMPLETED, 1)
    assert outcome.iterations[0].tried == "sed -i s/SLOPPY/neat/ src/new.txt"
    assert project.prompts("fix") == []
    assert project.show("mason/add-a-thing", "src/new.txt") == "neat"


def test_fix__the_agent_gets_the_failures_in_order_with_what_they_say(project: Project) -> None:
    project.approve(prd("Add `src/new.txt`."))
    agent = project.agent(implement="echo BUG BROKEN SLOPPY TYPO > src/new.txt", fix="echo fine > src/new.txt")
    assert project.run_one(**agent).verdict is Verdict.COMPLETED
    (told,) = project.prompts("fix")
    places = [told.index(f"## {kind}: fail") for kind in ("typecheck", "lint", "build", "test")]
    assert places == sorted(places)
    assert "src/new.txt:1:BUG BROKEN SLOPPY TYPO" in told


def test_fix__needs_human_ends_it_at_once(project: Project) -> None:
    ask = answer("fix", decision="needs-human", reason="Which of the two prices is right?")
    item = project.approve(prd(new("src/new.txt", "BUG"), ask))
    outcome = project.run_one()
    assert (outcome.verdict, len(outcome.iterations)) == (Verdict.REJECTED, 1)
    assert project.item(item)["failure_reason"] == "A person has to decide: Which of the two prices is right?"


def test_fix__needs_human_does_not_undo_a_repair(project: Project) -> None:
    project.approve(prd("Add `src/new.txt`."))
    act = "echo fine > src/new.txt; " + reply(decision="needs-human", reason="Not sure")
    agent = project.agent(implement="echo BUG > src/new.txt", fix=act)
    assert project.run_one(**agent).verdict is Verdict.COMPLETED


@pytest.mark.parametrize(
    "said",
    ["ModuleNotFoundError: No module named 'leftpad'", "Error: Cannot find module 'leftpad'"],
)
def test_fix__a_missing_dependency_ends_it_before_an_agent_is_paid(make_project: MakeProject, said: str) -> None:
    project = make_project(mason_yml=policy({"test": f'if [ -f src/new.txt ]; then echo "{said}"; exit 1; fi'}))
    project.approve_change()
    outcome = project.run_one()
    assert (outcome.verdict, outcome.iterations) == (Verdict.REJECTED, ())
    assert outcome.reason == "The dependency “leftpad” is missing, and nobody declared it"


def test_fix__an_agent_that_fails_costs_an_iteration_and_says_why(project: Project) -> None:
    item = project.approve(prd("Add `src/new.txt`."))
    agent = project.agent(implement="echo BUG > src/new.txt", fix="echo no model today >&2; exit 7")
    assert project.run_one(**agent).verdict is Verdict.REJECTED
    (row,) = project.iterations(item)
    assert row["tried"] == "agent: The agent 'sh' ended with exit code 7: no model today."


def test_fix__a_policy_without_iterations_gives_none(make_project: MakeProject) -> None:
    project = make_project(mason_yml=policy(limits={"fix_iterations": 0}))
    project.approve(prd(new("src/new.txt", "BUG"), change("src/new.txt", "BUG\n", "fine\n", fix=1)))
    outcome = project.run_one()
    assert (outcome.verdict, outcome.iterations) == (Verdict.REJECTED, ())
