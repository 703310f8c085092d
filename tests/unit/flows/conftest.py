"""A world for the web app's flows, of its own for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.database.sealed import sealed_secrets
from tests.unit.flows.execution_kit import SEALING, Execution
from tests.unit.flows.web_world import WebWorld, web_world


@pytest.fixture
def world(tmp_path: Path, database: str, empty_database: str) -> Iterator[WebWorld]:
    with web_world(tmp_path, database, empty_database) as made:
        yield made


@pytest.fixture
def execution(
    world: WebWorld, empty_database: str, make_database: Callable[[str], str], migrated_template: str
) -> Iterator[Execution]:
    """The routes of execution over the world; what stands for a request's own project is one more backlog."""
    sealed = sealed_secrets(empty_database, [SEALING])
    sealed.prepare()
    yield Execution(world=world, sealed=sealed, theirs=make_database(migrated_template))
    sealed.close()
