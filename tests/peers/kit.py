"""What a peer test needs of the machine, installed from pinned manifests. What is missing fails the test."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
INSTALL_LIMIT = 300.0
"""Seconds for an installation; it takes a few."""


def install_packages(place: Path) -> Path:
    """Install what package.json pins in ``place``; its ``node_modules``."""
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(HERE / name, place)
    words = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(words, cwd=place, capture_output=True, text=True, timeout=INSTALL_LIMIT, check=False)
    assert done.returncode == 0, f"npm ci failed:\n{done.stdout}{done.stderr}"
    return place / "node_modules"
