"""The Implementation Validator: one module a tier."""

from app.validator.report import validator_json
from app.validator.tiers import validate

__all__ = ["validate", "validator_json"]
