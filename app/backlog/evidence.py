"""What an item leaves to look at: how its checks ended, what the validator found, its diff. Bounded; pure.

It is kept beside the item's outcome and not in the item's own row, which dashboards read and follow whole.
"""

from __future__ import annotations

from app.backlog.documents import Document
from app.domain.results import CheckResult, Outcome

OUTPUT_KEPT = 8_000
"""Characters at the end of a check's output."""

OUTPUT_OF_PASSED = 2_000
"""The same for one that does not block: there is less to look for."""

DIFF_KEPT = 200_000

FINDINGS_KEPT = 50
FINDING_KEPT = 500


def evidence_document(outcome: Outcome) -> Document:
    tiers = outcome.validator.tiers if outcome.validator else ()
    found = [f"{tier.tier.words}: {f.path}: {f.message}"[:FINDING_KEPT] for tier in tiers for f in tier.findings]
    return {
        "checks": [_check(check) for check in (outcome.gate.checks if outcome.gate else ())],
        "findings": found[:FINDINGS_KEPT],
    }


def _check(check: CheckResult) -> Document:
    most = OUTPUT_KEPT if check.blocks else OUTPUT_OF_PASSED
    return {
        "kind": check.kind,
        "output": check.output[-most:],
        "findings": [str(found)[:FINDING_KEPT] for found in check.diagnostics[:FINDINGS_KEPT]],
    }
