"""What runs on this machine, as /proc shows it (Linux; elsewhere nothing is found, and nothing is raised)."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path


def pids() -> list[int]:
    """Every other process."""
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]
    except OSError:
        return []


def environ(pid: int) -> bytes:
    """A process's environment as it started with, entries ended by NUL; empty when it cannot be read."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def parent(pid: int) -> int:
    """The id of a process's parent, -1 when there is no such process."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return -1


def start_time(pid: int) -> str | None:
    """When a living process started, in clock ticks since boot; None when there is none (or no ``/proc``)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, UnicodeDecodeError):
        return None
    return None if len(fields) < 20 or fields[0] in "ZX" else fields[19]


def uids(pid: int) -> frozenset[int]:
    """The user ids of a living process: real, effective, saved, and that of its files; none of a zombie.

    The owner of ``/proc/<pid>`` would not do: a process can make that root. Nor does a dead first thread say that all
    are dead.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_bytes()
    except OSError:
        return frozenset()
    if re.search(rb"(?m)^State:\t[ZX]", status) and re.search(rb"(?m)^Threads:\t[01]$", status):
        return frozenset()
    found = re.search(rb"(?m)^Uid:(.*)$", status)
    return frozenset(map(int, found[1].split())) if found else frozenset()


def living_users() -> frozenset[int]:
    """The user ids of all living processes (Linux)."""
    return frozenset(user for pid in pids() for user in uids(pid))


def host() -> str:
    """This machine since its last boot: its name and the boot's id, without blanks."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:13]
    except OSError:
        boot = "unknown"
    return f"{socket.gethostname()}/{boot}".replace(" ", "-")


def pid_namespace() -> str:
    """The number of the namespace in which this process's ids count: two containers on one host have two.

    Digits alone (or ``none``), for it becomes part of a directory's name: a colon there would cut the PATH in two.
    """
    try:
        link = os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - "pid:[4026531836]" points to no path
    except OSError:
        return "none"
    return "".join(filter(str.isdigit, link)) or "none"
