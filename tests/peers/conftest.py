"""``packages``: the npm packages of package.json, installed once a session (for each xdist worker that asks).

``github_description``: GitHub's own description of its API.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.description import Description
from tests.peers.description import install_description
from tests.peers.kit import install_packages


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Their ``node_modules``."""
    return install_packages(tmp_path_factory.mktemp("packages"))


@pytest.fixture(scope="session")
def github_description(tmp_path_factory: pytest.TempPathFactory) -> Description:
    return install_description(tmp_path_factory.mktemp("description"))
