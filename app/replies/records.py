"""What replies are made of."""

from __future__ import annotations

from dataclasses import dataclass

from app.domain.commands import Line


@dataclass(frozen=True, kw_only=True, slots=True)
class LineResult:
    """What became of one line for Mason. ``text`` is Markdown that this package made.

    For a line that is a mistake it is not read: the mistake says what is to be said.
    """

    line: Line
    well: bool
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemLine:
    """An item as the progress comment shows it. ``status`` is its stored one; ``url`` its pull request, "" for none."""

    title: str
    status: str
    url: str = ""
    reason: str = ""
