"""What a program of the command agent says at its end: the file of its answer, and what it claims to have used."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from app.domain.results import Usage

ANSWER_LIMIT = 2_000_000
"""Bytes of an answer file; a longer one is refused."""

_MOST = 10**12

LIKELY_DOLLARS = 100.0
"""The most that a call without a budget is believed to have cost: what it says may stop others for a day."""


def read_answer(path: Path, user: int | None) -> str:
    """The regular file's text, empty when there is none; a link, a pipe or a huge file reads as no JSON.

    Nor does a hard link to a file that is not the ``user``'s who was to write it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return ""
    except OSError:
        return "not a file"
    try:
        status = os.fstat(descriptor)
        foreign = user is not None and status.st_uid != user
        if foreign or not stat.S_ISREG(status.st_mode) or status.st_size > ANSWER_LIMIT:
            return "not a file that can be used"
        return os.read(descriptor, ANSWER_LIMIT).decode("utf-8", "replace").strip()
    finally:
        os.close(descriptor)


def claimed_usage(answer: Mapping[str, object] | None, seconds: float, budget_usd: float | None) -> Usage:
    """What the program says it used. Numbers that cannot be are left out, and more dollars than the budget (None:
    LIKELY_DOLLARS) are cut down to it; the seconds are Mason's own measure.
    """
    said = (answer or {}).get("usage")
    numbers = said if isinstance(said, Mapping) else {}
    dollars = _number(numbers.get("cost_usd"))
    return Usage(
        input_tokens=int(_number(numbers.get("input_tokens"))),
        output_tokens=int(_number(numbers.get("output_tokens"))),
        cost_usd=min(dollars, LIKELY_DOLLARS if budget_usd is None else budget_usd),
        turns=int(_number(numbers.get("turns"))),
        tool_calls=int(_number(numbers.get("tool_calls"))),
        seconds=seconds,
    )


def _number(value: object) -> float:
    usable = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _MOST
    return float(value) if usable and isinstance(value, int | float) and math.isfinite(value) else 0.0
