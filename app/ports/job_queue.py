"""The job queue: durable, at least once, in the app database."""

from __future__ import annotations

from typing import Protocol

from app.domain.commands import Request
from app.domain.jobs import Job


class JobQueue(Protocol):
    """All methods raise DatabaseUnreachable when the job could not be stored."""

    def defer(self, job: Job, *, after: float = 0.0) -> None:
        """Have a job done, not before ``after`` seconds. One that waits already is not put in twice."""

    def hear(self, request: Request) -> bool:
        """Store a request and its job in one transaction; False when it was heard before (its key is unique)."""
