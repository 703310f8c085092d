"""Reporting to GitHub Checks: a check run for each item at work, and those of a published commit."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

from app.bounded import within
from app.domain import events as ev
from app.domain.check_runs import CheckRun, FoundCheckRun, Subject
from app.domain.claims import Claim
from app.domain.progress import Progress, advance, first_progress
from app.domain.results import Outcome, Verdict
from app.errors import MasonError, MissingPermission, Unreachable
from app.ports.check_runs import CheckRuns
from app.reporting.head_checks import head_check_runs
from app.reporting.item_checks import ended, item_check_name, left_behind, working

log = logging.getLogger("mason")

SPACING = 30.0
"""Seconds between an item's first two states; each wait is twice the one before: six updates in an hour of work."""

PATIENCE = 60.0
"""Seconds that the end of a run waits for check runs to be completed, all of them together."""

_LOST = "Its runner was lost. What it worked on is taken up again."
_LEFT = "The run ended before the item did."


@dataclass(kw_only=True, slots=True)
class _Shown:
    """An item and its check run. ``writing`` is held while GitHub is asked; ``left`` is what its end has yet to write.

    ``told`` is the part of the progress that was written last, None while nothing was; ``begun``: a start was tried.
    """

    name: str
    subject: Subject
    branch: str
    title: str
    progress: Progress
    writing: threading.Lock = field(default_factory=threading.Lock)
    check_id: int | None = None
    begun: bool = False
    told: tuple[object, ...] | None = None
    updates: int = 0
    written_at: float = 0.0
    left: list[CheckRun] | None = None


class CheckRunReporter:
    """Shows every item as a check run on the base commit, and a finished one's evidence on its pull request's head.

    The work never waits for what shows progress: a thread of its own writes that, less and less often. How an item
    ended is written before ``report`` comes back from ItemSettled: a runner that is killed later leaves nothing open,
    and one that is killed before has an item that the next runner takes up again. Whatever could not be completed is
    tried once more in ``close()``. No error of the forge leaves this class; a token that may not write check runs
    ends them with one warning. ``checks`` finds them anew each time: None once Mason is known to be allowed none.
    """

    def __init__(
        self,
        checks: Callable[[], CheckRuns | None],
        *,
        spacing: float = SPACING,
        patience: float = PATIENCE,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._find = checks
        self._spacing = spacing
        self._patience = patience
        self._now = now
        self._base = ""
        self._items: dict[Claim, _Shown] = {}
        self._folding = threading.Lock()
        self._wake = threading.Event()
        self._closed = threading.Event()
        self._forbidden = False
        self._thread = threading.Thread(target=self._work, name="mason-check-runs", daemon=True)
        self._thread.start()

    @property
    def _checks(self) -> CheckRuns:
        if found := self._find():
            return found
        raise MissingPermission("the forge has no check runs, or Mason may make none")

    def report(self, event: ev.Event) -> None:
        match event:
            case ev.RunStarted():
                self._base = event.run.base.commit
            case ev.ItemSettled():
                self._settle(event)
            case ev.PullRequestJudged():
                self._judge(event)
            case ev.ItemEvent():
                self._fold(event)

    def flush(self) -> None:
        """What has to be written before a claim ends is written by then."""

    def close(self) -> None:
        """Complete whatever is still open. The second call does nothing."""
        self._closed.set()
        self._wake.set()
        try:
            within(self._patience, self._complete_all)
        except TimeoutError:
            log.warning("Check runs that are still open could not be completed in %.0f s", self._patience)

    def _fold(self, event: ev.ItemEvent) -> None:
        with self._folding:
            if isinstance(event, ev.ItemStarted) and self._base:
                self._items[event.claim] = _shown(event)
            shown = self._items.get(event.claim)
            if shown is None:
                return
            before, shown.progress = shown.progress, advance(shown.progress, event)
            news = isinstance(event, ev.ItemStarted) or _told(before) != _told(shown.progress)
        if news:
            self._wake.set()

    def _work(self) -> None:
        while not (self._closed.is_set() or self._forbidden):
            with self._folding:
                items = list(self._items.values())
            for shown in items:
                if self._wait(shown) == 0:
                    self._show(shown)
            waits = [wait for wait in map(self._wait, items) if wait is not None]
            self._wake.wait(max(min(waits), 0.01) if waits else None)
            self._wake.clear()

    def _wait(self, shown: _Shown) -> float | None:
        """Seconds until the item's check run is to be brought up to date, None when it has nothing new to say."""
        if shown.left is not None or shown.told == _told(shown.progress):
            return None
        if shown.told is None:
            return 0
        return max(0.0, shown.written_at + pause(shown.updates, self._spacing) - self._now())

    def _show(self, shown: _Shown) -> None:
        with shown.writing:
            if shown.left is not None:
                return
            progress = shown.progress
            check = working(shown.name, self._base, shown.subject, shown.branch, progress)
            if shown.check_id is None:
                self._begin(shown, check)
            else:
                self._try(shown.title, lambda: self._checks.write(shown.check_id or 0, check, dispensable=True))
                shown.updates += 1
            shown.told, shown.written_at = _told(progress), self._now()

    def _begin(self, shown: _Shown, check: CheckRun) -> None:
        """Start the item's check run, once those that a killed runner left open are ended: the newest one is shown."""

        def start() -> None:
            shown.begun = True
            shown.check_id = self._checks.start(check)

        self._end_lost(shown)
        self._try(shown.title, start)

    def _end_lost(self, shown: _Shown) -> None:
        """Complete the check runs of other runs of this item, of which only one is at work: this one."""
        found: list[FoundCheckRun] = []
        self._try(shown.title, lambda: found.extend(self._checks.found(self._base)))
        for one in found:
            other = one.subject
            if one.completed or not other or other.item_id != shown.subject.item_id:
                continue
            if other.run_id != shown.subject.run_id:
                lost = left_behind(one.name, self._base, other, _LOST)
                self._try(shown.title, partial(self._checks.write, one.id, lost))

    def _judge(self, event: ev.PullRequestJudged) -> None:
        """The check runs of a pull request's head; asked for by a person, who waits for nothing else."""
        subject = Subject(run_id=event.run_id, item_id=event.item_id, pull_request=event.number)
        for check in head_check_runs(event.commit, subject, event.gate, event.validator):
            self._try(f"#{event.number}", lambda check=check: self._checks.start(check))  # type: ignore[misc]

    def _settle(self, event: ev.ItemSettled) -> None:
        with self._folding:
            shown = self._items.get(event.claim)
        if shown is None or self._forbidden:  # it was given back before any work began
            return
        subject = replace(shown.subject, pull_request=event.outcome.pull_request_number)
        with shown.writing:
            shown.begun = True
            last = ended(shown.name, self._base, shown.subject, event.outcome)
            shown.left = [*self._evidence(shown, subject, event.outcome), last]
            self._complete(shown)

    def _evidence(self, shown: _Shown, subject: Subject, outcome: Outcome) -> list[CheckRun]:
        """The check runs of the head commit that are still to be made."""
        commit = outcome.commit
        if outcome.verdict is not Verdict.COMPLETED or not commit or not outcome.pull_request:
            return []
        checks = head_check_runs(commit, subject, outcome.gate, outcome.validator)
        if outcome.gate is not None:
            return checks
        # A lost runner pushed this commit, and its results went with it: what it had written down stands.
        there: set[str] = set()

        def look() -> None:
            found = self._checks.found(commit)
            there.update(f.name for f in found if f.subject and f.subject.item_id == subject.item_id and f.completed)

        return [check for check in checks if check.name not in there] if self._try(shown.title, look) else []

    def _complete(self, shown: _Shown) -> None:
        """Write what is left of an item's end; what fails stays left. Idempotent because ``start`` is."""
        for check in list(shown.left or ()):
            done = self._try(shown.title, partial(self._post, shown, check))
            if done and shown.left:
                shown.left.remove(check)
            if done is None:
                return

    def _post(self, shown: _Shown, check: CheckRun) -> None:
        if check.name == shown.name and shown.check_id is not None:
            self._checks.write(shown.check_id, check)
        else:
            self._checks.start(check)

    def _complete_all(self) -> None:
        self._thread.join()
        with self._folding:
            items, self._items = list(self._items.values()), {}
        for shown in items:
            with shown.writing:
                if shown.left is None:
                    last = left_behind(shown.name, self._base, shown.subject, _LEFT)
                    shown.left = [last] if shown.begun else []
                self._complete(shown)

    def _try(self, title: str, ask: Callable[[], object]) -> bool | None:
        """Ask the forge; whether it did as it was asked, None when asking again makes no sense now."""
        if self._forbidden or self._find() is None:
            return None
        try:
            ask()
        except MissingPermission as problem:
            self._forbidden = True
            log.warning("There will be no check runs: %s", problem)
            return None
        except MasonError as problem:
            log.warning("A check run of “%s” could not be written: %s", title[:200], problem)
            return None if isinstance(problem, Unreachable) else False
        return True


def pause(updates: int, spacing: float = SPACING) -> float:
    """Seconds from an item's last written state to its next, after so many updates: they become rarer."""
    return spacing * 2.0**updates


def _shown(event: ev.ItemStarted) -> _Shown:
    return _Shown(
        name=item_check_name(event.item),
        subject=Subject(run_id=event.claim.run_id, item_id=event.claim.item_id),
        branch=event.branch,
        title=event.item.title,
        progress=first_progress(event.claim),
    )


def _told(progress: Progress) -> tuple[object, ...]:
    """What is worth an update."""
    return progress.phase, progress.wave, progress.fix_iteration
