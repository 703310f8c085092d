"""What Claude Code prints: a line of JSON for each thing that happens (``--output-format stream-json``).

All of it is hostile: the agent's own commands may write to the same pipe. So nothing here decides about anybody but
the call itself; whose fault a failure is and what it cost, the model proxy knows.
"""

from __future__ import annotations

import os.path
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from app.agents.fences import json_object
from app.domain.text import one_line
from app.ports.agent import OnActivity

LINE_LIMIT = 2_000_000
"""Bytes of a line that is looked at while the program runs; what is longer is left out."""

_BURST = 10
_EACH = 0.5
"""Lines with activities that are read at once, and seconds until the next one may be after that."""

_WORTH = b'"tool_use"'
"""Most lines are pieces of answers, which are not worth parsing."""

_WHOLE = b'"assistant"'
"""And so are the beginnings and ends of answers; only whole ones count."""

_SESSION = re.compile(r"[0-9A-Fa-f-]{8,64}")

Json = Mapping[str, object]


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """The last line of a call. ``kind`` is its ``subtype``, ``why`` the sentence of an error, ``api_error`` whether
    the program gave up because of the model's API.
    """

    kind: str = ""
    is_error: bool = False
    text: str = ""
    answer: Json | None = None
    why: str = ""
    api_error: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Transcript:
    """What a call came to. ``answered``: the model said something before whatever went wrong.

    ``ended`` is None when the program did not get to its end. ``session`` is what it can be resumed by.
    """

    session: str | None = None
    answered: bool = False
    ended: Ended | None = None


def usable_session(value: object) -> str | None:
    """A session's id, or None for anything that is none: it goes into a command line."""
    return value if isinstance(value, str) and _SESSION.fullmatch(value) else None


def transcript(output: bytes) -> Transcript:
    """What all of the output, or the head and the tail of it, says."""
    session, answered, ended = None, False, None
    for line in reversed(output.split(b"\n")):
        if (record := _record(line)) is None:
            continue
        session = session or usable_session(record.get("session_id"))
        if ended is None and record.get("type") == "result":
            ended = _ended(record)
        answered = answered or (record.get("type") == "assistant" and not record.get("error"))
        if session and answered and ended:
            break
    return Transcript(session=session, answered=answered, ended=ended)


def _ended(record: Json) -> Ended:
    text, answer, errors = record.get("result"), record.get("structured_output"), record.get("errors")
    said = text if isinstance(text, str) else ""
    reasons = [each for each in errors if isinstance(each, str)] if isinstance(errors, list) else []
    is_error = record.get("is_error") is not False
    named = record.get("terminal_reason") == "api_error" or isinstance(record.get("api_error_status"), int)
    return Ended(
        kind=str(record.get("subtype"))[:100],
        is_error=is_error,
        text=said,
        answer=answer if isinstance(answer, dict) else None,
        why=one_line(next((each for each in reasons if each.strip()), said), 300),
        api_error=is_error and (named or said.startswith("API Error")),
    )


def _record(line: bytes) -> Json | None:
    return json_object(line.decode("utf-8", "replace")) if line.startswith(b"{") else None


class Activity:
    """Listens to the output as it comes and tells of the tools that are used, a few at once and then two a second.

    ``tree`` is where the agent works; a file outside of it is told by its name alone.
    """

    def __init__(self, tell: OnActivity, tree: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._tell = tell
        self._tree = str(tree)
        self._clock = clock
        self._left = float(_BURST)
        self._then = clock()
        self._rest = bytearray()
        self._skipping = False

    def __call__(self, chunk: bytes) -> None:
        end, newline, others = chunk.partition(b"\n")
        self._add(end)
        if not newline:
            return
        lines, _, beginning = others.rpartition(b"\n")
        self._hear(bytes(self._rest))
        for line in lines.split(b"\n") if _WORTH in lines else ():
            self._hear(line)
        self._rest.clear()
        self._skipping = False
        self._add(beginning)

    def _add(self, piece: bytes) -> None:
        self._skipping = self._skipping or len(self._rest) + len(piece) > LINE_LIMIT
        if self._skipping:
            self._rest.clear()
        else:
            self._rest += piece

    def _hear(self, line: bytes) -> None:
        if _WORTH not in line or _WHOLE not in line or not self._may_look():
            return
        record = _record(line)
        if record is None or record.get("type") != "assistant":
            return
        for name, given in _tool_uses(record)[:_BURST]:
            message, file = described(name, given, self._tree)
            if message:
                self._tell(message, file)

    def _may_look(self) -> bool:
        """Whether a line may be read: reading is what costs, so a flood of lines that say nothing is bounded too."""
        now = self._clock()
        self._left = min(self._left + (now - self._then) / _EACH, _BURST)
        self._then = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


def _tool_uses(record: Json) -> list[tuple[str, Json]]:
    """The tools that an answer of the model uses, by name, with what they are given."""
    message = record.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    blocks = [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []
    uses = [(b.get("name"), b.get("input")) for b in blocks if b.get("type") == "tool_use"]
    return [(name, given) for name, given in uses if isinstance(name, str) and isinstance(given, dict)]


_FILES = {"Read": "Reading", "Edit": "Editing", "MultiEdit": "Editing", "Write": "Writing", "NotebookEdit": "Editing"}
_WORDS = {"Bash": ("Running", "command"), "Grep": ("Searching for", "pattern"), "Glob": ("Looking for", "pattern")}
_WORDS |= {"Task": ("Handing on:", "description"), "Agent": ("Handing on:", "description")}


def described(tool: str, given: Json, tree: str) -> tuple[str, str]:
    """A sentence about a tool's use, and the file (relative to the tree) that it is about; empty where there is none.

    >>> described("Edit", {"file_path": "/tree/src/x.ts"}, "/tree")
    ('Editing src/x.ts', 'src/x.ts')
    """
    if tool in _FILES:
        path = given.get("file_path") or given.get("notebook_path")
        shown, file = _placed(path, tree) if isinstance(path, str) else ("a file", "")
        return f"{_FILES[tool]} {shown}", file
    if tool in _WORDS:
        verb, field = _WORDS[tool]
        what = given.get(field)
        return f"{verb} {one_line(what, 120)}" if isinstance(what, str) and what.strip() else "", ""
    return ("Answering" if tool == "StructuredOutput" else f"Using {one_line(tool, 60)}"), ""


def _placed(path: str, tree: str) -> tuple[str, str]:
    """How a path is shown, and the same again when it lies in the tree. Text only: no file is looked at."""
    full = os.path.normpath(os.path.join(tree, path[:4000]))  # noqa: PTH118 - text, no file
    if full.startswith(f"{tree}/"):
        inside = one_line(full[len(tree) + 1 :])
        return inside, inside
    return one_line(os.path.basename(full)) or "a file", ""  # noqa: PTH119
