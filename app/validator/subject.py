"""What the validator judges: an item's change, with the repository before and after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.domain.plans import PrdContext
from app.domain.policy import Policy
from app.ports.workspace import Change, Files


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """``before`` is the state that the work began from, ``after`` the one under judgement; ``changes`` lie between.

    ``domain`` is one of the eight, or ``general`` (see `app.prompts.routing.domain_of`). ``policy`` is the base's.
    """

    changes: Sequence[Change]
    context: PrdContext
    policy: Policy
    domain: str
    before: Files
    after: Files
