"""The five tiers of the Implementation Validator, composed (seed, step 7.5)."""

from __future__ import annotations

from collections.abc import Sequence

from app.domain.plans import PrdContext
from app.domain.policy import Policy
from app.domain.results import Tier, TierResult, TierStatus, ValidatorResult
from app.ports.workspace import Change
from app.validator.scope import check_scope


def validate(changes: Sequence[Change], context: PrdContext, policy: Policy) -> ValidatorResult:
    """Judge an item's changes against its PRD and the base commit's policy. Pure; all five tiers are in the result.

    A tier that does not exist yet reports ``not_run``, never ``pass``.
    """
    done = {Tier.SCOPE: check_scope(changes, context, policy)}
    return ValidatorResult(
        tiers=tuple(done.get(tier) or TierResult(tier=tier, status=TierStatus.NOT_RUN) for tier in Tier)
    )
