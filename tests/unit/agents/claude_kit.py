"""A stand-in for the Claude Code program: a shell script that prints what the real one would, and notes its calls."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from app.agents.claude import ClaudeAgent
from app.domain.items import Item, ItemStatus
from app.domain.policy import AgentPolicy
from app.ports.agent import AgentRequest, AgentResult, Role
from app.process import Stop
from tests.fakes.model_proxy import FakeProxy

SESSION = "cf97a426-cca8-4498-ad40-3063c0ba9bfd"
ITEM = Item(id=UUID(int=1), title="T", status=ItemStatus.IN_PROGRESS)


def printed(*records: dict[str, Any]) -> str:
    """Shell that prints the records as lines of JSON."""
    return "\n".join(f"printf '%s\\n' {shlex.quote(json.dumps(record))}" for record in records)


def init(session: str = SESSION) -> dict[str, Any]:
    return {"type": "system", "subtype": "init", "session_id": session, "tools": ["Read"]}


def assistant(*blocks: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "assistant", "message": {"role": "assistant", "content": blocks}, "session_id": SESSION, **more}


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def tool(name: str, **given: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": "toolu_1", "name": name, "input": given}


def result(said: str = "Done.", **more: Any) -> dict[str, Any]:
    """The last line of a call that went well; ``more`` makes it another."""
    line = {"type": "result", "subtype": "success", "is_error": False, "result": said, "session_id": SESSION}
    return {**line, "num_turns": 1, "total_cost_usd": 99.0, **more}


def api_error(status: int = 529) -> dict[str, Any]:
    """An error that looks like a success, as the real one does."""
    return result(f"API Error: {status}", is_error=True, api_error_status=status, terminal_reason="api_error")


@dataclass(kw_only=True)
class Calls:
    """``scripts`` are what the program does in its first call, its second, and so on; the last one stays."""

    place: Path
    proxy: FakeProxy = field(default_factory=FakeProxy)
    policy: AgentPolicy = field(default_factory=AgentPolicy)
    told: list[tuple[str, str]] = field(default_factory=list)
    environ: dict[str, str] = field(default_factory=lambda: dict(os.environ))

    @property
    def tree(self) -> Path:
        return self.place / "tree"

    @property
    def scratch(self) -> Path:
        return self.place / "scratch"

    def __post_init__(self) -> None:
        for place in (self.tree, self.scratch, self.place / "notes"):
            place.mkdir(parents=True)

    def program(self, scripts: Sequence[str]) -> Path:
        """Notes its arguments, standard input and environment, then does as the script of this call says."""
        notes = shlex.quote(str(self.place / "notes"))
        for number, script in enumerate(scripts, start=1):
            (self.place / f"{number}.sh").write_text(script)
        program = self.place / "claude"
        program.write_text(
            f"#!/bin/sh\nn=$(($(ls {notes} | grep -c args) + 1))\n"
            f"printf '%s\\n' \"$@\" > {notes}/$n.args; cat > {notes}/$n.prompt; env > {notes}/$n.env\n"
            f"[ $n -gt {len(scripts)} ] && n={len(scripts)}\n"
            f". {shlex.quote(str(self.place))}/$n.sh\n"
        )
        program.chmod(0o755)
        return program

    def agent(self, *scripts: str) -> ClaudeAgent:
        return ClaudeAgent(
            self.environ,
            proxy=self.proxy,
            policy=self.policy,
            program=str(self.program(scripts)),
            scratch=self.scratch,
            pause=0.001,
        )

    def run(self, *scripts: str, role: Role = Role.IMPLEMENT, stop: Stop | None = None, **fields: Any) -> AgentResult:
        return self.call(self.agent(*scripts), role=role, stop=stop, **fields)

    def call(
        self, agent: ClaudeAgent, *, role: Role = Role.IMPLEMENT, stop: Stop | None = None, **fields: Any
    ) -> AgentResult:
        given: dict[str, Any] = {"item": ITEM, "prompt": "do it", "worktree": self.tree, "time_limit": 60, **fields}

        def tell(message: str, file: str = "") -> None:
            self.told.append((message, file))

        return agent.run(AgentRequest(role=role, **given), stop or Stop(), tell)

    def noted(self, what: str) -> list[str]:
        """``args``, ``prompt`` or ``env`` of each call, in order."""
        found = sorted((self.place / "notes").glob(f"*.{what}"), key=lambda path: int(path.stem))
        return [path.read_text() for path in found]

    def arguments(self, call: int = 0) -> dict[str, str]:
        """The options of a call by name; a flag's value is empty."""
        lines = self.noted("args")[call].splitlines()
        return {name: value for name, _, value in (line.partition("=") for line in lines)}

    def environment(self, call: int = 0) -> dict[str, str]:
        return dict(line.partition("=")[::2] for line in self.noted("env")[call].splitlines())


Make = Callable[..., Calls]
