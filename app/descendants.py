"""The processes that come of Mason's commands, in every generation: marked, found and killed, adopted and reaped.

A command may fork, leave its process group, clean its environment or outlive a killed runner. What of it is still there
is asked of the kernel (`app.living`); elsewhere than on Linux nothing is found.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Literal
from uuid import uuid4

from app import living

MARK = "MASON_PROCESS"
"""Environment variable that marks every process of one contained command: ``<pid namespace> <pid> <start> <command>``.

The first three name the runner that started it, so that what a killed runner left behind can be found.
"""

DYING = 10.0
"""Seconds at most until killed processes have to be gone; only one stuck in the kernel takes that long."""

_TICK = 0.05

_starting = threading.Lock()
_ours: set[int] = set()
"""Processes that ``start`` started. Starting one and noting it here is one step, or it would pass for a stray."""

_adopting: frozenset[int] | None = None
"""The children that were there when this process began to adopt orphans; None while it does not."""


def start(child: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    """Start a child that is no stray until it has ended. Raises what ``child`` raises."""
    with _starting:
        started = child()
        _ours.add(started.pid)
    return started


def ended(child: int) -> None:
    """A child, by its id, was reaped."""
    with _starting:
        _ours.discard(child)


def new_mark() -> str:
    """The mark of one contained command: this process, which starts it, and a name of its own."""
    return f"{living.pid_namespace()} {os.getpid()} {living.start_time(os.getpid())} {uuid4().hex}"


def kill_marked(mark: str) -> None:
    """Kill every process whose environment carries the mark, and every stray, until none is left (Linux).

    A stray is an adopted orphan (see ``adopted_orphans``) without any mark: it got rid of its mark, and ran away.
    """
    needle = f"{MARK}={mark}".encode()

    def find() -> list[int]:
        with _starting:
            strays = [pid for pid in living.pids() if _is_stray(pid)] if _adopting is not None else []
        return strays + [pid for pid in living.pids() if needle in living.environ(pid)]

    kill_until_none(find)


def _is_stray(pid: int) -> bool:
    return (
        _adopting is not None
        and pid not in _adopting
        and pid not in _ours
        and living.parent(pid) == os.getpid()
        and not _mark(pid)
    )


def kill_orphans() -> None:
    """Kill what contained commands of a killed runner left running: it could not do so itself (Linux)."""
    kill_until_none(lambda: [pid for pid in living.pids() if _is_orphan(_mark(pid))])


def _mark(pid: int) -> str:
    """The mark of a process, empty when it has none."""
    marks = (entry for entry in living.environ(pid).split(b"\0") if entry.startswith(f"{MARK}=".encode()))
    return next(marks, b"").decode("utf-8", "replace").partition("=")[2]


def _is_orphan(mark: str) -> bool:
    match mark.split(" "):
        case [namespace, pid, started, _] if pid.isdecimal() and namespace == living.pid_namespace():
            return living.start_time(int(pid)) != started
        case _:
            return False


def kill_until_none(find: Callable[[], list[int]]) -> None:
    """Kill what is found, again and again: meanwhile it may fork, and dying takes its time on a busy machine."""
    deadline = time.monotonic() + DYING
    pause = 0.0005
    while (found := find()) and time.monotonic() < deadline:
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):  # adopted orphans (see adopted_orphans) are ours to reap
                os.waitpid(pid, os.WNOHANG)
        time.sleep(pause)
        pause = min(2 * pause, _TICK)


@contextmanager
def adopted_orphans() -> Iterator[None]:
    """Be the parent of orphaned descendants while the block runs, so that they can be found (Linux; else nothing).

    Only for a process that is Mason's alone: a child that ``start`` did not start is a stray in there, unless it was
    there before.
    """
    global _adopting  # noqa: PLW0603 - the kernel keeps this once a process, and so do we
    before = _adopting
    if _be_subreaper(1):
        _adopting = children()
    try:
        yield
    finally:
        _adopting = before
        if before is None:
            _be_subreaper(0)


def _be_subreaper(whether: Literal[0, 1]) -> bool:
    """Whether the kernel did as it was told."""
    try:
        return bool(ctypes.CDLL(None).prctl(36, whether, 0, 0, 0) == 0)  # PR_SET_CHILD_SUBREAPER
    except (OSError, AttributeError):
        return False


def reap_adopted(own: Collection[int]) -> None:
    """Let go of adopted orphans that have ended: whoever lives long would collect them. ``own`` are the ids of children
    that are waited for elsewhere; while one of those has ended, orphans may stay until the next call.
    """
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) and ended.si_pid not in own:
            os.waitpid(ended.si_pid, 0)


def children() -> frozenset[int]:
    """The processes that this one is the parent of, by id."""
    ours = os.getpid()
    return frozenset(pid for pid in living.pids() if living.parent(pid) == ours)


def kill_descendants(spared: frozenset[int] = frozenset()) -> None:
    """Kill everything that descends from this process: the last act of a runner whose commands were hostile.

    ``spared`` are children that were there before the runner (a database server, say); they and theirs live on.
    """
    kill_until_none(lambda: _descendants(spared))


def _descendants(spared: frozenset[int]) -> list[int]:
    parents = {pid: living.parent(pid) for pid in living.pids() if pid not in spared}
    ours = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in ours} - ours:
        ours |= more
    return sorted(ours - {os.getpid()})
