"""A repository as detection sees it: the paths and files of the base commit, never a working tree."""

from __future__ import annotations

import configparser
import json
import tomllib
from collections.abc import Callable, Sequence
from typing import Any

from app.errors import UsageError

Read = Callable[[str], bytes | None]

MANIFEST_LIMIT = 2_000_000
"""Bytes; a larger manifest is refused, it was not written by people."""


class Repository:
    """Paths and files of one commit. Every method that parses raises UsageError with a sentence for a broken file."""

    def __init__(self, paths: Sequence[str], read: Read) -> None:
        self.paths = frozenset(paths)
        self._read = read

    def has(self, *paths: str) -> bool:
        """Whether any of these files exists."""
        return any(path in self.paths for path in paths)

    def first(self, *paths: str) -> str | None:
        """The first of these files that exists."""
        return next((path for path in paths if path in self.paths), None)

    def under(self, *directories: str) -> list[str]:
        """Every path below one of these directories, sorted."""
        prefixes = tuple(f"{directory}/" for directory in directories)
        return sorted(path for path in self.paths if path.startswith(prefixes))

    def text(self, path: str) -> str:
        """A file as text, invalid UTF-8 replaced; empty where there is none."""
        if path not in self.paths:
            return ""
        data = self._read(path) or b""
        if len(data) > MANIFEST_LIMIT:
            raise UsageError(f"{path} of the base commit is too large to be read ({len(data)} bytes)")
        return data.decode("utf-8-sig", "replace")

    def json(self, path: str) -> dict[str, Any]:
        """A JSON object; empty where the file is missing or holds something else than an object."""
        text = self.text(path)
        if not text.strip():
            return {}
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as problem:
            raise UsageError(f"{path} of the base commit is not valid JSON: {problem}") from problem
        return table(value)

    def toml(self, path: str) -> dict[str, Any]:
        """A TOML table; empty where the file is missing."""
        try:
            return tomllib.loads(self.text(path).replace("\r\n", "\n"))
        except (tomllib.TOMLDecodeError, RecursionError) as problem:
            raise UsageError(f"{path} of the base commit is not valid TOML: {problem}") from problem

    def ini_sections(self, path: str) -> frozenset[str]:
        """The section names of an INI file; a broken one has none, for its tool will say so itself."""
        parser = configparser.RawConfigParser(strict=False)
        try:
            parser.read_string(self.text(path))
        except configparser.Error:
            return frozenset()
        return frozenset(parser.sections())


def table(value: object) -> dict[str, Any]:
    """The value when it is a table, else an empty one: wrong types in a manifest count as absent."""
    return value if isinstance(value, dict) else {}


def at(value: object, *keys: str) -> Any:  # noqa: ANN401 - a manifest's values have any type
    """The value under nested keys, None where any level is missing or no table."""
    for key in keys:
        value = table(value).get(key)
    return value


def strings(value: object) -> list[str]:
    """The strings of a list; anything else counts as absent."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
