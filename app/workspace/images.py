"""Pictures that a command left in a tree, taken out of it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

MOST_IMAGES = 100
MOST_BYTES = 10_000_000
_PNG = b"\x89PNG\r\n\x1a\n"


def keep_images(directory: Path, kept: Path) -> list[str]:
    """Copy the PNG files of a hostile directory to ``kept``; where each is now.

    What is no regular file, no PNG, larger than 10 MB or has another link is left out, and what comes after the
    hundredth name.
    """
    try:
        names = sorted(entry.name for entry in os.scandir(directory) if entry.name.endswith(".png"))
        place = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return []
    found = []
    try:
        for number, name in enumerate(names[:MOST_IMAGES], 1):
            if data := _read(place, name):
                kept.mkdir(parents=True, exist_ok=True)
                copy = kept / f"{number:02}.png"
                copy.write_bytes(data)
                found.append(str(copy))
    finally:
        os.close(place)
    return found


def _read(place: int, name: str) -> bytes:
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=place)
    except OSError:
        return b""
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > MOST_BYTES or status.st_nlink > 1:
            return b""
        with os.fdopen(os.dup(descriptor), "rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError:
        return b""
    finally:
        os.close(descriptor)
    return data if data.startswith(_PNG) and len(data) <= MOST_BYTES else b""
