"""What every agent must fulfil: one suite, run for each adapter (claude: in tests/peers/test_claude_contract.py)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest

from app.agents.adapters import ADAPTERS, AgentOptions
from app.domain.items import Item, ItemStatus
from app.ports.agent import READ_ONLY_ROLES, Agent, AgentRequest, AgentResult, Role
from app.process import Stop
from app.prompts.answers import parse_fix_report, parse_re_evaluation, parse_review, parse_verification

DIFF = "--- a/f.txt\n+++ b/f.txt\n@@ -1 +1 @@\n-old\n+new\n"
PRD = f"```diff\n{DIFF}```\n\n```diff fix=1\n{DIFF.replace('f.txt', 'g.txt')}```\n"
BAD_PRD = PRD.replace("-old", "-other")

PROGRAM = """
[ "$MASON_READ_ONLY" = 1 ] || {
    [ "$MASON_ROLE" = fix ] && file=g.txt || file=f.txt
    grep -q '+new' && echo new > $file
}
case "$MASON_ROLE" in
    re-evaluate) decision=EXECUTE ;; verify) decision=PROCEED ;; review) decision=approve ;; fix) decision=fixed ;;
    *) exit 0 ;;
esac
echo "{\\"decision\\": \\"$decision\\", \\"reason\\": \\"looked\\"}" > "$MASON_ANSWER"
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """An agent that does the same work whichever it is: ``old`` becomes ``new``. ``failing`` cannot do it."""

    agent: Agent
    failing: Agent
    failing_prd: str = PRD


@pytest.fixture(params=sorted(set(ADAPTERS) - {"claude"}))
def subject(request: pytest.FixtureRequest) -> Subject:
    def made(script: str) -> Agent:
        return ADAPTERS[request.param](AgentOptions(environ=os.environ, command=("sh", "-c", script)))

    return Subject(
        agent=made(PROGRAM), failing=made("exit 1"), failing_prd=BAD_PRD if request.param == "patch" else PRD
    )


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "f.txt").write_text("old\n")
    (tmp_path / "g.txt").write_text("old\n")
    return tmp_path


def content(tree: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in tree.iterdir()}


def call(agent: Agent, tree: Path, role: Role, *, prd: str = PRD, stop: Stop | None = None) -> AgentResult:
    request = AgentRequest(
        role=role,
        item=Item(id=UUID(int=1), title="T", status=ItemStatus.IN_PROGRESS, prd=prd),
        prompt=prd,
        worktree=tree,
        time_limit=60,
        task_id="2.1" if role in (Role.IMPLEMENT, Role.EXPLORE, Role.REVIEW) else None,
        iteration=1 if role is Role.FIX else None,
    )
    return agent.run(request, stop or Stop(), lambda message, file="": None)


def test_agent__has_the_name_it_is_listed_under() -> None:
    for name, make in ADAPTERS.items():
        assert make(AgentOptions(environ=os.environ, command=("true",))).name == name


def test_agent__implements(subject: Subject, tree: Path) -> None:
    assert call(subject.agent, tree, Role.IMPLEMENT).error == ""
    assert content(tree) == {"f.txt": "new\n", "g.txt": "old\n"}


def test_agent__fixes_and_reports(subject: Subject, tree: Path) -> None:
    result = call(subject.agent, tree, Role.FIX)
    assert result.error == ""
    report = parse_fix_report(result.answer)
    assert report is not None
    assert report.decision == "fixed"
    assert content(tree) == {"f.txt": "old\n", "g.txt": "new\n"}


@pytest.mark.parametrize("role", sorted(READ_ONLY_ROLES))
def test_agent__a_reading_role_changes_nothing(subject: Subject, tree: Path, role: Role) -> None:
    before = content(tree)
    call(subject.agent, tree, role)
    assert content(tree) == before


def test_agent__answers_can_be_read(subject: Subject, tree: Path) -> None:
    re_evaluation = parse_re_evaluation(call(subject.agent, tree, Role.RE_EVALUATE).answer)
    verification = parse_verification(call(subject.agent, tree, Role.VERIFY).answer)
    review = parse_review(call(subject.agent, tree, Role.REVIEW).answer)
    assert (re_evaluation and re_evaluation.decision) == "EXECUTE"
    assert (verification and verification.decision) == "PROCEED"
    assert (review and review.decision) == "approve"


def test_agent__a_failed_call_is_a_sentence_and_raises_nothing(subject: Subject, tree: Path) -> None:
    result = call(subject.failing, tree, Role.IMPLEMENT, prd=subject.failing_prd)
    assert result.error.endswith(".")
    assert "\n" not in result.error
    assert content(tree) == {"f.txt": "old\n", "g.txt": "old\n"}


def test_agent__a_missing_worktree_raises_nothing(subject: Subject, tmp_path: Path) -> None:
    assert call(subject.agent, tmp_path / "gone", Role.IMPLEMENT).error


def test_agent__a_stopped_call_fails_and_changes_nothing(subject: Subject, tree: Path) -> None:
    stop = Stop()
    stop.set("cancelled")
    assert call(subject.agent, tree, Role.IMPLEMENT, stop=stop).error
    assert content(tree) == {"f.txt": "old\n", "g.txt": "old\n"}


def test_agent__usage_is_finite_and_never_negative(subject: Subject, tree: Path) -> None:
    usage = call(subject.agent, tree, Role.IMPLEMENT).usage
    assert usage.seconds > 0
    assert min(usage.input_tokens, usage.output_tokens, usage.cost_usd, usage.turns, usage.tool_calls) >= 0
