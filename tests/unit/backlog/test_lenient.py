"""Values of rows that others can write, as they are shown."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from app.backlog import lenient


def test_time__is_read_as_utc() -> None:
    assert lenient.time("2026-01-02T03:04:05+01:00") == datetime(2026, 1, 2, 2, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        *("infinity", "-infinity", "4713-01-01T00:00:00+00:00 BC", "294276-01-01T00:00:00+00:00", "", None, 5),
        *("9999-12-31T23:59:59.999+00:00", "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+00:00"),
    ],
)
def test_time__that_nobody_can_reckon_with_is_none(value: object) -> None:
    assert lenient.time(value) is None
