"""What commands leave behind, in real processes of their own: the tests' own children have to live on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from app import descendants, process
from tests.unit.test_process import alive

HOSTILE = """
import sys
from pathlib import Path
from app import descendants, living, process
with descendants.adopted_orphans():
    script = "env -i setsid sh -c 'echo $$; touch up; exec sleep 600' & while [ ! -e up ]; do :; done"
    done = process.run(["sh", "-c", script],
                       cwd=Path(sys.argv[2]), env={"PATH": sys.argv[1]}, timeout=60, contained=True)
    descendants.kill_descendants()
    print(done.text)
"""


def test_kill_descendants__finds_even_orphans_without_the_mark(tmp_path: Path) -> None:
    words = [sys.executable, "-c", HOSTILE, os.environ["PATH"], str(tmp_path)]
    done = subprocess.run(words, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=60, check=True)
    assert not alive(int(done.stdout))


STRAYS = """
import sys, threading
from pathlib import Path
from app import descendants, living, process
with descendants.adopted_orphans():
    env = {"PATH": sys.argv[1]}
    tools = [threading.Thread(target=process.run, args=(["sleep", "600"],),
                              kwargs=dict(cwd=Path(sys.argv[2]), env=env, timeout=2)) for _ in range(3)]
    for tool in tools:
        tool.start()
    script = "env -i setsid sh -c 'echo $$; touch up; exec sleep 600' & while [ ! -e up ]; do :; done"
    done = process.run(["sh", "-c", script], cwd=Path(sys.argv[2]), env=env, timeout=60, contained=True)
    print(living.start_time(int(done.text)), len(descendants.children()))
    for tool in tools:
        tool.join()
"""


def test_run__a_stray_without_the_mark_ends_with_its_command_and_nothing_else_does(tmp_path: Path) -> None:
    words = [sys.executable, "-c", STRAYS, os.environ["PATH"], str(tmp_path)]
    done = subprocess.run(words, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "None 3\n"


def test_adopted_orphans__children_of_others_are_left_alone_afterwards(tmp_path: Path) -> None:
    with descendants.adopted_orphans():
        pass
    with subprocess.Popen(["sleep", "600"]) as other:
        env = {"PATH": os.environ["PATH"]}
        assert process.run(["true"], cwd=tmp_path, env=env, timeout=60, contained=True).ok
        assert other.poll() is None
        other.kill()


SPARING = """
import subprocess
from app import descendants, living
server = subprocess.Popen(["sh", "-c", "sleep 600 & wait"])
before = descendants.children()
command = subprocess.Popen(["sleep", "600"])
descendants.kill_descendants(before)
print(before == {server.pid}, server.poll(), living.start_time(command.pid))
descendants.kill_descendants()
server.wait()
"""


def test_kill_descendants__spares_children_that_were_there_before() -> None:
    words = [sys.executable, "-c", SPARING]
    done = subprocess.run(words, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "True None None\n"


def test_kill_orphans__ends_what_a_killed_runner_left_and_nothing_else() -> None:
    script = (
        "import sys; from pathlib import Path; from app import process\n"
        "command = ['sh', '-c', 'setsid sleep 600 & echo $$ $!; wait']\n"
        "tell = lambda data: (sys.stdout.buffer.write(data), sys.stdout.flush())\n"
        "process.run(command, cwd=Path('/'), env={'PATH': '/usr/bin:/bin'}, timeout=60, contained=True, on_output=tell)"
    )
    command = [sys.executable, "-c", script]
    runners = [subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE) for _ in range(2)]
    left, living = ([int(pid) for pid in runner.stdout.readline().split()] for runner in runners if runner.stdout)
    try:
        runners[0].kill()
        runners[0].wait()
        assert all(alive(pid) for pid in (*left, *living))
        descendants.kill_orphans()
        assert not any(alive(pid) for pid in left)
        assert all(alive(pid) for pid in living)
    finally:
        runners[1].kill()
        for runner in runners:
            runner.wait()
            if runner.stdout:
                runner.stdout.close()
        descendants.kill_orphans()
    assert not any(alive(pid) for pid in living)


def test_reap_adopted__leaves_children_to_who_waits_for_them() -> None:
    script = """
import os, subprocess
from app import descendants, process
orphan, mine = (subprocess.Popen(["/bin/sh", "-c", f"exit {code}"]) for code in (1, 3))
for child in (orphan, mine):
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
descendants.reap_adopted([mine.pid])
assert mine.wait() == 3
descendants.reap_adopted([])
assert not descendants.children()
descendants.reap_adopted([])
"""
    subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[2], check=True, timeout=60)
