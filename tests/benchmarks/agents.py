"""The agents' benchmarks: ``python -m tests.benchmarks.agents [NAME …] [--json]``, a table as engine's.

Calls go to a scripted model API on loopback, directly and through the model proxy in turn, in the same run.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from uuid import uuid4

import httpx

from app.agents.claude import QUIET, ClaudeAgent
from app.agents.claude_program import find_program
from app.agents.claude_roles import arguments
from app.agents.proxy import ModelProxy
from app.domain.items import Item, ItemStatus
from app.domain.policy import AgentPolicy
from app.ports.agent import AgentRequest, Role
from app.process import Stop
from tests.benchmarks import engine
from tests.benchmarks.bench import Row
from tests.fakes.model_api import Flood, ModelApi, Scenario, Turn, script
from tests.unit.agents.model_proxy_kit import KEY, messages, upstreams

CALLS = 300
BAR = 5.0
"""Milliseconds that the proxy may add to a call."""

CLAUDE_CALLS = 16
CLAUDE_BAR = 150.0
"""Milliseconds that the adapter may add to a call of Claude Code."""

TYPICAL, LARGE = 50_000, 1_000_000
"""Bytes of a prompt: what Claude Code begins with, and a long conversation."""


class Door:
    """A way to the API: its URL, and the key that it takes."""

    def __init__(self, client: httpx.Client, url: str, key: str) -> None:
        self._client, self._url, self._headers = client, f"{url}/v1/messages?beta=true", {"x-api-key": key}

    def timed(self, body: Mapping[str, Any]) -> tuple[float, float]:
        """Milliseconds to the first event, and to the end."""
        started = time.perf_counter()
        with self._client.stream("POST", self._url, json=body, headers=self._headers) as answer:
            if answer.status_code != 200:
                raise SystemExit(answer.read().decode())
            pieces = answer.iter_raw()
            next(pieces)
            first = time.perf_counter()
            for _ in pieces:
                continue
        return 1000 * (first - started), 1000 * (time.perf_counter() - started)


@contextmanager
def doors(scenario: Scenario) -> Iterator[tuple[Door, Door]]:
    """Directly, and through the proxy."""
    with (
        ModelApi(scenario, keys=(KEY,)) as api,
        ModelProxy(upstreams(api.url)) as proxy,
        proxy.open(spender=uuid4(), budget_usd=None) as access,
        httpx.Client(trust_env=False, timeout=60) as client,
    ):
        yield Door(client, api.url, KEY), Door(client, access.anthropic_url, access.token)


def proxy() -> list[Row]:
    """What the model proxy adds to a call, and to its first event."""
    rows = []
    for size, bar, what in ((TYPICAL, BAR, "50 KB prompt"), (LARGE, None, "1 MB prompt")):
        body = messages(messages=[{"role": "user", "content": "x" * size}])
        with doors(script(Turn("Done."))) as (direct, through):
            pairs = [(direct.timed(body), through.timed(body)) for _ in range(CALLS)][10:]
        for place, name in ((1, "a call"), (0, "the first event")):
            straight, by_proxy = (median(pair[way][place] for pair in pairs) for way in (0, 1))
            rows.append(
                Row(
                    name=f"proxy, added to {name}, {what}",
                    figure=by_proxy - straight,
                    bar=bar,
                    unit="ms",
                    about=f"median of {len(pairs)}: {by_proxy:.2f} through, {straight:.2f} direct",
                )
            )
    return rows


def stream() -> list[Row]:
    """A stream of 50 MB through the proxy."""
    size = 50_000_000
    with doors(script(Flood(size))) as (direct, through):
        straight, by_proxy = (median(door.timed(messages())[1] for _ in range(3)) for door in (direct, through))
    about = f"{size / by_proxy / 1000:.0f} MB/s through, {size / straight / 1000:.0f} direct"
    return [Row(name="proxy, 50 MB stream", figure=by_proxy, bar=None, unit="ms", about=about)]


def claude() -> list[Row]:
    """What the adapter adds to Claude Code itself: the same call of the same program, without the adapter."""
    with (
        tempfile.TemporaryDirectory(prefix="mason-bench-") as place,
        ModelApi(script(Turn("Done.")), keys=(KEY,)) as api,
        ModelProxy(upstreams(api.url)) as through,
    ):
        tree, home = Path(place, "tree"), Path(place, "home")
        tree.mkdir()
        home.mkdir()
        environ = {"PATH": os.environ["PATH"]}
        agent = ClaudeAgent(environ, proxy=through, scratch=Path(place))
        item = Item(id=uuid4(), title="T", status=ItemStatus.IN_PROGRESS)
        request = AgentRequest(role=Role.FIX, item=item, prompt="Do it.", worktree=tree, time_limit=60)
        words = [find_program(None, environ["PATH"]), *arguments(request, AgentPolicy(), None)]
        bare_environment = {
            **environ,
            **QUIET,
            **{"HOME": str(home), "TMPDIR": str(home), "CLAUDE_CONFIG_DIR": str(home / "config")},
            **{"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": KEY},
        }

        def bare() -> None:
            subprocess.run(words, cwd=tree, env=bare_environment, input=b"Do it.", capture_output=True, check=True)

        def adapted() -> None:
            if error := agent.run(request, Stop(), lambda message, file="": None).error:
                raise SystemExit(error)

        pairs = [(_seconds(bare), _seconds(adapted)) for _ in range(CLAUDE_CALLS)][1:]
    alone, ours = (1000 * min(pair[way] for pair in pairs) for way in (0, 1))
    middle = [1000 * median(pair[way] for pair in pairs) for way in (1, 0)]
    about = (
        f"fastest of {len(pairs)}: {ours:.0f} with it, {alone:.0f} without; medians: {middle[0]:.0f}, {middle[1]:.0f}"
    )
    return [Row(name="claude, added to a call", figure=ours - alone, bar=CLAUDE_BAR, unit="ms", about=about)]


def _seconds(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


BENCHMARKS: Mapping[str, Callable[[], list[Row]]] = {"proxy": proxy, "stream": stream, "claude": claude}


if __name__ == "__main__":
    sys.exit(engine.main(benchmarks=BENCHMARKS, command="agents", description=__doc__))
