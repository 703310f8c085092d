"""The REST API, put together: whose keys are good, and the groups of routes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from app.database import schema
from app.database.api_keys import PostgresApiKeys, api_keys
from app.settings import Settings, state_dir
from app.web.app import Api
from app.wiring.databases import app_dsn, keep_out_of_git, served_databases


def rest_api(settings: Settings) -> Api:
    """The API of one web process. Every group of routes is a line here; what it stands on is a parameter."""
    return Api(keys=api_keys(app_dsn(settings)), routes=())


@contextmanager
def key_store(settings: Settings, repository: Path) -> Iterator[PostgresApiKeys]:
    """The keys, for an operator: of DATABASE_URL, else of the embedded server, which need not be running."""
    state = state_dir(settings, repository)
    keep_out_of_git(state)
    with nullcontext(settings) if settings.database_url else served_databases(settings, state) as served:
        schema.prepare(app_dsn(served))
        keys = api_keys(app_dsn(served), pool_size=1)
        try:
            yield keys
        finally:
            keys.close()
