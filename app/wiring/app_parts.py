"""What every process of the web app opens: the ports of its flows, and what they stand on."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from app.database.connections import Connections
from app.database.executions import PostgresExecutions
from app.database.leases import Leases
from app.database.queue import PostgresQueue
from app.database.sealed import PostgresSealed
from app.database.store import PostgresApp
from app.flows.app_work import AppPorts
from app.flows.own_projects import OwnProjects
from app.json_log import set_up_json_logging
from app.log import Redactor
from app.ports.run_views import RunViews
from app.settings import Settings, state_dir
from app.wiring.app_place import Place, place_of
from app.wiring.databases import app_dsn, configured_backlog
from app.wiring.own_projects import own_projects
from app.wiring.runs import is_dead
from app.wiring.sealing import MasterKeys, master_keys
from app.wiring.signed_links import run_links


@dataclass(frozen=True, kw_only=True, slots=True)
class AppParts:
    """Everything connects at its first use, from any thread. ``signing_keys`` are for links and cookies: the first
    signs, all verify. `close` gives the connections back, and leaves local runs alone.
    """

    settings: Settings
    repository: Path
    redactor: Redactor
    place: Place
    ports: AppPorts
    views: RunViews
    queue: PostgresQueue
    database: PostgresApp
    connections: Connections
    sealed: PostgresSealed
    own: OwnProjects
    keys: MasterKeys
    opened: ExitStack = field(default_factory=ExitStack)

    @property
    def signing_keys(self) -> tuple[bytes, ...]:
        return self.keys.signing

    def close(self) -> None:
        self.opened.close()


def open_app(settings: Settings, repository: Path, *, patience: float, connections: int) -> AppParts:
    """The parts of one process, made after its fork; JSON logs from here on, without any secret.

    The settings name both databases. ``patience`` in seconds is for a backlog that is away, ``connections`` the most to
    the app database, whose uses share them. Raises UsageError.
    """
    keys = master_keys(settings, state_dir(settings, repository))
    redactor = logged(settings, keys)
    with ExitStack() as stack:
        shared = Connections(app_dsn(settings), pool_size=connections)
        stack.callback(shared.close)
        sealed = PostgresSealed(shared, keys.sealing)
        place = place_of(settings, repository, redactor, sealed)
        backlog = configured_backlog(settings, patience=patience)
        stack.callback(backlog.close)
        database = PostgresApp(shared, Leases(shared))
        queue = PostgresQueue(shared)
        ports = AppPorts(
            backlog=backlog,
            repositories=place.repositories,
            dispatcher=place.dispatcher,
            database=database,
            executions=PostgresExecutions(shared),
            jobs=queue,
            home=place.home,
            quiet=settings.debounce,
            appears=settings.dispatch_patience,
            is_dead=is_dead,
            page=run_links(settings, keys),
        )
        return AppParts(
            settings=settings,
            repository=repository,
            redactor=redactor,
            place=place,
            ports=ports,
            views=backlog,
            queue=queue,
            database=database,
            connections=shared,
            sealed=sealed,
            own=own_projects(settings, sealed, redactor, patience=patience),
            keys=keys,
            opened=stack.pop_all(),
        )


def logged(settings: Settings, keys: MasterKeys) -> Redactor:
    """JSON logs from here on, without any secret."""
    redactor = Redactor((*settings.secrets, *keys.masters))
    set_up_json_logging(redactor, level=min(logging.getLogger().level or logging.INFO, logging.INFO))
    return redactor
