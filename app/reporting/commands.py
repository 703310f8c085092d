"""Workflow commands: how Mason speaks to the Actions runner, and how nobody else does through its output.

What the runner takes for a command is read from its own parser (actions/runner, ``ActionCommand``): ``::name …::`` at
the start of a line, after white space, and the older ``##[name …]`` anywhere in it. Lines end at a line feed, a
carriage return or both, on standard output and standard error alike.
"""

from __future__ import annotations

import io
import re
import threading
from typing import TextIO

from app.reporting.status_lines import PREFIX

SHORTEST_MASK = 4
"""Shorter lines of a secret are not masked: the log would be full of stars."""

# White space in the sense of .NET, and what its comparison by culture gives no weight: controls and format characters.
_UNSEEN = r"[\s\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
_COMMAND = re.compile(rf"{_UNSEEN}*:(?=:)")
_BEGINNING = re.compile(rf"{_UNSEEN}*(:?)")
_OLD_COMMAND = "##["
_LINE = re.compile(r"(?<=[\r\n])")


def data(text: str) -> str:
    """A command's message. The runner puts a ``%`` back last, so it is escaped first."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def prop(text: str) -> str:
    """The value of one of a command's properties."""
    return data(text).replace(":", "%3A").replace(",", "%2C")


def command(name: str, message: str = "", **properties: str | int) -> str:
    """One line, a command; properties that are empty or 0 are left out. Secrets leave the texts before."""
    given = ",".join(f"{key}={prop(str(value))}" for key, value in properties.items() if value)
    line = f"::{name}{' ' if given else ''}{given}::{data(message)}\n"
    return line.replace(_OLD_COMMAND, "## [")


def mask(secret: str) -> str:
    """The commands that keep a secret out of the job's log, one for each of its lines: the log is masked by line."""
    lines = dict.fromkeys(line.strip() for line in secret.splitlines())
    return "".join(command("add-mask", line) for line in lines if len(line) >= SHORTEST_MASK)


def inert(text: str) -> str:
    """Text, from the start of a line on, in which the runner finds no command. A status line keeps its JSON's value."""
    return "".join(map(_inert_line, _LINE.split(text)))


def _inert_line(line: str) -> str:
    if line.startswith(PREFIX):
        return line.replace(_OLD_COMMAND, "##\\u005b")
    if start := _COMMAND.match(line):
        line = f"{line[: start.end()]} {line[start.end() :]}"
    return line.replace(_OLD_COMMAND, "## [")


def _carried(line: str) -> str:
    """A few characters that stand for an unfinished line: what follows becomes the same after them as after it."""
    if PREFIX.startswith(line):
        return line
    hashes = "#" * min(len(line) - len(line.rstrip("#")), 2)
    if line.startswith(PREFIX):
        return PREFIX + hashes
    beginning = _BEGINNING.fullmatch(line)
    return " " + beginning[1] if beginning else "x" + hashes


class InertStream(io.TextIOBase, TextIO):
    """A text stream on which nothing that is written is a command to the runner, however a line is put together.

    ``command`` is the one way to give one. Both write whole, from any thread. What the encoding cannot carry becomes a
    question mark.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._lock = threading.RLock()
        self._line = ""  # the unfinished line, as far as what comes next depends on it

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding or "utf-8"

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._stream.isatty()

    def write(self, text: str, /) -> int:
        with self._lock:
            shown = inert(self._line + text)[len(self._line) :]
            self._put(shown)
            self._line = _carried(_LINE.split(self._line + shown)[-1])
        return len(text)

    def command(self, *lines: str) -> None:
        """Write lines as they are, together: the results of ``command`` and ``mask``, and texts made ``inert``."""
        with self._lock:
            self._put(("\n" if self._line else "") + "".join(lines))
            self._line = ""
            self._stream.flush()

    def flush(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        """The stream is not ours to close."""

    def _put(self, text: str) -> None:
        self._stream.write(text.encode(self.encoding, "replace").decode(self.encoding))
