"""A tier's result from what it found."""

from __future__ import annotations

from collections.abc import Sequence

from app.domain.results import Finding, Severity, Tier, TierResult, TierStatus

MOST_FINDINGS = 50
"""More of them help nobody: the rest is counted."""


def tier_result(tier: Tier, findings: Sequence[Finding]) -> TierResult:
    """``fail`` with any error, ``warn`` with any finding, else ``pass``; at most 50 findings."""
    severities = {finding.severity for finding in findings}
    status = TierStatus.FAIL if Severity.ERROR in severities else TierStatus.WARN if findings else TierStatus.PASS
    return TierResult(tier=tier, status=status, findings=bounded(findings))


def bounded(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The errors first when there are too many, so that none is hidden behind warnings."""
    if len(findings) <= MOST_FINDINGS:
        return tuple(findings)
    shown = sorted(findings, key=lambda f: f.severity is not Severity.ERROR)[:MOST_FINDINGS]
    severity = findings[0].severity if len({f.severity for f in findings}) == 1 else shown[-1].severity
    return (*shown, Finding(path="", message=f"and {len(findings) - MOST_FINDINGS} more", severity=severity))
