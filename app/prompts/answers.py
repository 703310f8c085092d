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
MAX_ISSUES = 50


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
    return {"type": "object", "properties": found["properties"], "required": found["required"]}


def parse_re_evaluation(answer: Mapping[str, object] | None) -> ReEvaluation | None:
    return _parse(ReEvaluation, answer)


def parse_verification(answer: Mapping[str, object] | None) -> Verification | None:
    return _parse(Verification, answer)


def parse_review(answer: Mapping[str, object] | None) -> Review | None:
    return _parse(Review, answer)


def parse_fix_report(answer: Mapping[str, object] | None) -> FixReport | None:
    return _parse(FixReport, answer)


def parse_prd(answer: Mapping[str, object] | None) -> str | None:
    """The Markdown of a written PRD, or None."""
    written = _parse(WrittenPrd, answer)
    return written.prd if written else None


def _parse(record: type[_A], answer: Mapping[str, object] | None) -> _A | None:
    try:
        return record.model_validate(dict(answer)) if answer is not None else None
    except (ValidationError, TypeError, ValueError):
        return None
