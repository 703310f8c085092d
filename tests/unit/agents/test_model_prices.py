"""What calls cost."""

from __future__ import annotations

import logging

import pytest

from app.agents.prices import LIST, Prices, Tokens
from app.domain.policy import Price

MILLION = 1_000_000


@pytest.mark.parametrize(
    ("model", "tokens", "cost"),
    [
        ("claude-opus-5-5", Tokens(input=MILLION), 4),
        ("claude-opus-5-5", Tokens(output=MILLION), 20),
        ("claude-opus-5-5", Tokens(cache_read=MILLION), 0.2),
        ("claude-opus-5-5", Tokens(cache_write=MILLION), 5),
        ("claude-opus-5-5", Tokens(cache_write_1h=MILLION), 8),
        ("claude-opus-5-5", Tokens(searches=100), 1),
        ("claude-haiku-5-5", Tokens(input=100_000), 0.01),
        ("claude-haiku-5-5", Tokens(input=100_001, output=1000), 0.0525005),
        ("gpt-5", Tokens(input=MILLION, cache_read=MILLION, cache_write=MILLION), 1.25 + 0.125 + 1.25),
        ("gpt-6.1-sol", Tokens(input=200_000, cache_read=100_000, output=1000), 0.4 * 2 + 0.01 * 2 + 0.015),
    ],
)
def test_cost__is_the_list_price(model: str, tokens: Tokens, cost: float) -> None:
    assert Prices().cost(model, tokens) == pytest.approx(cost)


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("claude-opus-5-5[1m]", "claude-opus-5-5"),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("claude-sonnet-4-5@20250929", "claude-sonnet-4-5"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5"),
        ("anthropic/claude-haiku-5-5", "claude-haiku-5-5"),
        ("claude-3-5-haiku-latest", "claude-3-5-haiku"),
        ("OpenAI/GPT-5-2025-08-07", "gpt-5"),
        ("gpt-4.1-mini", "gpt-4.1-mini"),
    ],
)
def test_name__fits_with_its_date_and_provider(name: str, same: str) -> None:
    tokens = Tokens(input=1000, output=1000, cache_read=1000)
    assert Prices().knows(name)
    assert Prices().cost(name, tokens) == pytest.approx(Prices().cost(same, tokens))


@pytest.mark.parametrize("name", ["gpt-5-ultra", "claude-opus-6", "o3-pro", "", "gpt-5" * 1000, "claude", "é", "a/"])
def test_name__that_is_only_alike_is_another_model(name: str) -> None:
    prices, tokens = Prices(), Tokens(input=1000, output=1000, cache_read=1000, cache_write=1000, cache_write_1h=1000)
    assert not prices.knows(name)
    assert all(prices.cost(name, tokens) >= prices.cost(known, tokens) for known in LIST)


def test_own_prices__go_first_and_caching_costs_as_input_unless_they_say() -> None:
    prices = Prices({"gpt-5": Price(input=1, output=2), "Local/Model": Price(input=0, output=0)})
    assert prices.cost("openai/gpt-5-2025-08-07", Tokens(cache_read=MILLION, cache_write_1h=MILLION)) == 2
    assert prices.cost("local/model", Tokens(input=MILLION, output=MILLION)) == 0
    more = prices.extended({"gpt-5": Price(input=3, output=3, cache_read=0.5, cache_write=1)})
    assert more.cost("gpt-5", Tokens(cache_read=MILLION, cache_write_1h=MILLION)) == pytest.approx(0.5 + 1.6)
    assert prices.cost("gpt-5", Tokens(input=MILLION)) == 1


def test_unknown_names__are_told_once_and_not_without_end(caplog: pytest.LogCaptureFixture) -> None:
    prices = Prices()
    with caplog.at_level(logging.WARNING):
        for number in range(200):
            prices.cost(f"made-up-{number % 100}", Tokens(input=1))
    assert len(caplog.records) == 20
