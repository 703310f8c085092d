"""Which agent works, and the way to its model: the command line wins, then the base's policy, then the installation."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from app import users
from app.agents.adapters import ADAPTERS, AgentOptions, agent_name
from app.agents.model_apis import Provider
from app.agents.presets import PRESETS
from app.agents.proxy import ModelProxy
from app.agents.proxy_upstream import Upstream
from app.domain.policy import AgentPolicy
from app.errors import UsageError
from app.ports.agent import Agent
from app.settings import Settings
from app.wiring.requests import RunRequest

MakeAgent = Callable[[AgentPolicy], Agent]


@contextmanager
def model_proxy(settings: Settings, request: RunRequest, environ: Mapping[str, str]) -> Iterator[ModelProxy | None]:
    """The one holder of the models' keys, for as long as the run; None when there are none, and nothing to guard."""
    ways = {
        Provider.ANTHROPIC: (settings.anthropic_base_url, settings.anthropic_api_key),
        Provider.OPENAI: (settings.openai_base_url, settings.openai_api_key),
    }
    upstreams = {
        provider: Upstream(base_url=url, key=key.get_secret_value(), provider=provider)
        for provider, (url, key) in ways.items()
        if key
    }
    if not upstreams:
        yield None
        return
    users.hide_memory()
    outbound = environ.get("HTTPS_PROXY") or environ.get("https_proxy")
    with ModelProxy(upstreams, run_budget_usd=request.max_cost_usd, outbound=outbound) as proxy:
        yield proxy


def agent_maker(
    settings: Settings, request: RunRequest, environ: Mapping[str, str], scratch: Path, proxy: ModelProxy | None
) -> MakeAgent:
    """Makes the agent once the policy is known. ``scratch`` is for its own files.

    Raises UsageError at once for a name or a command line that no policy could make good.
    """

    def name_by(policy: AgentPolicy) -> str:
        asked = request.agent or ("command" if request.agent_command else None)
        return agent_name(asked, policy, settings.agent, claude_key=settings.anthropic_api_key is not None)

    def make(policy: AgentPolicy) -> Agent:
        name = name_by(policy)
        preset = name if name in PRESETS else policy.preset
        command = policy.command if preset else request.agent_command or policy.command or settings.agent_command
        model = request.model or policy.model
        own = {"MASON_MODEL": model} if model else {}
        return ADAPTERS["command" if name in PRESETS else name](
            AgentOptions(
                environ={**environ, **own},
                command=words(command),
                pass_env=(*settings.pass_env.split(), *own),
                scratch=scratch,
                policy=policy.model_copy(update={"model": model, "preset": preset}),
                proxy=proxy,
                claude=settings.claude,
            )
        )

    name_by(AgentPolicy())
    words(request.agent_command)
    return make


def words(command: str | None) -> tuple[str, ...]:
    """A command line as words. Raises UsageError."""
    try:
        return tuple(shlex.split(command or ""))
    except ValueError as problem:
        raise UsageError(f"--agent-command cannot be read: {problem}") from problem
