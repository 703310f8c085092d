"""A world for the web app's flows, of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.flows.web_world import WebWorld, web_world


@pytest.fixture
def world(tmp_path: Path, database: str, empty_database: str) -> Iterator[WebWorld]:
    with web_world(tmp_path, database, empty_database) as made:
        yield made
