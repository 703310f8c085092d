"""The contract of agents, kept by the claude agent with the real Claude Code program."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.agents.adapters import ADAPTERS, AgentOptions
from app.ports.agent import Agent, AgentRequest, AgentResult, OnActivity
from app.process import Stop
from tests.contracts.test_agents import *  # noqa: F403 - every test of the contract
from tests.contracts.test_agents import Subject
from tests.fakes.model_api import Conversation, ModelApi, Reason, Refusal, Reply, ToolUse, Turn, script
from tests.peers.agent_kit import priced, proxy_to

pytestmark = pytest.mark.peer

DECISIONS = {"re-evaluate": "EXECUTE", "verify": "PROCEED", "review": "approve", "fix": "fixed"}


class Model:
    """Does what the suite's own program does: ``old`` becomes ``new``, and a decision for who asks for one.

    The suite's calls say nothing of their role: who passes them on says it here.
    """

    role = ""

    def __call__(self, asked: Conversation) -> Reply:
        if "Bash" in asked.tools and not asked.turns:
            file = "g.txt" if self.role == "fix" else "f.txt"
            return Turn(ToolUse("Bash", {"command": f"echo new > {file}"}))
        decision = DECISIONS.get(self.role)
        return Turn(f'Done.\n{{"decision": "{decision}", "reason": "looked"}}' if decision else "Done.")


class Named:
    """The agent, telling the model in which role it is called."""

    name = "claude"

    def __init__(self, agent: Agent, model: Model) -> None:
        self._agent, self._model = agent, model

    def run(self, request: AgentRequest, stop: Stop, on_activity: OnActivity) -> AgentResult:
        self._model.role = str(request.role)
        return self._agent.run(request, stop, on_activity)


@pytest.fixture
def subject(data_root: Path) -> Iterator[Subject]:
    model = Model()
    with (
        ModelApi(model) as api,
        ModelApi(script(Refusal(Reason.INVALID))) as broken,
        proxy_to(api) as proxy,
        proxy_to(broken) as no_proxy,
    ):
        made, failing = (
            ADAPTERS["claude"](AgentOptions(environ=os.environ, scratch=data_root, policy=priced(), proxy=each))
            for each in (proxy, no_proxy)
        )
        yield Subject(agent=Named(made, model), failing=failing)
