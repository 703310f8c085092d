"""What the check runs on the head of a pull request say of a gate and a validator (pure)."""

from __future__ import annotations

from dataclasses import dataclass

from app.domain.check_runs import ANNOTATION_LIMIT, Button, CheckRun, Conclusion, Subject
from app.domain.results import (
    REQUIRED_CHECKS,
    CheckKind,
    CheckResult,
    CheckStatus,
    Diagnostic,
    Finding,
    GateResult,
    Severity,
    TierStatus,
    ValidatorResult,
)
from app.reporting.check_texts import count, fenced_tail, render, seconds
from app.reporting.text import one_line

VALIDATOR = "mason / validator"
NAMES: dict[CheckKind, str] = {
    CheckKind.TYPECHECK: "mason / typecheck",
    CheckKind.LINT: "mason / lint",
    CheckKind.BUILD: "mason / build",
    CheckKind.TEST: "mason / tests",
    CheckKind.E2E: "mason / e2e",
    CheckKind.FRONTEND: "mason / pages",
    CheckKind.BACKEND: "mason / backend",
    CheckKind.SMOKE: "mason / smoke",
}
TITLES: dict[CheckKind, str] = {
    CheckKind.TYPECHECK: "Typecheck",
    CheckKind.LINT: "Lint",
    CheckKind.BUILD: "Build",
    CheckKind.TEST: "Tests",
    CheckKind.E2E: "E2E tests",
    CheckKind.FRONTEND: "Pages",
    CheckKind.BACKEND: "Backend probe",
    CheckKind.SMOKE: "Smoke test",
}
"""What people call a check, in whatever language the repository is."""

_CONCLUSION = {
    CheckStatus.PASS: Conclusion.SUCCESS,
    CheckStatus.FAIL: Conclusion.FAILURE,
    CheckStatus.SKIPPED: Conclusion.SKIPPED,
    CheckStatus.TIMEOUT: Conclusion.TIMED_OUT,
    CheckStatus.ERROR: Conclusion.FAILURE,
}
_TIER_WORD = {
    TierStatus.PASS: "passed",
    TierStatus.WARN: "warnings",
    TierStatus.FAIL: "failed",
    TierStatus.NOT_RUN: "not run",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class _TierLine:
    name: str
    word: str
    findings: tuple[Finding, ...]


def head_check_runs(
    commit: str,
    subject: Subject,
    gate: GateResult | None,
    validator: ValidatorResult | None,
    *,
    stopped: str = "",
) -> list[CheckRun]:
    """The completed check runs of one commit: validator, the four checks, and others where the gate had them.

    ``stopped`` is the sentence of a policy that kept checks from running (a fork, say): what did not run is neutral
    then, as it is when an earlier step failed. Texts from outside are escaped here; secrets leave them before.
    """
    kinds = REQUIRED_CHECKS + tuple(
        kind for kind in CheckKind if kind not in REQUIRED_CHECKS and gate and any(c.kind is kind for c in gate.checks)
    )
    checks = [_validator(commit, subject, validator, stopped)]
    return checks + [_check(kind, commit, subject, gate, validator, stopped) for kind in kinds]


def conclusion_of(check: CheckResult) -> Conclusion:
    """Each check's own conclusion. A failed smoke test is a warning and blocks nothing (contracts §2)."""
    if check.kind is CheckKind.SMOKE and check.status not in (CheckStatus.PASS, CheckStatus.SKIPPED):
        return Conclusion.NEUTRAL
    return _CONCLUSION[check.status]


def _check(
    kind: CheckKind,
    commit: str,
    subject: Subject,
    gate: GateResult | None,
    validator: ValidatorResult | None,
    stopped: str,
) -> CheckRun:
    check = next((c for c in gate.checks if c.kind is kind), None) if gate else None
    sentence = _sentence(check) if check else _why_not_run(gate, validator, stopped)
    diagnostics = annotated(check.diagnostics) if check else ()
    return CheckRun(
        name=NAMES[kind],
        commit=commit,
        subject=subject,
        title=one_line(sentence, 120),
        summary=render(
            "check_head.md",
            sentence=sentence,
            commit=commit,
            checked=gate.tree if gate and check else "",
            check=check,
            errors=_count(check, Severity.ERROR),
            warnings=_count(check, Severity.WARNING),
            left_out=len(check.diagnostics) - len(diagnostics) if check else 0,
        ),
        text=fenced_tail(check.output) if check else "",
        conclusion=conclusion_of(check) if check else Conclusion.NEUTRAL,
        diagnostics=diagnostics,
        buttons=tuple(Button),
    )


def _sentence(check: CheckResult) -> str:
    because = f": {check.reason}" if check.reason else ""
    match check.status:
        case CheckStatus.PASS:
            warnings = _count(check, Severity.WARNING)
            return f"Passed in {seconds(check.seconds)}" + (f", {count(warnings, 'warning')}" if warnings else "")
        case CheckStatus.FAIL:
            errors = _count(check, Severity.ERROR)
            return f"Failed{because}" if because else f"Failed, {count(errors, 'error')}" if errors else "Failed"
        case CheckStatus.SKIPPED:
            return f"Skipped{because or ': the repository has no such check'}"
        case CheckStatus.TIMEOUT:
            return f"Timed out after {seconds(check.seconds)}{because}"
        case CheckStatus.ERROR:
            return f"Could not run{because}"


def _why_not_run(gate: GateResult | None, validator: ValidatorResult | None, stopped: str) -> str:
    if stopped:
        return f"Not run: {stopped}"
    if validator and not validator.proceed:
        return "Not run: the validator stopped the change before its checks"
    if gate and gate.failures:
        return f"Not run: {TITLES[gate.failures[0].kind].lower()} failed before"
    return "Not run: there is no result for this commit"


def _validator(commit: str, subject: Subject, result: ValidatorResult | None, stopped: str) -> CheckRun:
    conclusion, sentence = _verdict(result, stopped)
    tiers = [
        _TierLine(
            name=tier.tier.value.replace("_", " ").capitalize(), word=_TIER_WORD[tier.status], findings=tier.findings
        )
        for tier in (result.tiers if result else ())
    ]
    findings = [finding for tier in tiers for finding in tier.findings]
    return CheckRun(
        name=VALIDATOR,
        commit=commit,
        subject=subject,
        title=one_line(sentence, 120),
        summary=render("check_validator.md", sentence=sentence, commit=commit, tiers=tiers),
        conclusion=conclusion,
        # A finding is about a file as a whole.
        diagnostics=annotated(
            tuple(Diagnostic(path=f.path, line=1, message=f.message, severity=f.severity) for f in findings)
        ),
        buttons=tuple(Button),
    )


def _verdict(result: ValidatorResult | None, stopped: str) -> tuple[Conclusion, str]:
    if result is None or all(tier.status is TierStatus.NOT_RUN for tier in result.tiers):
        return Conclusion.NEUTRAL, f"Not run: {stopped or 'there is no result for this commit'}"
    idle = sum(tier.status is TierStatus.NOT_RUN for tier in result.tiers)
    not_run = f"; {count(idle, 'tier')} not run" if idle else ""
    if result.failures:
        names = ", ".join(tier.tier.value.replace("_", " ") for tier in result.failures)
        return Conclusion.FAILURE, f"Failed: {names}{not_run}"
    warnings = sum(len(tier.findings) for tier in result.tiers)
    found = f" with {count(warnings, 'finding')}" if warnings else ""
    return Conclusion.SUCCESS, f"Passed{found}{not_run}"


def annotated(diagnostics: tuple[Diagnostic, ...]) -> tuple[Diagnostic, ...]:
    """Those that are worth an annotation: with a file, errors before the rest, as many as a check run carries."""
    order = list(Severity)
    placed = [diagnostic for diagnostic in diagnostics if diagnostic.path]
    return tuple(sorted(placed, key=lambda d: order.index(d.severity))[:ANNOTATION_LIMIT])


def _count(check: CheckResult | None, severity: Severity) -> int:
    return sum(d.severity is severity for d in check.diagnostics) if check else 0
