"""Logs for machines."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from app.json_log import bound, set_up_json_logging
from app.log import Redactor

SECRET = 'a "secret"\nof two lines'
log = logging.getLogger("mason.test")


@pytest.fixture
def output() -> Iterator[io.StringIO]:
    """Everything that is logged; the root logger is as before afterwards."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    set_up_json_logging(Redactor([SECRET]), stream=stream)
    yield stream
    for handler in [each for each in root.handlers if each not in handlers and stream_of(each) is stream]:
        root.removeHandler(handler)
    root.setLevel(level)


def stream_of(handler: logging.Handler) -> object:
    return getattr(handler, "stream", None)


def lines(output: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.getvalue().splitlines()]


def test_json_log__a_line_an_event_with_its_fields_and_ids(output: io.StringIO) -> None:
    with bound(run="r-1", item="i-1"):
        log.info("Dispatched %s\nto a runner", "it", extra={"ms": 1.5})
    log.debug("too quiet")
    log.warning("Later")
    first, second = lines(output)
    first.pop("message", None)  # pytest's own handler leaves it in the record
    assert first | {"timestamp": ""} == {
        "event": "Dispatched it\nto a runner",
        "level": "info",
        "logger": "mason.test",
        "timestamp": "",
        "ms": 1.5,
        "run": "r-1",
        "item": "i-1",
    }
    assert first["timestamp"].endswith("Z")
    assert "run" not in second


def test_json_log__a_secret_is_in_no_field(output: io.StringIO) -> None:
    with bound(request=SECRET):
        try:
            raise ValueError(SECRET)
        except ValueError:
            log.exception("It was %s", SECRET, extra={"deep": {SECRET: [SECRET, ValueError(SECRET)]}}, stack_info=True)
    assert (
        "secret" not in output.getvalue().replace("a_secret", "").replace("(SECRET", "").lower().split("stack_info")[0]
    )
    [line] = lines(output)
    assert "ValueError: ***" in line["exception"]
    assert line["deep"] == {"***": ["***", "***"]}


@pytest.mark.parametrize("arguments", [("%d %s", SECRET), ("%(x)s", SECRET)])
def test_json_log__wrong_arguments_neither_stop_nor_show_anything(
    output: io.StringIO, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    log.warning(*arguments)
    assert len(lines(output)) == 1
    assert "lines" not in output.getvalue() + capsys.readouterr().err


def test_json_log__any_text_is_one_line(output: io.StringIO) -> None:
    [handler] = [each for each in logging.getLogger().handlers if stream_of(each) is output]
    handler.handle(log.makeRecord(log.name, logging.INFO, "", 0, "a\u2028b\x85c\ud800d\x1b[31m\r\ne", (), None))
    assert output.getvalue().isascii()
    assert lines(output)[0]["event"] == "a\u2028b\x85c\ud800d\x1b[31m\r\ne"


def test_json_log__set_up_again_it_does_not_double(output: io.StringIO) -> None:
    again = io.StringIO()
    set_up_json_logging(Redactor([]), stream=again, level=logging.WARNING)
    log.info("quiet")
    log.warning("loud")
    set_up_json_logging(Redactor([]), stream=output)
    assert [line["event"] for line in lines(again)] == ["loud"]
    assert output.getvalue() == ""
