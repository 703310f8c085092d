"""The five tiers of the Implementation Validator, composed (seed, step 7.5)."""

from __future__ import annotations

from app.domain.results import Tier, TierResult, TierStatus, ValidatorResult
from app.validator.domain import check_domain
from app.validator.exports import broken_uses
from app.validator.imports import check_imports
from app.validator.scope import check_scope
from app.validator.side_effects import check_side_effects
from app.validator.subject import Subject


def validate(subject: Subject) -> ValidatorResult:
    """Judge an item's change by the four tiers that are computed; the second waits for a reviewer: ``not_run``."""
    return ValidatorResult(
        tiers=(
            check_scope(subject.changes, subject.context, subject.policy),
            TierResult(tier=Tier.PATTERNS, status=TierStatus.NOT_RUN),
            check_imports(subject),
            check_domain(subject),
            check_side_effects(subject, broken=broken_uses(subject)),
        )
    )
