"""The validator's result in the JSON of the seed (step 7.5, Validator Output Format)."""

from __future__ import annotations

from app.domain.results import Finding, Severity, Tier, TierResult, TierStatus, ValidatorResult


def validator_json(result: ValidatorResult, *, domain: str = "general") -> dict[str, object]:
    """The seed's exact keys, plus ``recommendations``: what to do about the findings, each sentence once.

    A finding is ``{path, message, severity, recommendation}``. A tier's status is pass, warn, fail or not_run.
    """
    findings = [finding for tier in result.tiers for finding in tier.findings]
    critical = sum(f.severity is Severity.ERROR for f in findings)
    return {
        "validation_status": _overall(result).value,
        "tiers": {tier.tier.value: {"status": tier.status.value, **_details(tier, domain)} for tier in result.tiers},
        "summary": {
            "total_issues": len(findings),
            "critical": critical,
            "warnings": len(findings) - critical,
            "proceed_with_validation": result.proceed,
        },
        "recommendations": list(dict.fromkeys(f.recommendation for f in findings if f.recommendation)),
    }


def _overall(result: ValidatorResult) -> TierStatus:
    seen = {tier.status for tier in result.tiers}
    return next((status for status in (TierStatus.FAIL, TierStatus.WARN) if status in seen), TierStatus.PASS)


def _details(result: TierResult, domain: str) -> dict[str, object]:
    found = [_finding(finding) for finding in result.findings]
    match result.tier:
        case Tier.SCOPE:
            return {"out_of_scope_changes": found}
        case Tier.PATTERNS:
            return {"pattern_violations": found}
        case Tier.IMPORTS:
            circular = [f for f in found if "circular" in f["message"].lower()]
            return {"circular_imports": circular, "layer_violations": [f for f in found if f not in circular]}
        case Tier.DOMAIN:
            return {"domain": domain, "issues": found}
        case Tier.SIDE_EFFECTS:
            affected = list(dict.fromkeys(f["path"] for f in found if f["path"]))
            return {"breaking_changes": found, "affected_files": affected}


def _finding(finding: Finding) -> dict[str, str]:
    return {
        "path": finding.path,
        "message": finding.message,
        "severity": finding.severity.value,
        "recommendation": finding.recommendation,
    }
