"""Names as parts of an API address (pure)."""

from __future__ import annotations

import re
from urllib.parse import quote

from app.errors import GitFailed, UsageError


def checked_repository(repository: str) -> str:
    """``owner/name``. Raises UsageError for anything else."""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository, re.ASCII) or {".", ".."} & set(repository.split("/")):
        raise UsageError(f"{repository!r} is no repository of GitHub's: write owner/name")
    return repository


def quoted(name: str) -> str:
    """A repository's or branch's name in a path. Raises GitFailed for a name that GitHub cannot be told."""
    try:
        return quote(name, safe="/")
    except UnicodeEncodeError:
        raise GitFailed(f"{name!r} is not UTF-8, and GitHub takes no other names") from None
