"""Random agents, checks, people and rivals: whatever they do, every run ends well (see `World.check`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from psycopg.rows import dict_row

from app.flows.work import RunOptions
from tests.whole.scripts import ANSWERS, MOVES, STATUS_OF_WORD, Script, own_file
from tests.whole.world import MEMORY, World

MakeWorld = Callable[[], World]

TITLES = ("Write a word", "Write a word", "Wörter: `rm -rf /` $(true) \"'\n—", "🧱🧱", "x" * 300)

TABLE = "| Task | Subagent | Description |\n|---|---|---|\n"
PLANS = {
    "default": "",
    "one": "### Wave 1\n\n" + TABLE + "| 1.1 | general-purpose | Write |\n",
    "look first": "### Wave 1\n\n" + TABLE + "| 1.1 | Explore | Look |\n\n### Wave 2\n\nBlocked by: Wave 1\n\n" + TABLE
    + "| 2.1 | general-purpose | Write |\n| 2.2 | code-reviewer | Review |\n",
    "side by side": "### Wave 1 (Parallel)\n\n" + TABLE
    + "| 1.1 | general-purpose | Write |\n| 1.2 | frontend-design | Write too |\n",
    "broken": "### Wave 1\n\n| Task |\n|---|\n| nothing |\n",
}  # fmt: skip


def prd_of(plan: str | None, repairs: str) -> Callable[[UUID], str | None]:
    """A PRD that names its item's own file; ``repairs`` also names what is wrong with the base."""
    if plan is None:
        return lambda _: None
    also = f" Put `state.txt` right: {repairs} fails." if repairs else ""
    return lambda item: f"# A word\n\n## Solution\n\nChange `{own_file(item)}`.{also}\n\n{PLANS[plan]}"


moves = st.lists(st.sampled_from([*["good"] * 6, *MOVES]), min_size=1, max_size=7).map(tuple)
"""What the agent does at each call, good work a little more likely than mischief."""

scripts = st.builds(
    Script,
    moves=moves,
    verify=st.sampled_from(["go", "go", "go", *ANSWERS]),
    evaluate=st.sampled_from(["execute", *ANSWERS]),
    prd=st.sampled_from(["# Written\n\nChange `{own}`.\n", "", "\0"]),
    meddles=st.booleans(),
)

items = st.fixed_dictionaries(
    {
        "script": scripts,
        "title": st.sampled_from(TITLES),
        "plan": st.sampled_from(["one", "one", None, *PLANS]),
        "repairs": st.sampled_from(["", "", "test", "lint"]),
        "evidence": st.sampled_from([None, "verified", "inconclusive"]),
        "kind": st.sampled_from(["feature", "ui", "security"]),
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Circumstances:
    """Of one run: its options, and what strikes at which call of an agent or of the gate."""

    options: RunOptions
    disturbance: str
    at: int
    heartbeat: float


circumstances = st.builds(
    Circumstances,
    options=st.builds(
        RunOptions,
        limit=st.sampled_from([None, None, 1]),
        max_parallel=st.sampled_from([1, 3]),
        generate_prd=st.booleans(),
        e2e=st.booleans(),
        smoke_test=st.booleans(),
    ),
    disturbance=st.sampled_from(["none"] * 5 + ["cancel", "steal", "delete", "change"]),
    at=st.integers(2, 16),
    heartbeat=st.sampled_from([30.0, 0.01]),
)


class Runs(RuleBasedStateMachine):
    """People add, approve and change items and move the base; each time a run goes over what is approved."""

    def __init__(self, make_world: MakeWorld) -> None:
        super().__init__()
        self.world = make_world()

    def run(self, given: Circumstances) -> None:
        self.world.run(given.options, disturbance=given.disturbance, at=given.at, heartbeat=given.heartbeat)

    def add(self, new: list[dict[str, Any]]) -> None:
        for item in new:
            prd = prd_of(item["plan"], item["repairs"])
            columns = {"evidence_status": item["evidence"], "type": item["kind"]}
            self.world.add(item["script"], item["title"], prd, **columns)

    @initialize(new=st.lists(items, min_size=1, max_size=3), given=circumstances)
    def begin(self, new: list[dict[str, Any]], given: Circumstances) -> None:
        self.add(new)
        self.run(given)

    @rule(new=st.lists(items, min_size=1, max_size=2), given=circumstances)
    def new_items(self, new: list[dict[str, Any]], given: Circumstances) -> None:
        self.add(new)
        self.run(given)

    @rule(given=circumstances)
    def approved_once_more(self, given: Circumstances) -> None:
        self.world.approve_all()
        self.run(given)

    @rule(new=items, given=circumstances)
    def changed_after_approval(self, new: dict[str, Any], given: Circumstances) -> None:
        self.add([new])
        self.world.change_approved()
        self.run(given)

    @rule(word=st.sampled_from(["good", "good", *(f"{word}:test" for word in STATUS_OF_WORD)]), given=circumstances)
    def moved_base(self, word: str, given: Circumstances) -> None:
        self.world.move_base(word)
        self.run(given)

    @rule(given=circumstances)
    def dead_rivals(self, given: Circumstances) -> None:
        self.world.let_thief_die()
        self.run(given)


@pytest.fixture
def sql(database: str) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    with psycopg.connect(database, autocommit=True, row_factory=dict_row) as connection:
        connection.execute(MEMORY)
        yield connection


def explore(make_world: MakeWorld, examples: int) -> None:
    """Derandomized: the same examples everywhere."""
    run_state_machine_as_test(
        lambda: Runs(make_world),
        settings=settings(
            max_examples=examples,
            stateful_step_count=4,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize(("real", "examples"), [(False, 30), (True, 6)])
def test_runs__always_end_in_legal_states(
    tmp_path: Path, database: str, sql: psycopg.Connection[dict[str, Any]], real: bool, examples: int
) -> None:
    explore(lambda: World(tmp_path, database, sql, real=real), examples)
