"""Processes that outlive who started them: what they inherit, how they end, and what is seen of that."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from app.dispatch.executions import LocalExecutions
from app.dispatch.local import Runner
from app.dispatch.processes import Processes
from app.errors import Busy, UsageError

LIMIT = 30.0
ENVIRON = {
    "PATH": os.environ["PATH"],
    "MASON_DSN": "postgres://u:a secret's word@host/db?x=$HOME`id`\nsecond line\\",
    "EMPTY": "",
    "ODD\udcff": "x",
    "BASH_FUNC_f%%": "() { :; }",
    "BYTES": "\udcff\udcfe",
}


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT
    while not holds():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.02)  # between two looks


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    made = Processes(tmp_path / "processes", most=2)
    yield made
    made.stop_all(LIMIT)
    for child in made._children:
        child.wait(LIMIT)


def start(processes: Processes, name: str, script: str, where: Path) -> None:
    assert processes.start(name, ["sh", "-c", script], cwd=where, environ=ENVIRON)


def test_start__the_environment_is_the_childs_alone(processes: Processes, tmp_path: Path) -> None:
    start(
        processes,
        "one",
        'cat /proc/$$/environ > seen.new; mv seen.new seen; trap "exit 4" TERM; sleep 600 & wait',
        tmp_path,
    )
    until((tmp_path / "seen").exists)
    seen = (tmp_path / "seen").read_bytes().split(b"\0")
    for name in ("PATH", "MASON_DSN", "EMPTY", "BYTES"):
        assert os.fsencode(f"{name}={ENVIRON[name]}") in seen
    found = processes.see("one")
    assert found and found.alive
    assert b"secret" not in Path(f"/proc/{found.pid}/environ").read_bytes(), "everybody of its user reads this"
    assert not (tmp_path / "processes/one/environ").exists()
    processes.terminate("one")
    until(lambda: (seen := processes.see("one")) is not None and seen.exit_code == "4")


def test_start__the_environment_is_nobody_elses_to_read(processes: Processes, tmp_path: Path) -> None:
    nowhere = {"PATH": str(tmp_path)}  # no program is found, so it ends before it begins, and the file stays
    assert processes.start("one", ["true"], cwd=tmp_path, environ=nowhere) is None
    file = tmp_path / "processes/one/environ"
    assert file.stat().st_mode & 0o777 == 0o600


def test_see__what_was_killed_has_no_exit_code(processes: Processes, tmp_path: Path) -> None:
    start(processes, "one", "exec sleep 600", tmp_path)
    processes.kill("one")
    until(lambda: (seen := processes.see("one")) is not None and not seen.alive)
    assert (seen := processes.see("one")) and seen.exit_code == ""
    processes.kill("one")
    processes.terminate("one")


def test_kill__ends_the_whole_group(processes: Processes, tmp_path: Path) -> None:
    start(processes, "one", "trap '' TERM; sleep 600 & echo $! > child.new; mv child.new child; wait", tmp_path)
    until((tmp_path / "child").exists)
    child = int((tmp_path / "child").read_text())
    processes.kill("one")

    def is_gone() -> bool:
        try:
            return Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
        except OSError:
            return True

    until(is_gone)


def test_start__no_more_than_may_be(processes: Processes, tmp_path: Path) -> None:
    for name in ("one", "two"):
        start(processes, name, "exec sleep 600", tmp_path)
    with pytest.raises(Busy):
        processes.start("three", ["true"], cwd=tmp_path, environ=ENVIRON)
    assert processes.see("three") is None
    processes.terminate("one")
    until(lambda: (seen := processes.see("one")) is not None and not seen.alive)
    start(processes, "three", "true", tmp_path)


def test_start__what_cannot_be_started(processes: Processes, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="could not be started"):
        processes.start("one", ["true"], cwd=tmp_path / "nowhere", environ=ENVIRON)
    processes.start("two", ["/no/such/program"], cwd=tmp_path, environ=ENVIRON)
    until(lambda: (seen := processes.see("two")) is not None and seen.exit_code == "127")
    assert "/no/such/program" in processes.last_words("two")


def test_executions__say_how_they_ended_and_their_last_words(tmp_path: Path) -> None:
    script = tmp_path / "mason"
    script.write_text('#!/bin/sh\necho "$@" > "$WHERE"\necho first\necho "mason: no such thing" >&2\nexit 3\n')
    script.chmod(0o700)
    environ = {"PATH": os.environ["PATH"], "WHERE": str(tmp_path / "words")}
    runner = Runner(mason=[str(script)], repository=tmp_path, environ=environ)
    executions, execution = LocalExecutions(tmp_path / "executions", runner), uuid4()
    assert executions.state(execution) is None
    executions.begin(execution)
    until(lambda: (state := executions.state(execution)) is not None and not state.alive)
    state = executions.state(execution)
    assert state and (state.alive, state.exit_code, state.said) == (False, 3, "mason: no such thing")
    assert (tmp_path / "words").read_text() == f"execute --repository {tmp_path} {execution}\n"
    executions.stop(execution, at_once=False)
    executions.stop(execution, at_once=True)
    for child in executions._children:
        child.wait(LIMIT)


def test_signals__reach_the_child(processes: Processes, tmp_path: Path) -> None:
    start(processes, "one", 'trap "exit 7" TERM; touch ready; sleep 600 & wait', tmp_path)
    until((tmp_path / "ready").exists)
    found = processes.see("one")
    assert found
    os.kill(int(found.pid), signal.SIGTERM)
    until(lambda: (seen := processes.see("one")) is not None and seen.exit_code == "7")
