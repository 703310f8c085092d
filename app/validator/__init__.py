"""The Implementation Validator: one module a tier."""

from app.domain.results import ValidatorResult
from app.validator.report import validator_json
from app.validator.subject import Subject
from app.validator.tiers import validate as _validate

__all__ = ["Subject", "validate", "validator_json"]


def validate(subject: Subject) -> ValidatorResult:
    """Judge an item's change; all five tiers are in the result."""
    return _validate(subject.changes, subject.context, subject.policy)
