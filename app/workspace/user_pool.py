"""User ids for trees: each living tree has one of its own, so that no tree's commands can touch another tree."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import pwd
import threading
from collections.abc import Iterator
from pathlib import Path

from app import living, process, users
from app.errors import GitFailed, UsageError
from app.removal import remove

log = logging.getLogger("mason")

_EVERYBODYS = (Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"))  # noqa: S108


class UserPool:
    """Hands out user ids of a range, each to one tree at a time.

    ``locks`` is a directory of root's with a lock file an id: runners on one machine that share the range have to name
    the same one. ``path`` is the ``PATH`` on which programs are found. Raises UsageError when commands cannot run as
    these users.
    """

    def __init__(self, ids: range, locks: Path, path: str) -> None:
        people = sorted(one.pw_name for one in pwd.getpwall() if one.pw_uid in ids and one.pw_name[:5] != "mason")
        if people:
            raise UsageError(
                f"MASON_USERS: {people[0]} has one of these user ids, and every process of theirs is killed"
            )
        for user in (ids[0], ids[-1]):
            done = process.run([*users.as_user(user), "true"], cwd=Path("/"), env={"PATH": path}, timeout=60)
            if not done.ok:
                said = done.stderr.decode("utf-8", "replace").strip()
                raise UsageError(f"MASON_USERS: a command cannot run as the user {user} here: {said}")
        locks.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._ids = ids
        self._locks = locks
        self._path = path
        self._next = 0
        self._choosing = threading.Lock()
        for user in living.living_users() & frozenset(ids):  # what a killed runner's commands have left
            if (lock := self._lock(user)) is not None:
                self._clear(user)
                os.close(lock)

    def admit(self, directory: Path) -> None:
        """Let users pass through a directory of a run, to their trees; they cannot list it.

        Raises UsageError when they do not even get there.
        """
        directory.chmod(0o711)
        if not users.reaches(directory, self._ids[0], os.X_OK):
            raise UsageError(
                f"The users of MASON_USERS cannot enter {directory}: let MASON_RUNS_DIR name another place"
            )

    def can_read(self, directory: Path) -> bool:
        """Whether the users may list and enter a directory."""
        return users.reaches(directory, self._ids[0])

    @contextlib.contextmanager
    def lease(self) -> Iterator[int]:
        """An id of which nothing lives, and of which nothing is left when it comes back.

        Raises GitFailed when every id has a tree. An id whose processes do not die is kept.
        """
        user, lock = self._take()
        try:
            yield user
        finally:
            if self._clear(user):
                os.close(lock)
            else:
                log.warning("Processes of the user %d do not die; it gets no tree any more", user)

    def _take(self) -> tuple[int, int]:
        """The next id that nobody has, with its lock, which ends with this process, however that ends."""
        for _ in self._ids:
            with self._choosing:
                user = self._ids[self._next]
                self._next = (self._next + 1) % len(self._ids)
            lock = self._lock(user)
            if lock is None:
                continue
            if self._clear(user):
                return user, lock
            os.close(lock)
        raise GitFailed(f"each of the {len(self._ids)} users in MASON_USERS has a tree already")

    def _lock(self, user: int) -> int | None:
        """The open file that makes an id ours until it is closed, None while somebody else has it."""
        lock = os.open(self._locks / str(user), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        return lock

    def _clear(self, user: int) -> bool:
        """Kill a user's processes and remove what they left where everybody may write; whether none is left."""
        dead = process.kill_user(user)
        for place in _EVERYBODYS:
            with contextlib.suppress(OSError), os.scandir(place) as entries:
                for path in [entry.path for entry in entries if entry.stat(follow_symlinks=False).st_uid == user]:
                    remove(Path(path), self._path)
        return dead
