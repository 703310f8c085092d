"""Prices, in euros."""

from collections.abc import Iterable


def total(prices: Iterable[float]) -> float:
    """The sum of all prices."""
    return sum(prices)


def average(prices: list[float]) -> float:
    """The mean price."""
    return sum(prices) / len(prices)
