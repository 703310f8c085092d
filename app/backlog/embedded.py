"""An embedded PostgreSQL: a real server from a wheel's binaries, supervised as a child (design, Embedded Postgres).

One directory, ``data_root``, holds everything: ``postgres/`` (owned by the server's user: data, socket, password),
``lock`` (held by the owner for as long as its server runs), ``connection.json`` (how others reach it, mode 0600),
``guests`` (locked shared by those others; the owner waits for them before it stops the server).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from app import process
from app.backlog.binaries import ENVIRONMENT, Binaries, find_binaries, runnable_by
from app.backlog.unprivileged import Account, account_for_server, can_reach, give
from app.errors import DatabaseUnreachable, UsageError

log = logging.getLogger("mason")

SOCKET_LIMIT = 107
"""Bytes of a Unix socket's path (``sun_path``, less its final zero)."""

_USER = "mason"
_DATABASE = "postgres"
_SOCKET_PORT = 5432
_START_SECONDS = 60.0
_STOP_SECONDS = 20.0
_TICK = 0.01
_GUEST_TICK = 0.1
_THROWAWAY = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum=off", "max_wal_size=128MB")


class EmbeddedPostgres:
    """A server on ``data_root``: ours to start and stop, or another process's that already runs there.

    ``tcp`` listens on a free port of 127.0.0.1 instead of a Unix socket. ``throwaway`` trades the data's safety in a
    power cut for speed. ``start`` raises UsageError when the place or the programs cannot be used, and
    DatabaseUnreachable when the server does not come up; both name the reason.
    """

    def __init__(
        self, data_root: Path, *, bin_directory: Path | None = None, tcp: bool = False, throwaway: bool = False
    ) -> None:
        self._root = Path(data_root).absolute()
        self._bin_directory = bin_directory
        self._tcp = tcp
        self._throwaway = throwaway
        self._account: Account | None = None
        self._lock: int | None = None
        self._guests: int | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._socket_directory: Path | None = None
        self._dsn = ""

    @property
    def dsn(self) -> str:
        """The connection URL, with its password."""
        if not self._dsn:
            raise DatabaseUnreachable("The embedded Postgres is not running.")
        return self._dsn

    @property
    def owned(self) -> bool:
        """Whether this object started the server, and stops it."""
        return self._child is not None

    def __enter__(self) -> EmbeddedPostgres:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server, or find the one that another process keeps running here."""
        try:
            self._prepare_root()
            if self._become_owner():
                self._start_server()
        except OSError as problem:
            self.stop()
            raise UsageError(f"The data directory {self._root} cannot be used: {problem}.") from problem
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server if it is ours (fast shutdown) and let go of the directory. Twice is once.

        An owner waits until the last process that uses its server has ended; an interrupt stops the server at once.
        """
        self._dsn = ""
        try:
            if self._lock is not None and self._child:
                self._see_guests_off()
        finally:
            self._let_go()

    def _let_go(self) -> None:
        if self._lock is not None:
            self._record.unlink(missing_ok=True)
        if self._child:
            _end(self._child)
            self._child = None
        if self._socket_directory:
            shutil.rmtree(self._socket_directory, ignore_errors=True)
            self._socket_directory = None
        for descriptor in (self._guests, self._lock):
            if descriptor is not None:
                os.close(descriptor)
        self._guests = self._lock = None

    @property
    def _record(self) -> Path:
        return self._root / "connection.json"

    @property
    def _home(self) -> Path:
        return self._root / "postgres"

    @property
    def _data(self) -> Path:
        return self._home / "data"

    def _prepare_root(self) -> None:
        """Make the directory; one that exists, and every parent, keeps its permissions."""
        self._root.mkdir(parents=True, exist_ok=True)
        self._account = account_for_server(self._home)
        if self._account and not can_reach(self._root, self._account):
            raise UsageError(
                f"PostgreSQL does not run as root, and the user {self._account.name} cannot enter {self._root}: "
                "choose a data directory such as /var/lib/mason."
            )

    def _become_owner(self) -> bool:
        """Take the lock, or wait until its owner's server is up and use that one (False)."""
        deadline = time.monotonic() + _START_SECONDS
        while not self._take_lock():
            if self._become_guest():
                return False
            if time.monotonic() > deadline:
                raise DatabaseUnreachable(f"Another process holds {self._root} and its Postgres does not come up.")
            time.sleep(_TICK)
        return True

    def _take_lock(self) -> bool:
        self._lock = _locked(self._root / "lock", fcntl.LOCK_EX)
        return self._lock is not None

    def _become_guest(self) -> bool:
        """Use the owner's server. Whoever finds its record while the lock is shared is waited for."""
        guests = _locked(self._root / "guests", fcntl.LOCK_SH)
        if guests is None:  # the owner is about to stop it
            return False
        if dsn := _read_record(self._record):
            self._dsn, self._guests = dsn, guests
            return True
        os.close(guests)
        return False

    def _see_guests_off(self) -> None:
        """Wait for the last guest, and let no new one in."""
        told = False
        while (guests := _locked(self._root / "guests", fcntl.LOCK_EX)) is None:
            if not told:
                log.warning("Waiting for another Mason that uses the database in %s.", self._root)
            told = True
            time.sleep(_GUEST_TICK)
        self._guests = guests

    def _start_server(self) -> None:
        self._record.unlink(missing_ok=True)
        self._home.mkdir(mode=0o700, exist_ok=True)
        give(self._home, self._account)
        binaries = runnable_by(self._account, find_binaries(self._bin_directory))
        _stop_orphan(self._data)
        if not self._data.exists():
            self._initialise(binaries)
        password = (self._home / "password").read_text().strip()
        for attempt in range(3):  # a free port may be taken, memory of a killed server may live on for a moment
            port = _free_port() if self._tcp else _SOCKET_PORT
            directory = self._make_socket_directory()
            self._child = self._spawn(self._server_command(binaries, directory, port), "server.log")
            if self._ready(self._child, last=attempt == 2):
                break
            _end(self._child)
        host = f"@127.0.0.1:{port}/{_DATABASE}" if self._tcp else f"@/{_DATABASE}?host={quote(str(directory), safe='')}"
        self._dsn = f"postgresql://{_USER}:{password}{host}"
        _write_record(self._record, self._dsn)

    def _initialise(self, binaries: Binaries) -> None:
        """``initdb`` beside the final place and move it there whole, so that a kill leaves nothing half made."""
        unfinished = self._home / "data.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        password = self._home / "password"
        password.unlink(missing_ok=True)
        with os.fdopen(os.open(password, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(24) + "\n")
        give(password, self._account)
        command = [binaries.program("initdb"), "-D", str(unfinished), "-U", _USER, "--auth=scram-sha-256"]
        command += [f"--pwfile={password}", "--encoding=UTF8", "--locale=C"]
        command += ["--no-sync"] if self._throwaway else []
        child = self._spawn(command, "initdb.log")
        if child.wait(_START_SECONDS) != 0:
            raise DatabaseUnreachable(f"initdb failed: {_last_line(self._root / 'initdb.log')}")
        unfinished.rename(self._data)

    def _make_socket_directory(self) -> Path:
        """In our own directory where the path serves, else a new private one among the temporary files."""
        directory = self._home / "socket"
        too_long = len(bytes(directory)) + len(f"/.s.PGSQL.{_SOCKET_PORT}") > SOCKET_LIMIT
        if too_long or "," in str(directory):  # to a client, a comma separates hosts
            directory = self._socket_directory or Path(tempfile.mkdtemp(prefix="mason-", dir="/tmp"))
            self._socket_directory = directory
        directory.mkdir(mode=0o700, exist_ok=True)
        give(directory, self._account)
        return directory

    def _server_command(self, binaries: Binaries, directory: Path, port: int) -> list[str]:
        options = [f"port={port}", "unix_socket_permissions=0700"]
        if self._tcp:
            options += ["listen_addresses=127.0.0.1", "unix_socket_directories="]
        else:
            options += ["listen_addresses=", f"unix_socket_directories={_quoted(directory)}"]
        if self._throwaway:
            options += _THROWAWAY
        command = [binaries.program("postgres"), "-D", str(self._data)]
        return command + [part for option in options for part in ("-c", option)]

    def _spawn(self, command: list[str], log: str) -> subprocess.Popen[bytes]:
        user, group = (self._account.uid, self._account.gid) if self._account else (None, None)
        return process.spawn(command, cwd=Path("/"), env=ENVIRONMENT, log=self._root / log, user=user, group=group)

    def _ready(self, child: subprocess.Popen[bytes], *, last: bool) -> bool:
        """Wait until the server says in its pid file that it takes connections. False: it ended, try again."""
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            lines = _pid_file(self._data)
            if len(lines) > 7 and lines[0] == str(child.pid) and lines[7].strip() == "ready":
                return True
            if child.poll() is not None:
                if not last:
                    time.sleep(0.2)
                    return False
                break
            time.sleep(_TICK)
        raise DatabaseUnreachable(f"The embedded Postgres did not start: {_last_line(self._root / 'server.log')}")


def _locked(path: Path, kind: int) -> int | None:
    """A descriptor that holds the lock on a file, until it is closed; None while somebody else has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _quoted(directory: Path) -> str:
    """A directory as one element of a list setting: spaces and quotes in a path are legal."""
    return '"' + str(directory).replace('"', '""') + '"'


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _read_record(path: Path) -> str | None:
    """The DSN that the lock's owner recorded; None while there is none, or only that of a dead owner."""
    try:
        record = json.loads(path.read_text())
        os.kill(record["owner"], 0)
        return str(record["dsn"])
    except (ProcessLookupError, FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _write_record(path: Path, dsn: str) -> None:
    """Whole or not at all, and never readable by others."""
    unfinished = path.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump({"dsn": dsn, "owner": os.getpid()}, file)
    unfinished.rename(path)


def _pid_file(data: Path) -> list[str]:
    try:
        return (data / "postmaster.pid").read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return []


def _stop_orphan(data: Path) -> None:
    """Stop a server that a killed parent left on our data, and forget a pid file that names another process.

    We hold the lock, so nobody else's server can be here.
    """
    lines = _pid_file(data)
    if not lines or not lines[0].strip().isdigit():
        return
    pid = int(lines[0])
    deadline = time.monotonic() + _STOP_SECONDS
    with contextlib.suppress(ProcessLookupError):
        if _serves(pid, data):
            os.kill(pid, signal.SIGINT)
        while _serves(pid, data):
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
            time.sleep(_TICK)
    (data / "postmaster.pid").unlink(missing_ok=True)


def _serves(pid: int, data: Path) -> bool:
    """Whether this process is a server whose command line names our data directory."""
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return bytes(data) in arguments
    except OSError:
        if Path("/proc/self").exists():
            return False
    listing = process.run(["ps", "-o", "command=", "-p", str(pid)], cwd=Path("/"), env=ENVIRONMENT, timeout=10)
    return f"-D {data} " in listing.text


def _end(child: subprocess.Popen[bytes]) -> None:
    """Fast shutdown, then less and less polite."""
    for request in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(request)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_STOP_SECONDS)
            return


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    telling = [line for line in lines if re.search(r"\b(FATAL|PANIC|error):", line)]
    return (telling or lines or ["no output"])[-1].strip()
