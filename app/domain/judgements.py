"""What Mason says of a pull request's head, as a record and as the text that one job hands to another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.domain.results import CheckKind, CheckResult, CheckStatus, Diagnostic, GateResult, Severity
from app.errors import UsageError

REPORT_LIMIT = 100_000
"""Octets of a report: the next job gets it as one variable of its environment, of which Linux takes 128 KiB."""

_OUTPUT_KEPT = 20_000
_DIAGNOSTICS_KEPT = 100
_WORDS_KEPT = 2000
_NAME_KEPT = 1000
_CODE_KEPT = 200
_LAST_LINE = 10**7


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """The gate on one commit of a pull request. ``reason`` says why a change that was asked for could not be made.

    ``changed``: Mason pushed this commit.
    """

    number: int
    commit: str
    gate: GateResult
    changed: bool = False
    reason: str = ""

    @property
    def passed(self) -> bool:
        return self.gate.passed and not self.reason


def as_report(judgement: Judgement) -> str:
    """The judgement as JSON, for a job that may write check runs. Where it is too long, everything in it is cut."""
    share = 1
    while len((text := _report(judgement, share)).encode()) > REPORT_LIMIT:
        share *= 2
    return text


def _report(judgement: Judgement, share: int) -> str:
    """A report of which each part has its ``share``-th of what may be kept of it."""
    checks = [
        _Check(
            kind=c.kind,
            status=c.status,
            command=_storable(c.command)[: _WORDS_KEPT // share],
            seconds=c.seconds,
            reason=_storable(c.reason)[: _WORDS_KEPT // share],
            output=_storable(c.output[max(len(c.output) - _OUTPUT_KEPT // share, 0) :]),
            diagnostics=tuple(_diagnostic(d) for d in c.diagnostics[: _DIAGNOSTICS_KEPT // share]),
        )
        for c in judgement.gate.checks
    ]
    return _Report(number=judgement.number, commit=judgement.commit, checks=tuple(checks)).model_dump_json()


def parse_report(text: str) -> Judgement:
    """Read a report again. It comes from a job in which a stranger's code ran. Raises UsageError."""
    try:
        report = _Report.model_validate_json(text)
    except ValidationError as problem:
        first = problem.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "it"
        raise UsageError(f"report: {where[:100]!r}: {first['msg']}") from None
    checks = tuple(
        CheckResult(
            kind=c.kind,
            status=c.status,
            command=c.command,
            seconds=c.seconds,
            reason=c.reason,
            output=c.output,
            diagnostics=tuple(Diagnostic(**dict(d)) for d in c.diagnostics),
        )
        for c in report.checks
    )
    return Judgement(number=report.number, commit=report.commit, gate=GateResult(checks=checks, tree=report.commit))


def _diagnostic(found: Diagnostic) -> _Diagnostic:
    """A finding as far as a check run can show it; its numbers are whatever a check has printed."""
    return _Diagnostic(
        path=_storable(found.path)[:_NAME_KEPT],
        line=min(max(found.line, 0), _LAST_LINE),
        message=_storable(found.message)[:_WORDS_KEPT],
        column=min(max(found.column, 0), _LAST_LINE),
        severity=found.severity,
        code=_storable(found.code)[:_CODE_KEPT],
    )


def _storable(text: str) -> str:
    """Without lone surrogates, which JSON cannot carry (NUL is escaped by it)."""
    return text.encode("utf-8", "replace").decode()


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Diagnostic(_Strict):
    path: Annotated[str, Field(max_length=_NAME_KEPT)]
    line: Annotated[int, Field(ge=0, le=_LAST_LINE)]
    message: Annotated[str, Field(max_length=_WORDS_KEPT)]
    column: Annotated[int, Field(ge=0, le=_LAST_LINE)] = 0
    severity: Severity = Severity.ERROR
    code: Annotated[str, Field(max_length=_CODE_KEPT)] = ""


class _Check(_Strict):
    kind: CheckKind
    status: CheckStatus
    command: Annotated[str, Field(max_length=_WORDS_KEPT)] = ""
    seconds: Annotated[float, Field(ge=0, le=10**6)] = 0.0
    reason: Annotated[str, Field(max_length=_WORDS_KEPT)] = ""
    output: Annotated[str, Field(max_length=_OUTPUT_KEPT)] = ""
    diagnostics: Annotated[tuple[_Diagnostic, ...], Field(max_length=_DIAGNOSTICS_KEPT)] = ()


class _Report(_Strict):
    number: Annotated[int, Field(ge=1, le=10**9)]
    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{40}(?:[0-9a-f]{24})?$")]
    checks: Annotated[tuple[_Check, ...], Field(max_length=len(CheckKind))]
