"""Check runs, where the forge has them. They show; they decide nothing."""

from __future__ import annotations

from typing import Protocol

from app.domain.check_runs import CheckRun, FoundCheckRun


class CheckRuns(Protocol):
    """All methods raise Unreachable when the forge stays away, ForgeRefused when it says no; from any thread."""

    def found(self, commit: str, *, name: str | None = None) -> list[FoundCheckRun]:
        """The newest check runs on a commit, made by the App that Mason acts as."""

    def start(self, check: CheckRun) -> int:
        """Make one; its id. The same (name, commit, subject) twice is one, also when the first answer was lost."""

    def write(self, check_id: int, check: CheckRun, *, dispensable: bool = False) -> None:
        """Bring one up to date, or complete it. A dispensable write is left out while the forge's limits are near."""
