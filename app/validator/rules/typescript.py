"""Types that switch the type checker off."""

from __future__ import annotations

from collections.abc import Iterator

from app.validator.rules.rule import Sighting
from app.validator.rules.source import Source


def find_any(source: Source) -> Iterator[Sighting]:
    """``any`` as a type, wherever one stands: ``: any``, ``as any``, ``<any>``, ``any[]``."""
    syntax = source.syntax
    if syntax:
        for index in syntax.of("predefined_type"):
            if syntax.text(index) == "any":
                yield Sighting(line=source.line_of(index))
