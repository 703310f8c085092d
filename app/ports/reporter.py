"""Reporters: sinks that show what happens. They never decide, and their failure never fails an item."""

from __future__ import annotations

from typing import Protocol

from app.domain.events import Event


class Reporter(Protocol):
    def report(self, event: Event) -> None:
        """Take one event, from any thread."""

    def close(self) -> None:
        """Write what is still buffered."""
