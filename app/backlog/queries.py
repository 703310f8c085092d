"""The statements of ``queries.sql`` by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

_HEADING = re.compile(r"^-- (\w+): .*$", re.MULTILINE)


@cache
def queries() -> Mapping[str, bytes]:
    """Name → statement, its named parameters in psycopg's form."""
    _, *parts = _HEADING.split((files("app.backlog") / "queries.sql").read_text("utf-8"))
    return {name: text.strip().encode() for name, text in zip(parts[::2], parts[1::2], strict=True)}
