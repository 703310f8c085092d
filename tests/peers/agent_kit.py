"""A real agent's program on a tree of its own, behind the real model proxy, asked of a scripted model."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from app import users
from app.agents.model_apis import Provider
from app.agents.proxy import ModelProxy
from app.agents.proxy_upstream import Upstream
from app.domain.items import Item, ItemStatus
from app.domain.policy import AgentPolicy, Price
from app.ports.agent import Agent, AgentRequest, AgentResult, Role
from app.process import Stop
from tests.fakes.model_api import ModelApi
from tests.other_users import user_pool

KEY = "sk-the-real-key"
MODEL = "claude-test"
ITEM = Item(id=UUID(int=1), title="T", status=ItemStatus.IN_PROGRESS)
SCHEMA = {
    "type": "object",
    "properties": {"decision": {"type": "string", "enum": ["SKIP", "PROCEED"]}, "reason": {"type": "string"}},
    "required": ["decision"],
}


@dataclass(kw_only=True)
class Workplace:
    """A tree (another user's, when we are root) with ``f.txt`` in it, and a place for an agent's own files."""

    tree: Path
    scratch: Path
    told: list[tuple[str, str]] = field(default_factory=list)

    def call(self, agent: Agent, role: Role = Role.IMPLEMENT, stop: Stop | None = None, **fields: Any) -> AgentResult:
        given: dict[str, Any] = {"item": ITEM, "prompt": "Do it.", "worktree": self.tree, "time_limit": 90, **fields}

        def tell(message: str, file: str = "") -> None:
            self.told.append((message, file))

        return agent.run(AgentRequest(role=role, **given), stop or Stop(), tell)


@contextmanager
def workplace(root: Path) -> Iterator[Workplace]:
    made = Workplace(tree=root / "tree", scratch=root / "agent")
    made.tree.mkdir()
    made.scratch.mkdir(mode=0o711)
    (made.tree / "f.txt").write_text("old\n")
    if os.geteuid() != 0:
        yield made
        return
    with user_pool().lease() as user:
        users.give_all(made.tree, user)
        yield made


@contextmanager
def proxy_to(api: ModelApi) -> Iterator[ModelProxy]:
    """The real proxy; its key is ``KEY``."""
    upstreams = {
        Provider.ANTHROPIC: Upstream(base_url=api.url, key=KEY),
        Provider.OPENAI: Upstream(base_url=api.openai_url, key=KEY),
    }
    with ModelProxy(upstreams) as proxy:
        yield proxy


def priced(**policy: Any) -> AgentPolicy:
    """A policy by which the tokens of its model cost a dollar a thousand."""
    return AgentPolicy(model=MODEL, prices={MODEL: Price(input=1000, output=1000)}, **policy)
