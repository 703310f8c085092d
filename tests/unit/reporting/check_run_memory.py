"""Check runs in memory: what a forge with check runs would hold, and what it was asked to write."""

from __future__ import annotations

import threading
from dataclasses import replace

from app.domain.check_runs import CheckRun, FoundCheckRun
from app.errors import MasonError


class CheckRunMemory:
    """``problems`` are raised one by one, by every call or those whose check has the ``fails`` name."""

    def __init__(self) -> None:
        self.runs: dict[int, CheckRun] = {}
        self.writes: list[CheckRun] = []
        self.dispensable = 0
        self.looks = 0
        self.problems: list[MasonError] = []
        self.fails: str | None = None
        self.asked = threading.Event()
        self._changed = threading.Condition()

    def found(self, commit: str, *, name: str | None = None) -> list[FoundCheckRun]:
        self.looks += 1
        self.asked.set()
        self._fail("")
        return [
            FoundCheckRun(id=number, name=check.name, subject=check.subject, completed=check.conclusion is not None)
            for number, check in self.runs.items()
            if check.commit == commit and name in (None, check.name)
        ]

    def start(self, check: CheckRun) -> int:
        self._fail(check.name)
        same = (check.name, check.commit, check.subject)
        for number, known in self.runs.items():
            if (known.name, known.commit, known.subject) == same:
                self._keep(number, check)
                return number
        number = len(self.runs) + 1
        self._keep(number, check)
        return number

    def write(self, check_id: int, check: CheckRun, *, dispensable: bool = False) -> None:
        self._fail(check.name)
        self.dispensable += dispensable
        self._keep(check_id, check)

    def wait(self, writes: int) -> None:
        """Until so many writes were made."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.writes) >= writes, timeout=20), self.writes

    @property
    def open(self) -> list[CheckRun]:
        return [check for check in self.runs.values() if check.conclusion is None]

    def named(self, start: str) -> CheckRun:
        (found,) = [check for check in self.runs.values() if check.name.startswith(start)]
        return found

    def _keep(self, number: int, check: CheckRun) -> None:
        with self._changed:
            self.runs[number] = replace(check)
            self.writes.append(check)
            self._changed.notify_all()

    def _fail(self, name: str) -> None:
        if self.problems and self.fails in (None, name):
            raise self.problems.pop(0)
