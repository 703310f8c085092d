"""What single prompts say: asking again, memory, pattern review, fixes, and the form of a PRD."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from markdown_it import MarkdownIt

from app.domain.plans import Subagent, Task
from app.domain.results import CheckKind, Iteration
from app.planning.context import read_context
from app.planning.waves import make_plan
from app.prompts import render
from tests.unit.prompts.standard_item import DIFF, TASK, briefing, every_prompt, failures, notes, standard

ASKED_AGAIN = {"re_evaluate", "verify", "write_prd", "review", "pattern_review", "fix", "request"}


def note(number: int, text: str) -> render.TaskNote:
    return render.TaskNote(
        task=Task(id=f"1.{number}", subagent=Subagent.EXPLORE, description=f"Look {number}"), text=text
    )


def test_prompts__ask_again_in_words() -> None:
    each = briefing(standard("api"))
    first, second = every_prompt(each), every_prompt(each, again="the answer has no decision")
    assert {name for name in first if first[name] != second[name]} == ASKED_AGAIN
    for name in ASKED_AGAIN:
        assert "could not be used" not in first[name]
        assert "````data\nthe answer has no decision\n````" in second[name]
        assert second[name].index("could not be used") < second[name].index("\n## Answer")


def filled_in(form: str) -> str:
    """The form as an honest agent fills it in."""
    form = form.replace("<title>", "Initials").replace("path/to/file.test.ext:42", "src/a.test.ts")
    form = form.replace("path/to/file.test.ext", "src/a.test.ts").replace("path/to/file.ext", "src/a.ts")
    return re.sub("…", lambda _: "Something said here", form)


def test_write_prd__the_form_filled_in_is_read_whole() -> None:
    prompt = render.write_prd(standard("ui"))
    form = next(t for t in MarkdownIt("commonmark").parse(prompt) if t.info == "markdown").content
    prd = filled_in(form)
    plan = make_plan(prd)
    assert not plan.is_default
    assert plan.warnings == ()
    assert [(task.id, task.subagent) for task in plan.tasks] == [
        ("1.1", Subagent.EXPLORE),
        ("2.1", Subagent.GENERAL),
        ("3.1", Subagent.REVIEWER),
    ]
    context = read_context(replace(standard("ui"), problem="", solution="", evidence_summary=None, prd=prd))
    assert context.target == "src/a.ts:42"
    assert context.files == ("src/a.ts", "src/a.test.ts")
    assert [criterion.text for criterion in context.criteria] == ["Something said here"]
    assert (context.problem, context.solution, context.evidence) == ("Something said here",) * 3


def test_write_prd__is_told_what_was_wrong() -> None:
    assert "it names no file" in render.write_prd(standard("ui"), problem="it names no file that is to be changed")


def test_remembered__keeps_the_order_and_the_newest() -> None:
    found = [note(number, f"{number} " + "x" * 2_990) for number in range(20)]
    kept = render.remembered(found, TASK)
    assert sum(len(each.text) for each in kept) <= render.NOTES_LIMIT
    assert [each.task.id for each in kept] == [f"1.{number}" for number in range(12, 20)]


def test_remembered__keeps_what_the_task_is_about() -> None:
    about = note(0, "Draw initials: see components, Avatar.tsx. " + "x" * 3_000)
    kept = render.remembered([about, *(note(number, "y" * 3_900) for number in range(1, 20))], TASK)
    assert kept[0].text == about.text
    assert kept[-1].task.id == "1.19"


def test_remembered__bounds_each() -> None:
    (only,) = render.remembered([note(1, "z" * 1_000_000)], TASK)
    assert len(only.text) < render.NOTE_LIMIT + 100
    assert render.remembered([], TASK) == ()


def test_implement__says_how_many_reports_had_no_room() -> None:
    prompt = render.implement(briefing(standard("ui")), TASK, [note(n, "x" * 4_000) for n in range(10)])
    assert "4 more had no room here." in prompt
    assert "had no room" not in render.implement(briefing(standard("ui")), TASK, notes())


def test_implement__keeps_what_the_prd_does_not_say() -> None:
    item = replace(standard("ui"), prd="# Only a title", problem="Told by the row")
    assert "Told by the row" in render.implement(briefing(item), TASK)
    assert "## The PRD" not in render.implement(briefing(replace(item, prd=None)), TASK)


def test_pattern_review__has_the_diff_and_its_neighbours_and_nothing_of_the_prd() -> None:
    beside = [(f"src/n{number}.ts", f"export const n{number} = 1;") for number in range(40)]
    prompt = render.pattern_review(briefing(standard("ui")), DIFF, beside)
    assert "+  const value3 = compute(3);" in prompt
    assert "src/n0.ts\n\nexport const n0 = 1;" in prompt
    assert f"src/n{render.MAX_NEIGHBOURS}.ts" not in prompt
    assert "Success Criteria" not in prompt
    assert "Phase 4" not in prompt
    assert "Only read" in prompt
    assert "## Beside it" not in render.pattern_review(briefing(standard("ui")), DIFF, [])


def test_review__hides_nothing_that_a_diff_holds() -> None:
    diff = '+a = "<!--"\n+evil()\n+b = "-->"\n+c = "\u202e"'
    for prompt in (
        render.review(briefing(standard("ui")), TASK, diff),
        render.pattern_review(briefing(standard("ui")), diff, []),
    ):
        assert "+evil()" in prompt
        assert "<U+202E>" in prompt


def test_fix__tells_what_was_tried_and_what_it_changed() -> None:
    prompt = render.fix(briefing(standard("ui")), failures())
    assert "Tried: agent: added a property" in prompt
    assert "+  const value0 = compute(0);" in prompt.split("It changed:")[1]
    unchanged = Iteration(number=1, failed_before=("lint",), tried="", gate=None, validator=None, passed=False)
    prompt = render.fix(briefing(standard("ui")), render.Failures(iteration=2, history=(unchanged,)))
    assert "Tried: nothing was reported" in prompt
    assert "It changed:" not in prompt


def test_fix__notes_what_does_not_block() -> None:
    blocking, noted = render.fix(briefing(standard("ui")), failures()).split("## Also noted")
    assert "src/other.ts was modified (revert src/other.ts)" in blocking
    assert "line 3" not in blocking
    assert "warning src/a.ts: line 3" in noted


@pytest.mark.parametrize(("item_type", "own"), [("ui", "elements by role"), ("dashboard", "elements by role")])
def test_fix__has_the_guidance_for_what_failed(item_type: str, own: str) -> None:
    prompt = render.fix(briefing(standard(item_type)), failures())
    assert "Read the test before the code" in prompt
    assert own in prompt
    assert "Follow the steps up to the one that failed" not in prompt
    assert own not in render.fix(briefing(standard("whatever")), failures())
    assert {check.kind for check in failures().checks} == {CheckKind.TYPECHECK, CheckKind.TEST}
