"""Every agent Mason can work with, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from app.agents.claude import ClaudeAgent
from app.agents.command import CommandAgent
from app.agents.model_access import ModelProxy
from app.agents.patch import PatchAgent
from app.agents.presets import PRESETS
from app.domain.policy import AgentPolicy
from app.errors import UsageError
from app.ports.agent import Agent


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentOptions:
    """What an agent is made from. ``command`` and ``pass_env`` (names of variables) are the command agent's.

    ``scratch`` is a directory for its own files, removed with the run: what a killed run leaves there goes with it.
    ``policy`` is the base commit's. ``proxy`` is the way to a model, which the claude agent cannot do without;
    ``claude`` its program, where it is not the one that was installed with Mason.
    """

    environ: Mapping[str, str] = field(repr=False)
    command: tuple[str, ...] = ()
    pass_env: tuple[str, ...] = ()
    scratch: Path | None = None
    policy: AgentPolicy = field(default_factory=AgentPolicy)
    proxy: ModelProxy | None = None
    claude: str | None = None


def _claude(options: AgentOptions) -> Agent:
    return ClaudeAgent(
        options.environ,
        proxy=options.proxy,
        policy=options.policy,
        program=options.claude,
        pass_env=options.pass_env,
        scratch=options.scratch,
    )


def _command(options: AgentOptions) -> Agent:
    return CommandAgent(
        options.command,
        options.environ,
        options.pass_env,
        scratch=options.scratch,
        preset=options.policy.preset,
        policy=options.policy,
        proxy=options.proxy,
    )


ADAPTERS: dict[str, Callable[[AgentOptions], Agent]] = {
    "claude": _claude,
    "command": _command,
    "patch": lambda options: PatchAgent(options.environ, scratch=options.scratch),
}

NAMES = (*sorted(ADAPTERS), *sorted(PRESETS))
"""What an agent can be called: an adapter, or a program that the command agent knows."""


def agent_name(asked: str | None, policy: AgentPolicy, installed: str | None, *, claude_key: bool) -> str:
    """Which agent works: what was asked for, else the policy's, else what the installation says.

    A command or a preset alone means the command agent; a key for Claude means Claude, for nothing else needs it.
    Raises UsageError for a name that there is not.
    """
    implied = "command" if policy.command or policy.preset else None
    name = asked or policy.name or implied or installed or ("claude" if claude_key else "patch")
    if name not in NAMES:
        raise UsageError(f"There is no agent “{name[:40]}”; choose one of {', '.join(NAMES)}")
    return name
