"""Reporters: sinks that show what happens. They never decide, and their failure never fails an item."""

from __future__ import annotations

from typing import Protocol

from app.domain.events import Event


class Reporter(Protocol):
    def report(self, event: Event) -> None:
        """Take one event, from any thread."""

    def flush(self) -> None:
        """Write what is buffered now: called before an item's claim ends, after which its rows match no fence."""

    def close(self) -> None:
        """Write what is still buffered."""
