"""For tests in which Mason is root and its commands run as other users."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.settings import ROOT_STATE
from app.workspace.user_pool import UserPool

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can run commands as other users")

IDS = range(61000, 61512)


def user_pool(ids: range = IDS, locks: Path = ROOT_STATE / "users") -> UserPool:
    """The pool that runners on this machine use: tests that run beside each other never get the same id."""
    return UserPool(ids, locks, os.environ["PATH"])
