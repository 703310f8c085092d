"""The subprocess door, with real processes."""

from __future__ import annotations

import os
import re
import signal
import threading
from pathlib import Path

import pytest

from app import living, process
from app.process import Finished, Stop, base_environment

ENVIRON = {"PATH": os.environ["PATH"]}


def run(*command: str, **options: object) -> Finished:
    defaults: dict[str, object] = {"cwd": Path("/"), "env": ENVIRON, "timeout": 60}
    return process.run(command, **(defaults | options))  # type: ignore[arg-type]


def sh(script: str, **options: object) -> Finished:
    return run("sh", "-c", script, **options)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_run__exit_code_and_both_outputs() -> None:
    done = sh("echo out; echo err >&2; exit 3")
    assert (done.exit_code, done.stdout, done.stderr, done.ok) == (3, b"out\n", b"err\n", False)
    assert done.seconds > 0


def test_run__merged_output() -> None:
    done = sh("echo out; echo err >&2", merge=True)
    assert (done.text, done.stderr, done.ok) == ("out\nerr\n", b"", True)


def test_run__standard_input_is_fed_whatever_its_size() -> None:
    data = bytes(range(256)) * 8000
    assert run("cat", stdin=data, limit=10_000_000).stdout == data
    assert sh("exit 0", stdin=data).ok  # nobody reads it
    assert sh("exec <&-; echo done", stdin=data).text == "done\n"


def test_run__without_input_standard_input_is_empty() -> None:
    assert run("cat").stdout == b""


def test_run__environment_is_exactly_what_was_given() -> None:
    lines = run("env", env={"PATH": ENVIRON["PATH"], "A": "b"}).text.splitlines()
    assert sorted(lines) == sorted([f"PATH={ENVIRON['PATH']}", "A=b"])


def test_base_environment__allow_list_and_extras() -> None:
    environ = {"PATH": "/bin", "HOME": "/h", "DATABASE_URL": "secret", "GITHUB_TOKEN": "secret"}
    assert base_environment(environ, {"CI": "1"}) == {"PATH": "/bin", "HOME": "/h", "CI": "1"}


def test_run__time_limit() -> None:
    done = sh("echo begun; sleep 600", timeout=1)
    assert (done.exit_code, done.timed_out, done.stdout) == (None, True, b"begun\n")


def test_run__time_limit_of_a_child_without_pipes() -> None:
    assert sh("exec >&- 2>&-; sleep 600", timeout=0.2).timed_out


def test_run__idle_limit() -> None:
    done = sh("echo begun; exec sleep 600", idle=2)
    assert (done.exit_code, done.idle, done.timed_out, done.stopped, done.stdout) == (
        None,
        True,
        False,
        False,
        b"begun\n",
    )


def test_run__idle_limit_of_a_child_without_pipes() -> None:
    assert sh("exec >&- 2>&-; sleep 600", idle=0.2).idle


def test_run__output_on_either_pipe_is_a_sign_of_life() -> None:
    """What it hears last is what sets it going again: each line comes right after the one before was read."""
    heard: list[bytes] = []
    reading, writing = os.pipe()

    def listen(chunk: bytes) -> None:
        heard.append(chunk)
        os.write(writing, b"go\n")

    try:
        fifo = f"/proc/{os.getpid()}/fd/{reading}"
        script = f"echo 1; exec 3<{fifo}; read x <&3; echo 2 >&2; read x <&3; echo 3; read x <&3; exec sleep 600"
        done = sh(script, idle=3, on_output=listen)
    finally:
        os.close(reading)
        os.close(writing)
    assert done.idle
    assert (b"".join(heard), done.stdout, done.stderr) == (b"1\n2\n3\n", b"1\n3\n", b"2\n")


def test_run__end_is_noticed_without_pipes() -> None:
    assert sh("exec >&- 2>&-; exit 4").exit_code == 4


def test_run__stop() -> None:
    stop = Stop()
    done = sh("echo go; sleep 600", stop=stop, on_output=lambda _: stop.set("enough"))
    assert (done.exit_code, done.stopped, done.timed_out) == (None, True, False)


def test_run__stopped_before_it_began() -> None:
    stop = Stop()
    stop.set("over")
    assert sh("sleep 600", stop=stop).stopped


@pytest.mark.parametrize("command", ["no-such-program", "/etc/passwd", "/etc/passwd/x"])
def test_run__missing_program(command: str) -> None:
    done = run(command)
    assert (done.exit_code, done.missing, done.ok) == (None, True, False)
    assert done.stderr


@pytest.mark.parametrize("argument", ["\0", "x" * 10_000_000])
def test_run__impossible_arguments(argument: str) -> None:
    done = run("echo", argument)
    assert (done.exit_code, done.missing, done.ok) == (None, False, False)


def test_run__output_is_bounded_to_head_and_tail() -> None:
    done = sh("echo first; yes | head -c 100000; echo last", limit=1000)
    assert done.stdout.startswith(b"first\ny\n")
    assert done.stdout.endswith(b"y\nlast\n")
    assert b"99011 bytes left out" in done.stdout
    assert len(done.stdout) < 1100


@pytest.mark.parametrize("size", [0, 1, 10, 11, 12, 500, 1000])
def test_run__output_within_the_limit_is_whole(size: int) -> None:
    assert sh(f"yes | head -c {size}", limit=1000).stdout == (b"y\n" * size)[:size]


def test_run__output_arrives_while_it_runs() -> None:
    """The child waits for a file that is made only when its first output has come."""
    seen = bytearray()

    def answer(chunk: bytes) -> None:
        seen.extend(chunk)
        os.kill(int(seen.split()[0]), signal.SIGUSR1)

    done = sh("trap 'exit 7' USR1; echo $$; while :; do sleep 0.01; done", on_output=answer)
    assert (done.exit_code, seen.split()) == (7, done.stdout.split())


def test_run__all_output_before_the_end_is_kept() -> None:
    for _ in range(20):
        assert len(sh("yes | head -c 60000; exit 1").stdout) == 60000


def test_run__pipes_held_by_children_are_not_waited_for() -> None:
    done = sh("sleep 600 & echo $!", contained=True)
    assert done.ok
    assert not alive(int(done.stdout))


def test_run__a_flooding_child_does_not_hold_back_the_end() -> None:
    done = sh("yes & exit 3", timeout=60, limit=1000)
    assert (done.exit_code, done.timed_out) == (3, False)


MEET = "while [ ! -e up ]; do sleep 0.01; done"
ESCAPES = [
    "setsid sh -c 'echo $$; touch up; exec sleep 600' &",
    "(setsid sh -c 'trap \"\" TERM HUP; echo $$; touch up; sleep 600; sleep 600' &) &",
]


@pytest.mark.parametrize("escape", ESCAPES)
def test_run__contained_kills_what_left_the_group(escape: str, tmp_path: Path) -> None:
    done = sh(f"{escape} {MEET}", contained=True, cwd=tmp_path)
    assert done.ok
    assert not alive(int(done.stdout))


def test_run__side_by_side_commands_do_not_kill_each_other(tmp_path: Path) -> None:
    results: list[Finished] = []
    waiting = "touch up; while [ ! -e go ]; do sleep 0.01; done"
    waiter = threading.Thread(target=lambda: results.append(sh(waiting, cwd=tmp_path, contained=True)))
    waiter.start()
    other = sh(f"{MEET}; sleep 600 & exit 0", cwd=tmp_path, contained=True)
    (tmp_path / "go").touch()
    waiter.join()
    assert (other.ok, results[0].ok) == (True, True)


def test_run__leaves_no_open_file() -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        sh("sleep 600 & exit 0", stdin=b"x" * 100_000)
        run("no-such-program", stdin=b"x")
    assert len(os.listdir("/proc/self/fd")) == before


def test_finished__text_replaces_invalid_utf_8() -> None:
    assert Finished(exit_code=0, stdout=b"a\xffb").text == "a\ufffdb"


def test_stop__the_first_reason_stays() -> None:
    stop = Stop()
    assert (stop.is_set(), stop.reason) == (False, "")
    stop.set("first")
    stop.set("second")
    assert (stop.is_set(), stop.reason, stop.wait(0)) == (True, "first", True)


def test_stop__parents_stop_their_children_but_not_the_reverse() -> None:
    parent = Stop()
    child, sibling = Stop(parent), Stop(parent)
    child.set("mine")
    assert (parent.is_set(), sibling.is_set(), sibling.wait(0.01)) == (False, False, False)
    parent.set("all")
    assert (sibling.wait(60), sibling.reason, child.reason) == (True, "all", "mine")


def test_stop__wakes_who_waits() -> None:
    stop = Stop()
    threading.Timer(0.01, stop.set, ["now"]).start()
    assert stop.wait(60)


def test_pid_namespace__can_be_part_of_a_path_that_is_on_the_path() -> None:
    assert re.fullmatch(r"\d+|none", living.pid_namespace())
