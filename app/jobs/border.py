"""The border around every job: whatever a flow raises becomes the job's next step here, and no job is lost."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import stamina

from app.domain.jobs import Job
from app.errors import Busy, DatabaseUnreachable, FenceFell, MasonError, Unreachable
from app.ports.job_queue import Trouble, WorkQueue

log = logging.getLogger("mason")

MOST_FAILURES = 8
"""Failures in a row after which a job is parked. A service that stays away is waited for instead, for ever."""

BUSY_AGAIN = 1.0
FIRST_WAIT, LONGEST_WAIT = 1.0, 300.0
"""Seconds between tries: doubled each time, with full jitter."""

LONGEST_OBEYED = 3600.0
"""A `retry_after` is obeyed up to here, in seconds: a slip of the other side must not stop Mason for a day."""

_QUEUE_PATIENCE = 60.0
_SENTENCE = 500

T = TypeVar("T")


class Parked(MasonError):
    """The job kept failing; it waits for a person, or for the next hint."""


class Hung(MasonError):
    """It did not end in time; somebody else does it again."""


@dataclass(frozen=True, kw_only=True)
class Border:
    """``redact`` takes secrets out of what is stored about an error; ``chance`` is uniform in [0, 1)."""

    queue: WorkQueue
    redact: Callable[[str], str] = str
    chance: Callable[[], float] = random.random
    busy_again: float = BUSY_AGAIN

    def cross(self, job_id: int, job: Job, trouble: Trouble | None, flow: Callable[[], float | None]) -> None:
        """Do one job and leave behind what is to follow. Raises Parked when its worker is to end it as failed.

        What follows is a job of its own, never the library's retry, which cannot cope with a successor that waits.
        """
        trouble = trouble or Trouble()
        try:
            seconds = flow()
        except (Busy, FenceFell) as problem:
            log.debug("%s waits: %s", job, problem)
            _surely(lambda: self.queue.follow_up(job, after=self.busy_again, trouble=trouble))
        except Unreachable as problem:
            log.warning("%s is tried again: %s", job, problem)
            self._try_again(job, replace(trouble, tries=trouble.tries + 1), problem)
        except Exception as problem:  # whatever a flow may raise: this is the border
            log.error("%s failed: %s", job, sentence(problem), exc_info=not isinstance(problem, MasonError))
            met = Trouble(tries=trouble.tries + 1, failures=trouble.failures + 1)
            self._again_or_park(job_id, job, met, problem)
        else:
            _surely(lambda: self.queue.succeeded(job))
            if seconds is not None:
                _surely(lambda: self.queue.defer(job, after=seconds))

    def _again_or_park(self, job_id: int, job: Job, met: Trouble, problem: Exception) -> None:
        """A thing that is parked already gets one try for each hint."""
        if met.failures < MOST_FAILURES and not _surely(lambda: self.queue.is_parked(job)):
            self._try_again(job, met, problem)
            return
        reason = self.redact(sentence(problem))
        _surely(lambda: self.queue.park(job_id, reason, met))
        raise Parked(reason) from None

    def _try_again(self, job: Job, met: Trouble, problem: Exception) -> None:
        """Not before the time that the other side asked for, if it did."""
        asked = min(problem.retry_after or 0.0, LONGEST_OBEYED) if isinstance(problem, Unreachable) else 0.0
        after = max(asked, wait_after(met.tries, self.chance()))
        _surely(lambda: self.queue.follow_up(job, after=after, trouble=met, not_before=asked))


def wait_after(tries: int, chance: float) -> float:
    """Seconds to wait after so many failed tries, from 1 (pure)."""
    longest = min(FIRST_WAIT * 2 ** min(tries - 1, 20), LONGEST_WAIT)
    return float(FIRST_WAIT + (longest - FIRST_WAIT) * chance)


def sentence(problem: BaseException) -> str:
    """One line for the person who looks after the queue."""
    text = str(problem).strip().partition("\n")[0]
    if not isinstance(problem, MasonError):
        text = f"{type(problem).__name__}: {text}" if text else type(problem).__name__
    return text[:_SENTENCE]


def _surely(action: Callable[[], T]) -> T:
    """What has to be noted is noted, although the queue may be away for a while."""
    stamina.instrumentation.set_on_retry_hooks(())  # an outage is told by the worker, in a sentence
    again = stamina.retry_context(
        on=DatabaseUnreachable, attempts=None, timeout=_QUEUE_PATIENCE, wait_initial=0.1, wait_max=2.0
    )
    for attempt in again:
        with attempt:
            return action()
    raise AssertionError("the loop returns or raises")
