"""Patience: who waits how long for a database that is away."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from app.backlog.session import Patience, patiently


class Away(Exception):
    """The database is away."""


def away(_again: bool) -> None:
    raise Away


def spend(patience: Patience) -> None:
    """Wait for a database that stays away, to the end of one's patience."""
    with pytest.raises(Away):
        patiently(away, passing=lambda _: True, patience=patience)


def test_patience__is_spent_once_an_outage() -> None:
    patience = Patience(0.05)
    spend(patience)
    assert (patience.left, patience.away) == (0, True)
    patiently(lambda again: None, passing=lambda _: True, patience=patience)
    assert (patience.left, patience.away) == (0.05, False)


def test_patience__of_one_thread_is_not_spent_by_another() -> None:
    """An outage that heartbeats and progress met first is waited for at the end of an item nonetheless."""
    patience = Patience(0.05)
    with ThreadPoolExecutor(1) as background:
        background.submit(spend, patience).result()
        assert background.submit(lambda: patience.left).result() == 0
    assert (patience.left, patience.away) == (0.05, True)
