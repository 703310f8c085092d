"""The routes of execution in this process, over a world of their own: both databases, GitHub's fake, sealed secrets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from cryptography.fernet import Fernet
from werkzeug.test import TestResponse

from app.backlog.postgres import postgres_backlog
from app.database.sealed import PostgresSealed
from app.domain.api_keys import Scope
from app.domain.credentials import Credentials
from app.flows.cancel_run import cancel_run
from app.flows.own_projects import OwnProjects
from app.flows.start_execution import start_execution
from app.ports.backlog import Backlog
from app.web.api.execution import execution_routes
from tests.unit.flows.web_world import WebWorld
from tests.unit.web.api_kit import ApiDoor

SEALING = Fernet.generate_key()
PROJECT = "https://abcdefghijklmnopqrst.supabase.co"
KEY = "eyJ-the-key-of-a-request"


@dataclass
class Execution:
    """``theirs`` is the DSN that stands for the project of a request's credentials."""

    world: WebWorld
    sealed: PostgresSealed
    theirs: str
    door: ApiDoor = field(init=False)
    own: OwnProjects = field(init=False)
    connected: list[Credentials] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.own = OwnProjects(sealed=self.sealed, admit=lambda given: given, connect=self._connect)
        self.door = ApiDoor(
            routes=(
                execution_routes(
                    lambda asked: start_execution(self.world.ports, self.own, asked),
                    lambda run, name: cancel_run(self.world.ports, self.own, run, name),
                ),
            )
        )

    @contextmanager
    def _connect(self, credentials: Credentials) -> Iterator[Backlog]:
        self.connected.append(credentials)
        backlog = postgres_backlog(self.theirs, patience=1)
        try:
            yield backlog
        finally:
            backlog.close()

    def start(self, *items: UUID, key: str | None = None, scope: Scope = Scope.RUN, **more: Any) -> TestResponse:
        headers = self.door.bearer(scope) | ({"Idempotency-Key": key} if key else {})
        body = {"itemIds": [str(item) for item in items], **more}
        return self.door.client.post("/api/execution/start", headers=headers, json=body)

    def started(self, *items: UUID, **more: Any) -> UUID:
        answer = self.start(*items, **more)
        assert answer.status_code == 200, answer.data
        said = answer.json
        assert isinstance(said, dict)
        assert said.keys() == {"success", "executionRunId"}
        assert said["success"] is True
        return UUID(said["executionRunId"])

    def cancel(self, run: UUID | str) -> TestResponse:
        return self.door.post(f"/api/execution/runs/{run}/cancel", scope=Scope.RUN)
