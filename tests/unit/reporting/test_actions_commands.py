"""Workflow commands: ours are read as they were meant, and nobody else's are read at all."""

from __future__ import annotations

import io
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain import events as ev
from app.domain.runs import Run
from app.reporting.commands import InertStream, command, data, inert, mask, prop
from app.reporting.status_lines import PREFIX, StatusLines
from tests.unit.reporting.builders import BASE, RUN_ID, started

COMMANDS = {"set-output", "error", "add-mask", "group", "stop-commands", "notice"}
DOTNET_SPACE = "\t\n\x0b\x0c\r \x85\xa0\u1680\u2000\u2001\u200a\u2028\u2029\u202f\u205f\u3000"
PARTS = [*":#[] \t\r\n\x0b\x85\u2028\ufeff\u200b\x1b=,", "error", "::", "##[", "x", PREFIX]
NASTY = st.lists(st.sampled_from(PARTS)).map("".join)


def runner_reads(output: str) -> list[tuple[str, dict[str, str], str]]:
    """What the runner takes for commands, after its parser: (name, properties, message)."""
    lines = re.split(r"\r\n|\r|\n", output)
    return [found for line in lines if (found := _new_form(line) or _old_form(line))]


def _new_form(line: str) -> tuple[str, dict[str, str], str] | None:
    line = line.lstrip(DOTNET_SPACE)
    end = line.find("::", 2)
    if not line.startswith("::") or end < 0:
        return None
    name, _, rest = line[2:end].partition(" ")
    pairs = [pair.split("=", 1) for pair in rest.strip().split(",") if "=" in pair]
    properties = {key: _unescape(value, "%0D\r", "%0A\n", "%3A:", "%2C,", "%25%") for key, value in pairs}
    return (name, properties, _unescape(line[end + 2 :], "%0D\r", "%0A\n", "%25%")) if name in COMMANDS else None


def _old_form(line: str) -> tuple[str, dict[str, str], str] | None:
    start = line.find("##[")
    end = line.find("]", start)
    if start < 0 or end < 0:
        return None
    name = line[start + 3 : end].partition(" ")[0]
    return (name, {}, line[end + 1 :]) if name in COMMANDS else None


def _unescape(text: str, *mappings: str) -> str:
    for mapping in mappings:
        text = text.replace(mapping[:3], mapping[3:])
    return text


@given(st.text(), st.text().map("[{}]".format))
def test_command__is_read_as_it_was_meant(message: str, title: str) -> None:
    line = command("error", message, file="a b,c:d.ts", line=3, col=0, title=title)
    read = runner_reads(line.removesuffix("\n"))
    assert read == [("error", {"file": "a b,c:d.ts", "line": "3", "title": title}, message)]
    assert not re.search(r"[\r\n]", line[:-1])


def test_escape__percent_first() -> None:
    assert data("%0A\r\n:,") == "%250A%0D%0A:,"
    assert prop("%3A:,\n") == "%253A%3A%2C%0A"


def test_mask__every_line_of_a_key() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQ%IBADAN\n\nabc\nMIIEvQ%IBADAN\r\n-----END KEY-----\n"
    assert mask(key) == (
        "::add-mask::-----BEGIN KEY-----\n::add-mask::MIIEvQ%25IBADAN\n::add-mask::-----END KEY-----\n"
    )
    assert mask("abc") == mask("") == ""


@pytest.mark.parametrize(
    "line",
    [
        "::set-output name=x::y",
        " \t::set-output name=x::y",
        *[f"{space}::error::x" for space in DOTNET_SPACE],
        "\ufeff::error::x",
        "50%\r::add-mask::a\r\n::error::x",
        "::stop-commands::token",
        "text ##[error]x",
        "####[error]x ##[group]y",
    ],
)
def test_inert__what_the_runner_would_read(line: str) -> None:
    assert runner_reads(inert(line)) == []
    assert inert(line).replace(" ", "") == line.replace(" ", "")


@pytest.mark.parametrize(
    "line", ["a::b", "std::vector", "## [x]", "# [error]", ": :error::x", "", "x ::error::y", "\n\n"]
)
def test_inert__leaves_the_rest_as_it_is(line: str) -> None:
    assert inert(line) == line


@given(NASTY)
def test_inert__no_command_is_left_and_it_stays_so(text: str) -> None:
    assert runner_reads(inert(text)) == []
    assert inert(inert(text)) == inert(text)


@given(st.lists(NASTY, max_size=12))
def test_stream__no_command_is_put_together_from_parts(parts: list[str]) -> None:
    inner = io.StringIO(newline="")
    stream = InertStream(inner)
    for part in parts:
        assert stream.write(part) == len(part)
    assert inner.getvalue() == inert("".join(parts))
    stream.command(command("notice", "ours"))
    assert runner_reads(inner.getvalue()) == [("notice", {}, "ours")]


@pytest.mark.parametrize("text", ["::error::x\n##[group]y\n", " " * 200 + "::error::x\n", "x" * 200 + "##[error]y\n"])
def test_stream__character_by_character_is_the_same(text: str) -> None:
    whole, single = io.StringIO(), io.StringIO()
    InertStream(whole).write(text)
    by_one = InertStream(single)
    for char in text:
        by_one.write(char)
    assert single.getvalue() == whole.getvalue() == inert(text)


def test_stream__print_and_writelines_go_through_it() -> None:
    inner = io.StringIO()
    stream = InertStream(inner)
    print("::error", "x", sep="::", file=stream)
    stream.writelines(["::", "error::x\n"])
    stream.flush()
    stream.close()
    assert inner.getvalue() == ": :error::x\n: :error::x\n"


def test_stream__what_the_encoding_cannot_carry() -> None:
    octets = io.BytesIO()
    stream = InertStream(io.TextIOWrapper(octets, encoding="ascii", write_through=True))
    assert (stream.encoding, stream.isatty(), stream.writable()) == ("ascii", False, True)
    stream.write("✓ ok \ud800\n")
    stream.command("::group::✗\n")
    assert octets.getvalue() == b"? ok ?\n::group::?\n"


@pytest.mark.parametrize("title", ["##[error]x", "\\##[error] ###[a]", "::error::x", "plain"])
def test_stream__a_status_line_keeps_its_value(title: str) -> None:
    inner = io.StringIO()
    lines = StatusLines(InertStream(inner))
    lines.report(ev.RunStarted(run=Run(id=RUN_ID, base=BASE, item_ids=()), items=()))
    lines.report(started(1, title))
    assert runner_reads(inner.getvalue()) == []
    last = inner.getvalue().splitlines()[1]
    assert json.loads(last.removeprefix(PREFIX))["item_title"] == title
