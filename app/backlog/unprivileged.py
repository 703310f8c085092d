"""The unprivileged account that a database server runs as when Mason itself runs as root."""

from __future__ import annotations

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

_CANDIDATES = ("postgres", "nobody")
_FALLBACK = 65534


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    name: str
    uid: int
    gid: int


def account_for_server(home: Path) -> Account | None:
    """Whom the server runs as: None for ourselves; as root an unprivileged account, for Postgres refuses root.

    The owner of an existing ``home`` stays its owner.
    """
    if os.geteuid() != 0:
        return None
    if home.is_dir() and (status := home.stat()).st_uid != 0:
        return Account(name=str(status.st_uid), uid=status.st_uid, gid=status.st_gid)
    for name in _CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid)
    return Account(name=str(_FALLBACK), uid=_FALLBACK, gid=_FALLBACK)


def can_reach(directory: Path, account: Account) -> bool:
    """Whether the account may enter this directory and every one above it."""
    resolved = directory.resolve()
    return all(_may_enter(place.stat(), account) for place in (resolved, *resolved.parents))


def _may_enter(status: os.stat_result, account: Account) -> bool:
    if status.st_uid == account.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == account.gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)


def give(path: Path, account: Account | None) -> None:
    """Make the account the owner of something that Mason has just made."""
    if account:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)
