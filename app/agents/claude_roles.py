"""What Claude Code may do in each role, and the command line that says so."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from app.agents.model_access import model_for, role_policy
from app.domain.policy import AgentPolicy
from app.ports.agent import AgentRequest, Role

READING = ("Read", "Glob", "Grep")
WRITING = (*READING, "Edit", "Write", "NotebookEdit", "Bash", "Task")


@dataclass(frozen=True, kw_only=True, slots=True)
class RoleLimits:
    """The tools that exist for a role, and the most answers of the model in one call of it."""

    tools: tuple[str, ...]
    max_turns: int


ROLES: Mapping[Role, RoleLimits] = {
    Role.EXPLORE: RoleLimits(tools=READING, max_turns=100),
    Role.RE_EVALUATE: RoleLimits(tools=READING, max_turns=60),
    Role.VERIFY: RoleLimits(tools=READING, max_turns=60),
    Role.REVIEW: RoleLimits(tools=READING, max_turns=100),
    Role.PATTERNS: RoleLimits(tools=READING, max_turns=60),
    Role.WRITE_PRD: RoleLimits(tools=READING, max_turns=100),
    Role.IMPLEMENT: RoleLimits(tools=WRITING, max_turns=1000),
    Role.FIX: RoleLimits(tools=WRITING, max_turns=1000),
}


def max_turns(role: Role, policy: AgentPolicy) -> int:
    """What the policy says for this very role, else the smaller of its general limit and the role's own."""
    return role_policy(role, policy).max_turns or min(policy.max_turns, ROLES[role].max_turns)


def arguments(request: AgentRequest, policy: AgentPolicy, session: str | None) -> list[str]:
    """The options of one headless call with the prompt on standard input.

    What is not allowed is refused without asking (``dontAsk``, which unlike ``bypassPermissions`` works for root too).
    Nothing is loaded from the repository: no settings, hooks, MCP servers, commands or skills.
    """
    tools = ",".join(ROLES[request.role].tools)
    options = {
        "--output-format": "stream-json",
        "--input-format": "text",
        "--permission-mode": "dontAsk",
        "--tools": tools,
        "--allowedTools": tools,
        "--setting-sources": "",
        "--max-turns": str(max_turns(request.role, policy)),
        "--model": model_for(request.role, policy),
        "--json-schema": None if request.schema is None else json.dumps(request.schema, separators=(",", ":")),
        "--resume": session,
    }
    flags = ["-p", "--verbose", "--include-partial-messages", "--strict-mcp-config", "--disable-slash-commands"]
    return [*flags, *(f"{name}={value}" for name, value in options.items() if value is not None)]
