"""The supervisor of `mason serve`: keeps its processes running, whatever becomes of them, and stops them together."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from app import descendants, process
from app.process import Stop

log = logging.getLogger("mason")

GRACE = 25.0
"""Seconds that a process has after the stop signal to finish, or give back, what it is at."""

_TICK = 0.1
_FIRST_PAUSE, _LONGEST_PAUSE, _STEADY = 0.2, 10.0, 30.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A process to keep running."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str]


@dataclass(slots=True)
class _Running:
    part: Part
    child: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    pause: float = _FIRST_PAUSE
    due: float = field(default=0.0)


def supervise(parts: Sequence[Part], stop: Stop, *, cwd: Path, grace: float = GRACE) -> None:
    """Run the parts until the stop. One that ends is started again whatever its exit code, for a worker whose database
    restarts ends well; one that ends again and again is started ever more rarely.

    Must be called from the main thread: a part ends with the thread that started it.
    """
    running = [_Running(part) for part in parts]
    try:
        while not stop.wait(_TICK):
            for one in running:
                _keep_up(one, cwd)
            # A part that was killed leaves runs behind, which go on, and end as our children.
            descendants.reap_adopted([one.child.pid for one in running if one.child is not None])
    finally:
        _end(running, grace)


def _keep_up(one: _Running, cwd: Path) -> None:
    now = time.monotonic()
    if one.child is not None and (code := one.child.poll()) is not None:
        log.warning("The %s ended (%s); it is started again", one.part.name, code)
        one.child = None
        one.pause = _FIRST_PAUSE if now - one.started > _STEADY else min(2 * one.pause, _LONGEST_PAUSE)
        one.due = now + one.pause
    if one.child is None and now >= one.due:
        one.started = now
        one.child = process.spawn(one.part.command, cwd=cwd, env=one.part.env, log=None)


def _end(running: Sequence[_Running], grace: float) -> None:
    """The stop signal for all; whoever has not ended after the grace is killed."""
    children = [one.child for one in running if one.child is not None]
    for child in children:
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + grace
    for child in children:
        try:
            child.wait(max(deadline - time.monotonic(), 0.0))
        except subprocess.TimeoutExpired:
            log.warning("Process %s did not end in %.0f seconds and is killed", child.pid, grace)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
