"""Which agent works, and the way to its model: the command line wins, then the base's policy, then the installation."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

from app.agents.adapters import ADAPTERS, AgentOptions
from app.domain.policy import AgentPolicy
from app.errors import UsageError
from app.ports.agent import Agent
from app.settings import Settings
from app.wiring.requests import RunRequest

MakeAgent = Callable[[AgentPolicy], Agent]


def default_agent(settings: Settings) -> str:
    """A key that was given to Mason says what it is for; without one only what PRDs hold can be applied."""
    return settings.agent or ("claude" if settings.anthropic_api_key else "patch")


def agent_maker(settings: Settings, request: RunRequest, environ: Mapping[str, str], scratch: Path) -> MakeAgent:
    """Makes the agent once the policy is known. ``scratch`` is for its own files.

    Raises UsageError at once for a name or a command line that no policy could make good.
    """
    if request.agent:
        check_name(request.agent)
    words(request.agent_command)

    def make(policy: AgentPolicy) -> Agent:
        asked = "command" if request.agent_command else None
        name = check_name(request.agent or asked or policy.name or implied(policy) or default_agent(settings))
        command = request.agent_command or policy.command or settings.agent_command
        own = model_variables(settings, request.model or policy.model)
        return ADAPTERS[name](
            AgentOptions(
                environ={**environ, **own},
                command=words(command),
                pass_env=(*settings.pass_env.split(), *own),
                scratch=scratch,
            )
        )

    return make


def model_variables(settings: Settings, model: str | None) -> dict[str, str]:
    key = settings.anthropic_api_key
    given = {"ANTHROPIC_API_KEY": key.get_secret_value() if key else None, "MASON_MODEL": model}
    return {variable: value for variable, value in given.items() if value}


def implied(policy: AgentPolicy) -> str | None:
    """A command or a preset alone means the ``command`` adapter."""
    return "command" if policy.command or policy.preset else None


def check_name(name: str) -> str:
    """The name of an agent that there is. Raises UsageError."""
    if name not in ADAPTERS:
        raise UsageError(f"There is no agent “{name[:40]}”; choose one of {', '.join(sorted(ADAPTERS))}")
    return name


def words(command: str | None) -> tuple[str, ...]:
    """A command line as words. Raises UsageError."""
    try:
        return tuple(shlex.split(command or ""))
    except ValueError as problem:
        raise UsageError(f"--agent-command cannot be read: {problem}") from problem
