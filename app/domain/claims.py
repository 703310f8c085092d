"""Claims: who works on an item, fenced by (run, attempt) (contracts §1, Claim and fence)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

LEASE = timedelta(minutes=3)
"""A claim without a heartbeat for this long is dead."""

MAX_ATTEMPTS = 3
"""An item whose runner was lost in its third attempt is rejected."""


DISPATCHED = "dispatch"
"""``claimed_by`` of an item that was claimed for a run whose runner has not begun yet."""

_NUMBER = re.compile(r"[0-9]{1,18}")
"""A number in a column that others can write."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """The right to write for one item. The fence is the pair (``run_id``, ``attempt``)."""

    item_id: UUID
    run_id: UUID
    attempt: int
    claimed_by: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Claimant:
    """A process on a host, as stored in ``claimed_by``: ``process <host> <pid namespace> <pid> <start ticks>``."""

    host: str
    namespace: str
    pid: int
    started: str

    def __str__(self) -> str:
        return f"process {self.host} {self.namespace} {self.pid} {self.started}"

    @classmethod
    def parse(cls, text: str) -> Claimant | None:
        """The claimant a ``claimed_by`` names, or None when it is not a process (``dispatch``, say)."""
        match text.split(" "):
            case ["process", host, namespace, pid, started] if _NUMBER.fullmatch(pid):
                return cls(host=host, namespace=namespace, pid=int(pid), started=started)
            case _:
                return None


@dataclass(frozen=True, kw_only=True, slots=True)
class JobClaimant:
    """A job of a workflow run, as stored in ``claimed_by``: ``job <workflow run> <attempt> <job> <nonce>``.

    ``nonce`` tells the jobs of a matrix apart, which share their name.
    """

    workflow_run: str
    attempt: int
    job: str
    nonce: str

    def __str__(self) -> str:
        return f"job {self.workflow_run} {self.attempt} {self.job} {self.nonce}"

    def outlived(self, claimed_by: str, *, last: bool = False) -> bool:
        """Whether the job that a claim names has ended: it belongs to an earlier attempt of this workflow run.

        ``last``: this is the job that runs when all others have ended.
        """
        match claimed_by.split(" "):
            case ["job", run, attempt, _, nonce] if run == self.workflow_run and _NUMBER.fullmatch(attempt):
                return int(attempt) < self.attempt or (last and nonce != self.nonce)
            case _:
                return False


@dataclass(frozen=True, kw_only=True, slots=True)
class SeenClaim:
    """A claim as it stands in the database, and the commit that its run started from, where that is known."""

    claim: Claim
    expired: bool
    base_commit: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadClaim:
    """A claim that was taken from a lost runner, and the status its item went to."""

    item_id: UUID
    title: str
    run_id: UUID | None
    rejected: bool
