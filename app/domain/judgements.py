"""What Mason says of a pull request's head, as a record and as the text that one job hands to another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.domain.results import CheckKind, CheckResult, CheckStatus, Diagnostic, GateResult, Severity
from app.errors import UsageError

_OUTPUT_KEPT = 20_000
_DIAGNOSTICS_KEPT = 100


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
    """The judgement as JSON, for a job that may write check runs; bounded, some hundred kilobytes at most."""
    checks = [
        _Check(
            kind=c.kind,
            status=c.status,
            command=c.command[:2000],
            seconds=c.seconds,
            reason=c.reason[:2000],
            output=c.output[-_OUTPUT_KEPT:],
            diagnostics=tuple(_diagnostic(d) for d in c.diagnostics[:_DIAGNOSTICS_KEPT]),
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
        raise UsageError(f"report: {where}: {first['msg']}") from None
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
    return _Diagnostic(
        path=found.path[:1000],
        line=max(found.line, 0),
        message=found.message[:2000],
        column=max(found.column, 0),
        severity=found.severity,
        code=found.code[:200],
    )


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Diagnostic(_Strict):
    path: Annotated[str, Field(max_length=1000)]
    line: Annotated[int, Field(ge=0, le=10**7)]
    message: Annotated[str, Field(max_length=2000)]
    column: Annotated[int, Field(ge=0, le=10**7)] = 0
    severity: Severity = Severity.ERROR
    code: Annotated[str, Field(max_length=200)] = ""


class _Check(_Strict):
    kind: CheckKind
    status: CheckStatus
    command: Annotated[str, Field(max_length=2000)] = ""
    seconds: Annotated[float, Field(ge=0, le=10**6)] = 0.0
    reason: Annotated[str, Field(max_length=2000)] = ""
    output: Annotated[str, Field(max_length=_OUTPUT_KEPT)] = ""
    diagnostics: Annotated[tuple[_Diagnostic, ...], Field(max_length=_DIAGNOSTICS_KEPT)] = ()


class _Report(_Strict):
    number: Annotated[int, Field(ge=1, le=10**9)]
    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{40}(?:[0-9a-f]{24})?$")]
    checks: Annotated[tuple[_Check, ...], Field(max_length=len(CheckKind))]
