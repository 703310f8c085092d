"""Which agent works: what was asked for, the base's policy, the installation, in that order."""

from __future__ import annotations

import pytest

from app.agents.adapters import ADAPTERS, NAMES, agent_name
from app.domain.policy import AgentPolicy
from app.errors import UsageError

NOTHING = AgentPolicy()


@pytest.mark.parametrize(
    ("asked", "policy", "installed", "key", "name"),
    [
        (None, NOTHING, None, False, "patch"),
        (None, NOTHING, None, True, "claude"),
        (None, NOTHING, "command", True, "command"),
        (None, AgentPolicy(name="codex"), "command", True, "codex"),
        (None, AgentPolicy(command="my-agent --fast"), None, True, "command"),
        (None, AgentPolicy(preset="aider"), "claude", True, "command"),
        ("patch", AgentPolicy(name="claude"), "command", True, "patch"),
    ],
)
def test_agent_name__who_says_it(
    asked: str | None, policy: AgentPolicy, installed: str | None, key: bool, name: str
) -> None:
    assert agent_name(asked, policy, installed, claude_key=key) == name


def test_agent_name__one_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(UsageError, match="There is no agent “gpt”; choose one of claude, command, patch, aider"):
        agent_name(None, AgentPolicy(name="gpt"), None, claude_key=False)
    assert set(ADAPTERS) < set(NAMES)
