"""What the prompts cost: tokens of the standard item, at four characters a token."""

from __future__ import annotations

import pytest

from app.prompts.guidance import guidance
from app.prompts.routing import DOMAINS, GENERAL, instructions
from tests.unit.prompts.standard_item import TYPES, briefing, every_prompt, standard

BUDGET = {
    "re_evaluate": 400,
    "verify": 1_600,
    "write_prd": 700,
    "explore": 950,
    "implement": 2_500,
    "review": 2_200,
    "pattern_review": 2_700,
    "fix": 2_950,
    "request": 1_900,
}
"""The most a prompt may cost, in the dearest domain. Who raises a number pays it with every call."""

INSTRUCTIONS = 1_100
GUIDANCE = 180


def tokens(text: str) -> int:
    return len(text) // 4


@pytest.mark.parametrize("item_type", TYPES)
def test_prompts__cost_no_more_than_their_budget(item_type: str) -> None:
    costs = {name: tokens(prompt) for name, prompt in every_prompt(briefing(standard(item_type))).items()}
    assert {name: cost for name, cost in costs.items() if cost > BUDGET[name]} == {}


def test_budget__is_no_more_than_a_tenth_above_the_need() -> None:
    every = [every_prompt(briefing(standard(item_type))) for item_type in TYPES]
    dearest = {name: max(tokens(prompts[name]) for prompts in every) for name in BUDGET}
    assert {name: cost for name, cost in dearest.items() if BUDGET[name] > cost * 1.15} == {}


@pytest.mark.parametrize("domain", [*DOMAINS, GENERAL])
def test_words__of_a_domain_are_few(domain: str) -> None:
    assert tokens(instructions(domain, lambda _: None)) <= INSTRUCTIONS
    for kind in ("typecheck", "lint", "build", "test", "e2e", "scope_verification", "domain_specific"):
        assert tokens(guidance(domain, kind)) <= GUIDANCE


def test_implement__does_not_say_the_same_twice() -> None:
    prompt = every_prompt(briefing(standard("ui")))["implement"]
    assert prompt.count("In lists of comments nobody can tell") == 1
