"""The contract of the backlog port, kept over real PostgREST and over Supabase Lite."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from app.backlog.postgrest import supabase_backlog
from app.ports.backlog import Backlog
from tests.conftest import PATIENCE
from tests.contracts.test_backlog import *  # noqa: F403 - every test of the contract
from tests.peers.gateway import Gateway
from tests.peers.supabase import SECRET_KEY, SERVICE_ROLE, Project, database, gateway, project

__all__ = ["database", "gateway", "project"]

pytestmark = pytest.mark.peer

WAYS: dict[str, Callable[[Project, Gateway], Backlog]] = {
    "postgrest": lambda project, gateway: supabase_backlog(gateway.url, SERVICE_ROLE, patience=PATIENCE),
    "lite": lambda project, gateway: supabase_backlog(project.lite, SECRET_KEY, patience=PATIENCE),
}


@pytest.fixture(params=sorted(WAYS))
def store(request: pytest.FixtureRequest, project: Project, gateway: Gateway, database: str) -> Iterator[Backlog]:
    if request.param == "lite":
        project.prepare_for_lite()
    adapter = WAYS[request.param](project, gateway)
    yield adapter
    adapter.close()
