"""Who is there to repair a base that fails by itself."""

from __future__ import annotations

from uuid import uuid4

import pytest

from app.domain.items import Item, ItemStatus
from app.domain.results import CheckKind, CheckResult, CheckStatus, GateResult
from app.flows.base_gate import repairs


def gate(*failing: CheckKind) -> GateResult:
    return GateResult(checks=tuple(CheckResult(kind=kind, status=CheckStatus.FAIL) for kind in failing))


@pytest.mark.parametrize(
    ("prd", "failing", "expected"),
    [
        ("The unit tests fail on main since Monday.", (CheckKind.TEST,), True),
        ("# Repair the linter\n\nIt is red.", (CheckKind.LINT,), True),
        ("Fix the type check.", (CheckKind.TYPECHECK,), True),
        ("The build is broken, and the tests fail with it.", (CheckKind.BUILD, CheckKind.TEST), True),
        ("The build is broken.", (CheckKind.BUILD, CheckKind.TEST), False),
        ("Add a function, with a test in `tests/test_a.py`.", (CheckKind.TEST,), False),
        ("Fix the greeting.\n\nAdd a test.", (CheckKind.TEST,), False),
        ("", (CheckKind.TEST,), False),
    ],
)
def test_repairs__needs_a_sentence_for_every_failing_check(
    prd: str, failing: tuple[CheckKind, ...], expected: bool
) -> None:
    item = Item(id=uuid4(), title="Something", status=ItemStatus.APPROVED, prd=prd)
    assert repairs(item, gate(*failing)) is expected
