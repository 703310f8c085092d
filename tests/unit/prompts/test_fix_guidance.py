"""Guidance for fixes: every kind of failure in every domain."""

from __future__ import annotations

from pathlib import Path

import pytest

import app.prompts
from app.domain.results import CheckKind, Tier
from app.prompts.guidance import guidance
from app.prompts.routing import DOMAINS, GENERAL, instructions

FIXING = Path(app.prompts.__file__ or "").parent / "fixing"
PHASES = (
    "Context",
    "Pre-implementation verification",
    "Patterns to look for",
    "Implementation",
    "Validation",
    "Report",
)
KINDS = [kind.value for kind in (*CheckKind, *Tier) if kind is not CheckKind.SMOKE]


@pytest.mark.parametrize("domain", [*DOMAINS, GENERAL])
@pytest.mark.parametrize("kind", KINDS)
def test_guidance__says_something_for_each_kind(domain: str, kind: str) -> None:
    text = guidance(domain, kind)
    assert text.startswith(guidance(GENERAL, kind))
    assert text
    assert all(line.startswith("- ") for line in text.split("\n"))


@pytest.mark.parametrize("domain", DOMAINS)
def test_guidance__adds_what_is_the_domains_own(domain: str) -> None:
    for kind in ("typecheck", "lint", "test", "domain_specific"):
        assert len(guidance(domain, kind)) > len(guidance(GENERAL, kind))


def test_guidance__of_what_nobody_knows_is_empty() -> None:
    assert guidance("ui", "smoke") == ""
    assert guidance(GENERAL, "no such check") == ""


def test_guidance__has_no_kind_that_does_not_exist() -> None:
    headings = {
        line.removeprefix("## ")
        for path in FIXING.glob("*.md")
        for line in path.read_text().split("\n")
        if line.startswith("## ")
    }
    assert headings <= set(KINDS)
    assert {path.stem for path in FIXING.glob("*.md")} == {*DOMAINS, GENERAL}


@pytest.mark.parametrize("domain", [*DOMAINS, GENERAL])
def test_instructions__have_the_six_phases_in_order(domain: str) -> None:
    text = instructions(domain, lambda _: None)
    headings = [line for line in text.split("\n") if line.startswith("#")]
    assert headings == [f"### Phase {number}: {name}" for number, name in enumerate(PHASES, 1)]
    assert "smallest change" in text
