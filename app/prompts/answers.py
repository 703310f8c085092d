"""Structured answers: the JSON schemas that an agent is given, and the typed records its answers become.

A parser takes whatever an agent sent and gives a record, or None when the answer cannot be used. Text is cut to its
limit, unknown keys are ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

TEXT_LIMIT = 4_000
PRD_LIMIT = 500_000
PATH_LIMIT = 500
MAX_ISSUES = 50
MAX_ENTRIES = 500


def _text(limit: int) -> BeforeValidator:
    def cut(value: object) -> object:
        if value is None:
            return ""
        return value.replace("\0", "").strip()[:limit] if isinstance(value, str) else value

    return BeforeValidator(cut)


def _first(value: object) -> object:
    return value[:MAX_ISSUES] if isinstance(value, list | tuple) else value


def _word(value: object) -> object:
    return value[:40].strip().upper() if isinstance(value, str) else value


def _lower(value: object) -> object:
    return value[:40].strip().lower().replace("_", "-") if isinstance(value, str) else value


Text = Annotated[str, _text(TEXT_LIMIT)]


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class ReEvaluation(_Answer):
    """Whether an item with inconclusive evidence is worth doing."""

    decision: Annotated[Literal["EXECUTE", "SKIP"], BeforeValidator(_word)]
    reason: Text = ""


class Verification(_Answer):
    """Whether the problem still exists. ``details`` says how it differs from the PRD, for MODIFIED."""

    decision: Annotated[Literal["PROCEED", "SKIP", "MODIFIED"], BeforeValidator(_word)]
    reason: Text = ""
    details: Text = ""


class Review(_Answer):
    """A reviewer's opinion. ``issues`` are sentences for the agent that fixes them."""

    decision: Annotated[Literal["approve", "reject"], BeforeValidator(_lower)]
    issues: Annotated[tuple[Text, ...], BeforeValidator(_first)] = Field(default=())


class Violation(_Answer):
    """One place where a change does not follow the code around it. ``line`` counts from 1, 0 is unknown."""

    path: Annotated[str, _text(PATH_LIMIT), Field(min_length=1)]
    line: Annotated[int, Field(ge=0, le=10_000_000)] = 0
    message: Annotated[str, _text(TEXT_LIMIT), Field(min_length=1)]
    severity: Annotated[Literal["error", "warning"], BeforeValidator(_lower)]
    recommendation: Text = ""


def _violations(value: object) -> object:
    """The entries that can be read, errors first; a list with none of them is no answer."""
    if not isinstance(value, list | tuple):
        return value
    entries = (each if isinstance(each, Violation) else _parse(Violation, each) for each in value[:MAX_ENTRIES])
    found = [each for each in entries if each]
    if value and not found:
        raise ValueError("no entry can be read")
    return sorted(found, key=lambda each: each.severity)[:MAX_ISSUES]


class PatternReview(_Answer):
    """What a reviewer says of a change and the patterns around it; "error" is what must not be merged as it is."""

    violations: Annotated[tuple[Violation, ...], BeforeValidator(_violations)]
    summary: Text = ""


class FixReport(_Answer):
    """What a fix iteration achieved; ``needs-human`` ends the loop at once (contracts §2)."""

    decision: Annotated[Literal["fixed", "needs-human"], BeforeValidator(_lower)]
    reason: Text = ""


class WrittenPrd(_Answer):
    """A PRD that an agent wrote, as Markdown."""

    prd: Annotated[str, _text(PRD_LIMIT), Field(min_length=1)]


_A = TypeVar("_A", bound=_Answer)


def schema(answer: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema that an agent's structured answer must fit."""
    found = answer.model_json_schema()
    return {"type": "object"} | {key: found[key] for key in ("properties", "required", "$defs") if key in found}


def parse_re_evaluation(answer: Mapping[str, object] | None) -> ReEvaluation | None:
    return _parse(ReEvaluation, answer)


def parse_verification(answer: Mapping[str, object] | None) -> Verification | None:
    return _parse(Verification, answer)


def parse_review(answer: Mapping[str, object] | None) -> Review | None:
    return _parse(Review, answer)


def parse_pattern_review(answer: Mapping[str, object] | None) -> PatternReview | None:
    return _parse(PatternReview, answer)


def parse_fix_report(answer: Mapping[str, object] | None) -> FixReport | None:
    return _parse(FixReport, answer)


def parse_prd(answer: Mapping[str, object] | None) -> str | None:
    """The Markdown of a written PRD, or None."""
    written = _parse(WrittenPrd, answer)
    return written.prd if written else None


def _parse(record: type[_A], answer: object) -> _A | None:
    try:
        return record.model_validate(dict(answer)) if isinstance(answer, Mapping) else None
    except (ValidationError, TypeError, ValueError):
        return None
