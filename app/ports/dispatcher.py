"""The dispatcher: hands work to a runner. GitHub Actions, or a process on this machine."""

from __future__ import annotations

from typing import Protocol

from app.domain.dispatches import Dispatch, WorkflowRun


class Dispatcher(Protocol):
    """All methods raise Unreachable when the platform stays away, ForgeRefused or UsageError when it says no."""

    @property
    def look_again(self) -> float:
        """Seconds after which a run that goes on is looked at again; less than half of a claim's lease."""

    def dispatch(self, dispatch: Dispatch) -> WorkflowRun | None:
        """Hand the work over. None: it was taken, and its workflow run is to be found later. Raises Busy when there is
        no room for it now, and nothing happened.

        Not idempotent: `find` comes before every second try.
        """

    def find(self, dispatch: Dispatch) -> WorkflowRun | None:
        """The workflow run of this dispatch as it is now: by its number where it is known, else by its name."""

    def cancel(self, dispatch: Dispatch) -> None:
        """Stop its workflow run. One that has ended, or that there is none of, is left alone."""
