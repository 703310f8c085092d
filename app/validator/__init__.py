"""The Implementation Validator: one module a tier."""

from app.validator.report import validator_json
from app.validator.subject import Subject
from app.validator.tiers import validate

__all__ = ["Subject", "validate", "validator_json"]
