"""What is shown of a run, in words: states, durations, texts made visible (pure)."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from itertools import groupby
from urllib.parse import urlsplit

from markupsafe import Markup, escape

from app.domain.events import Level, TaskStatus
from app.domain.items import ItemStatus
from app.domain.results import Usage, Verdict
from app.domain.run_views import ItemView, RunLine, RunView
from app.domain.runs import RunStatus

LONGEST_LINE = 2_000
"""Characters of one line of an output or a diff."""

_COLOURS = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_HIDDEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff]"
)

_KINDS = {"+": "add", "-": "del", "@": "hunk"}
_OF_FILES = ("diff ", "+++ ", "--- ", "index ", "new file", "deleted file", "rename ", "similarity ")

RUN_WORDS = {
    RunStatus.PENDING: "Waiting",
    RunStatus.IN_PROGRESS: "Running",
    RunStatus.SUCCESS: "Succeeded",
    RunStatus.FAILED: "Failed",
    RunStatus.CANCELLED: "Cancelled",
}
RUN_TONES = {
    RunStatus.PENDING: "waiting",
    RunStatus.IN_PROGRESS: "running",
    RunStatus.SUCCESS: "good",
    RunStatus.FAILED: "bad",
    RunStatus.CANCELLED: "off",
}
TASK_TONES = {
    TaskStatus.PENDING: "waiting",
    TaskStatus.IN_PROGRESS: "running",
    TaskStatus.COMPLETED: "good",
    TaskStatus.FAILED: "bad",
    TaskStatus.SKIPPED: "off",
}
CHECK_TONES = {
    "pending": "waiting",
    "running": "running",
    "pass": "good",
    "fail": "bad",
    "skipped": "off",
}
CHECK_WORDS = {
    "pending": "Waiting",
    "running": "Running",
    "pass": "Passed",
    "fail": "Failed",
    "skipped": "Skipped",
}
LEVEL_TONES = {Level.DEBUG: "off", Level.INFO: "plain", Level.WARN: "warn", Level.ERROR: "bad"}

_VERDICTS = {
    Verdict.COMPLETED: ("Completed", "good"),
    Verdict.ALREADY_RESOLVED: ("Already resolved", "good"),
    Verdict.DEFERRED: ("Put off", "warn"),
    Verdict.REJECTED: ("Failed", "bad"),
    Verdict.RELEASED: ("Given back", "warn"),
    Verdict.CHANGED: ("Changed meanwhile", "warn"),
    Verdict.LOST: ("Taken over", "off"),
}
_STATUSES = {
    ItemStatus.NEW: ("Not approved", "warn"),
    ItemStatus.APPROVED: ("Waiting", "waiting"),
    ItemStatus.COMPLETED: ("Completed", "good"),
    ItemStatus.DEFERRED: ("Put off", "warn"),
    ItemStatus.REJECTED: ("Failed", "bad"),
}


def state_of_item(item: ItemView, *, ended: bool) -> tuple[str, str]:
    """How it is with an item: a word, and the tone that goes with it. ``ended``: its run has."""
    if item.verdict is not None:
        return _VERDICTS[item.verdict]
    if item.status is ItemStatus.IN_PROGRESS:
        begun = item.phase is not None or item.started_at is not None
        return ("Running", "running") if begun and not ended else ("Waiting", "waiting")
    if item.status is ItemStatus.APPROVED and ended:
        return "Given back", "warn"
    return _STATUSES[item.status]


def tone_of_item(item: ItemView, *, ended: bool) -> str:
    return state_of_item(item, ended=ended)[1]


def title_of(view: RunView) -> str:
    """What a run is called: its item's title, or how many there are."""
    if len(view.items) == 1:
        return visible(view.items[0].title)[:300] or "One item"
    return title_of_line(view.run, len(view.items))


def title_of_line(run: RunLine, items: int | None = None) -> str:
    count = run.items if items is None else items
    return f"{count} item{'' if count == 1 else 's'}" + (f" in {visible(run.repository)}" if run.repository else "")


def progress_of(view: RunView) -> str:
    """One sentence that changes only when something has happened."""
    words = [state_of_item(item, ended=view.ended)[0] for item in view.items]
    counts = [f"{words.count(word)} {word.lower()}" for word in dict.fromkeys(words)]
    return ", ".join(counts)


def visible(text: str) -> str:
    """Without the colours of a terminal, and with a mark for each character that hides itself or turns the text."""
    return _HIDDEN.sub("\ufffd", _COLOURS.sub("", text.replace("\r\n", "\n")))


def lines_of(text: str) -> list[str]:
    """Visible lines, none longer than `LONGEST_LINE`."""
    return [line if len(line) <= LONGEST_LINE else line[:LONGEST_LINE] + " …" for line in visible(text).split("\n")]


def output(text: str) -> str:
    return "\n".join(lines_of(text)).strip("\n")


def diff(text: str) -> Markup:
    """A unified diff, each stretch of lines of one kind in a span of that kind."""
    stretches = groupby(lines_of(text.strip("\n")), key=_kind_of)
    spans = [f'<span class="{kind}">{escape(chr(10).join(lines))}</span>' for kind, lines in stretches]
    return Markup("".join(spans))  # noqa: S704 - kinds are words of ours, lines are escaped


def _kind_of(line: str) -> str:
    first = line[:1]
    if first in "+-dinrs" and line.startswith(_OF_FILES):
        return "file"
    return _KINDS.get(first, "ctx")


def diff_size(text: str) -> tuple[int, int]:
    """Lines added and removed."""
    kinds = [_kind_of(line) for line in text.split("\n")]
    return kinds.count("add"), kinds.count("del")


def web_address(url: str) -> str:
    """The address, when it is a plain one of the web that may be a link; else "". Rows may hold any text."""
    if len(url) > 2_000 or not re.fullmatch(r"https?://[\x21-\x7e]+", url) or re.search(r"[\"'<>\\^`{|}]", url):
        return ""
    try:
        parts = urlsplit(url)
        return url if parts.hostname and not parts.username and not parts.password and parts.port != 0 else ""
    except ValueError:
        return ""


def link_words(url: str) -> str:
    """What an address is called: a pull request by its number."""
    found = re.search(r"/pull/([0-9]{1,9})/?$", url)
    return f"#{found[1]}" if found else url.partition("://")[2]


def duration(seconds: float) -> str:
    """For people: 0.4 s, 12 s, 3 min 5 s, 2 h 4 min, 3 d 2 h."""
    if 0 < seconds < 1:
        return f"{max(seconds, 0.1):.1f} s"
    whole = max(round(seconds), 0)
    for unit, size, below, per in (("d", 86_400, "h", 3_600), ("h", 3_600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // per
            return f"{whole // size} {unit}" + (f" {rest} {below}" if rest else "")
    return f"{whole} s"


def between(start: datetime | None, end: datetime | None) -> str:
    """How long something took; "" while that is not known."""
    return duration((end - start).total_seconds()) if start and end else ""


def moment(value: datetime) -> str:
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def clock(value: datetime) -> str:
    return f"{value.astimezone(UTC):%H:%M:%S}"


def iso(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="seconds")


def tokens(usage: Usage) -> str:
    count = usage.input_tokens + usage.output_tokens
    return f"{count:,} tokens" if count else ""


def cost(usage: Usage) -> str:
    if not usage.cost_usd:
        return ""
    return f"${usage.cost_usd:,.2f}" if usage.cost_usd >= 0.01 else "less than $0.01"
