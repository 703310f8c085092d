"""The five tiers of the Implementation Validator, composed (seed, step 7.5)."""

from __future__ import annotations

from collections.abc import Sequence

from app.domain.plans import PrdContext
from app.domain.policy import Policy
from app.domain.results import Tier, TierResult, TierStatus, ValidatorResult
from app.ports.workspace import Change
from app.validator.domain import check_domain
from app.validator.scope import check_scope
from app.validator.side_effects import check_side_effects
from app.validator.subject import Subject


def validate(changes: Sequence[Change], context: PrdContext, policy: Policy) -> ValidatorResult:
    """Judge an item's changes against its PRD and the base commit's policy. Pure; all five tiers are in the result.

    A tier that does not exist yet reports ``not_run``, never ``pass``.
    """
    done = {Tier.SCOPE: check_scope(changes, context, policy)}
    return ValidatorResult(
        tiers=tuple(done.get(tier) or TierResult(tier=tier, status=TierStatus.NOT_RUN) for tier in Tier)
    )


def validate_subject(subject: Subject, *, patterns: TierResult | None = None) -> ValidatorResult:
    """Judge an item's change; all five tiers are in the result, one that nobody looked at as ``not_run``.

    ``patterns`` is what the reviewing agent said (tier 2).
    """
    done = [
        check_scope(subject.changes, subject.context, subject.policy),
        check_domain(subject),
        # To come: check_imports(subject), and check_side_effects(subject, broken=broken_uses(subject)).
        check_side_effects(subject),
        *([patterns] if patterns else []),
    ]
    by_tier = {result.tier: result for result in done}
    return ValidatorResult(
        tiers=tuple(by_tier.get(tier) or TierResult(tier=tier, status=TierStatus.NOT_RUN) for tier in Tier)
    )
