"""What calls of models cost: list prices by the model's name, and those that the policy names."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass

from app.domain.policy import Price
from app.log import printable

log = logging.getLogger(__name__)

SEARCH_USD = 0.01
"""What a web search that the API does by itself costs, at both vendors."""

HOUR_FACTOR = 1.6
"""Writing to a cache that lives an hour costs 2 times the input, to one of five minutes 1.25 times (Anthropic)."""

_MILLION = 1_000_000
_TOLD_AT_MOST = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Tokens:
    """What a call used. ``input`` are the tokens that no cache had; ``searches`` is a count of web searches."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    searches: int = 0

    @property
    def all_input(self) -> int:
        return self.input + self.cache_read + self.cache_write + self.cache_write_1h


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """A price, and by what it is multiplied when a prompt has more than ``above`` tokens (cached ones included)."""

    price: Price
    above: int | None = None
    input_factor: float = 1.0
    output_factor: float = 1.0


def _claude(input_: float, output: float, cache_read: float, **long: float) -> Listed:
    price = Price(input=input_, output=output, cache_read=cache_read, cache_write=1.25 * input_)
    return _listed(price, **long)


def _gpt(input_: float, output: float, cache_read: float | None, write: float | None = None, **long: float) -> Listed:
    return _listed(Price(input=input_, output=output, cache_read=cache_read, cache_write=write), **long)


def _listed(price: Price, above: float = 0, by: float = 1, output_by: float = 1) -> Listed:
    return Listed(price=price, above=int(above) or None, input_factor=by, output_factor=output_by)


_LONG_CLAUDE = {"above": 200_000, "by": 2, "output_by": 1.5}
_LONG_GPT = {"above": 272_000, "by": 2, "output_by": 1.5}

# Standard list prices in US dollars for a million tokens, as published by the vendors and read in November 2026:
# Anthropic's "Pricing" (platform.claude.com/docs/en/about-claude/pricing; those of the models that Claude Code 2.1.330
# offers were compared with what it counts) and OpenAI's (developers.openai.com/api/docs/pricing).
LIST: Mapping[str, Listed] = {
    "claude-fable-5-1": _claude(10, 50, 0.25),
    "claude-mythos-5-1": _claude(10, 50, 0.25),
    "claude-fable-5": _claude(10, 50, 1),
    "claude-mythos-5": _claude(10, 50, 1),
    "claude-opus-5-5": _claude(4, 20, 0.2),
    "claude-opus-5": _claude(5, 25, 0.5),
    "claude-opus-4-8": _claude(5, 25, 0.5),
    "claude-opus-4-7": _claude(5, 25, 0.5),
    "claude-opus-4-6": _claude(5, 25, 0.5),
    "claude-opus-4-5": _claude(5, 25, 0.5),
    "claude-opus-4-1": _claude(15, 75, 1.5),
    "claude-opus-4-0": _claude(15, 75, 1.5),
    "claude-opus-4": _claude(15, 75, 1.5),
    "claude-sonnet-5-5": _claude(2, 10, 0.1),
    "claude-sonnet-5": _claude(2, 10, 0.2),
    "claude-sonnet-4-6": _claude(3, 15, 0.3),
    "claude-sonnet-4-5": _claude(3, 15, 0.3, **_LONG_CLAUDE),
    "claude-sonnet-4-0": _claude(3, 15, 0.3, **_LONG_CLAUDE),
    "claude-sonnet-4": _claude(3, 15, 0.3, **_LONG_CLAUDE),
    "claude-3-7-sonnet": _claude(3, 15, 0.3),
    "claude-haiku-5-5": _claude(0.1, 0.5, 0.01, above=100_000, by=5, output_by=5),
    "claude-haiku-4-5": _claude(1, 5, 0.1),
    "claude-3-5-haiku": _claude(0.8, 4, 0.08),
    "gpt-6.1-sol": _gpt(2, 10, 0.1, 2.5, **_LONG_GPT),
    "gpt-6-astra": _gpt(10, 50, 1, 12.5, **_LONG_GPT),
    "gpt-6-sol": _gpt(2, 10, 0.2, 2.5, **_LONG_GPT),
    "gpt-6-luna": _gpt(0.1, 0.5, 0.01, 0.125, **_LONG_GPT),
    "gpt-5.6": _gpt(4, 20, 0.4, 5, **_LONG_GPT),
    "gpt-5.6-sol": _gpt(4, 20, 0.4, 5, **_LONG_GPT),
    "gpt-5.6-terra": _gpt(2, 12, 0.2, 2.5, **_LONG_GPT),
    "gpt-5.6-luna": _gpt(0.2, 1.2, 0.02, 0.25, **_LONG_GPT),
    "gpt-5.5-pro": _gpt(30, 180, None, **_LONG_GPT),
    "gpt-5.5": _gpt(5, 30, 0.5, **_LONG_GPT),
    "gpt-5.4-pro": _gpt(30, 180, None, **_LONG_GPT),
    "gpt-5.4": _gpt(2.5, 15, 0.25, **_LONG_GPT),
    "gpt-5.4-mini": _gpt(0.75, 4.5, 0.075),
    "gpt-5.4-nano": _gpt(0.2, 1.25, 0.02),
    "gpt-5.3-codex": _gpt(1.75, 14, 0.175),
    "gpt-5.2": _gpt(1.75, 14, 0.175),
    "gpt-5.2-codex": _gpt(1.75, 14, 0.175),
    "gpt-5.1": _gpt(1.25, 10, 0.125),
    "gpt-5.1-codex": _gpt(1.25, 10, 0.125),
    "gpt-5.1-codex-max": _gpt(1.25, 10, 0.125),
    "gpt-5.1-codex-mini": _gpt(0.25, 2, 0.025),
    "gpt-5": _gpt(1.25, 10, 0.125),
    "gpt-5-codex": _gpt(1.25, 10, 0.125),
    "gpt-5-mini": _gpt(0.25, 2, 0.025),
    "gpt-5-nano": _gpt(0.05, 0.4, 0.005),
    "gpt-5-pro": _gpt(15, 120, None),
    "gpt-4.1": _gpt(2, 8, 0.5),
    "gpt-4.1-mini": _gpt(0.4, 1.6, 0.1),
    "gpt-4.1-nano": _gpt(0.1, 0.4, 0.025),
    "gpt-4o": _gpt(2.5, 10, 1.25),
    "gpt-4o-mini": _gpt(0.15, 0.6, 0.075),
    "o3": _gpt(2, 8, 0.5),
    "o4-mini": _gpt(1.1, 4.4, 0.275),
}

_NAME = re.compile(
    r"(?:[a-z]{2,6}\.)?(?:anthropic\.)?(?P<base>.+?)(?:-latest)?(?:[-@]20\d\d-?[01]\d-?[0-3]\d)?(?:-v\d(?::\d)?)?(?:\[1m\])?"
)


def _dearest() -> Listed:
    prices = [listed.price for listed in LIST.values()]
    return _listed(Price(input=max(p.input for p in prices), output=max(p.output for p in prices)), **_LONG_GPT)


class Prices:
    """The list, with the policy's own prices in front.

    A name fits with or without its date, ``-latest``, ``[1m]`` and the provider in front (``openai/gpt-5``), but a
    model that is only named alike is another model. One that nobody knows costs what the dearest of the list costs, so
    that no budget can be got round with a made-up name.
    """

    def __init__(self, own: Mapping[str, Price] | None = None) -> None:
        self._own = {name.lower(): Listed(price=price) for name, price in (own or {}).items()}
        self._dearest = _dearest()
        self._told: set[str] = set()

    def extended(self, own: Mapping[str, Price]) -> Prices:
        """The same with more of one's own, which go first."""
        more = Prices()
        more._own = {**self._own, **Prices(own)._own}
        more._told = self._told
        return more

    def cost(self, model: str, tokens: Tokens) -> float:
        """US dollars for one call."""
        listed = self._listed(model)
        price = listed.price
        long = listed.above is not None and tokens.all_input > listed.above
        read = price.input if price.cache_read is None else price.cache_read
        write = price.input if price.cache_write is None else price.cache_write
        hour = price.input if price.cache_write is None else HOUR_FACTOR * price.cache_write
        into = tokens.input * price.input + tokens.cache_read * read
        into += tokens.cache_write * write + tokens.cache_write_1h * hour
        out = tokens.output * price.output
        if long:
            into, out = into * listed.input_factor, out * listed.output_factor
        return (into + out) / _MILLION + tokens.searches * SEARCH_USD

    def dearer_cost(self, asked: str, answered: str, tokens: Tokens) -> float:
        """The same where the model that has answered may be another one than was asked for.

        One that nobody knows is left out (a gateway's own name for it), unless neither is known.
        """
        known = [model for model in (asked, answered) if self.knows(model)]
        return max(self.cost(model, tokens) for model in known or [asked])

    def reserve(self, model: str, tokens: int) -> float:
        """What that much input costs where no cache has it."""
        return self.cost(model, Tokens(input=tokens))

    def knows(self, model: str) -> bool:
        return self._find(model) is not None

    def _listed(self, model: str) -> Listed:
        found = self._find(model)
        if found is None and model not in self._told and len(self._told) < _TOLD_AT_MOST:
            self._told.add(model)
            said = printable(model[:100]) or "(no name)"
            log.warning("No price is known for the model %s: it counts as the dearest. Name its price in prices.", said)
        return found or self._dearest

    def _find(self, model: str) -> Listed | None:
        lower = model[:200].lower()
        last = lower.rpartition("/")[2]
        parts = _NAME.fullmatch(last)
        names = (lower, last, parts["base"] if parts else last)
        return next((table[name] for table in (self._own, LIST) for name in names if name in table), None)
