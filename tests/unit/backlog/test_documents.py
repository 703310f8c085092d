"""Rows become items, whatever generation wrote them."""

from __future__ import annotations

from uuid import UUID

import pytest

from app.backlog.documents import parse_item

ROW = {"id": str(UUID(int=1)), "title": "Header", "status": "approved"}


@pytest.mark.parametrize(
    ("written", "complexity"),
    [(number, number) for number in range(1, 6)]
    + [("low", 1), ("medium", 2), ("high", 4), ("very_high", 5), ("1", 1), ("5", 5)]
    + [(garbage, None) for garbage in (None, "", 0, 6, -1, "6", "very high", "LOW", 2.5, True, [3], {"n": 3}, "٣")],
)
def test_complexity__of_every_generation(written: object, complexity: int | None) -> None:
    assert parse_item(ROW | {"complexity": written}).complexity == complexity


def test_parse_item__a_row_without_what_newer_ones_have() -> None:
    item = parse_item(ROW)
    assert (item.complexity, item.pull_request_url, item.failure_reason, item.skip_reason) == (None,) * 4


def test_parse_item__says_where_its_work_is_and_why_it_stopped() -> None:
    row = ROW | {"pr_url": "https://github.invalid/p/1", "failure_reason": "No", "skip_reason": "Later"}
    item = parse_item(row)
    assert (item.pull_request_url, item.failure_reason, item.skip_reason) == (row["pr_url"], "No", "Later")
