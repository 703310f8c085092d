"""Values of rows that others can write, read as what they should be, or as nothing: what is shown never breaks."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import MAXYEAR, MINYEAR, UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar
from uuid import UUID

Choice = TypeVar("Choice", bound=StrEnum)

LARGEST = 10**12


def text(value: object, most: int = 1000) -> str:
    """At most ``most`` characters; an ellipsis stands for what was left out."""
    said = "" if value is None else str(value)
    return said if len(said) <= most else f"{said[: most - 1]}…"


def texts(value: object, most: int, length: int) -> tuple[str, ...]:
    """A list's first texts, each bounded."""
    return tuple(text(one, length) for one in value[:most]) if isinstance(value, list) else ()


def number(value: object, most: int = LARGEST) -> int:
    """A whole number from 0 to ``most``."""
    return int(amount(value, most))


def amount(value: object, most: float = LARGEST) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return 0
    return min(max(value, 0), most)


def time(value: object) -> datetime | None:
    """A time in ISO 8601, as UTC; None for what no calendar knows, and at its ends, where nothing can be added."""
    try:
        found = datetime.fromisoformat(str(value)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return found if MINYEAR < found.year < MAXYEAR else None


def choice(kind: type[Choice], value: object) -> Choice | None:
    try:
        return kind(str(value))
    except ValueError:
        return None


def uuid(value: object) -> UUID | None:
    try:
        return UUID(str(value))
    except ValueError:
        return None


def row(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def document(value: object) -> Mapping[str, Any]:
    """A JSON object from its text. Numbers too long for Python, and depths too deep, are nothing."""
    try:
        return row(json.loads(value, parse_int=_whole)) if isinstance(value, str) else {}
    except (ValueError, RecursionError):
        return {}


def _whole(digits: str) -> float:
    return int(digits) if len(digits) < 20 else math.inf


def rows(value: object, most: int) -> list[Mapping[str, Any]]:
    """A list's first objects."""
    return [one for one in value if isinstance(one, Mapping)][:most] if isinstance(value, list) else []
