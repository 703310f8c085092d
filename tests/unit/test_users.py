"""Commands that run as other users, with real processes: what they may, and that none of them stays."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import process, users
from app.process import Finished, Stop
from tests.other_users import needs_root, user_pool

pytestmark = needs_root
ENVIRON = {"PATH": os.environ["PATH"]}


@pytest.fixture
def user() -> Iterator[int]:
    with user_pool().lease() as leased:
        yield leased


@pytest.fixture
def place(data_root: Path, user: int) -> Path:
    """A directory of the user's."""
    own = data_root / "own"
    own.mkdir(mode=0o700)
    users.give(own, user)
    return own


def sh(script: str, place: Path, **options: object) -> Finished:
    defaults: dict[str, object] = {"cwd": place, "env": ENVIRON, "timeout": 60, "contained": True}
    return process.run(["sh", "-c", script], **(defaults | options))  # type: ignore[arg-type]


def living(user: int) -> list[str]:
    """Command lines of the user's processes, zombies apart."""
    found = subprocess.run(
        ["ps", "-o", "stat=,args=", "-U", str(user), "-u", str(user)], check=False, capture_output=True, text=True
    )
    return [line for line in found.stdout.splitlines() if not line.startswith("Z")]


def test_contained__is_the_owner_of_its_directory_and_nobody_else(place: Path, user: int) -> None:
    done = sh("id -u; id -g; id -G; grep -E '^(Cap|NoNewPrivs)' /proc/self/status", place)
    assert done.text.split()[:3] == [str(user)] * 3
    status = dict(line.split(":\t") for line in done.text.splitlines()[3:])
    assert status.pop("NoNewPrivs") == "1"
    assert {int(value, 16) for value in status.values()} == {0}
    assert len(status) == 5


def test_contained__in_roots_own_directory_nothing_is_switched(data_root: Path) -> None:
    assert sh("id -u", data_root).text == "0\n"


def test_uncontained__nothing_is_switched(place: Path) -> None:
    assert sh("id -u", place, contained=False).text == "0\n"


def test_contained__input_outputs_exit_code_and_environment(place: Path) -> None:
    data = bytes(range(256)) * 8000
    done = sh("cat; echo err >&2; exit 3", place, stdin=data, limit=10_000_000)
    assert (done.exit_code, done.stdout, done.stderr) == (3, data, b"err\n")
    lines = process.run(["env"], cwd=place, env={**ENVIRON, "A": "b"}, timeout=60, contained=True).text.splitlines()
    assert [line.partition("=")[0] for line in sorted(lines)] == ["A", "MASON_PROCESS", "PATH"]


def test_contained__can_open_its_standard_files_by_name(place: Path) -> None:
    done = sh("cat < /dev/stdin > /dev/stdout; echo err > /dev/stderr", place, stdin=b"in\n")
    assert (done.exit_code, done.stdout, done.stderr) == (0, b"in\n", b"err\n")


def test_contained__time_limit_and_stop(place: Path, user: int) -> None:
    assert sh("sleep 600", place, timeout=0.5).timed_out
    stop = Stop()
    assert sh("echo go; sleep 600", place, stop=stop, on_output=lambda _: stop.set("enough")).stopped
    assert living(user) == []


@pytest.mark.parametrize("merge", [True, False])
@pytest.mark.parametrize("command", ["no-such-program", "/etc/passwd", "/etc/passwd/x", "./hidden/program"])
def test_contained__missing_program(place: Path, command: str, merge: bool) -> None:
    program = place / "hidden" / "program"
    program.parent.mkdir(mode=0o700)  # root's
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    done = process.run([command], cwd=place, env=ENVIRON, timeout=60, merge=merge, contained=True)
    assert (done.exit_code, done.missing, bool(done.stderr)) == (None, True, True)


def test_contained__a_program_cannot_pass_for_a_missing_one(place: Path) -> None:
    done = sh("echo 'setpriv: failed to execute sh: No such file or directory' >&2; exit 127", place)
    assert (done.exit_code, done.missing) == (127, False)


def test_contained__cannot_read_what_is_roots(place: Path, data_root: Path) -> None:
    secret = data_root / "secret"
    secret.write_text("s3cret")
    secret.chmod(0o600)
    ours = os.getpid()
    for target in (secret, f"/proc/{ours}/environ", f"/proc/{ours}/mem", f"/proc/{ours}/maps", f"/proc/{ours}/fd/"):
        done = sh(f"cat {target}", place) if target != f"/proc/{ours}/fd/" else sh(f"ls {target}", place)
        assert (done.ok, done.stdout) == (False, b""), target


def test_contained__cannot_kill_mason_or_other_users(place: Path) -> None:
    with subprocess.Popen(["sleep", "600"]) as other:
        done = sh(f"kill -9 {os.getpid()}; kill -9 {other.pid}; kill -9 -1; echo still here", place)
        assert done.text == "still here\n"
        assert other.poll() is None
        other.kill()


def test_contained__setuid_programs_give_nothing(place: Path) -> None:
    copy = place / "id"
    copy.write_bytes(Path("/usr/bin/id").read_bytes())
    copy.chmod(0o4755)
    assert sh("./id -u", place).text.strip() != "0"


ESCAPES = {
    "without its mark": "env -i setsid sh -c 'sleep 600' & sleep 0.01",
    "twice forked": "(setsid sh -c 'trap \"\" TERM HUP; (env -i setsid sleep 600 &) ; sleep 600' &) &",
    "forks all the time": 'f() { sleep 0.01; (f &) ; }; env -i setsid sh -c "f() { (sleep 0.01; f) & }; f; f" &',
}


@pytest.mark.parametrize("script", ESCAPES.values(), ids=ESCAPES)
def test_contained__nothing_outlives_the_last_command(place: Path, user: int, script: str) -> None:
    assert sh(f"{script}\ntouch done", place).ok
    assert living(user) == []


def test_contained__a_process_that_hides_from_proc_is_killed(place: Path, user: int) -> None:
    code = (
        "import ctypes, os, time\n"
        "ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)\n"  # PR_SET_DUMPABLE: /proc/<pid> is root's now
        "if os.fork() == 0:\n    os.setsid(); open('up', 'w'); time.sleep(600)\n"
        "while not os.path.exists('up'): pass\n"
    )
    environ = {**ENVIRON, "PYTHONDONTWRITEBYTECODE": "1"}
    done = process.run(
        ["python3", "-c", code], cwd=place, env={**environ, "PATH": "/usr/bin:/bin"}, timeout=60, contained=True
    )
    assert done.ok, done.stderr
    assert living(user) == []


def test_contained__side_by_side_commands_of_one_user_do_not_end_each_other(place: Path) -> None:
    results: list[Finished] = []
    waiting = "touch up; while [ ! -e go ]; do sleep 0.01; done"
    waiter = threading.Thread(target=lambda: results.append(sh(waiting, place)))
    waiter.start()
    other = sh("while [ ! -e up ]; do sleep 0.01; done; sleep 600 & exit 0", place)
    (place / "go").touch()
    waiter.join()
    assert (other.ok, results[0].ok) == (True, True)


def test_kill_user__ends_a_fork_bomb_that_fights_back(place: Path, user: int) -> None:
    """Each of its processes forks, and kills every process of its user that it can see."""
    code = (
        "import os, signal\n"
        "for _ in range(4):\n    os.fork()\n"
        "while True:\n"
        "    if os.fork() == 0:\n        os.setsid()\n"
        "    for name in os.listdir('/proc'):\n"
        "        try:\n            comm = open(f'/proc/{name}/comm').read().strip()\n"
        "            if comm in ('sh', 'setpriv'): os.kill(int(name), signal.SIGKILL)\n"
        "        except (OSError, ValueError): pass\n"
    )
    words = [*users.as_user(user), "prlimit", "--nproc=60", "/usr/bin/python3", "-c", code]
    with subprocess.Popen(words, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as bomb:
        try:
            while len(living(user)) < 30 and bomb.poll() is None:
                pass
            assert process.kill_user(user)
        finally:
            process.kill_user(user)
        bomb.wait()
    assert living(user) == []


def test_with_access__files_are_the_users_and_nothing_is_out_of_reach(place: Path, data_root: Path, user: int) -> None:
    secret = data_root / "secret"
    secret.write_text("s3cret")
    secret.chmod(0o600)
    words = [*users.with_access(user), "sh", "-c", f"cat {secret} > copy; id -u"]
    assert process.run(words, cwd=place, env=ENVIRON, timeout=60).text == f"{user}\n"
    assert (place / "copy").read_text() == "s3cret"
    assert (place / "copy").stat().st_uid == user


def test_with_access__other_processes_of_the_user_cannot_look_into_it(place: Path, user: int) -> None:
    words = [*users.with_access(user), "sleep", "600"]
    with subprocess.Popen(words, env={**ENVIRON, "SECRET": "s3cret"}) as privileged:
        while b"sleep" not in Path(f"/proc/{privileged.pid}/cmdline").read_bytes()[:6]:
            pass
        done = process.run(
            ["cat", f"/proc/{privileged.pid}/environ"], cwd=place, env=ENVIRON, timeout=60, contained=True
        )
        privileged.kill()
    assert (done.ok, done.stdout) == (False, b"")


def test_reaches__every_directory_on_the_way_counts(data_root: Path, user: int) -> None:
    program = data_root / "a" / "b" / "program"
    program.parent.mkdir(parents=True)
    program.touch(mode=0o755)
    link = data_root / "link"
    link.symlink_to(program)
    assert users.reaches(program, user) and users.reaches(link, user)
    program.parent.chmod(0o711)
    assert users.reaches(program, user) and not users.reaches(program.parent, user)
    (data_root / "a").chmod(0o700)
    assert not users.reaches(program, user) and not users.reaches(link, user)
    users.give(data_root / "a", user)
    assert users.reaches(program, user)
    assert not users.reaches(data_root / "none", user)


def test_hidden__names_what_only_mason_finds(data_root: Path, user: int) -> None:
    for name in ("ours", "everybodys"):
        (data_root / name).mkdir()
        (data_root / name / "tool").touch(mode=0o755)
    (data_root / "ours").chmod(0o700)
    ours, both = str(data_root / "ours"), f"{data_root / 'ours'}:{data_root / 'everybodys'}"
    assert users.hidden("tool", ours, data_root, user) == data_root / "ours/tool"
    assert users.hidden("tool", both, data_root, user) is None
    assert users.hidden("other", both, data_root, user) is None
    assert users.hidden("tool", ours, data_root, None) is None


def test_give__a_link_itself_never_its_target(data_root: Path, user: int) -> None:
    (data_root / "target").touch()
    (data_root / "made" / "below").mkdir(parents=True)
    (data_root / "made" / "below" / "link").symlink_to(data_root / "target")
    (data_root / "made" / "directory").symlink_to(data_root)
    users.give_all(data_root / "made", user)
    assert (data_root / "target").stat().st_uid == data_root.stat().st_uid == 0
    names = ("made", "made/below", "made/below/link", "made/directory")
    assert {(data_root / name).lstat().st_uid for name in names} == {user}
