"""`mason.config.json`: URL and key of a Supabase backlog, in either of the two forms in use. Never committed.

``{"supabaseUrl": …, "supabaseAnonKey": …}`` or ``{"supabase": {"url": …, "anonKey": …}}``; other keys are left
alone, but not slips of these.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from app.errors import UsageError

CONFIG_NAME = "mason.config.json"

_LARGEST = 1_000_000
_FORMS = {"url": ("supabaseUrl", ("supabase", "url")), "key": ("supabaseAnonKey", ("supabase", "anonKey"))}
_NAMES = {"supabase", "supabaseUrl", "supabaseAnonKey"}


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfigFile:
    """What the file at ``path`` says; what it does not say is None."""

    path: Path
    url: str | None
    key: SecretStr | None


def top_level(directory: Path) -> Path:
    """The top level of the repository that a directory lies in; without a repository, the directory itself."""
    start = directory.resolve()
    return next((parent for parent in (start, *start.parents) if (parent / ".git").exists()), start)


def read_config_file(repository: Path) -> ConfigFile | None:
    """Read the file at the repository's top level; None where there is none. Raises UsageError, one sentence."""
    path = top_level(repository) / CONFIG_NAME
    try:
        if not path.exists():
            return None
        with path.open("rb") as stream:
            data = stream.read(_LARGEST + 1)
    except OSError as problem:
        raise UsageError(f"{path} cannot be read: {problem.strerror}.") from problem
    if len(data) > _LARGEST:
        raise UsageError(f"{path} is larger than {_LARGEST} bytes: it holds an address and a key, nothing else.")
    content = _parsed(path, data)
    key = _value(path, content, "key")
    slips = [name for name in content if name.lower().startswith("supabase") and name not in _NAMES]
    if slips and not (key and _value(path, content, "url")):
        raise UsageError(f"{path} has {slips[0][:40]!r}, which means nothing: is it supabaseUrl, or supabaseAnonKey?")
    return ConfigFile(path=path, url=_value(path, content, "url"), key=SecretStr(key) if key else None)


def _parsed(path: Path, data: bytes) -> dict[str, Any]:
    try:
        content = json.loads(data.decode("utf-8-sig"))
    except json.JSONDecodeError as problem:
        raise UsageError(
            f"{path} is not valid JSON: {problem.msg} in line {problem.lineno}, column {problem.colno}."
        ) from None  # the exception holds the whole file, keys included
    except (UnicodeDecodeError, RecursionError, ValueError):
        raise UsageError(f"{path} is not valid JSON in UTF-8.") from None
    if not isinstance(content, dict):
        raise UsageError(f'{path} must hold a JSON object, like {{"supabaseUrl": …, "supabaseAnonKey": …}}.')
    if not isinstance(content.get("supabase", {}), dict | None):
        raise UsageError(f"supabase in {path} must be an object with url and anonKey.")
    return content


def _value(path: Path, content: dict[str, Any], wanted: str) -> str | None:
    """The text under either form's name. Null and empty text count as absent; two different texts are refused."""
    flat, (table, inner) = _FORMS[wanted]
    found = {flat: content.get(flat), f"{table}.{inner}": (content.get(table) or {}).get(inner)}
    for name, value in found.items():
        if not isinstance(value, str | None):
            raise UsageError(f"{name} in {path} must be text in quotes.")
    texts = {value.strip() for value in found.values() if value and value.strip()}
    if len(texts) > 1:
        raise UsageError(f"{' and '.join(found)} in {path} differ: keep one of them.")
    return next(iter(texts), None)
