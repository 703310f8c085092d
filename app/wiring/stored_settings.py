"""What a setup has stored, beside what the environment says: the environment wins."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from app.backlog import migrate as migrations
from app.backlog.embedded import EmbeddedPostgres
from app.database import schema
from app.database.sealed import PostgresSealed
from app.domain.setup import APP, BACKLOG, StoredApp, StoredBacklog, read
from app.errors import MasonError
from app.ports.sealed import Sealed
from app.settings import Settings, state_dir
from app.wiring.app_place import on_github
from app.wiring.databases import SWEEP_HERE, app_database_of, app_dsn
from app.wiring.sealing import KEY_FILE, master_keys, open_sealed, prepare_sealed

log = logging.getLogger("mason")

LOOK = 2.0
"""Seconds between looks at whether a setup has stored something else."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Served:
    """The web app's databases while they are there: ``given`` is what the environment says, and names the app database;
    ``own_backlog`` is the DSN of a backlog on the embedded server, for when nothing names another.
    """

    given: Settings
    state: Path
    own_backlog: SecretStr | None
    look: float = LOOK

    def settings(self) -> Settings:
        """As they are now, with what is stored. Raises DatabaseUnreachable, and UsageError for what cannot be read."""
        with closing(self.sealed()) as sealed:
            return self._with(sealed)

    @contextmanager
    def noticing(self, known: Settings, changed: Callable[[], None]) -> Iterator[None]:
        """While this holds, look whether the settings are still the known ones, and tell once when they are not."""
        end = threading.Event()
        arguments = (known, changed, end)
        threading.Thread(target=self._look, args=arguments, name="stored settings", daemon=True).start()
        try:
            yield
        finally:
            end.set()

    def sealed(self) -> PostgresSealed:
        return open_sealed(self.given, master_keys(self.given, self.state), pool_size=1)

    def _look(self, known: Settings, changed: Callable[[], None], end: threading.Event) -> None:
        with closing(self.sealed()) as sealed:
            while not end.wait(self.look):
                try:
                    now = self._with(sealed)
                except MasonError as problem:  # away; when it is back, it is asked again
                    log.debug("%s", problem)
                    continue
                if now != known:
                    log.warning("The setup has stored something else, which counts from now on")
                    changed()
                    return

    def _with(self, sealed: PostgresSealed) -> Settings:
        found = completed_by(sealed, self.given)
        if self.own_backlog is None or names_backlog(found):
            return found
        return found.model_copy(update={"dsn": self.own_backlog, "sweep": found.sweep or SWEEP_HERE})


@contextmanager
def served_databases(settings: Settings, state: Path) -> Iterator[Served]:
    """Both databases of the web app, brought up to date: what nothing names is on one embedded server, started here (or
    found running here), with a database each.
    """
    with ExitStack() as stack:
        named = stack.enter_context(app_database_of(settings, state))
        schema.prepare(app_dsn(named))
        prepare_sealed(named, state)
        served = Served(given=named, state=state, own_backlog=None)
        if not names_backlog(served.settings()):
            server = stack.enter_context(EmbeddedPostgres(state / "postgres", bin_directory=settings.postgres_bin))
            migrations.apply(server.dsn)
            served = Served(given=named, state=state, own_backlog=SecretStr(server.dsn))
        yield served


def with_stored(settings: Settings, repository: Path) -> Settings:
    """For commands beside the web app: with what a setup has stored here. Nothing is made or changed: where no web app
    has ever run there is no master secret, and a DATABASE_URL may be anybody's.
    """
    state = state_dir(settings, repository)
    there = settings.database_url or (state / "postgres" / "postgres" / "data").exists()
    if not there or not (settings.encryption_key or (state / KEY_FILE).exists()):
        return settings
    with app_database_of(settings, state) as named:
        found = Served(given=named, state=state, own_backlog=None).settings()
        return found.model_copy(update={"database_url": settings.database_url})


def completed_by(sealed: Sealed, given: Settings) -> Settings:
    """Raises what the sealed secrets raise."""
    return completed(given, read(StoredApp, sealed.get(APP)), read(StoredBacklog, sealed.get(BACKLOG)))


def completed(given: Settings, app: StoredApp | None, backlog: StoredBacklog | None) -> Settings:
    """Each of GitHub and the backlog is either the environment's or the stored one, whole; secrets of webhooks are good
    from both (pure).
    """
    found: dict[str, object] = {}
    if app and not on_github(given):
        found |= {
            "github_app_id": str(app.id),
            "github_app_key": SecretStr(app.private_key),
            "github_webhook_secret": _both(given.github_webhook_secret, app.webhook_secret),
            "app_url": given.app_url or app.app_url,
        }
    if backlog and not names_backlog(given):
        found |= {
            "supabase_url": backlog.url,
            "supabase_key": SecretStr(backlog.key),
            "webhook_secret": _both(given.webhook_secret, backlog.webhook_secret),
        }
    return given.model_copy(update=found)


def names_backlog(settings: Settings) -> bool:
    return bool(settings.dsn or settings.supabase_url)


def _both(given: SecretStr | None, stored: str) -> SecretStr:
    return SecretStr(f"{given.get_secret_value()} {stored}" if given else stored)
