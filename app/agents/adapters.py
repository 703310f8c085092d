"""Every agent Mason can work with, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from app.agents.command import CommandAgent
from app.agents.patch import PatchAgent
from app.ports.agent import Agent


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentOptions:
    """What an agent is made from. ``command`` and ``pass_env`` (names of variables) are the command agent's."""

    environ: Mapping[str, str] = field(repr=False)
    command: tuple[str, ...] = ()
    pass_env: tuple[str, ...] = ()


ADAPTERS: dict[str, Callable[[AgentOptions], Agent]] = {
    "command": lambda options: CommandAgent(options.command, options.environ, options.pass_env),
    "patch": lambda options: PatchAgent(options.environ),
}
