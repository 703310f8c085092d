"""`mason serve` on an embedded database: one at a time, and the second is told who is there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.errors import UsageError
from app.process import Stop
from app.serving.serve import Serving, only_one, serve
from app.settings import Settings, state_dir
from tests.unit.workspace.repositories import new_repository


def test_serve__a_second_one_is_told_who_serves_here(tmp_path: Path) -> None:
    new_repository(tmp_path / "repository", {"a.txt": "one\n"})
    here = Serving(repository=tmp_path / "repository", port=8123)
    settings = Settings(state_dir=tmp_path / "state")
    state = state_dir(settings, here.repository)
    state.mkdir(parents=True, exist_ok=True)
    with only_one(state / "serving.lock", here):
        second = Serving(repository=here.repository, port=0)
        with pytest.raises(UsageError, match=rf"process {os.getpid()}, 127\.0\.0\.1 port 8123"):
            serve(settings, second, Stop(), pytest.fail)


def test_serve__the_next_one_may(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    for port in (8123, 99):
        with only_one(lock, Serving(repository=tmp_path, port=port)):
            assert lock.read_text() == f"process {os.getpid()}, 127.0.0.1 port {port}"
