"""What is known of a source file, whatever its language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class When(StrEnum):
    """When an import takes place: as its file is loaded, later (inside a function), or never (types alone)."""

    LOADED = "loaded"
    LATER = "later"
    NEVER = "never"


@dataclass(frozen=True, kw_only=True, slots=True)
class Import:
    """One name taken from one module. ``specifier`` is as written, Python's relative ones with their dots.

    ``name`` is empty for the module itself, ``*`` for all that it exports, ``default`` for a default export; ``local``
    what it is called in this file. ``passed_on``: the file exports it under that name again (``*``: all of it).
    """

    specifier: str
    line: int
    name: str = ""
    local: str = ""
    when: When = When.LOADED
    passed_on: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameters:
    """How many arguments a function takes; ``most`` None: any number."""

    required: int
    most: int | None

    def take(self, arguments: int) -> bool:
        return self.required <= arguments and (self.most is None or arguments <= self.most)


@dataclass(frozen=True, kw_only=True, slots=True)
class Module:
    """A file's imports, and its exports by name (None: no function, or one of which more cannot be seen).

    ``opaque``: it exports more than can be seen.
    """

    imports: tuple[Import, ...] = ()
    exports: Mapping[str, Parameters | None] = field(default_factory=dict)
    opaque: bool = False
