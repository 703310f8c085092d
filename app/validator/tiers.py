"""The five tiers of the Implementation Validator, composed (seed, step 7.5)."""

from __future__ import annotations

from dataclasses import replace

from app.domain.plans import PrdContext
from app.domain.results import Finding, Tier, TierResult, TierStatus, ValidatorResult
from app.validator.domain import check_domain
from app.validator.exports import broken_uses
from app.validator.findings import tier_result
from app.validator.forbidden import allowed_only_by_name
from app.validator.imports import check_imports
from app.validator.scope import check_scope
from app.validator.side_effects import check_side_effects
from app.validator.subject import Subject


def validate(subject: Subject) -> ValidatorResult:
    """Judge an item's change by the four tiers that are computed; the second waits for a reviewer: ``not_run``.

    What weakens the checks is allowed by a person's words alone: not by what an agent added to them, nor by a PRD that
    an agent wrote.
    """
    context = subject.context
    persons = PrdContext() if context.by_agent else replace(context, amendment="")
    return ValidatorResult(
        tiers=(
            scope_by_agent(subject) if context.by_agent else check_scope(subject.changes, context, subject.policy),
            TierResult(tier=Tier.PATTERNS, status=TierStatus.NOT_RUN),
            check_imports(subject),
            check_domain(subject),
            check_side_effects(replace(subject, context=persons), broken=broken_uses(subject)),
        )
    )


def scope_by_agent(subject: Subject) -> TierResult:
    """Scope by a PRD that an agent wrote: what needs its exact path in a person's PRD is out of it."""
    scope = check_scope(subject.changes, subject.context, subject.policy)
    protected = [
        Finding(path=change.path, message=f"{change.path} {why}, and no person has named it")
        for change in subject.changes
        if (why := allowed_only_by_name(change, subject.policy.protected))
    ]
    return tier_result(Tier.SCOPE, [*scope.findings, *protected])
