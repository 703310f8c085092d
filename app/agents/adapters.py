"""Every agent Mason can work with, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from app.agents.command import CommandAgent
from app.agents.patch import PatchAgent
from app.ports.agent import Agent


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentOptions:
    """What an agent is made from. ``command`` and ``pass_env`` (names of variables) are the command agent's.

    ``scratch`` is a directory for its own files, removed with the run: what a killed run leaves there goes with it.
    """

    environ: Mapping[str, str] = field(repr=False)
    command: tuple[str, ...] = ()
    pass_env: tuple[str, ...] = ()
    scratch: Path | None = None


ADAPTERS: dict[str, Callable[[AgentOptions], Agent]] = {
    "command": lambda options: CommandAgent(
        options.command, options.environ, options.pass_env, scratch=options.scratch
    ),
    "patch": lambda options: PatchAgent(options.environ, scratch=options.scratch),
}
