"""Plans from PRDs: the two table forms, what is malformed, and what nobody should write."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.plans import Plan, Subagent
from app.planning.waves import MAX_TASKS, MAX_WARNINGS, make_plan

HERE = Path(__file__).parent
SEED = (HERE / "seed_prd.md").read_text()
NUMBERED = (HERE / "numbered_prd.md").read_text()


def table(*rows: tuple[str, str, str], head: str = "| Task | Subagent | Description |") -> str:
    body = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"{head}\n|---|---|---|\n{body}\n"


def wave(number: int, *rows: tuple[str, str, str], title: str = "Work", blocked_by: str = "") -> str:
    blocked = f"Blocked by: {blocked_by}\n\n" if blocked_by else ""
    return f"### Wave {number}: {title}\n\n{blocked}{table(*rows)}\n"


WRITE = ("2.1", "general-purpose", "Write it")


def ids(plan: Plan) -> list[str]:
    return [task.id for task in plan.tasks]


def test_plan__reads_the_table_of_task_subagent_description() -> None:
    plan = make_plan(SEED)
    assert [(w.number, w.title, w.blocked_by, w.parallel) for w in plan.waves] == [
        (1, "Foundation", (), True),
        (2, "Implementation", (1,), True),
        (3, "Validation", (1, 2), False),
    ]
    assert [(t.id, t.subagent, t.description) for t in plan.tasks] == [
        ("1.1", Subagent.EXPLORE, "Find every use of the avatar"),
        ("1.2", Subagent.EXPLORE, "Find how initials are made today"),
        ("2.1", Subagent.GENERAL, "Initials for names of one word"),
        ("2.2", Subagent.FRONTEND, "Draw the initials"),
        ("2.3", Subagent.GENERAL, "Keep the a|b separator"),
        ("3.1", Subagent.REVIEWER, "Review all changes"),
    ]
    assert plan.warnings == ()
    assert not plan.is_default


def test_plan__reads_the_table_of_number_subagent_task() -> None:
    plan = make_plan(NUMBERED)
    assert ids(plan) == ["1.1", "1.2", "2.1", "2.2", "3.1"]
    assert [w.blocked_by for w in plan.waves] == [(), (1,), (1, 2)]
    assert [w.parallel for w in plan.waves] == [True, False, True]
    assert plan.warnings == ()


def test_plan__is_the_same_with_crlf() -> None:
    assert make_plan(SEED.replace("\n", "\r\n")) == make_plan(SEED)


@pytest.mark.parametrize("prd", ["", " \n\t\n", "\x00", "\ufeff"])
def test_plan__of_an_empty_prd_is_the_default(prd: str) -> None:
    plan = make_plan(prd)
    assert plan.is_default
    assert [[t.subagent for t in w.tasks] for w in plan.waves] == [
        [Subagent.EXPLORE],
        [Subagent.GENERAL],
        [Subagent.REVIEWER],
    ]
    assert plan.warnings[0].startswith("line 1: ")


def test_plan__default_gives_frontend_work_to_its_subagent() -> None:
    assert make_plan("", frontend=True).waves[1].tasks[0].subagent is Subagent.FRONTEND


def test_plan__without_wave_headings_names_the_line_where_they_were_expected() -> None:
    plan = make_plan("# Title\n\ntext\n\n## Implementation Plan\n\n1. do it\n")
    assert plan.is_default
    assert plan.warnings == ('line 5: no heading like "Wave 1: Foundation" was found; the default plan is used',)


@pytest.mark.parametrize(
    ("below", "line"),
    [
        ("no table here", 1),
        ("| Who | What |\n|---|---|\n| a | b |", 3),
        ("| Task | Subagent | Description |\n| 1.1 | Explore | the dashes are missing |", 1),
        ("| Task | Subagent | Description |\n|---|---|---|", 3),
        ("```\n| Task | Subagent | Description |\n|---|---|---|\n| 1.1 | Bash | x |\n```", 1),
    ],
)
def test_plan__with_only_malformed_tables_is_the_default(below: str, line: int) -> None:
    plan = make_plan(f"### Wave 1: Build\n\n{below}\n")
    assert plan.is_default
    assert plan.warnings[0].startswith(f"line {line}: ")


def test_plan__keeps_a_wave_without_table_as_one_task_beside_others() -> None:
    plan = make_plan(wave(1, ("1.1", "Explore", "Look")) + "### Wave 2: Build the thing\n\nprose\n")
    assert [(t.id, t.subagent, t.description) for t in plan.waves[1].tasks] == [
        ("2.1", Subagent.GENERAL, "Carry out wave 2 of the PRD: Build the thing")
    ]
    assert len(plan.warnings) == 1
    assert plan.warnings[0].startswith("line 7: wave 2 has no table")


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["2.1", "2.2"], ["2.1", "2.2"]),
        (["1", "2"], ["2.1", "2.2"]),
        (["3", "4"], ["2.3", "2.4"]),
        (["Task 2.4", "`2.2`"], ["2.4", "2.2"]),
        (["2.1", "2.1", "2.1"], ["2.1", "2.2", "2.3"]),
        (["1.1", "x", ""], ["2.1", "2.2", "2.3"]),
        (["x", "2.1"], ["2.2", "2.1"]),
        (["99999999999999999999", "2.1"], ["2.2", "2.1"]),
    ],
)
def test_plan__task_ids_are_unique_and_of_their_wave(labels: list[str], expected: list[str]) -> None:
    plan = make_plan(wave(2, *((label, "general-purpose", "Do it") for label in labels)))
    assert ids(plan) == expected


@pytest.mark.parametrize(
    ("name", "subagent"),
    [
        ("Explore", Subagent.EXPLORE),
        ("`CODE-REVIEWER`", Subagent.REVIEWER),
        ("bash", Subagent.BASH),
        ("webapp-testing", Subagent.GENERAL),
        ("", Subagent.GENERAL),
    ],
)
def test_plan__subagent_names(name: str, subagent: Subagent) -> None:
    plan = make_plan(wave(1, ("1.1", name, "x"), ("1.2", "general-purpose", "y")))
    assert plan.tasks[0].subagent is subagent


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Wave 1", (1,)),
        ("Wave 1, Wave 2", (1, 2)),
        ("waves 1 and 2", (1, 2)),
        ("Waves 1-2", (1, 2)),
        ("1, 2", (1, 2)),
        ("none", ()),
        ("-", ()),
    ],
)
def test_plan__blocked_by(text: str, expected: tuple[int, ...]) -> None:
    plan = make_plan(wave(1, WRITE) + wave(2, WRITE) + wave(3, WRITE, blocked_by=text))
    assert plan.waves[2].blocked_by == expected
    assert plan.warnings == ()


def test_plan__blocked_by_what_is_not_before_it_is_a_warning_and_document_order() -> None:
    plan = make_plan(wave(1, WRITE, blocked_by="Wave 2") + wave(2, WRITE, blocked_by="Wave 1, Wave 2, Wave 7"))
    assert [(w.number, w.blocked_by) for w in plan.waves] == [(1, ()), (2, (1,))]
    assert plan.warnings == (
        "line 3: wave 1 cannot wait for wave 2, which is not before it",
        "line 11: wave 2 cannot wait for wave 2, which is not before it",
        "line 11: wave 2 cannot wait for wave 7, which is not before it",
    )


def test_plan__blocked_by_something_else_is_a_warning() -> None:
    plan = make_plan(wave(1, WRITE, blocked_by="the design team"))
    assert plan.warnings == ("line 3: \"Blocked by\" names no wave: 'the design team'",)


def test_plan__a_wave_number_that_was_there_before_is_renumbered() -> None:
    plan = make_plan(wave(1, WRITE) + wave(2, WRITE) + wave(2, WRITE, blocked_by="2") + wave(3, WRITE, blocked_by="2"))
    assert [(w.number, w.blocked_by) for w in plan.waves] == [(1, ()), (2, ()), (4, (2,)), (3, (4,))]
    assert len(set(ids(plan))) == 4
    assert plan.warnings == ("line 13: wave 2 was there before; this one is wave 4",)


def test_plan__without_a_writing_task_gets_an_implementing_wave_before_the_review() -> None:
    plan = make_plan(wave(1, ("1.1", "Explore", "Look")) + wave(2, ("2.1", "code-reviewer", "Review")), frontend=True)
    assert [(w.number, w.tasks[0].subagent) for w in plan.waves] == [
        (1, Subagent.EXPLORE),
        (3, Subagent.FRONTEND),
        (2, Subagent.REVIEWER),
    ]
    assert plan.warnings == ("line 1: no task of the plan changes anything; wave 3 implements the PRD",)


def test_plan__takes_500_tasks_and_cuts_more_with_a_warning() -> None:
    rows = [(f"1.{n}", "general-purpose", f"Task {n}") for n in range(1, MAX_TASKS + 1)]
    assert len(make_plan(wave(1, *rows)).tasks) == MAX_TASKS
    assert make_plan(wave(1, *rows)).warnings == ()
    plan = make_plan(wave(1, *rows) + wave(2, WRITE))
    assert len(plan.tasks) == MAX_TASKS
    assert "more than 500 tasks" in plan.warnings[0]


def test_plan__a_row_without_description_is_named() -> None:
    plan = make_plan(wave(1, ("1.1", "general-purpose", ""), ("1.2", "general-purpose", "x")))
    assert ids(plan) == ["1.2"]
    assert plan.warnings == ("line 5: this task has no description; it is left out",)


def test_plan__a_wave_ends_at_the_next_heading_of_its_rank() -> None:
    other = "### Notes\n\n" + table(("9.9", "Bash", "not a task"))
    deeper = "#### Details\n\n" + table(("1.2", "general-purpose", "also a task"))
    assert [t.description for t in make_plan(wave(1, WRITE) + deeper + other).tasks] == ["Write it", "also a task"]


def test_plan__of_a_prd_of_2_mb_reads_the_first_part_and_says_where_it_stopped() -> None:
    plan = make_plan(SEED + "\n\nSome more words about `nothing`.\n" * 70_000)
    assert [w.number for w in plan.waves] == [1, 2, 3]
    assert len(plan.warnings) == 1
    assert "too long" in plan.warnings[0]


@pytest.mark.parametrize(
    "prd",
    [
        ">" * 100_000,
        "- " * 100_000,
        "[" * 100_000,
        "*a " * 50_000,
        "`" * 100_000,
        "|" * 100_000 + "\n" + "|-" * 50_000,
        "### Wave 1: x\n" * 5_000,
        "### Wave 1: x\n\nBlocked by: " + "0-999 " * 10_000,
        "<!--\n" * 20_000,
    ],
)
def test_plan__of_pathological_markdown_comes_back(prd: str) -> None:
    assert make_plan(prd).is_default
    assert len(make_plan(prd).warnings) <= MAX_WARNINGS


PIECES = st.sampled_from(
    [
        "### Wave 1: A (Parallel)",
        "## Wave 2: B (Sequential)",
        "### Wave 2",
        "#### Wave 999 - C",
        "Blocked by: Wave 1, Wave 2",
        "**Blocked by:** Wave 9",
        "",
        "| Task | Subagent | Description |\n|---|---|---|",
        "| # | Subagent | Task |\n|---|---|---|",
        "| 1.1 | Explore | look |",
        "| 1 | general-purpose | write |",
        "| | | |",
        "```",
        "- [ ] done",
        "> quoted",
        "<!-- hidden",
        "-->",
    ]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(PIECES | st.text(max_size=30), max_size=30).map("\n".join))
def test_plan__of_any_text_is_sound_and_deterministic(prd: str) -> None:
    plan = make_plan(prd)
    assert plan == make_plan(prd)
    numbers = [w.number for w in plan.waves]
    assert len(numbers) == len(set(numbers)) >= 1
    assert len(ids(plan)) == len(set(ids(plan)))
    assert any(w.writes for w in plan.waves)
    for at, each in enumerate(plan.waves):
        assert each.tasks
        assert set(each.blocked_by) <= set(numbers[:at])
        assert all(task.id.startswith(f"{each.number}.") and task.description for task in each.tasks)
    assert all(warning.startswith("line ") for warning in plan.warnings)
