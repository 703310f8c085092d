"""The dispatcher: hands work to a runner. GitHub Actions, or a process on this machine."""

from __future__ import annotations

from typing import Protocol

from app.domain.dispatches import Dispatch, WorkflowRun


class Dispatcher(Protocol):
    """All methods raise Unreachable when the platform stays away, ForgeRefused or UsageError when it says no."""

    def dispatch(self, dispatch: Dispatch) -> WorkflowRun | None:
        """Hand the work over. None: it was taken, and its workflow run is to be found later.

        Not idempotent: `find` comes before every second try.
        """

    def find(self, dispatch: Dispatch) -> WorkflowRun | None:
        """The workflow run of this dispatch as it is now: by its number where it is known, else by its name."""

    def cancel(self, dispatch: Dispatch) -> None:
        """Stop its workflow run. One that has ended, or that there is none of, is left alone."""
