"""Money that bought nothing: an item that goes back does so three times at most, and says so."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from app import wiring
from app.domain.results import Outcome, Usage, Verdict
from app.domain.runs import RunResult
from app.flows.run_items import run_items
from app.ports.agent import AgentRequest, AgentResult, Failure, OnActivity, Role
from app.process import Stop
from tests.whole.kit import Project


class Away:
    """An agent whose model answers questions, and is away once work has begun."""

    name = "away"

    def __init__(self, failure: Failure, cost: float) -> None:
        self._failure, self._cost = failure, cost

    def require_ready(self) -> None:
        pass

    def run(self, request: AgentRequest, stop: Stop, on_activity: OnActivity) -> AgentResult:
        if request.role is Role.VERIFY:
            return AgentResult(answer={"decision": "PROCEED", "reason": "there"}, usage=Usage(cost_usd=self._cost))
        return AgentResult(error="The model's API is away.", failure=self._failure)


def night(project: Project, agent: Away) -> tuple[RunResult, Outcome]:
    request = wiring.RunRequest(repository=project.repository, auto=True)
    with wiring.runner(project.settings, request, status=io.StringIO(), console=io.StringIO()) as ports:
        result = run_items(replace(ports, make_agent=lambda _: agent), wiring.run_options(request), Stop())
    return result, result.results[0].outcome


@pytest.mark.parametrize("failure", [Failure.UNAVAILABLE, Failure.BUDGET])
def test_item__that_costs_money_and_goes_back_does_so_three_times_at_most(project: Project, failure: Failure) -> None:
    item = project.approve_change()
    for attempt in (1, 2):
        result, outcome = night(project, Away(failure, 0.5))
        assert (outcome.verdict, result.status.value) == (Verdict.RELEASED, "failed")
        row = project.item(item)
        assert (row["status"], row["execution_attempt"]) == ("approved", attempt)
    _, outcome = night(project, Away(failure, 0.5))
    assert outcome.verdict is Verdict.REJECTED
    assert project.item(item)["failure_reason"] == "The model's API is away (in its attempt 3)"


def test_item__that_has_cost_nothing_may_wait_for_ever(project: Project) -> None:
    item = project.approve_change()
    for _ in range(4):
        result, outcome = night(project, Away(Failure.UNAVAILABLE, 0.0))
        assert (outcome.verdict, result.status.value) == (Verdict.RELEASED, "success")
    assert (project.item(item)["status"], project.item(item)["execution_attempt"]) == ("approved", 0)
