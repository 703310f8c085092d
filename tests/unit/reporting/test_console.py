"""The console: plain lines, and the live table on any terminal."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from rich.console import Console
from rich.text import Text

from app.domain import events as ev
from app.domain.results import (
    CheckKind,
    CheckStatus,
    Finding,
    Outcome,
    Severity,
    Tier,
    TierResult,
    TierStatus,
    ValidatorResult,
    Verdict,
)
from app.domain.runs import ItemResult
from app.reporting.console import LiveTable, PlainLines, console_reporter
from tests.unit.reporting.builders import AT, PLAN, check, claim, item, result, run_started, settled, started

HOSTILE = "[bold red]x[/] \x1b[2J\x07 line\nbreak \u202e 🚀" + "y" * 300

STORY: list[ev.Event] = [
    run_started(item(), item(2)),
    started(1, total=2),
    ev.Reevaluated(claim=claim(), title="Add avatar upload", verdict="EXECUTE", reason="Real"),
    ev.Planned(claim=claim(), plan=PLAN),
    ev.WaveStarted(claim=claim(), wave=1, title="Foundation"),
    ev.AgentActivity(claim=claim(), message="Reading a.ts"),
    ev.CheckStarted(claim=claim(), kind=CheckKind.LINT),
    ev.CheckFinished(claim=claim(), result=check(CheckKind.TYPECHECK)),
    ev.CheckFinished(claim=claim(), result=check(CheckKind.LINT, CheckStatus.FAIL, reason="2 errors")),
    ev.IterationStarted(claim=claim(), number=1, limit=5),
    ev.Noted(message="Careful", level=ev.Level.WARN, claim=claim()),
    started(2, HOSTILE, total=2),
    settled(Verdict.COMPLETED, branch="mason/item-1"),
    settled(Verdict.REJECTED, 2, reason="It\nfailed"),
]
END = ev.RunFinished(
    result=result(
        ItemResult(item=item(), outcome=Outcome(verdict=Verdict.COMPLETED)),
        ItemResult(item=item(2), outcome=Outcome(verdict=Verdict.REJECTED)),
    )
)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"  # type: ignore[assignment]

    def isatty(self) -> bool:
        return True


def table(width: int, *, no_color: bool = True) -> tuple[LiveTable, Console]:
    console = Console(
        file=Terminal(), width=width, height=24, force_terminal=True, no_color=no_color, legacy_windows=False
    )
    return LiveTable(console, now=lambda: AT + timedelta(seconds=75)), console


def test_plain__one_line_a_milestone() -> None:
    stream = io.StringIO()
    reporter = console_reporter(stream)
    assert isinstance(reporter, PlainLines)
    for event in [*STORY[:11], *STORY[12:13], END]:
        reporter.report(event)
    reporter.flush()
    reporter.close()
    name = "[1/2] Add avatar upload: "
    assert stream.getvalue().splitlines() == [
        "Working on 2 items from main at 0123456789ab",
        f"{name}started, branch mason/item-1",
        f"{name}re-evaluated: EXECUTE - Real",
        f"{name}planned 3 tasks in 2 waves",
        f"{name}wave 1, Foundation",
        f"{name}✓ TypeScript pass",
        f"{name}✗ ESLint fail (2 errors)",
        f"{name}fix iteration 1/5",
        f"{name}warn: Careful",
        f"{name}completed: mason/item-1",
        "Finished: 1 of 2 items succeeded",
        "",
        "## Re-Evaluation of Inconclusive Items",
        "",
        "Items checked: 1",
        "- EXECUTE (proceeding): 1",
        '  - "Add avatar upload" - Real',
        "- SKIP (deferred): 0",
    ]


def test_plain__a_hostile_title_stays_one_harmless_line() -> None:
    stream = io.StringIO()
    reporter = PlainLines(stream)
    reporter.report(started(2, HOSTILE, total=2))
    (line,) = stream.getvalue().splitlines()
    assert line.startswith("[2/2] [bold red]x[/] \ufffd[2J\ufffd line break \ufffd 🚀yyy")
    assert "\x1b" not in line


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_plain__an_encoding_without_check_marks_is_no_failure(encoding: str) -> None:
    raw = io.BytesIO()
    reporter = console_reporter(io.TextIOWrapper(raw, encoding=encoding, newline="\n"))
    for event in [*STORY, END]:
        reporter.report(event)
    assert "? TypeScript pass" in raw.getvalue().decode(encoding)


def test_console__a_terminal_that_cannot_show_the_table_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(console_reporter(Terminal()), PlainLines)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert isinstance(console_reporter(Terminal()), LiveTable)
    latin = Terminal()
    latin.encoding = "latin-1"  # type: ignore[assignment]
    assert isinstance(console_reporter(latin), PlainLines)


@pytest.mark.parametrize("width", [1, 5, 20, 40, 80, 300])
def test_live__no_width_breaks_the_table(width: int) -> None:
    reporter, console = table(width)
    for event in [*STORY, END]:
        reporter.report(event)
    reporter.close()
    lines = console.render_lines(reporter.table())
    assert all(sum(segment.cell_length for segment in line) <= width for line in lines)


def test_live__shows_state_checks_iteration_and_time() -> None:
    reporter, console = table(120)
    for event in STORY[:11]:
        reporter.report(event)
    reporter.close()
    with console.capture() as capture:
        console.print(reporter.table())
    _, row = Text.from_ansi(capture.get()).plain.splitlines()
    for cell in ("Add avatar upload", "inspection", "Fix iteration 1/5", "✓ ✗ · ·", "1/5", "1:15"):
        assert cell in row


def test_live__a_long_title_leaves_room_for_the_rest() -> None:
    reporter, console = table(60)
    reporter.report(started(1, "word " * 40))
    with console.capture() as capture:
        console.print(reporter.table())
    heading, row = Text.from_ansi(capture.get()).plain.splitlines()
    assert all(name in heading for name in ("Item", "State", "Now", "T L B T", "Fix", "Time"))
    assert row.rstrip().endswith("1:15")


def test_live__items_that_ended_stand_below_and_say_how() -> None:
    reporter, console = table(160)
    for event in STORY[:-1]:
        reporter.report(event)
    reporter.close()
    with console.capture() as capture:
        console.print(reporter.table())
    _, working, done = capture.get().splitlines()
    assert "[bold red]x[/]" in working
    assert "completed" in done
    assert "mason/item-1" in done


def test_live__no_colour_where_none_is_wanted() -> None:
    stream = Terminal()
    reporter = LiveTable(Console(file=stream, width=80, force_terminal=True, no_color=True))
    for event in [*STORY, END]:
        reporter.report(event)
    reporter.close()
    assert "\x1b[3" not in stream.getvalue()
    assert "\x1b[2J" not in stream.getvalue()
    assert "\x07" not in stream.getvalue()
    assert "Finished: 1 of 2 items succeeded" in stream.getvalue()


def test_live__no_color_of_the_environment_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    stream = Terminal()
    reporter = console_reporter(stream)
    for event in [*STORY, END]:
        reporter.report(event)
    reporter.close()
    assert "\x1b[3" not in stream.getvalue()


def test_live__closing_without_a_run_is_quiet() -> None:
    reporter, _ = table(80)
    reporter.flush()
    reporter.close()
    reporter.close()


def test_plain__what_the_validator_found_is_told_also_when_it_stops_nothing() -> None:
    def said(status: TierStatus, *findings: Finding) -> str:
        stream = io.StringIO()
        tiers = (TierResult(tier=Tier.SIDE_EFFECTS, status=status, findings=findings),)
        PlainLines(stream).report(ev.Validated(claim=claim(), result=ValidatorResult(tiers=tiers)))
        return stream.getvalue().strip()

    gone = Finding(path="a", message="1 test is gone", severity=Severity.WARNING)
    assert said(TierStatus.PASS) == ""
    assert said(TierStatus.WARN, gone).endswith("! Validator, 1 warning: 1 test is gone")
    assert said(TierStatus.FAIL, gone, gone).endswith("✗ Validator, side effects: 1 test is gone (and 1 more)")
