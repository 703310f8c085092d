"""Mason works on Mason: a change to its own code, gated by its own type check, linters and tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.domain.results import CheckKind, Verdict
from tests.peers.kit import clone_of_mason
from tests.whole.kit import Project
from tests.whole.prds import change, new, prd

pytestmark = pytest.mark.peer

POLICY = "app/domain/policy.py"
TEST = "tests/unit/domain/test_time_limits.py"
FUNCTION = '''

def time_limit(seconds: float) -> str:
    """A time limit as ``.github/mason.yml`` takes it: in the longest unit that needs no fraction."""
    for unit, length in (("h", 3600), ("m", 60)):
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:g}{unit}"
    return f"{seconds:g}s"
'''
FUNCTION_TEST = '''\
"""Time limits, written and read again."""

from __future__ import annotations

import pytest

from app.domain.policy import parse_policy, time_limit


@pytest.mark.parametrize(("seconds", "shown"), [(0.5, "0.5s"), (90, "90s"), (600, "10m"), (7200, "2h"), (3660, "61m")])
def test_time_limit__is_read_as_it_is_shown(seconds: float, shown: str) -> None:
    assert time_limit(seconds) == shown
    text = f"limits: {{agent_timeout: {shown}}}"
    assert parse_policy(text.encode()).limits.agent_timeout == seconds
'''


def test_mason__changes_itself(tmp_path: Path, database: str) -> None:
    repository = clone_of_mason(tmp_path / "mason")
    before = (repository / POLICY).read_text()
    project = Project(repository=repository, dsn=database, root=tmp_path)
    item = project.approve(
        prd(
            f"`time_limit` in `{POLICY}`, the way back from seconds to text, tested in `{TEST}`.",
            change(POLICY, before, before + FUNCTION),
            new(TEST, FUNCTION_TEST),
        ),
        "Show time limits as people write them",
    )

    outcome = project.run_one()

    failures = outcome.gate.failures if outcome.gate else ()
    assert outcome.verdict is Verdict.COMPLETED, "\n".join([outcome.reason, *(check.output for check in failures)])
    assert outcome.gate
    ran = {check.kind: (check.status.value, check.output) for check in outcome.gate.checks}
    assert {kind.value: status for kind, (status, _) in ran.items()} == {
        "typecheck": "pass",
        "lint": "pass",
        "build": "skipped",
        "test": "pass",
    }
    assert "Success: no issues found" in ran[CheckKind.TYPECHECK][1]
    assert "All checks passed!" in ran[CheckKind.LINT][1]
    assert "Contracts: " in ran[CheckKind.LINT][1]
    assert " passed in " in ran[CheckKind.TEST][1]
    branch = "mason/show-time-limits-as-people-write-them"
    assert project.changed(branch) == [POLICY, TEST]
    assert "def time_limit(seconds: float) -> str:" in project.show(branch, POLICY)
    assert (project.state(item), outcome.iterations) == ("completed", ())
