"""The formats in which tools write what they found, one line or one block each.

Every recogniser takes the lines of an output and yields ``(index of the line, finding)``. All patterns are anchored,
look at one line of bounded length and cannot backtrack far, so that a megabyte of garbage is read in linear time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from app.domain.results import Severity


class Found(NamedTuple):
    """A finding as a tool wrote it; ``path`` is not yet checked."""

    path: str
    line: int
    message: str
    column: int = 0
    severity: Severity = Severity.ERROR
    code: str = ""


Lines = Sequence[str]
Recogniser = Callable[[Lines], Iterator[tuple[int, Found]]]

_PLACE = r"(?P<path>[^\s:()<>|\"'][^:()<>|\"']{0,300}):(?P<line>\d{1,7})(?::(?P<column>\d{1,7}))?"
_TSC = r"(?P<path>[^\s:()][^:()]{0,300}(?:\([^:()]{1,80}\)[^:()]{0,300})?)"
_ONE_LINE = tuple(
    re.compile(pattern)
    for pattern in (
        # tsc, plain: src/a.ts(3,5): error TS2322: Type …
        _TSC
        + r"\((?P<line>\d{1,7}),(?P<column>\d{1,7})\): (?P<severity>error|warning) (?P<code>TS\d+): (?P<message>.+)",
        # tsc, pretty: src/a.ts:3:5 - error TS2322: Type …
        _PLACE + r" - (?P<severity>error|warning) (?P<code>TS\d+): (?P<message>.+)",
        # pyright: a.py:3:5 - error: Message (reportSomething)
        r"\s*" + _PLACE + r" - (?P<severity>error|warning|information): (?P<message>.+?)(?: \((?P<code>report\w+)\))?$",
        # eslint, compact: a.js: line 1, col 5, Error - Message (rule)
        r"(?P<path>[^\s:][^:]{0,300}): line (?P<line>\d{1,7}), col (?P<column>\d{1,7}), "
        r"(?P<severity>Error|Warning) - (?P<message>.+?)(?: \((?P<code>[\w@/-]+)\))?$",
        # eslint, unix: a.js:1:5: Message [Error/rule]
        _PLACE + r": (?P<message>.+) \[(?P<severity>Error|Warning)(?:/(?P<code>[\w@/-]+))?\]$",
        # mypy: a.py:3: error: Message  [code]
        _PLACE + r": (?P<severity>error|warning|note): (?P<message>.+?)(?: {1,2}\[(?P<code>[\w-]+)\])?$",
        # ruff concise, flake8: a.py:1:8: F401 [*] Message
        _PLACE + r": (?P<code>[A-Z]{1,8}\d{2,5}|invalid-syntax|SyntaxError)[: ] ?(?:\[\*\] )?(?P<message>.+)",
        # gcc and most others: main.c:3:5: fatal error: Message
        _PLACE + r":? (?:fatal )?(?P<severity>error|warning|note|info)(?: (?P<code>[\w-]{2,40}))?: (?P<message>.+)",
        # go vet, go build: vet: ./main.go:5:2: Message
        r"(?:vet: )?" + _PLACE + r": (?P<message>.+)",
    )
)
_SEVERITIES = {"warning": Severity.WARNING, "note": Severity.NOTE, "info": Severity.NOTE, "information": Severity.NOTE}


def _at(place: re.Match[str], message: str, severity: str | None = None, code: str | None = None) -> Found:
    """A finding at the path, line and column of a match."""
    return Found(
        path=place["path"],
        line=int(place["line"]),
        column=int(place["column"] or 0),
        severity=_severity(severity),
        code=code or "",
        message=message,
    )


def _severity(word: str | None) -> Severity:
    return _SEVERITIES.get((word or "").lower(), Severity.ERROR)


def one_line(lines: Lines) -> Iterator[tuple[int, Found]]:
    """Everything that tools write on a line of its own."""
    for index, line in enumerate(lines):
        if ":" not in line or not any(map(str.isdigit, line[:400])):
            continue
        match = next((match for pattern in _ONE_LINE if (match := pattern.match(line))), None)
        if match:
            parts = match.groupdict()
            yield index, _at(match, parts["message"], parts.get("severity"), parts.get("code"))


_ESLINT_FILE = re.compile(r"(?P<path>[^\s:][^:]{0,300}\.\w{1,8})$")
_ESLINT_LINE = re.compile(r"\s+(\d{1,7}):(\d{1,7})\s+(error|warning)\s+(\S.*)$")
_ESLINT_RULE = re.compile(r".*  (?P<rule>(?:@[\w-]{1,100}/)?[\w-]{1,100}/[\w-]{1,100})$")


def eslint_stylish(lines: Lines) -> Iterator[tuple[int, Found]]:
    """A file on one line, below it ``  12:5  error  Message  rule``, the rule set apart by two spaces.

    A plugin's message may go on over many lines, blank ones and a code frame among them: its rule follows the last.
    """
    path = ""
    found: dict[int, Found] = {}
    unfinished: int | None = None
    for index, line in enumerate(lines):
        if unfinished is not None and (match := _ESLINT_RULE.match(line)):
            found[unfinished] = found[unfinished]._replace(code=match["rule"])
            unfinished = None
        elif match := _ESLINT_FILE.match(line):
            path, unfinished = match["path"], None
        elif path and (match := _ESLINT_LINE.match(line)):
            message, _, rule = match[4].rstrip().rpartition("  ")
            if not message or " " in rule.strip():
                message, rule = match[4], ""
            place = (path, int(match[1]), message.strip(), int(match[2]))
            found[index] = Found(*place, severity=_severity(match[3]), code=rule.strip())
            unfinished = None if rule else index
        elif line.startswith("✖ ") or (unfinished is None and not line.strip()):
            path, unfinished = "", None
    yield from found.items()


_ARROW = re.compile(r"\s*-->\s(?P<path>[^:]{1,300}):(?P<line>\d{1,7}):(?P<column>\d{1,7})$")
_RUSTC = re.compile(r"(?P<severity>error|warning)(?:\[(?P<code>[\w:-]+)\])?: (?P<message>.+)")
_RUFF = re.compile(r"(?P<code>[A-Z]{1,8}\d{2,5}|invalid-syntax|[a-z]+(?:-[a-z]+)+):? (?:\[\*\] )?(?P<message>.+)")


def arrows(lines: Lines) -> Iterator[tuple[int, Found]]:
    """Ruff and rustc: what was found on one line, ``--> path:line:column`` on the next."""
    for index in range(1, len(lines)):
        arrow = _ARROW.match(lines[index])
        title = arrow and (_RUSTC.match(lines[index - 1]) or _RUFF.match(lines[index - 1]))
        if arrow and title:
            parts = title.groupdict()
            yield index, _at(arrow, parts["message"], parts.get("severity"), parts["code"])


_SECTION = re.compile(r"_{3,} (?P<name>\S.{0,300}?) _{3,}$")
_SHORT = re.compile(r"(?P<word>FAILED|ERROR) (?P<path>[^\s:]+\.py)(?:::(?P<test>.+?))?(?: - (?P<message>.+))?$")
_FRAME = re.compile(r"(?P<path>[^\s:][^:]{0,300}\.py):(?P<line>\d{1,7}):(?: |$)")


def pytest(lines: Lines) -> Iterator[tuple[int, Found]]:
    """The short summary; what it leaves out (the line, an import's error) comes from the failure's own section."""
    frames: dict[str, list[tuple[str, int]]] = {}
    errors: dict[str, str] = {}
    name = ""
    for index, line in enumerate(lines):
        if match := _SECTION.match(line):
            name = match["name"].removeprefix("ERROR collecting ").removeprefix("ERROR at setup of ")
            frames[name] = []
        elif name and line.startswith("E   "):
            errors.setdefault(name, line[4:].strip())
        elif name and (match := _FRAME.match(line)):
            frames[name].append((match["path"], int(match["line"])))
        elif match := _SHORT.match(line):
            test = (match["test"] or "").replace("::", ".")
            section = test or match["path"]
            places = [number for path, number in frames.get(section, []) if path == match["path"]]
            message = match["message"] or errors.get(section, "failed")
            yield index, Found(match["path"], places[-1] if places else 0, f"{test}: {message}" if test else message)


_TRACE = re.compile(r'\s+File "(?P<path>[^"]{1,300})", line (?P<line>\d{1,7})')
_RAISED = re.compile(r"(?P<code>[A-Za-z_][\w.]{0,100})(?::\s?(?P<message>.+))?$")
_INSTALLED = ("/", "<", ".venv/", "node_modules/")


def python_traceback(lines: Lines) -> Iterator[tuple[int, Found]]:
    """The exception below a traceback, at its innermost frame in the repository (unittest, scripts, imports)."""
    place: tuple[str, int] | None = None
    inside = False
    for index, line in enumerate(lines):
        if line.strip() == "Traceback (most recent call last):":
            place, inside = None, True
        elif match := _TRACE.match(line):
            inside = True
            if not match["path"].startswith(_INSTALLED):
                place = (match["path"], int(match["line"]))
        elif inside and line and not line[0].isspace():
            match = _RAISED.match(line)
            if place and match:
                yield index, Found(*place, match["message"] or match["code"], code=match["code"])
            inside = False


_JS_FAILED = re.compile(r"\s*(?:FAIL\s+|●\s+)(?P<name>\S.{0,400})$")
_JS_PLACE = re.compile(
    r"\s*(?:❯ |at )(?:[^()\n]{0,200}\()?(?P<path>[^\s:()]{1,300}):(?P<line>\d{1,7}):(?P<column>\d{1,7})\)?"
)


def javascript_tests(lines: Lines) -> Iterator[tuple[int, Found]]:
    """vitest and jest: the failed test, the error below it, and its first place in the repository."""
    name = message = ""
    for index, line in enumerate(lines):
        if match := _JS_FAILED.match(line):
            name, message = match["name"], ""
        elif name and (match := _JS_PLACE.match(line)):
            if not match["path"].startswith((*_INSTALLED, "file:", "node:")) and "node_modules/" not in match["path"]:
                yield index, _at(match, f"{name}: {message or 'failed'}")
                name = ""
        elif name and not message:
            message = line.strip()


_GO_FAILED = re.compile(r"\s*--- FAIL: (?P<name>\S+)")
_GO_LINE = re.compile(r"\s+(?P<path>[\w.-]+_test\.go):(?P<line>\d{1,7}): (?P<message>.+)")
_GO_PACKAGE = re.compile(r"FAIL\s+(?P<package>[\w.~/-]+)\s")


def go_tests(lines: Lines) -> Iterator[tuple[int, Found]]:
    """``go test``: lines of a failed test name their file alone; the package follows below them.

    The path comes as ``package!file``, for only the tree can tell which directory an import path stands for.
    """
    name = ""
    waiting: list[tuple[int, Found]] = []
    for index, line in enumerate(lines):
        if match := _GO_FAILED.match(line):
            name = match["name"]
        elif name and (match := _GO_LINE.match(line)):
            waiting.append((index, Found(match["path"], int(match["line"]), f"{name}: {match['message']}")))
        elif match := _GO_PACKAGE.match(line):
            for number, found in waiting:
                yield number, found._replace(path=f"{match['package']}!{found.path}")
            name, waiting = "", []


_PANIC = re.compile(
    r"thread '(?P<name>[^']{1,200})'.{0,40} panicked at "
    r"(?P<path>[^\s:']{1,300}):(?P<line>\d{1,7}):(?P<column>\d{1,7}):?$"
)


def rust_panics(lines: Lines) -> Iterator[tuple[int, Found]]:
    """``cargo test``: where a test panicked, and its message on the next line."""
    for index, line in enumerate(lines):
        if match := _PANIC.match(line):
            message = lines[index + 1].strip() if index + 1 < len(lines) else ""
            yield index, _at(match, f"{match['name']}: {message or 'panicked'}")


RECOGNISERS: tuple[Recogniser, ...] = (
    eslint_stylish,
    arrows,
    pytest,
    python_traceback,
    javascript_tests,
    go_tests,
    rust_panics,
    one_line,
)
"""In order of preference: of several findings on one line the first counts."""
