"""A model proxy that serves nothing by itself: it says where a model is, and what a test wants to be known about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

from app.agents.model_access import Trouble, TroubleKind
from app.domain.policy import Price
from app.domain.results import Usage


@dataclass(frozen=True, kw_only=True)
class Said:
    """A trouble."""

    kind: TroubleKind
    sentence: str = "The model's API is overloaded (529)."
    retry_after: float | None = None


@dataclass(kw_only=True)
class Opened:
    """An access. ``trouble`` and what it used are the test's to say."""

    anthropic_url: str
    openai_url: str
    token: str
    trouble: Trouble | None
    used: Usage
    spender: UUID
    budget_usd: float | None
    open: bool = True

    def usage(self) -> Usage:
        return self.used


@dataclass(kw_only=True)
class FakeProxy:
    """The n-th access has the n-th of ``troubles`` (None when there are no more) and has used ``each``."""

    url: str = "http://127.0.0.1:9"
    troubles: list[Trouble | None] = field(default_factory=list)
    each: Usage = field(default_factory=lambda: Usage(input_tokens=100, output_tokens=20, cost_usd=0.5, turns=1))
    accesses: list[Opened] = field(default_factory=list)

    @contextmanager
    def open(
        self, *, spender: UUID, budget_usd: float | None, prices: Mapping[str, Price] | None = None
    ) -> Iterator[Opened]:
        number = len(self.accesses)
        access = Opened(
            anthropic_url=self.url,
            openai_url=f"{self.url}/v1",
            token=f"token-{number}",
            trouble=self.troubles[number] if number < len(self.troubles) else None,
            used=self.each,
            spender=spender,
            budget_usd=budget_usd,
        )
        self.accesses.append(access)
        try:
            yield access
        finally:
            access.open = False
