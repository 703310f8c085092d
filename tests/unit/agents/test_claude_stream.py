"""What is told of what Claude Code prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from app.agents.claude_stream import LINE_LIMIT, Activity, described, transcript, usable_session
from tests.unit.agents.claude_kit import SESSION, assistant, init, result, text, tool

TREE = Path("/repo/tree")


def lines(*records: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


class Listener:
    """An `Activity` whose clock stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = 0.0
        self.told: list[tuple[str, str]] = []
        self.hears = Activity(lambda message, file="": self.told.append((message, file)), TREE, lambda: self.now)


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("Edit", {"file_path": "/repo/tree/src/x.ts"}, ("Editing src/x.ts", "src/x.ts")),
        ("Read", {"file_path": "src/x.ts"}, ("Reading src/x.ts", "src/x.ts")),
        ("Read", {"file_path": "/repo/tree/../../root/.ssh/key"}, ("Reading key", "")),
        ("Read", {"file_path": "/repo/tree-of-another/x"}, ("Reading x", "")),
        ("Read", {"file_path": 4}, ("Reading a file", "")),
        ("Read", {"file_path": "/"}, ("Reading a file", "")),
        ("NotebookEdit", {"notebook_path": "/repo/tree/a.ipynb"}, ("Editing a.ipynb", "a.ipynb")),
        ("Bash", {"command": "npm  test\n\x1b[2J"}, ("Running npm test \ufffd[2J", "")),
        ("Bash", {"command": ""}, ("", "")),
        ("Bash", {}, ("", "")),
        ("Grep", {"pattern": "todo"}, ("Searching for todo", "")),
        ("Task", {"description": "Look around"}, ("Handing on: Look around", "")),
        ("StructuredOutput", {"decision": "SKIP"}, ("Answering", "")),
        ("Odd\nName", {}, ("Using Odd Name", "")),
    ],
)
def test_described__tools(name: str, given: dict[str, Any], told: tuple[str, str]) -> None:
    assert described(name, given, str(TREE)) == told


def test_described__is_short() -> None:
    for given in ({"command": "x" * 10**6}, {"file_path": "/repo/tree/" + "y/" * 10**6}):
        for name in ("Bash", "Read"):
            assert len(described(name, given, str(TREE))[0]) < 250


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_activity__lines_in_chunks_of_any_size(size: int) -> None:
    listener = Listener()
    output = lines(init(), assistant(text("So"), tool("Bash", command="ls")), assistant(tool("Read", file_path="a")))
    for at in range(0, len(output), size):
        listener.hears(output[at : at + size])
    assert listener.told == [("Running ls", ""), ("Reading a", "a")]


def test_activity__a_flood_is_throttled_and_goes_on_later() -> None:
    listener = Listener()
    listener.hears(lines(*[assistant(tool("Bash", command=f"echo {n}")) for n in range(1000)]))
    assert len(listener.told) == 10
    listener.now += 3
    listener.hears(lines(assistant(tool("Bash", command="later"))))
    assert listener.told[-1] == ("Running later", "")


def test_activity__pieces_of_answers_are_no_flood() -> None:
    listener = Listener()
    piece = {"type": "stream_event", "event": {"type": "content_block_start", "content_block": tool("Bash")}}
    listener.hears(lines(*[piece] * 1000, assistant(tool("Bash", command="ls"))))
    assert listener.told == [("Running ls", "")]


def test_activity__many_tools_in_one_answer_are_bounded() -> None:
    listener = Listener()
    listener.hears(lines(assistant(*[tool("Bash", command="x")] * 1000)))
    assert len(listener.told) == 10


def test_activity__a_line_that_is_too_long_is_left_out() -> None:
    listener = Listener()
    piece = b'{"type": "assistant", "tool_use"' + b" " * 60_000
    for _ in range(LINE_LIMIT // len(piece) + 2):
        listener.hears(piece)
    listener.hears(b"}\n" + lines(assistant(tool("Bash", command="ls"))))
    assert listener.told == [("Running ls", "")]


def test_transcript__the_last_result_counts() -> None:
    found = transcript(lines(init(), assistant(text("a")), result("one"), result("two", is_error=True)))
    assert found.ended is not None
    assert (found.session, found.answered, found.ended.text, found.ended.is_error) == (SESSION, True, "two", True)


def test_transcript__errors_of_the_api_are_no_answers() -> None:
    assert not transcript(lines(init(), assistant(text("Overloaded"), error="server_error"))).answered


def test_transcript__a_cut_line_and_a_cut_output() -> None:
    whole = lines(init(), assistant(text("a")), result())
    assert transcript(whole[40:]).ended == transcript(whole).ended
    assert transcript(whole[:-20]).ended is None


@pytest.mark.parametrize("value", [None, 4, "", "--help", "a b", "x" * 36, f"{SESSION}\n"])
def test_usable_session__what_is_none(value: object) -> None:
    assert usable_session(value) is None
