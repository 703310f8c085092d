"""Where the Claude Code program is: named, inside the installed SDK's wheel, or on the search path."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

from app import users
from app.errors import UsageError

INSTALL = "install it with pip install 'mason-bot[claude]', or name the program"


def find_program(named: str | None, search_path: str) -> str:
    """The program to run. Raises UsageError when there is none.

    The package is located, not imported: its import would cost half a second.
    """
    if named:
        return named
    bundled = _bundled()
    if bundled and bundled.is_file():
        return str(bundled)
    if found := shutil.which("claude", path=search_path):
        return found
    raise UsageError(f"Claude Code is not installed: {INSTALL}")


def _bundled() -> Path | None:
    spec = importlib.util.find_spec("claude_agent_sdk")
    places = spec.submodule_search_locations if spec else None
    return next((Path(place, "_bundled", "claude") for place in places), None) if places else None


def missing(program: str, search_path: str, directory: Path, user: int | None) -> UsageError:
    """Why a program that was to run in ``directory`` as ``user`` could not be."""
    if place := users.hidden(program, search_path, directory, user):
        why = f"the user {user}, whom it would run as, cannot get at {place}: install it where every user can"
        return UsageError(f"Claude Code cannot be run: {why}")
    return UsageError(f"There is no Claude Code at {program!r}: {INSTALL}")
