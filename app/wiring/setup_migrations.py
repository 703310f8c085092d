"""`POST /api/setup/migrations`: bringing up a database that a request names (port `app.ports.migrations`)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field

from app.backlog import migrate as migrations
from app.backlog.direct import Direct, connected, direct_dsn
from app.backlog.foreign import Resolve, addresses_of, cut_off, foreign_dsn
from app.backlog.management_api import API, management_api
from app.backlog.realtime import verify_realtime
from app.backlog.sql_server import SqlRefused, SqlServer
from app.bounded import within
from app.domain.text import one_line
from app.errors import (
    BadTarget,
    Busy,
    DatabaseUnreachable,
    MigrationConflict,
    MigrationFailed,
    TargetUnreachable,
    UsageError,
)
from app.ports.migrations import ConnectionString, Migrated, ProjectPassword, ProjectToken, Target

SECONDS = 90.0
"""That a request may take; its thread waits for so long."""

_SIDE_BY_SIDE = 2
_PATIENCE = 30.0
_LONGEST = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Migrations:
    """``allowed`` are hosts besides Supabase's, in lower case. The rest is what is asked of the world."""

    allowed: frozenset[str] = frozenset()
    resolve: Resolve = addresses_of
    connect: Callable[[str], AbstractContextManager[Direct]] = connected
    api: str = API
    seconds: float = SECONDS
    _places: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(_SIDE_BY_SIDE))

    def __call__(self, target: Target) -> Migrated:
        """Idempotent: every migration is applied once, whoever asks how often."""
        if not self._places.acquire(blocking=False):
            raise Busy("Other databases are being migrated right now; try again in a minute.")
        try:
            with translated():
                return within(self.seconds, lambda: self._migrate(target))
        finally:
            self._places.release()

    def _migrate(self, target: Target) -> Migrated:
        with self.opened(target) as there:
            applied = tuple(migration.name for migration in migrations.apply(there))
            realtime = verify_realtime(there)
        return Migrated(
            applied=applied,
            publication=realtime.publication,
            unpublished=realtime.unpublished,
            partial=realtime.partial,
        )

    @contextmanager
    def opened(self, target: Target) -> Iterator[SqlServer]:
        with ExitStack() as stack:
            match target:
                case ProjectToken(ref=ref, token=token):
                    yield stack.enter_context(management_api(ref, token, base=self.api, patience=_PATIENCE))
                    return
                case ProjectPassword(ref=ref, password=password):
                    dsn = direct_dsn(ref, password)
                case ConnectionString(dsn=dsn):
                    pass
            there = stack.enter_context(self.connect(foreign_dsn(dsn, self.allowed, self.resolve)))
            stack.enter_context(cut_off(there.fileno(), self.seconds))
            yield there


@contextmanager
def translated() -> Iterator[None]:
    """What goes wrong with somebody's database, as what whoever asked is told. Nothing of the credentials is in it."""
    try:
        yield
    except migrations.ScriptFailed as problem:
        where = ((("migrations", problem.migration), "Failed with this error; those before it are applied."),)
        raise MigrationFailed(one_line(problem.sentence, _LONGEST), where) from None
    except SqlRefused as problem:
        raise MigrationFailed(one_line(str(problem), _LONGEST)) from None
    except migrations.MigrationChanged as problem:
        raise MigrationConflict(str(problem)) from None
    except UsageError as problem:
        raise BadTarget(one_line(str(problem), _LONGEST)) from None
    except DatabaseUnreachable as problem:
        raise TargetUnreachable(one_line(str(problem), _LONGEST)) from None
    except TimeoutError:
        raise TargetUnreachable("The database took too long; what was applied stays, so ask again.") from None
