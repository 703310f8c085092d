"""The agents' benchmarks: ``python -m tests.benchmarks.agents [NAME …] [--json]``, a table as engine's.

Calls go to a scripted model API on loopback, directly and through the model proxy in turn, in the same run.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from statistics import median
from typing import Any
from uuid import uuid4

import httpx

from app.agents.proxy import ModelProxy
from tests.benchmarks import engine
from tests.benchmarks.bench import Row
from tests.fakes.model_api import Flood, ModelApi, Scenario, Turn, script
from tests.unit.agents.model_proxy_kit import KEY, messages, upstreams

CALLS = 300
BAR = 5.0
"""Milliseconds that the proxy may add to a call."""

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


BENCHMARKS: Mapping[str, Callable[[], list[Row]]] = {"proxy": proxy, "stream": stream}


if __name__ == "__main__":
    sys.exit(engine.main(benchmarks=BENCHMARKS, command="agents", description=__doc__))
