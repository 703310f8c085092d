"""The log of an Actions job: milestones, a group for every finished check, annotations at the end of an item."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from app.domain import events as ev
from app.domain.claims import Claim
from app.domain.results import CheckResult, CheckStatus, Diagnostic, Outcome, Severity, Verdict
from app.reporting.check_texts import plain, seconds
from app.reporting.commands import InertStream, command, inert
from app.reporting.console import PlainLines
from app.reporting.head_checks import TITLES
from app.reporting.text import one_line

SHOWN = 10
"""Annotations of one level in a step; GitHub shows no more."""

_MARK = {CheckStatus.PASS: "✓", CheckStatus.SKIPPED: "–"}
_MESSAGE_LIMIT = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Annotation:
    """``level`` is the command: error, warning or notice. Unknown places are empty or 0."""

    level: str
    message: str
    title: str = ""
    file: str = ""
    line: int = 0
    col: int = 0

    def __str__(self) -> str:
        return command(
            self.level, self.message, file=self.file, line=self.line, col=self.col, title=one_line(self.title, 120)
        )


class ActionsLog:
    """Reports to the job's log. A group is written whole: items side by side do not get into each other's."""

    def __init__(self, stream: InertStream) -> None:
        self._stream = stream
        self._lines = PlainLines(stream)
        self._names: dict[Claim, str] = {}
        self._shown: Counter[str] = Counter()
        self._lock = threading.Lock()

    def report(self, event: ev.Event) -> None:
        match event:
            case ev.CheckFinished():
                self._stream.command(group(self._names.get(event.claim, ""), event.result, event.recorded_only))
                return
            case ev.ItemStarted():
                self._names[event.claim] = f"[{event.position}/{event.total}] {one_line(event.item.title, 60)}"
        self._lines.report(event)
        if isinstance(event, ev.ItemSettled):
            self._annotate(
                annotations_of(self._names.get(event.claim) or one_line(event.item.title, 60), event.outcome)
            )

    def flush(self) -> None:
        """Everything is flushed when it is written."""

    def close(self) -> None:
        """The stream is not ours to close."""

    def _annotate(self, found: Iterable[Annotation]) -> None:
        with self._lock:
            for annotation in found:
                if self._shown[annotation.level] < SHOWN:
                    self._shown[annotation.level] += 1
                    self._stream.command(str(annotation))


def group(name: str, check: CheckResult, recorded_only: bool = False) -> str:
    """The lines of one finished check, foldable: its command, why it failed, and what it wrote."""
    said = f"{_MARK.get(check.status, '✗')} {TITLES[check.kind]}"
    how = f"{check.status}, {seconds(check.seconds)}{', after a wave' if recorded_only else ''}"
    title = f"{name}: {said} ({how})" if name else f"{said} ({how})"
    lines = [f"$ {one_line(check.command, 500)}"] if check.command else []
    lines += [one_line(check.reason, _MESSAGE_LIMIT)] if check.reason else []
    lines += [plain(check.output).rstrip("\n")] if check.output else []
    body = inert("\n".join(lines) + "\n") if lines else ""
    return command("group", title) + body + command("endgroup")


def annotations_of(name: str, outcome: Outcome) -> list[Annotation]:
    """What the job's page says of an item's end: the pull request, or why it failed and at which lines."""
    if outcome.verdict is Verdict.COMPLETED and outcome.pull_request:
        return [Annotation(level="notice", message=f"Pull request: {one_line(outcome.pull_request, 500)}", title=name)]
    if outcome.verdict is not Verdict.REJECTED:
        return []
    found = [Annotation(level="error", message=one_line(outcome.reason or "Failed", _MESSAGE_LIMIT), title=name)]
    for tier in outcome.validator.failures if outcome.validator else ():
        found += [
            Annotation(level="error", message=one_line(f.message, _MESSAGE_LIMIT), title="Validator", file=f.path)
            for f in tier.findings
        ]
    for check in outcome.gate.failures if outcome.gate else ():
        found += [_at(d, TITLES[check.kind]) for d in check.diagnostics if d.severity is not Severity.NOTE]
    return found


def _at(diagnostic: Diagnostic, title: str) -> Annotation:
    return Annotation(
        level="error" if diagnostic.severity is Severity.ERROR else "warning",
        message=one_line(diagnostic.message, _MESSAGE_LIMIT),
        title=f"{title} {diagnostic.code}".rstrip(),
        file=diagnostic.path,
        line=diagnostic.line,
        col=diagnostic.column,
    )
