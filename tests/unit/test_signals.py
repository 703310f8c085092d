"""Signals of a process that is Mason's alone; each case in a process of its own, for signals belong to a whole one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

AROUND = """
import signal
from app.errors import Cancelled
from app.signals import stop_on_signals

before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
try:
    with stop_on_signals() as stop:
        {body}
    print("went on:", stop.reason)
except Cancelled as cancelled:
    print("cancelled:", cancelled.exit_code)
assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
"""


def said(*body: str) -> str:
    script = AROUND.format(body="\n        ".join(body))
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


SIGNALS = ["SIGINT", "SIGTERM"]


@pytest.mark.parametrize("name", SIGNALS)
def test_signal__before_anybody_heeds_the_stop_interrupts(name: str) -> None:
    assert said(f"signal.raise_signal(signal.{name})", "print('not reached')") == "cancelled: 4"


@pytest.mark.parametrize("name", SIGNALS)
def test_signal__asks_those_who_heed_it_to_stop(name: str) -> None:
    assert said("stop.heeded = True", f"signal.raise_signal(signal.{name})") == "went on: Cancelled"


def test_signal__a_second_interrupt_does_not_wait() -> None:
    twice = ["signal.raise_signal(signal.SIGINT)"] * 2
    assert said("stop.heeded = True", *twice, "print('not reached')") == "cancelled: 4"


def test_signal__an_interrupt_after_a_termination_does_not_wait() -> None:
    both = [f"signal.raise_signal(signal.{name})" for name in ("SIGTERM", "SIGINT")]
    assert said("stop.heeded = True", *both, "print('not reached')") == "cancelled: 4"


def test_signal__the_second_termination_is_patient() -> None:
    """A runner sends it to everybody in its group; that is no person who presses keys again."""
    twice = ["signal.raise_signal(signal.SIGTERM)"] * 2
    assert said("stop.heeded = True", *twice) == "went on: Cancelled"


def test_signal__none_came() -> None:
    assert said("pass") == "went on:"
