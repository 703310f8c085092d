"""Check runs that nobody will bring to an end any more: their runner is gone."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from app.domain.check_runs import CheckRun, Conclusion, FoundCheckRun, Subject
from app.domain.claims import SeenClaim
from app.errors import ForgeRefused, MasonError, Unreachable
from app.ports.check_runs import CheckRuns
from app.ports.forge import Forge

log = logging.getLogger("mason")


def end_check_runs(forge: Forge, lost: Sequence[SeenClaim]) -> None:
    """End what lost runners left in progress on the commits that their runs started from.

    Done before their claims are taken back, so that a process which dies here leaves it to the next one.
    """
    subjects = {(seen.claim.run_id, seen.claim.item_id) for seen in lost}
    for commit in {seen.base_commit for seen in lost if seen.base_commit}:
        end_left_open(
            forge.check_runs,
            commit,
            lambda subject: (subject.run_id, subject.item_id) in subjects,
            "Its runner was lost",
        )


def end_left_open(
    checks: CheckRuns | None, commit: str, ours: Callable[[Subject], bool], reason: str, *, insist: bool = False
) -> None:
    """Complete, as cancelled, the check runs on a commit that are still in progress and of which ``ours`` holds.

    Idempotent: a completed check run is left alone. It only shows something: a forge that fails is a warning. Raises
    Unreachable for who insists, because he is called again.
    """
    try:
        left = [found for found in checks.found(commit) if not found.completed] if checks else []
        for found in left:
            if checks and found.subject and ours(found.subject):
                end(checks, commit, found, found.subject, reason)
    except MasonError as problem:
        if insist and isinstance(problem, Unreachable):
            raise
        log.warning("Check runs that are left open could not be ended: %s", problem)


def end(checks: CheckRuns, commit: str, found: FoundCheckRun, subject: Subject, reason: str) -> None:
    """Complete one check run as cancelled; one that another App made can only be left to it."""
    ended = CheckRun(
        name=found.name,
        commit=commit,
        subject=subject,
        title=reason,
        summary=f"{reason}. What it worked on is taken up again, or waits for a person.",
        conclusion=Conclusion.CANCELLED,
    )
    try:
        checks.write(found.id, ended)
    except ForgeRefused as problem:
        log.warning("“%s” stays open: %s", found.name[:200], problem)
