"""Whom the commands of agents and repositories run as when Mason is root: the owner of the directory they run in."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
from functools import cache
from pathlib import Path

from app.errors import UsageError

_PROGRAMS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def owner(directory: Path) -> int | None:
    """The user id that commands in a directory run as; None for Mason's own, when it is not root's to choose."""
    if os.geteuid() != 0:
        return None
    try:
        return directory.lstat().st_uid or None
    except OSError:
        return None


def as_user(user: int) -> list[str]:
    """What stands in front of a command that runs as this user: no group, no capability, and no way to get one."""
    return [*_switch(user), "--bounding-set=-all", "--inh-caps=-all", "--"]


def with_access(user: int) -> list[str]:
    """What stands in front of a command of Mason's own that writes files for this user: it reaches all that root does.

    Other processes of the user cannot look into it, for they lack its capability; at most they can end it.
    """
    own = "-all,+dac_override"
    return [*_switch(user), f"--bounding-set={own}", f"--inh-caps={own}", f"--ambient-caps={own}", "--"]


def _switch(user: int) -> list[str]:
    return [_setpriv(), f"--reuid={user}", f"--regid={user}", "--clear-groups", "--no-new-privs"]


@cache
def _setpriv() -> str:
    if found := shutil.which("setpriv", path=_PROGRAMS):
        return found
    raise UsageError("Commands cannot run as another user, for there is no setpriv here: install util-linux")


def hide_memory() -> None:
    """Keep this process's memory and environment from others of its own user (Linux; commands run as that when Mason
    is not root). What we start is not concerned: the kernel lifts this when a program is executed.
    """
    if os.geteuid() == 0:  # then commands run as other users, who cannot look in anyway
        return
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE


def give(path: Path, user: int | None) -> None:
    """Make the user the owner of something that Mason has just made; a link itself, never what it points to."""
    if user:
        os.chown(path, user, user, follow_symlinks=False)


def give_all(directory: Path, user: int | None) -> None:
    """Make the user the owner of a directory that Mason has just made, and of all that it has put there."""
    if user:
        give(directory, user)
        for place, directories, files in os.walk(directory):
            for name in (*directories, *files):
                give(Path(place, name), user)


def reaches(path: Path, user: int, access: int = os.R_OK | os.X_OK) -> bool:
    """Whether the user has this access (`os.access`) to something and may enter every directory on the way to it.

    As the permission bits say; access control lists are not looked at.
    """
    try:
        real = path.resolve(strict=True)
        on_the_way = {*path.absolute().parents, *real.parents}
        return _may(real, user, access) and all(_may(place, user, os.X_OK) for place in on_the_way)
    except OSError:
        return False


def _may(path: Path, user: int, access: int) -> bool:
    status = path.stat()
    shift = 6 if status.st_uid == user else 3 if status.st_gid == user else 0
    return status.st_mode >> shift & access == access


def finds(program: str, search_path: str, directory: Path, user: int) -> bool:
    """Whether a command of the user's in this directory would find the program and may execute it."""
    return any(reaches(place, user, os.X_OK) for place in _candidates(program, search_path, directory))


def hidden(program: str, search_path: str, directory: Path, user: int | None) -> Path | None:
    """Where a program lies that Mason finds, and the user does not."""
    if user is None or finds(program, search_path, directory, user):
        return None
    return next(iter(_candidates(program, search_path, directory)), None)


def _candidates(program: str, search_path: str, directory: Path) -> list[Path]:
    named = [""] if "/" in program else search_path.split(os.pathsep)
    places = [directory / name / program for name in named]
    return [place for place in places if place.is_file() and os.access(place, os.X_OK)]
