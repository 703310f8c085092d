"""The REST API, put together: whose keys are good, and the groups of routes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.database import schema
from app.database.api_keys import PostgresApiKeys, api_keys
from app.flows.cancel_run import cancel_run
from app.flows.start_execution import start_execution
from app.settings import Settings, database_hosts, state_dir
from app.web.api.agent_runtime import agent_runtime_routes
from app.web.api.execution import execution_routes
from app.web.api.runs import run_routes
from app.web.api.setup import setup_routes
from app.web.app import Api
from app.wiring.app_parts import AppParts
from app.wiring.databases import app_database_of, app_dsn, keep_out_of_git
from app.wiring.executions import agent_runtime
from app.wiring.run_reading import run_reading
from app.wiring.setup_migrations import Migrations


def rest_api(parts: AppParts) -> Api:
    """The API of one web process. Every group of routes is a line here; what it stands on is a parameter."""
    return Api(
        keys=PostgresApiKeys(parts.connections),
        routes=(
            setup_routes(Migrations(allowed=database_hosts(parts.settings))),
            execution_routes(
                lambda asked: start_execution(parts.ports, parts.own, asked),
                lambda run_id, key_name: cancel_run(parts.ports, parts.own, run_id, key_name),
            ),
            run_routes(run_reading(parts)),
            agent_runtime_routes(agent_runtime(parts)),
        ),
    )


@contextmanager
def key_store(settings: Settings, repository: Path) -> Iterator[PostgresApiKeys]:
    """The keys, for an operator: of DATABASE_URL, else of the embedded server, which need not be running."""
    state = state_dir(settings, repository)
    keep_out_of_git(state)
    with app_database_of(settings, state) as served:
        schema.prepare(app_dsn(served))
        keys = api_keys(app_dsn(served), pool_size=1)
        try:
            yield keys
        finally:
            keys.close()
