"""The validator's composition and its JSON."""

from __future__ import annotations

import json

from app.domain.plans import PrdContext
from app.domain.policy import Policy
from app.domain.results import Finding, Severity, Tier, TierResult, TierStatus, ValidatorResult
from app.ports.workspace import Change, ChangeKind
from app.validator import validate, validator_json

CHANGE = Change(path="src/a.ts", kind=ChangeKind.MODIFIED)


def test_validate__five_tiers_of_which_four_do_not_run_yet() -> None:
    result = validate([CHANGE], PrdContext(files=("src/a.ts",)), Policy())
    assert [(t.tier, t.status) for t in result.tiers] == [
        (Tier.SCOPE, TierStatus.PASS),
        (Tier.PATTERNS, TierStatus.NOT_RUN),
        (Tier.IMPORTS, TierStatus.NOT_RUN),
        (Tier.DOMAIN, TierStatus.NOT_RUN),
        (Tier.SIDE_EFFECTS, TierStatus.NOT_RUN),
    ]
    assert result.proceed


def test_validator_json__is_the_seeds_form() -> None:
    result = validate([CHANGE], PrdContext(files=("src/b.ts",)), Policy())
    finding = {
        "path": "src/a.ts",
        "message": "src/a.ts was modified, and the PRD does not name it",
        "severity": "error",
        "recommendation": "revert src/a.ts or have the PRD name it",
    }
    assert json.loads(json.dumps(validator_json(result, domain="ui"))) == {
        "validation_status": "fail",
        "tiers": {
            "scope_verification": {"status": "fail", "out_of_scope_changes": [finding]},
            "pattern_adherence": {"status": "not_run", "pattern_violations": []},
            "import_graph": {"status": "not_run", "circular_imports": [], "layer_violations": []},
            "domain_specific": {"status": "not_run", "domain": "ui", "issues": []},
            "side_effects": {"status": "not_run", "breaking_changes": [], "affected_files": []},
        },
        "summary": {"total_issues": 1, "critical": 1, "warnings": 0, "proceed_with_validation": False},
        "recommendations": ["revert src/a.ts or have the PRD name it"],
    }


def test_validator_json__warnings_proceed_and_each_recommendation_comes_once() -> None:
    warning = Finding(path="a", message="Circular import: a → b", severity=Severity.WARNING, recommendation="split a")
    layer = Finding(path="a", message="a imports a higher layer", severity=Severity.WARNING, recommendation="split a")
    result = ValidatorResult(
        tiers=(
            TierResult(tier=Tier.IMPORTS, status=TierStatus.WARN, findings=(warning, layer)),
            TierResult(tier=Tier.SIDE_EFFECTS, status=TierStatus.WARN, findings=(layer, layer)),
        )
    )
    report = validator_json(result)
    assert report["validation_status"] == "warn"
    assert report["summary"] == {"total_issues": 4, "critical": 0, "warnings": 4, "proceed_with_validation": True}
    assert report["recommendations"] == ["split a"]
    tiers = report["tiers"]
    assert isinstance(tiers, dict)
    assert [f["message"] for f in tiers["import_graph"]["circular_imports"]] == [warning.message]
    assert [f["message"] for f in tiers["import_graph"]["layer_violations"]] == [layer.message]
    assert tiers["side_effects"]["affected_files"] == ["a"]
