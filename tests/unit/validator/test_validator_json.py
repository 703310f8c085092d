"""The validator's composition and its JSON."""

from __future__ import annotations

import json

from app.domain.plans import PrdContext
from app.domain.results import Finding, Severity, Tier, TierResult, TierStatus, ValidatorResult
from app.validator import validate, validator_json
from tests.unit.validator.file_sets import subject

BEFORE, AFTER = {"src/a.ts": "let a = 1"}, {"src/a.ts": "let a = 2"}


def test_validate__five_tiers_of_which_one_waits_for_a_reviewer() -> None:
    result = validate(subject(BEFORE, AFTER, context=PrdContext(files=("src/a.ts",))))
    waiting = {Tier.PATTERNS: TierStatus.NOT_RUN}
    assert [(t.tier, t.status) for t in result.tiers] == [(tier, waiting.get(tier, TierStatus.PASS)) for tier in Tier]
    assert result.proceed


def test_validator_json__is_the_seeds_form() -> None:
    result = validate(subject(BEFORE, AFTER, context=PrdContext(files=("src/b.ts",)), domain="ui"))
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
            "import_graph": {"status": "pass", "circular_imports": [], "layer_violations": []},
            "domain_specific": {"status": "pass", "domain": "ui", "issues": []},
            "side_effects": {"status": "pass", "breaking_changes": [], "affected_files": []},
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
