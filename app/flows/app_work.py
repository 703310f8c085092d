"""What the web app's flows work with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from app.domain.dispatches import APPEARS
from app.ports.app_database import AppDatabase
from app.ports.backlog import Backlog
from app.ports.dispatcher import Dispatcher
from app.ports.job_queue import JobQueue
from app.ports.repository import Repositories


@dataclass(frozen=True, kw_only=True, slots=True)
class AppPorts:
    """The outside, as the wiring chose it. ``quiet`` is for how many seconds approvals must have ceased before a run is
    started with them (so that ten in a row make one run); ``patience`` in seconds is for how long they may go on.
    ``home`` is the repository that items without one belong to. ``appears`` is for how many seconds a workflow run may
    not be listed yet whose dispatch had no answer. ``is_dead`` says of a ``claimed_by`` whether it is known to be gone.
    """

    backlog: Backlog
    repositories: Repositories
    dispatcher: Dispatcher
    database: AppDatabase
    jobs: JobQueue
    home: str | None = None
    appears: float = APPEARS.total_seconds()
    quiet: float = 5.0
    patience: float = 60.0
    is_dead: Callable[[str], bool] = field(default=lambda _: False)
