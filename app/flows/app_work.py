"""What the web app's flows work with."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from app.domain.dispatches import APPEARS, Dispatch, Work
from app.errors import Busy, ForgeRefused, MissingPermission, UsageError
from app.ports.app_database import AppDatabase, Fence
from app.ports.backlog import Backlog
from app.ports.dispatcher import Dispatcher
from app.ports.executions import Executions
from app.ports.job_queue import JobQueue
from app.ports.repository import Repositories

LOST_AFTER = timedelta(hours=1)
"""How old something is that is given up once Mason has no way to its repository: a token lives for as long, and who
uninstalls the App by mistake has the time to install it again.
"""

_LONGEST_WAIT, _AGAIN = 5.0, 0.02


@dataclass(frozen=True, kw_only=True, slots=True)
class AppPorts:
    """The outside, as the wiring chose it. ``quiet`` is for how many seconds approvals must have ceased before a run is
    started with them (so that ten in a row make one run); ``patience`` in seconds is for how long they may go on.
    ``home`` is the repository that items without one belong to. ``appears`` is for how many seconds a workflow run may
    not be listed yet whose dispatch had no answer. ``is_dead`` says of a ``claimed_by`` whether it is known to be gone.
    ``page`` is the address of a run's page, "" where there is none. ``told`` is why items wait, as this process's log
    said last.
    """

    backlog: Backlog
    repositories: Repositories
    dispatcher: Dispatcher
    database: AppDatabase
    executions: Executions
    jobs: JobQueue
    home: str | None = None
    appears: float = APPEARS.total_seconds()
    quiet: float = 5.0
    patience: float = 60.0
    is_dead: Callable[[str], bool] = field(default=lambda _: False)
    told: dict[UUID, str] = field(default_factory=dict)
    page: Callable[[UUID], str] = field(default=lambda _: "")

    def page_of(self, dispatch: Dispatch) -> str:
        """Where a dispatch can be watched: a fix and a validation have no rows to show."""
        return self.page(dispatch.id) if dispatch.work is Work.RUN else ""


@contextmanager
def held(database: AppDatabase, key: str) -> Iterator[Fence]:
    """Hold a key once whoever has it gives it back. Raises Busy when that takes long."""
    deadline = time.monotonic() + _LONGEST_WAIT
    with ExitStack() as stack:
        while True:
            try:
                fence = stack.enter_context(database.locked(key))
                break
            except Busy:
                if time.monotonic() > deadline:
                    raise
            time.sleep(_AGAIN)
        yield fence


def no_way_to(ports: AppPorts, repository: str | None) -> str:
    """Why nothing can be done in a repository now, as its forge says when asked: the App is not installed there any
    more, it was deleted, it has another name. "" while there is a way, and where only Mason's own credentials are bad.

    Raises Unreachable: who does not answer says nothing.
    """
    try:
        ports.repositories.named(repository).base()
    except (MissingPermission, ForgeRefused):
        return ""
    except UsageError as problem:
        return str(problem)
    return ""
