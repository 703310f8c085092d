"""The job queue: durable, at least once, in the app database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from app.domain.commands import Request
from app.domain.jobs import Job


class JobQueue(Protocol):
    """All methods raise DatabaseUnreachable when the job could not be stored."""

    def defer(self, job: Job, *, after: float = 0.0) -> None:
        """Have a job done, not before ``after`` seconds. One that waits already is not put in twice: it is brought
        forward when it would have been done later.
        """

    def hear(self, request: Request) -> bool:
        """Store a request and its job in one transaction; False when it was heard before (its key is unique)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueState:
    """How many jobs wait, are being done, and are parked, in all and by task; ``age`` in seconds of the oldest one
    that is due and waits.
    """

    waiting: int
    doing: int
    parked: int
    age: float
    tasks: tuple[TaskState, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskState:
    """The jobs of one task."""

    task: str
    waiting: int
    doing: int
    parked: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ParkedJob:
    """A job that kept failing. ``about`` says what it was to look at; ``attempts`` counts its failures in a row."""

    id: int
    task: str
    about: str
    attempts: int
    error: str
    since: datetime


class QueueView(Protocol):
    """What an operator sees of the queue. All methods raise DatabaseUnreachable."""

    def queue_state(self) -> QueueState: ...

    def parked(self) -> list[ParkedJob]:
        """Oldest first, at most 200."""

    def retry_parked(self, job_id: int) -> bool:
        """Have a parked job done again; False when there is none of that number."""

    def ping(self) -> None:
        """Ask the database for an answer, now."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """What the predecessors of a job met: calls in a row that failed, and how many of them count for parking."""

    tries: int = 0
    failures: int = 0


class WorkQueue(JobQueue, Protocol):
    """What a worker asks of the queue, about jobs that it is doing. All methods raise DatabaseUnreachable."""

    def ping(self) -> None:
        """Ask the database for an answer, now."""

    def follow_up(self, job: Job, *, after: float, trouble: Trouble, not_before: float = 0.0) -> None:
        """Have a job done again after a failure. Nobody brings it forward to less than ``not_before`` seconds."""

    def is_parked(self, job: Job) -> bool:
        """Whether an equal job is parked: it was tried enough, and a fresh hint is worth one try."""

    def park(self, job_id: int, error: str, trouble: Trouble) -> None:
        """Note why a job that is being done is about to be parked, once its worker ends it as failed."""

    def succeeded(self, job: Job) -> None:
        """What was parked under this job's name is over."""

    def give_back(self, job_id: int) -> None:
        """Somebody else is to do a job that is being done."""

    def doing(self, worker_id: int) -> set[int]:
        """The jobs that the queue believes a worker to be doing."""

    def revive(self, *, dead_after: float, unknown: set[int], most_failures: int) -> int:
        """Give back the jobs of workers that have been silent for so many seconds, and those ``unknown`` to their own
        worker. Their number.
        """
