"""How many tests a check says that it ran: exit code 0 alone says nothing, code under test can end its runner. Pure.

Read are the last words of pytest, unittest, Jest, Vitest, Mocha, Playwright, Bun, ``node --test``, Cargo and Go. They
are text that the code under test could forge; what they show is a runner that was ended before it could speak.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from posixpath import basename

from app.domain.results import CheckResult

_COUNTED = r"\d{1,7} (?:subtests )?(?:passed|failed|errors?|skipped|xfailed|xpassed|deselected|rerun|warnings?)"
_PYTEST = re.compile(rf"\b((?:{_COUNTED}, ){{0,9}}{_COUNTED}|no tests ran) in \d{{1,7}}(?:\.\d{{1,3}})?s\b")
_DOTS = re.compile(r"(?m)^(?:\S{1,300} )?([.FEsxXR]{1,400}) {1,400}\[ {0,2}\d{1,3}%\]$")
_DONE = re.compile(r"(?m)[.FEsxXR] {1,400}\[100%\]$")
_UNITTEST = re.compile(
    r"(?m)^Ran (\d{1,7}) tests? in [\d.]{1,20}s\n{1,3}(?:OK|FAILED|NO TESTS RAN)(?: \(([^)\n]{1,200})\))?"
)
_JEST = re.compile(r"\bTests: {1,20}((?:\d{1,7} \w{4,8}, ){0,6})(\d{1,7}) total")
_VITEST = re.compile(r"\bTests {1,20}(?:no tests|((?:\d{1,7} \w{4,8}(?: \| )?){1,6}) ?\(\d{1,7}\))")
_NODE = re.compile(r"(?m)^[^\n]{0,100}?(?:\u2139|#) (tests|skipped|todo) (\d{1,7})$")
_NODE_FILE = re.compile(r"(?m)^(?:\u2714|ok \d{1,7} -) \S{1,400}\.[cm]?[jt]sx?(?: \([\d.]{1,20}ms\))?$")
_NAMED = re.compile(r"(\d{1,7}) (passed|failed|errors?|skipped|xfailed|xpassed|todo|pending)\b")
_NOT_RUN = ("skipped", "todo", "pending")

_PLAIN = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?m)^[^\n]{0,100}?\btest result: \w{2,6}\. (\d{1,7}) passed;",
        r"\] {1,20}(\d{1,7}) tests? run: \d{1,7} passed",
        r"(?m)^\s{0,20}(\d{1,7}) passing(?: \(|$)",
        r"(?m)^\s{0,20}(\d{1,7}) passed \([\d.]{1,20}m?[smh]\)",
        r"\bRan (\d{1,7}) tests? across \d",
        r'"(?:numTotalTests|passes)": ?(\d{1,7})\b',
        r'<testsuites\b[^>\n]{0,300}? tests="(\d{1,7})"',
    )
)
_GO_PACKAGE = re.compile(
    r"(?m)^ok[ \t]{1,20}\S{1,400}[ \t]{1,20}(?:\(cached\)|[\d.]{1,20}s)(?![^\n]{0,200}\[no tests to run\])"
)
_GO_NONE = re.compile(r"(?m)^(?:\?|ok)[ \t]{1,20}\S{1,400}[ \t][^\n]{0,200}\[no tests? ")
_MAY_BE_NONE = re.compile(r"\bNo test(?:s| files?) found, exiting with code 0\b|\btest result: ok\. 0 passed;")

_BEGAN = re.compile(r"(?m)^[^\n]{0,100}?={3,200} test session starts =|^collected \d{1,7} items?\b")
_SHOWN_COMMAND = re.compile(r"(?m)^(?:[^\n>$+]{0,100}[>$]|\+{1,5}) ([^\n]{1,1000})$")
_RUNNERS = frozenset({"pytest", "py.test", "jest", "vitest", "mocha"})
_WITH_WORD = {
    "-m": "unittest",
    "go": "test",
    "cargo": "test",
    "bun": "test",
    "playwright": "test",
    "manage.py": "test",
    "node": "--test",
    "tsx": "--test",
}
_LAUNCHERS = re.compile(
    r"python[\d.]{0,5}|uvx?|poetry|pdm|hatch|rye|pipenv|coverage|node|tsx|npx|npm|pnpm|yarn|bunx?|deno|c8|nyc|cross-env|"
    r"dotenv|env|time|timeout|exec|xvfb-run|cargo|go|playwright|manage\.py"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """``found`` are all tests that a summary speaks of, ``ran`` those that were neither skipped nor mere files.

    ``may_be_none``: the runner itself says, or is known for it, that none at all is well.
    """

    found: int
    ran: int
    may_be_none: bool = False


def tally_of(output: str) -> Tally | None:
    """What the summaries in an output say, added up; None when there is none. The output is without escapes."""
    tallies = [
        *(_named(match[1]) for match in _PYTEST.finditer(output)),
        *(_unittest(int(match[1]), match[2] or "") for match in _UNITTEST.finditer(output)),
        *(_named(match[1]) for match in _JEST.finditer(output)),
        *(_named(match[1] or "") for match in _VITEST.finditer(output)),
        *_node(output),
        *(_all(int(match[1])) for pattern in _PLAIN for match in pattern.finditer(output)),
        *(_all(1) for _ in _GO_PACKAGE.finditer(output)),
    ]
    may_be_none = bool(_MAY_BE_NONE.search(output) or _GO_NONE.search(output))
    if not tallies and _DONE.search(output):  # pytest -qq
        tallies = [_dots(match[1]) for match in _DOTS.finditer(output)]
    if not tallies and not may_be_none:
        return None
    return Tally(found=sum(t.found for t in tallies), ran=sum(t.ran for t in tallies), may_be_none=may_be_none)


def is_test_runner(command: Sequence[str], output: str) -> bool:
    """Whether a known test runner was called, by the command itself or by a script that shows what it calls."""
    if _BEGAN.search(output):
        return True
    script = command[2] if tuple(command[:2]) == ("sh", "-c") and len(command) > 2 else " ".join(command)
    shown = [match[1] for match in _SHOWN_COMMAND.finditer(output[:20_000])]
    if command and basename(command[0]) in ("make", "gmake"):
        shown += output[:20_000].split("\n")
    return any(_calls_runner(part) for line in (script[:20_000], *shown) for part in re.split(r"[;&|()\n]", line))


def lost_runs(base: CheckResult, now: CheckResult) -> str:
    """A sentence when a check ran fewer than half of the tests that it ran on the base; else empty."""
    before, after = tally_of(base.output), tally_of(now.output)
    if before is None or before.ran == 0:
        return ""
    ran = after.ran if after else 0
    return f"ran {ran} of the {before.ran} tests that it ran on the base" if 2 * ran < before.ran else ""


def _calls_runner(part: str) -> bool:
    words = part.split()
    while words and re.match(r"\w{1,100}=", words[0]):
        words = words[1:]
    names = [basename(word) for word in words]
    if not names or not (names[0] in _RUNNERS or _LAUNCHERS.fullmatch(names[0])):
        return False
    if any(name in _RUNNERS and (word == name or "bin/" in word) for word, name in zip(words, names, strict=True)):
        return True
    if "node" in names or "tsx" in names:
        return "--test" in names
    return any(_WITH_WORD.get(name) == follower for name, follower in pairwise(names))


def _named(text: str) -> Tally:
    counts = [(int(number), word) for number, word in _NAMED.findall(text)]
    return Tally(found=sum(n for n, _ in counts), ran=sum(n for n, word in counts if word not in _NOT_RUN))


def _unittest(total: int, notes: str) -> Tally:
    skipped = re.search(r"skipped=(\d{1,7})", notes)
    return Tally(found=total, ran=max(0, total - int(skipped[1]) if skipped else total))


def _node(output: str) -> list[Tally]:
    """A file that ended before it had a test is a passed test to node: here one that was found, and did not run."""
    numbers = dict.fromkeys(("tests", "skipped", "todo"), 0)
    found = _NODE.findall(output)
    for word, number in found:
        numbers[word] += int(number)
    if not any(word == "tests" for word, _ in found):
        return []
    files = sum(1 for _ in _NODE_FILE.finditer(output))
    ran = max(0, numbers["tests"] - numbers["skipped"] - numbers["todo"] - files)
    return [Tally(found=numbers["tests"], ran=ran)]


def _dots(signs: str) -> Tally:
    return Tally(found=len(signs), ran=len(signs) - signs.count("s"))


def _all(number: int) -> Tally:
    return Tally(found=number, ran=number)
