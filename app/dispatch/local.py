"""The local dispatcher: the runner is a process on this machine, which outlives the worker that started it.

Each dispatch has a directory: ``process`` (id and start time of the process, written by itself), ``exit`` (its exit
code), ``log``. So any worker, also a later one, finds out how it is doing.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from app import living, process
from app.domain.dispatches import Dispatch, Work, WorkflowRun
from app.errors import Busy, UsageError

MOST = 2
"""Runs side by side on one machine."""

KEPT = 50
"""Directories of ended runs that are kept, for their logs."""

_TICK = 0.05

_SCRIPT = """
trap : TERM INT
echo $$ $(cut -d' ' -f22 /proc/$$/stat) > "$0/process.new" && mv "$0/process.new" "$0/process" || exit 75
"$@" &
child=$!
trap 'kill -TERM $child' TERM INT
wait $child
code=$?
while kill -0 $child 2>/dev/null; do wait $child; code=$?; done
echo $code > "$0/exit.new" && mv "$0/exit.new" "$0/exit"
"""
"""Says who it is before it begins, hands signals on, and leaves the exit code behind."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Runner:
    """How to start a runner: ``mason`` is the command line of Mason itself, ``repository`` what it works on."""

    mason: Sequence[str]
    repository: Path
    environ: Mapping[str, str]


class LocalProcesses:
    """Implements `app.ports.dispatcher.Dispatcher`. ``directory`` is where the runs' directories lie."""

    look_again = 1.0

    def __init__(self, directory: Path, runner: Runner, *, most: int = MOST) -> None:
        self._directory = directory
        self._runner = runner
        self._most = most
        self._children: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()

    def dispatch(self, dispatch: Dispatch) -> WorkflowRun | None:
        """Start its process. Raises Busy while as many as may run are running."""
        with self._lock:
            self._reap()
            if len(self._running()) >= self._most:
                raise Busy(f"{self._most} runs are going on here; the next one waits")
            place = self._place(dispatch)
            shutil.rmtree(place, ignore_errors=True)  # of an earlier try
            place.mkdir(parents=True)
            command = ["/bin/sh", "-c", _SCRIPT, str(place), *self._runner.mason, *words(dispatch, self._runner)]
            try:
                child = process.detach(
                    command, cwd=self._runner.repository, env=self._runner.environ, log=place / "log"
                )
            except OSError as problem:
                raise UsageError(f"A runner could not be started here: {problem.strerror or problem}") from problem
            self._children.append(child)
            self._prune()
        return self._wait_for(lambda: self.find(dispatch), child)

    def find(self, dispatch: Dispatch) -> WorkflowRun | None:
        place = self._place(dispatch)
        if (known := _read(place / "process")) is None:
            return None
        name = f"process {known[0]}"
        if (ended := _read(place / "exit")) is not None:
            return WorkflowRun(id=name, status="completed", conclusion=conclusion(dispatch, ended[0]))
        if _is_alive(known):
            return WorkflowRun(id=name, status="in_progress")
        return WorkflowRun(id=name, status="completed", conclusion="failure")

    def cancel(self, dispatch: Dispatch) -> None:
        self._terminate(self._place(dispatch))

    def stop_all(self, seconds: float) -> None:
        """Have every runner give its items back, and wait for that at most so long."""
        for place in self._running():
            self._terminate(place)
        deadline = time.monotonic() + seconds
        while self._running() and time.monotonic() < deadline:
            self._reap()
            time.sleep(_TICK)

    def _terminate(self, place: Path) -> None:
        known = _read(place / "process")
        if known and not (place / "exit").exists() and _is_alive(known):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(known[0]), signal.SIGTERM)

    def _wait_for(self, found: Callable[[], WorkflowRun | None], child: subprocess.Popen[bytes]) -> WorkflowRun | None:
        """The process says who it is in a moment."""
        deadline = time.monotonic() + 5.0
        while (run := found()) is None and child.poll() is None and time.monotonic() < deadline:
            time.sleep(_TICK)
        return run

    def _place(self, dispatch: Dispatch) -> Path:
        return self._directory / str(dispatch.id)

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
        """Forget the oldest ended runs."""
        ended = [place for place in self._directory.iterdir() if (place / "exit").exists()]
        for place in sorted(ended, key=lambda place: place.stat().st_mtime)[:-KEPT]:
            shutil.rmtree(place, ignore_errors=True)


def conclusion(dispatch: Dispatch, code: str) -> str:
    """What an exit code means, in GitHub's words: 4 was asked to stop and gave its items back; with 1 an item of a run
    failed, and its row says so.
    """
    well = {"0": "success", "4": "stopped"} | ({"1": "success"} if dispatch.work is Work.RUN else {})
    return well.get(code, "failure")


def words(dispatch: Dispatch, runner: Runner) -> list[str]:
    """The arguments of `mason` for this work."""
    options = ["--repository", str(runner.repository)]
    options += ["--smoke-test"] if dispatch.smoke_test else []
    options += ["--e2e"] if dispatch.e2e else []
    match dispatch.work:
        case Work.RUN:
            items = [word for item in dispatch.items for word in ("--item", str(item))]
            return ["run", "--auto", "--run-id", str(dispatch.id), *items, *options]
        case Work.FIX:
            return ["fix", *options, "--", str(dispatch.number), dispatch.instructions]
        case Work.VALIDATE:
            return ["validate", *options, "--", str(dispatch.number)]


def _read(path: Path) -> list[str] | None:
    """The words of a small file, None when it is not there or not written yet."""
    try:
        return path.read_text(encoding="ascii").split() or None
    except (OSError, UnicodeDecodeError):
        return None


def _is_alive(known: Sequence[str]) -> bool:
    """Whether it is still this very process: an id may have been given to another one."""
    return len(known) == 2 and known[0].isdecimal() and living.start_time(int(known[0])) == known[1]
