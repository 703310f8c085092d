"""Events and results for the tests of reporting, and a backlog that remembers what it was asked to write."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from app.domain import events as ev
from app.domain.claims import Claim
from app.domain.items import Item, ItemStatus
from app.domain.plans import Plan, Subagent, Task, Wave
from app.domain.progress import Progress
from app.domain.results import (
    CheckKind,
    CheckResult,
    CheckStatus,
    Diagnostic,
    GateResult,
    Iteration,
    Outcome,
    Verdict,
)
from app.domain.runs import Base, ItemResult, Run, RunResult
from app.ports.backlog import ItemEventRow, IterationRow, LogRow, TaskRow

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
RUN_ID = UUID(int=99)
BASE = Base(commit="0123456789abcdef0123456789abcdef01234567", branch="main")


def item(number: int = 1, title: str = "Add avatar upload", **values: object) -> Item:
    return Item(id=UUID(int=number), title=title, status=ItemStatus.IN_PROGRESS, **values)  # type: ignore[arg-type]


def claim(number: int = 1, attempt: int = 1) -> Claim:
    return Claim(item_id=UUID(int=number), run_id=RUN_ID, attempt=attempt, claimed_by="test")


def run_started(*items: Item) -> ev.RunStarted:
    return ev.RunStarted(at=AT, run=Run(id=RUN_ID, base=BASE, item_ids=tuple(i.id for i in items)), items=items)


def started(number: int = 1, title: str = "Add avatar upload", total: int = 1) -> ev.ItemStarted:
    branch = f"mason/item-{number}"
    return ev.ItemStarted(
        at=AT, claim=claim(number), item=item(number, title), branch=branch, position=number, total=total
    )


def check(
    kind: CheckKind = CheckKind.TYPECHECK, status: CheckStatus = CheckStatus.PASS, *, errors: int = 0, **values: str
) -> CheckResult:
    found = tuple(Diagnostic(path="a.ts", line=n + 1, message="bad") for n in range(errors))
    return CheckResult(kind=kind, status=status, diagnostics=found, **values)  # type: ignore[arg-type]


def gate(*checks: CheckResult) -> GateResult:
    return GateResult(checks=checks)


GREEN = gate(
    check(CheckKind.TYPECHECK),
    check(CheckKind.LINT),
    check(CheckKind.BUILD),
    check(CheckKind.TEST, output="\x1b[32m 45 passed\x1b[0m in 1.2s"),
)
RED = gate(check(CheckKind.TYPECHECK, CheckStatus.FAIL, errors=3), check(CheckKind.LINT))


def iteration(number: int = 1, *, passed: bool = True, tried: str = "Fixed 3 TypeScript errors") -> Iteration:
    return Iteration(
        number=number,
        failed_before=("typecheck",),
        tried=tried,
        gate=GREEN if passed else RED,
        validator=None,
        passed=passed,
    )


def settled(verdict: Verdict, number: int = 1, **values: object) -> ev.ItemSettled:
    outcome = Outcome(verdict=verdict, **values)  # type: ignore[arg-type]
    return ev.ItemSettled(at=AT, claim=claim(number), item=item(number), outcome=outcome)


def result(*results: ItemResult, **values: object) -> RunResult:
    return RunResult(run_id=RUN_ID, base=BASE, results=results, **values)  # type: ignore[arg-type]


PLAN = Plan(
    waves=(
        Wave(
            number=1,
            title="Foundation",
            tasks=(
                Task(id="1.1", subagent=Subagent.EXPLORE, description="Understand existing patterns"),
                Task(id="1.2", subagent=Subagent.EXPLORE, description="Find related files"),
            ),
        ),
        Wave(
            number=2,
            title="Implementation",
            tasks=(Task(id="2.1", subagent=Subagent.GENERAL, description="Implement feature A | B"),),
            blocked_by=(1,),
            parallel=False,
        ),
    )
)


class RecordingBacklog:
    """The writing half of a backlog: keeps what it gets, or raises ``problem``; ``wrote`` is set at each write."""

    def __init__(self) -> None:
        self.progress: list[Progress] = []
        self.tasks: list[TaskRow] = []
        self.iterations: list[IterationRow] = []
        self.logs: list[LogRow] = []
        self.events: list[ItemEventRow] = []
        self.problem: Exception | None = None
        self.wrote = threading.Event()
        self.calls = 0

    def _take(self, into: list, rows: Sequence) -> None:  # type: ignore[type-arg]
        self.calls += 1
        if self.problem:
            self.wrote.set()
            raise self.problem
        into.extend(rows)
        self.wrote.set()

    def save_progress(self, rows: Sequence[Progress]) -> None:
        self._take(self.progress, rows)

    def save_tasks(self, rows: Sequence[TaskRow]) -> None:
        self._take(self.tasks, rows)

    def save_iterations(self, rows: Sequence[IterationRow]) -> None:
        self._take(self.iterations, rows)

    def append_logs(self, rows: Sequence[LogRow]) -> None:
        self._take(self.logs, rows)

    def note_events(self, rows: Sequence[ItemEventRow]) -> None:
        self._take(self.events, rows)
