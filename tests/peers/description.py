"""GitHub's description of its API, installed from the pinned manifest in ``github/``."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.fakes.description import Description
from tests.peers.kit import HERE, install_packages


def install_description(place: Path) -> Description:
    """The description; of what its package unpacks, all else is removed at once."""
    generated = install_packages(place, HERE / "github") / "@octokit" / "openapi" / "generated"
    kept = (generated / "api.github.com.json").rename(place / "api.github.com.json")
    shutil.rmtree(place / "node_modules")
    return Description.load(kept)
