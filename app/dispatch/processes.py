"""Processes on this machine that outlive the one that started them, each known by a name.

Each has a directory: ``process`` (its id and start time, written by itself), ``exit`` (its exit code), ``log``. So any
worker, also a later one, finds out how it is doing.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from app import descendants, living, process
from app.errors import Busy, UsageError

KEPT = 50
"""Directories of ended processes that are kept, for their logs."""

LOG_SHOWN = 20_000
"""Bytes at the end of a log that are looked at."""

_TICK = 0.05
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)

_SCRIPT = """
trap : TERM INT
echo $$ $(cut -d' ' -f22 /proc/$$/stat) > "$0/process.new" && mv "$0/process.new" "$0/process" || exit 75
(. "$0/environ" && rm -f "$0/environ" && exec "$@") &
child=$!
trap 'kill -TERM $child' TERM INT
wait $child
code=$?
while kill -0 $child 2>/dev/null; do wait $child; code=$?; done
echo $code > "$0/exit.new" && mv "$0/exit.new" "$0/exit"
"""
"""Says who it is before it begins, hands signals on, and leaves the exit code behind. The environment is for the child
alone: this shell's can be read by everything of its user for as long as it lives, and a Mason hides its own.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """How a process is doing. ``exit_code`` is "" while it is alive, and of one that was killed."""

    pid: str
    alive: bool
    exit_code: str = ""


class Processes:
    """``directory`` is where their directories lie; at most ``most`` run side by side."""

    def __init__(self, directory: Path, *, most: int) -> None:
        self._directory = directory
        self._most = most
        self._children: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()

    def start(self, name: str, command: Sequence[str], *, cwd: Path, environ: Mapping[str, str]) -> Seen | None:
        """Start one, and wait a moment until it says who it is. Raises Busy while as many as may run are running, and
        UsageError when it cannot be started.
        """
        with self._lock:
            self._reap()
            if len(self._running()) >= self._most:
                raise Busy(f"{self._most} runs are going on here; the next one waits")
            place = self._directory / name
            shutil.rmtree(place, ignore_errors=True)  # of an earlier try
            place.mkdir(parents=True)
            whole = ["/bin/sh", "-c", _SCRIPT, str(place), *command]
            _write(place / "environ", environ)
            try:
                child = process.detach(whole, cwd=cwd, env=process.base_environment(environ), log=place / "log")
            except OSError as problem:
                raise UsageError(f"A runner could not be started here: {problem.strerror or problem}") from problem
            self._children.append(child)
            self._prune()
        deadline = time.monotonic() + 5.0
        while (seen := self.see(name)) is None and child.poll() is None and time.monotonic() < deadline:
            time.sleep(_TICK)
        return seen

    def see(self, name: str) -> Seen | None:
        """How it is doing; None when there is none of this name here."""
        place = self._directory / name
        if (known := _read(place / "process")) is None:
            return None
        alive = _is_alive(known)
        ended = _read(place / "exit")  # asked last: the code is there before the process is gone
        return Seen(pid=known[0], alive=alive and ended is None, exit_code=ended[0] if ended else "")

    def last_words(self, name: str) -> str:
        """The last line of its log, empty when it has none."""
        try:
            with (self._directory / name / "log").open("rb") as log:
                log.seek(max(log.seek(0, os.SEEK_END) - LOG_SHOWN, 0))
                lines = log.read().decode("utf-8", "replace").strip().splitlines()
        except OSError:
            return ""
        return lines[-1] if lines else ""

    def terminate(self, name: str) -> None:
        """Ask it to stop; one that has ended, or that there is none of, is left alone."""
        self._signal(self._directory / name)

    def kill(self, name: str) -> None:
        """End it at once with all of its process group, and then what its commands have left behind."""
        known = _read(self._directory / name / "process")
        if known and _is_alive(known):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(int(known[0]), signal.SIGKILL)
        descendants.kill_orphans()

    def stop_all(self, seconds: float) -> None:
        """Ask all of them to stop, and wait for that at most so long."""
        for place in self._running():
            self._signal(place)
        deadline = time.monotonic() + seconds
        while self._running() and time.monotonic() < deadline:
            self._reap()
            time.sleep(_TICK)

    def _signal(self, place: Path) -> None:
        known = _read(place / "process")
        if known and not (place / "exit").exists() and _is_alive(known):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(known[0]), signal.SIGTERM)

    def _running(self) -> list[Path]:
        places = sorted(self._directory.iterdir()) if self._directory.is_dir() else []
        return [
            place
            for place in places
            if not (place / "exit").exists() and (known := _read(place / "process")) and _is_alive(known)
        ]

    def _reap(self) -> None:
        self._children = [child for child in self._children if child.poll() is None]

    def _prune(self) -> None:
        """Forget the oldest ended ones."""
        ended = [place for place in self._directory.iterdir() if (place / "exit").exists()]
        for place in sorted(ended, key=lambda place: place.stat().st_mtime)[:-KEPT]:
            shutil.rmtree(place, ignore_errors=True)


def _write(path: Path, environ: Mapping[str, str]) -> None:
    """The environment as a file that a shell reads, for our own user alone. A name that no shell has is left out."""
    named = [(name, value) for name, value in environ.items() if _NAME.fullmatch(name)]
    lines = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in named)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(os.fsencode(lines))


def _read(path: Path) -> list[str] | None:
    """The words of a small file, None when it is not there or not written yet."""
    try:
        return path.read_text(encoding="ascii").split() or None
    except (OSError, UnicodeDecodeError):
        return None


def _is_alive(known: Sequence[str]) -> bool:
    """Whether it is still this very process: an id may have been given to another one."""
    return len(known) == 2 and known[0].isdecimal() and living.start_time(int(known[0])) == known[1]
