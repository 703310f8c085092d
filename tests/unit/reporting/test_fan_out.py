"""The fan-out: every sink, no secrets, no failure."""

from __future__ import annotations

import logging
import threading
from uuid import UUID

import pytest

from app.domain import events as ev
from app.log import MASK, Redactor
from app.reporting.fan_out import FanOut
from tests.unit.reporting.builders import run_started, started


class Sink:
    def __init__(self, problem: Exception | None = None) -> None:
        self.problem = problem
        self.events: list[ev.Event] = []
        self.flushed = self.closed = 0

    def report(self, event: ev.Event) -> None:
        if self.problem:
            raise self.problem
        self.events.append(event)

    def flush(self) -> None:
        self.flushed += 1

    def close(self) -> None:
        self.closed += 1
        if self.problem:
            raise self.problem


def test_fan_out__every_sink_gets_every_event_in_order() -> None:
    sinks = {"a": Sink(), "b": Sink()}
    fan_out = FanOut(sinks, Redactor([]))
    events = [run_started(), started()]
    for event in events:
        fan_out.report(event)
    fan_out.flush()
    fan_out.close()
    assert all(sink.events == events and sink.flushed == 1 and sink.closed == 1 for sink in sinks.values())


def test_fan_out__a_failing_sink_is_dropped_with_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    bad, good = Sink(BrokenPipeError("gone")), Sink()
    fan_out = FanOut({"status lines": bad, "good": good}, Redactor([]))
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            fan_out.report(started())
        fan_out.close()
    assert len(good.events) == 3
    assert [r.getMessage() for r in caplog.records] == ["Reporting to status lines stopped: BrokenPipeError: gone"]


def test_fan_out__a_dropped_sink_is_still_closed_once_and_may_fail_at_it() -> None:
    bad = Sink(ValueError("bad"))
    fan_out = FanOut({"bad": bad}, Redactor([]))
    fan_out.report(started())
    fan_out.close()
    fan_out.close()
    assert bad.closed == 1


def test_fan_out__a_sink_that_fails_to_close_does_not_keep_the_others_open() -> None:
    bad, good = Sink(ValueError("bad")), Sink()
    FanOut({"bad": bad, "good": good}, Redactor([])).close()
    assert (bad.closed, good.closed) == (1, 1)


def test_fan_out__secrets_leave_an_event_before_any_sink_sees_it() -> None:
    sink = Sink()
    fan_out = FanOut({"sink": sink}, Redactor(["secret-token"]))
    fan_out.report(started(title="use secret-token"))
    fan_out.report(ev.Noted(message="secret-token", run_id=UUID(int=1), metadata={"env": ["secret-token"]}))
    first, second = sink.events
    assert isinstance(first, ev.ItemStarted)
    assert first.item.title == f"use {MASK}"
    assert isinstance(second, ev.Noted)
    assert (second.message, second.metadata) == (MASK, {"env": [MASK]})


def test_fan_out__a_sink_that_fails_in_many_threads_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    together = threading.Barrier(8)

    class Racing(Sink):
        def report(self, event: ev.Event) -> None:
            together.wait(30)
            raise OSError("full")

    fan_out = FanOut({"disk": Racing()}, Redactor([]))
    threads = [threading.Thread(target=fan_out.report, args=(started(),)) for _ in range(8)]
    with caplog.at_level(logging.WARNING):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert len([r for r in caplog.records if "disk" in r.getMessage()]) == 1
