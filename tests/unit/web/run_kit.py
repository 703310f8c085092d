"""Runs to be shown: records as the database gives them, in memory, and the web app with their pages."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from app.domain.api_keys import ApiKey, Scope
from app.domain.events import Level, Phase, TaskStatus
from app.domain.items import ItemStatus
from app.domain.results import CheckKind, Usage, Verdict
from app.domain.run_views import (
    CheckView,
    ItemView,
    IterationView,
    LogLine,
    LogPage,
    RunLine,
    RunView,
    TaskView,
)
from app.domain.runs import RunStatus
from app.errors import BadCursor, DatabaseUnreachable
from app.web.pages.kept import KeptPages
from app.web.pages.links import Links
from app.web.pages.run_page import Pages
from app.web.pages.sign_in import Sessions
from app.web.pages.viewers import Viewers
from tests.unit.web.ingress_kit import Door

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
RUN = UUID("7f1c4a52-90b1-4a0e-8a8e-0d6a8f6c2b11")
OTHER = UUID("7f1c4a52-90b1-4a0e-8a8e-0d6a8f6c2b12")
SIGNING = b"s" * 32


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def item_id(number: int) -> UUID:
    return UUID(int=number)


def task(wave: int, number: int, start: float | None = None, end: float | None = None, **more: Any) -> TaskView:
    status = TaskStatus.PENDING if start is None else TaskStatus.IN_PROGRESS if end is None else TaskStatus.COMPLETED
    return TaskView(
        wave=wave,
        number=number,
        **{
            "description": f"Do the {number}. thing",
            "agent": "general",
            "status": status,
            "started_at": None if start is None else at(start),
            "completed_at": None if end is None else at(end),
        }
        | more,
    )


def done_item(number: int = 1, **more: Any) -> ItemView:
    """An item that went well in ninety seconds, with a fix."""
    given: dict[str, Any] = {
        "id": item_id(number),
        "title": f"Item {number}",
        "type": "feature",
        "status": ItemStatus.COMPLETED,
        "verdict": Verdict.COMPLETED,
        "branch": f"mason/item-{number}",
        "commit": "a" * 40,
        "pull_request_url": f"https://github.com/octo/app/pull/{number}",
        "phase": Phase.COMPLETE,
        "wave": 2,
        "total_waves": 2,
        "percentage": 100,
        "started_at": at(0),
        "updated_at": at(90),
        "completed_at": at(90),
        "tasks": (task(1, 1, 1, 20), task(1, 2, 2, 15), task(2, 1, 21, 40)),
        "checks": (
            CheckView(kind=CheckKind.LINT, status="pass", command="ruff check", seconds=0.4, output="All good"),
            CheckView(kind=CheckKind.TEST, status="pass", command="pytest", seconds=12.0, output="12 passed"),
        ),
        "iterations": (
            IterationView(
                number=1,
                passed=True,
                failed=("lint",),
                tried="Removed an import",
                changed="--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-import os\n+import sys\n",
                created_at=at(70),
            ),
        ),
        "diff": "diff --git a/x.py b/x.py\n--- a/x.py\n+++ b/x.py\n@@ -1 +1,2 @@\n-one\n+two\n+three\n",
        "usage": Usage(input_tokens=1200, output_tokens=340, cost_usd=0.12, turns=3, tool_calls=9, seconds=40),
    }
    return ItemView(**given | more)


def going_item(number: int = 2, **more: Any) -> ItemView:
    """An item whose second task runs."""
    given: dict[str, Any] = {
        "id": item_id(number),
        "title": f"Item {number}",
        "type": "api",
        "status": ItemStatus.IN_PROGRESS,
        "phase": Phase.BUILDING,
        "wave": 1,
        "total_waves": 2,
        "percentage": 40,
        "current_task": "Writing the route",
        "current_file": "app/routes.py",
        "started_at": at(10),
        "updated_at": at(60),
        "tasks": (task(1, 1, 11, 30), task(1, 2, 12), task(2, 1)),
        "checks": (CheckView(kind=CheckKind.TEST, status="pending"),),
    }
    return ItemView(**given | more)


def failed_item(number: int = 3, **more: Any) -> ItemView:
    given: dict[str, Any] = {
        "id": item_id(number),
        "title": f"Item {number}",
        "type": "data",
        "status": ItemStatus.REJECTED,
        "verdict": Verdict.REJECTED,
        "reason": "The checks still fail after five fixes: test",
        "kept": "/var/lib/mason/artifacts/item.bundle",
        "phase": Phase.INSPECTION,
        "percentage": 80,
        "started_at": at(5),
        "updated_at": at(80),
        "completed_at": at(80),
        "tasks": (task(1, 1, 6, 30, status=TaskStatus.FAILED, error="It broke"),),
        "checks": (
            CheckView(
                kind=CheckKind.TEST,
                status="fail",
                command="pytest",
                seconds=3.0,
                output="1 failed",
                findings=("x.py:1 error boom",),
            ),
        ),
        "findings": ("scope: x.py is not part of the plan",),
    }
    return ItemView(**given | more)


def a_run(*items: ItemView, run_id: UUID = RUN, **more: Any) -> RunView:
    """A run over these items, going on since a hundred seconds; ``status``, ``ended`` and what a RunLine has."""
    ended = more.pop("ended", None)
    line = RunLine(
        id=run_id,
        **{
            "status": RunStatus.IN_PROGRESS if ended is None else RunStatus.SUCCESS,
            "repository": "octo/app",
            "base_branch": "main",
            "base_commit": "b" * 40,
            "items": len(items),
            "started_at": at(0),
            "completed_at": None if ended is None else at(ended),
        }
        | more,
    )
    return RunView(run=line, items=items, seen_at=at(100))


def log_line(number: int, message: str = "", level: Level = Level.INFO, item: UUID | None = None) -> LogLine:
    return LogLine(
        id=UUID(int=10**6 + number), level=level, message=message or f"Line {number}", item_id=item, at=at(number)
    )


class MemoryRuns:
    """RunViews over records. ``asked`` counts calls by name; ``away``: the database does not answer."""

    def __init__(self, *views: RunView, log: tuple[LogLine, ...] = ()) -> None:
        self.views = {view.run.id: view for view in views}
        self.log = log
        self.version = 1
        self.away = False
        self.asked: dict[str, int] = {}

    def change(self, view: RunView) -> None:
        self.views[view.run.id] = view
        self.version += 1

    def run_lines(self, *, limit: int, before: UUID | None = None) -> list[RunLine]:
        self._count("run_lines")
        lines = [view.run for view in self.views.values()]
        start = next((place + 1 for place, line in enumerate(lines) if line.id == before), 0)
        return lines[start : start + limit]

    def run_view(self, run_id: UUID, *, item: UUID | None = None) -> RunView | None:
        self._count("run_view")
        view = self.views.get(run_id)
        if view is None or item is None:
            return view
        return replace(view, items=tuple(one for one in view.items if one.id == item))

    def run_version(self, run_id: UUID) -> str | None:
        self._count("run_version")
        return str(self.version) if run_id in self.views else None

    def log_page(self, run_id: UUID, *, after: str | None, limit: int, item: UUID | None = None) -> LogPage:
        self._count("log_page")
        if after is not None and not after.isdigit():
            raise BadCursor
        lines = [line for line in self.log if item is None or line.item_id == item]
        start = int(after or 0)
        found = tuple(lines[start : start + limit])
        end = start + len(found)
        return LogPage(lines=found, next=str(end) if end else None, more=end < len(lines))

    def last_log_page(self, run_id: UUID, *, limit: int, item: UUID | None = None) -> LogPage:
        self._count("last_log_page")
        lines = [line for line in self.log if item is None or line.item_id == item]
        return LogPage(lines=tuple(lines[-limit:]), next=str(len(lines)) if lines else None)

    def _count(self, name: str) -> None:
        if self.away:
            raise DatabaseUnreachable("The database at db.internal did not answer.")
        self.asked[name] = self.asked.get(name, 0) + 1


class MemoryKeys:
    """API keys in memory."""

    def __init__(self) -> None:
        self.stored: dict[str, ApiKey] = {}

    def create(self, name: str, scope: Scope) -> tuple[ApiKey, str]:
        prefix = f"{len(self.stored):08x}"
        key = ApiKey(prefix=prefix, name=name, scope=scope, created_at=START)
        text = f"mason_{prefix}_secret"
        self.stored[text] = key
        return key, text

    def verified(self, text: str) -> ApiKey | None:
        key = self.stored.get(text)
        return key if key and key.revoked_at is None else None

    def all(self) -> list[ApiKey]:
        return list(self.stored.values())

    def revoke(self, prefix: str) -> bool:
        for text, key in self.stored.items():
            if key.prefix == prefix:
                self.stored[text] = replace(key, revoked_at=START)
        return True


@dataclass
class Clock:
    """Seconds since the epoch that stand still until they are moved."""

    now: float = START.timestamp()

    def __call__(self) -> float:
        return self.now


@dataclass
class Site:
    """The web app with pages over ``runs``."""

    runs: MemoryRuns
    keys: MemoryKeys = field(default_factory=MemoryKeys)
    clock: Clock = field(default_factory=Clock)
    signing: tuple[bytes, ...] = (SIGNING,)
    workflow: str = ""

    def __post_init__(self) -> None:
        self.links = Links(keys=self.signing, clock=self.clock)
        self.sessions = Sessions(keys=self.keys, signing=self.signing, clock=self.clock)
        self.pages = Pages(
            views=self.runs,
            viewers=Viewers(keys=self.keys, links=self.links, sessions=self.sessions),
            kept=KeptPages(self.runs.run_version, clock=self.clock, ticks=self.clock),
            workflow=lambda _: self.workflow,
        )
        self.door = Door(more={"pages": self.pages})
        self.client = self.door.client

    def signed(self, path: str = f"/runs/{RUN}", below: str = "", **query: str) -> str:
        """A signed address of what lies below a path."""
        more = "".join(f"&{name}={value}" for name, value in query.items())
        return self.links.to(path).replace("?", f"{below}?") + more

    def text(self, address: str) -> str:
        answer = self.client.get(address, headers={"Accept": "text/html"})
        assert answer.status_code == 200, answer.text
        return answer.text
