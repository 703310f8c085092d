"""The one subprocess door: list arguments, a time limit, whole process trees killed, environment from an allow list."""

from __future__ import annotations

import contextlib
import ctypes
import os
import selectors
import signal
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from app import descendants, living, users

OUTPUT_LIMIT = 1_000_000
"""Bytes of output that are kept: the first half and the last half of a longer one."""

_TICK = 0.05
_PIPE_READS = 16
"""Reads of 64 KiB after a command's end: together the most that a pipe holds (1 MiB)."""

_commands: dict[int, int] = defaultdict(int)
"""Contained commands that run as each user at the moment."""

_starting_as: dict[int, threading.Lock] = {}
"""Held while a user's commands are counted, and while the user is cleared away after the last one."""

_ALLOWED = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "TERM", "USER", "LOGNAME", "SHELL")


class Stop:
    """A request to stop, shared by everything that works for one item or one run. Parents stop their children."""

    def __init__(self, parent: Stop | None = None) -> None:
        self._event = threading.Event()
        self._parent = parent
        self._reason = ""
        self.heeded = False
        """Whether somebody is at work who looks at this stop. Until then there is nothing to give back."""

    def set(self, reason: str) -> None:
        """Ask for the stop; the first reason stays."""
        if not self._event.is_set():
            self._reason = reason
            self._event.set()

    @property
    def reason(self) -> str:
        """Why, or an empty string while nobody asked."""
        return self._reason or (self._parent.reason if self._parent else "")

    def is_set(self) -> bool:
        return self._event.is_set() or (self._parent is not None and self._parent.is_set())

    def wait(self, seconds: float) -> bool:
        """Wait at most ``seconds`` for the stop; whether it came."""
        deadline = time.monotonic() + seconds
        while not self.is_set():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._event.wait(min(left, _TICK) if self._parent else left)
        return True


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """How a command ended. ``exit_code`` is None when it was killed or could not be started (``missing``).

    ``idle``: it was killed because it said nothing for too long.
    """

    exit_code: int | None
    stdout: bytes = b""
    stderr: bytes = b""
    seconds: float = 0.0
    timed_out: bool = False
    idle: bool = False
    stopped: bool = False
    missing: bool = False

    @property
    def ok(self) -> bool:
        return self.exit_code == 0

    @property
    def text(self) -> str:
        """Standard output as text; invalid UTF-8 becomes U+FFFD."""
        return self.stdout.decode("utf-8", "replace")


class _Bounded:
    """Keeps the head and the tail of a stream within a limit of bytes."""

    def __init__(self, limit: int) -> None:
        self._half = max(limit // 2, 1)
        self._head = bytearray()
        self._tail = bytearray()
        self._dropped = 0

    def add(self, chunk: bytes) -> None:
        room = self._half - len(self._head)
        self._head += chunk[:room]
        self._tail += chunk[max(room, 0) :]
        if len(self._tail) > 2 * self._half:
            self._cut()

    def _cut(self) -> None:
        extra = len(self._tail) - self._half
        if extra > 0:
            self._dropped += extra
            del self._tail[:extra]

    def value(self) -> bytes:
        self._cut()
        if not self._dropped:
            return bytes(self._head + self._tail)
        return bytes(self._head) + f"\n… {self._dropped} bytes left out …\n".encode() + bytes(self._tail)


class _Ends:
    """What ends a command that does not end by itself. ``deadline`` in seconds of the monotonic clock."""

    def __init__(self, deadline: float, idle: float | None, stop: Stop | None) -> None:
        self._deadline = deadline
        self._idle = idle
        self._stop = stop
        self._heard = time.monotonic()

    def heard(self) -> None:
        """It gave a sign of life."""
        self._heard = time.monotonic()

    def reached(self) -> Literal["", "stopped", "timed out", "idle"]:
        now = time.monotonic()
        if self._stop is not None and self._stop.is_set():
            return "stopped"
        if now >= self._deadline:
            return "timed out"
        return "idle" if self._idle is not None and now - self._heard >= self._idle else ""


def base_environment(environ: Mapping[str, str], extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The allow-listed part of ``environ``, plus ``extra``: no secret of Mason's reaches a command by accident."""
    return {name: environ[name] for name in _ALLOWED if name in environ} | dict(extra or {})


def run(
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    timeout: float,
    idle: float | None = None,
    stop: Stop | None = None,
    stdin: bytes = b"",
    merge: bool = False,
    contained: bool = False,
    limit: int = OUTPUT_LIMIT,
    on_output: Callable[[bytes], None] | None = None,
) -> Finished:
    """Run a command to its end, its time limit (seconds) or the stop, then kill what is left of it.

    ``idle`` is how many seconds it may go without any output (None: as long as it likes).
    ``merge`` puts standard error into ``stdout``. ``contained`` is for every command of an agent or a repository: it
    runs as the owner of ``cwd`` when we are root (see `app.users`), processes that left its process group are found
    and killed too, and with a user's last command ends everything of that user. Never raises for what the command does.
    """
    user = users.owner(cwd) if contained else None
    if user and not users.finds(command[0], env.get("PATH", os.defpath), cwd, user):
        return Finished(exit_code=None, missing=True, stderr=f"{command[0]}: nothing that user {user} can run".encode())
    mark = descendants.new_mark() if contained else None
    started = time.monotonic()
    with _working_as(user):
        try:
            child = _start(
                [*users.as_user(user), *command] if user else list(command),
                cwd,
                {**env, descendants.MARK: mark} if mark else dict(env),
                fed=bool(stdin),
                merge=merge,
                user=user,
            )
        except (FileNotFoundError, NotADirectoryError, PermissionError) as problem:
            return Finished(exit_code=None, missing=True, stderr=str(problem).encode())
        except (OSError, ValueError) as problem:  # an argument list that is too long, a NUL in an argument
            return Finished(exit_code=None, stderr=str(problem).encode())
        try:
            out, err, end = _converse(child, stdin, _Ends(started + timeout, idle, stop), limit, on_output)
        finally:
            _kill_tree(child, mark)
    return Finished(
        exit_code=None if end else child.returncode,
        stdout=out,
        stderr=err,
        seconds=time.monotonic() - started,
        timed_out=end == "timed out",
        idle=end == "idle",
        stopped=end == "stopped",
    )


@contextmanager
def _working_as(user: int | None) -> Iterator[None]:
    """Around one contained command. With the last one of a user's, everything of that user ends."""
    if user is None:
        yield
        return
    lock = _starting_as.setdefault(user, threading.Lock())
    with lock:
        _commands[user] += 1
    try:
        yield
    finally:
        with lock:
            _commands[user] -= 1
            if not _commands[user]:
                kill_user(user)


def _start(
    command: list[str], cwd: Path, env: dict[str, str], *, fed: bool, merge: bool, user: int | None
) -> subprocess.Popen[bytes]:
    """Start a child with pipes: they are its user's, or it could not open ``/dev/stderr``."""
    with ExitStack() as theirs, ExitStack() as ours:

        def pipe(reading: str) -> tuple[IO[bytes], int]:
            ends = os.pipe()
            kept, given = ends if reading == "rb" else reversed(ends)
            theirs.callback(os.close, given)
            if user:
                os.fchown(given, user, user)
            return ours.enter_context(os.fdopen(kept, reading, buffering=0)), given

        stdin, their_stdin = pipe("wb") if fed else (None, subprocess.DEVNULL)
        stdout, their_stdout = pipe("rb")
        stderr, their_stderr = (None, subprocess.STDOUT) if merge else pipe("rb")
        child = descendants.start(
            lambda: subprocess.Popen(
                command,
                cwd=cwd,
                env=env,
                stdin=their_stdin,
                stdout=their_stdout,
                stderr=their_stderr,
                start_new_session=True,
            )
        )
        child.stdin, child.stdout, child.stderr = stdin, stdout, stderr
        ours.pop_all()
    return child


def spawn(
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    log: Path | None,
    user: int | None = None,
    group: int | None = None,
) -> subprocess.Popen[bytes]:
    """Start a long-running child in a session of its own; both its outputs go to ``log``, which starts empty, or (None)
    where ours go.

    ``user`` and ``group`` (numeric) are what it runs as. On Linux it gets SIGINT when the thread that started it ends,
    a killed parent included. The caller stops and reaps it. Raises OSError when it cannot be started.
    """
    prctl = _prctl()

    def end_with_parent() -> None:
        if prctl:
            prctl(1, int(signal.SIGINT), 0, 0, 0)  # PR_SET_PDEATHSIG

    with log.open("wb") if log else nullcontext() as output:
        return descendants.start(
            lambda: subprocess.Popen(
                list(command),
                cwd=cwd,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if log else None,
                start_new_session=True,
                user=user,
                group=group,
                extra_groups=None if user is None else [],
                preexec_fn=end_with_parent,  # noqa: PLW1509 - one system call, prepared before the fork
            )
        )


def detach(command: Sequence[str], *, cwd: Path, env: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own that outlives this process; both its outputs are added to ``log``.

    Raises OSError when it cannot be started.
    """
    with log.open("ab") as output:
        return descendants.start(
            lambda: subprocess.Popen(
                list(command),
                cwd=cwd,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        )


def _prctl() -> Callable[..., int] | None:
    try:
        return ctypes.CDLL(None).prctl
    except (OSError, AttributeError):
        return None


def _converse(
    child: subprocess.Popen[bytes],
    stdin: bytes,
    ends: _Ends,
    limit: int,
    on_output: Callable[[bytes], None] | None,
) -> tuple[bytes, bytes, str]:
    """Feed and read the child until it exits or is to be ended (how, see `_Ends`), then take what its pipes still hold.

    Its own children may hold the pipes open, or flood them, for ever: they are neither waited for nor read to the end.
    """
    buffers = {id(child.stdout): _Bounded(limit), id(child.stderr): _Bounded(limit)}
    pending = memoryview(stdin)
    end = ""
    with selectors.DefaultSelector() as selector:
        for stream, wanted in _pipes(child):
            os.set_blocking(stream.fileno(), False)
            selector.register(stream, wanted)
        while child.poll() is None:
            if end := ends.reached():
                break
            if not selector.get_map():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(_TICK)
            for key, _ in selector.select(_TICK) if selector.get_map() else ():
                if key.fileobj is child.stdin:
                    pending = _write(selector, child, pending)
                    continue
                if not _read(key, buffers, on_output):
                    selector.unregister(key.fileobj)
                ends.heard()  # after it was listened to, which may have taken its time
        for key in list(selector.get_map().values()):
            if key.events == selectors.EVENT_READ:
                _drain(key, buffers, on_output)
    return buffers[id(child.stdout)].value(), buffers[id(child.stderr)].value(), end


def _pipes(child: subprocess.Popen[bytes]) -> list[tuple[IO[bytes], int]]:
    """Its open pipes, and what each is waited for."""
    read, write = selectors.EVENT_READ, selectors.EVENT_WRITE
    pipes = ((child.stdout, read), (child.stderr, read), (child.stdin, write))
    return [(stream, wanted) for stream, wanted in pipes if stream]


def _drain(
    key: selectors.SelectorKey, buffers: Mapping[int, _Bounded], on_output: Callable[[bytes], None] | None
) -> None:
    """Take what is left in a pipe, without waiting."""
    with contextlib.suppress(BlockingIOError):
        for _ in range(_PIPE_READS):
            if not _read(key, buffers, on_output):
                return


def _read(
    key: selectors.SelectorKey, buffers: Mapping[int, _Bounded], on_output: Callable[[bytes], None] | None
) -> bool:
    """Take one chunk from an output; False at its end."""
    chunk = os.read(key.fd, 65536)
    buffers[id(key.fileobj)].add(chunk)
    if chunk and on_output:
        on_output(chunk)
    return bool(chunk)


def _write(selector: selectors.BaseSelector, child: subprocess.Popen[bytes], pending: memoryview) -> memoryview:
    if child.stdin is None:
        return pending
    try:
        pending = pending[os.write(child.stdin.fileno(), pending[:65536]) :]
    except BlockingIOError:
        return pending
    except BrokenPipeError:
        pending = pending[:0]
    if not pending:
        selector.unregister(child.stdin)
        child.stdin.close()
    return pending


def _kill_tree(child: subprocess.Popen[bytes], mark: str | None) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    for stream in (child.stdin, child.stdout, child.stderr):
        if stream:
            with contextlib.suppress(OSError):
                stream.close()
    descendants.ended(child.pid)
    if mark:
        descendants.kill_marked(mark)


def kill_user(user: int) -> bool:
    """Kill every process of a user id; whether none is left (Linux, as root).

    A process of that user kills all others at one stroke, however fast they fork. Then /proc shows when they are gone,
    and who has stopped that stroke: the user's processes may kill the one that is sent.
    """

    def left() -> list[int]:
        return [pid for pid in living.pids() if user in living.uids(pid)]

    stroke = [*users.as_user(user), "/bin/sh", "-c", "kill -s KILL -- -1"]
    deadline = time.monotonic() + descendants.DYING
    while time.monotonic() < deadline:
        done = run(stroke, cwd=Path("/"), env={}, timeout=descendants.DYING)
        descendants.kill_until_none(left)
        if done.exit_code in (0, 1) and not left():  # 1: there was nobody to kill
            return True
    return False
