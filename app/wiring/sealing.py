"""The master secret of the web app, and what is made of it: keys to seal secrets with, keys to sign with."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from app.database.sealed import PostgresSealed, sealed_secrets
from app.errors import UsageError
from app.settings import Settings, encryption_keys
from app.wiring.databases import app_dsn

KEY_FILE = "encryption-key"
"""In the state directory, where MASON_ENCRYPTION_KEY is not set."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MasterKeys:
    """What is made of the master secrets, in their order. ``sealing`` are Fernet keys: the first seals, all open;
    ``signing`` are 32 bytes each: the first signs, all verify. ``masters`` is for the redactor.
    """

    sealing: tuple[bytes, ...] = field(repr=False)
    signing: tuple[bytes, ...] = field(repr=False)
    masters: tuple[str, ...] = field(repr=False)


def master_keys(settings: Settings, state: Path) -> MasterKeys:
    """From MASON_ENCRYPTION_KEY, else from a file in the state directory, which is made if it is not there.

    Raises UsageError with one sentence.
    """
    masters = encryption_keys(settings) or (key_of_file(state / KEY_FILE),)
    return MasterKeys(
        sealing=tuple(base64.urlsafe_b64encode(one) for one in derived(masters, b"mason sealed secrets")),
        signing=derived(masters, b"mason signed links"),
        masters=masters,
    )


def open_sealed(settings: Settings, keys: MasterKeys, *, pool_size: int = 2) -> PostgresSealed:
    """The sealed secrets of the app database. It connects at its first call."""
    return sealed_secrets(app_dsn(settings), keys.sealing, pool_size=pool_size)


def prepare_sealed(settings: Settings, state: Path) -> None:
    """Once at the start of a process, before it forks: raises UsageError when our master secret is not the database's,
    and seals everything with the newest one.
    """
    sealed = open_sealed(settings, master_keys(settings, state), pool_size=1)
    try:
        sealed.prepare()
    finally:
        sealed.close()


def derived(masters: Sequence[str], purpose: bytes) -> tuple[bytes, ...]:
    """A key of 32 bytes from each; those of different purposes say nothing about each other."""
    return tuple(
        HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(master.encode()) for master in masters
    )


def key_of_file(path: Path) -> str:
    """The master secret of a file that only its owner reads. Of several who make it at once, one does, and all read
    that one: the file has its name only once it is whole.
    """
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            _make(path)
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        with open(descriptor, encoding="ascii") as file:  # noqa: PTH123 - of a descriptor
            text = file.read(1000).strip()
    except (OSError, UnicodeDecodeError) as problem:
        raise UsageError(f"{path} cannot be used, which holds the web app's master secret: {problem}") from None
    if len(text) < 32:
        raise UsageError(f"{path} is no master secret: remove it if nothing was sealed, or set MASON_ENCRYPTION_KEY")
    return text


def _make(path: Path) -> None:
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "w", encoding="ascii") as file:  # noqa: PTH123 - of a descriptor
            file.write(secrets.token_urlsafe(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # somebody else was faster
            os.link(draft, path)
    finally:
        draft.unlink()
