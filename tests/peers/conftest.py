"""``packages``: the npm packages of package.json, installed once a session (for each xdist worker that asks)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.peers.kit import install_packages


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Their ``node_modules``."""
    return install_packages(tmp_path_factory.mktemp("packages"))
