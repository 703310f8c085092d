"""What Prometheus is told: what this app's processes counted, and what the database says (prometheus-client)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest, multiprocess, values
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from app.errors import MasonError
from app.ports.job_queue import QueueState
from app.web.github_hook import RELEVANT

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Latency:
    """Durations in seconds: how many were at most as long as each bound (``inf`` last), and their sum."""

    at_most: Mapping[float, int]
    total: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Samples:
    """What is read when somebody asks. ``dispatches`` are counted by state, ``latency`` is from a dispatch's making to
    its hand-over; ``rate_limit_left`` is GitHub's, ``cost_usd`` what agents have cost; None: not known.
    """

    queue: QueueState
    dispatches: Mapping[str, int] = field(default_factory=dict)
    latency: Latency | None = None
    rate_limit_left: int | None = None
    cost_usd: float | None = None


class WebMetrics:
    """The figures of this process; with a ``directory``, those of all processes that share it.

    The directory is empty when the first process starts. Made once in a process, after the fork.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._registry = CollectorRegistry()
        self._directory = directory
        if directory:  # the library takes it from its own environment variable only
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory)
            values.ValueClass = values.MultiProcessValue()  # type: ignore[no-untyped-call]
        self._deliveries = Counter(
            "mason_deliveries",
            "Webhook deliveries by platform, event and outcome.",
            ["platform", "event", "outcome"],
            registry=self._registry,
        )
        self._requests = Histogram(
            "mason_request_seconds",
            "Seconds to answer a request, by route and status.",
            ["route", "status"],
            buckets=_SECONDS,
            registry=self._registry,
        )

    def delivered(self, *, platform: str, event: str, outcome: str) -> None:
        """``event`` is somebody else's word: only known ones become a label."""
        known = event if event in RELEVANT or platform != "github" else "other"
        self._deliveries.labels(platform, known, outcome or "failed").inc()

    def answered(self, *, route: str, status: int, seconds: float) -> None:
        self._requests.labels(route or "other", str(status)).observe(seconds)

    def text(self, samples: Callable[[], Samples]) -> bytes:
        """Prometheus' text format. Without samples, because the database is away, ``mason_database_up`` is 0."""
        registry = CollectorRegistry()
        registry.register(_Sampled(samples))
        counted = self._registry
        if self._directory:
            counted = CollectorRegistry()
            multiprocess.MultiProcessCollector(counted, str(self._directory))  # type: ignore[no-untyped-call]
        return generate_latest(counted) + generate_latest(registry)


def forget_process(directory: Path, pid: int) -> None:
    """A process that shared the directory has ended. What it counted stays counted."""
    multiprocess.mark_process_dead(pid, str(directory))  # type: ignore[no-untyped-call]


class _Sampled(Collector):
    def __init__(self, samples: Callable[[], Samples]) -> None:
        self._samples = samples

    def collect(self) -> Iterator[Metric]:
        try:
            seen = self._samples()
        except MasonError:
            yield GaugeMetricFamily("mason_database_up", _UP, value=0)
            return
        yield GaugeMetricFamily("mason_database_up", _UP, value=1)
        yield from _of_queue(seen.queue)
        yield _by("mason_dispatches", "Dispatches by state.", "state", seen.dispatches)
        if seen.latency:
            buckets = [
                ("+Inf" if bound == float("inf") else str(bound), n) for bound, n in seen.latency.at_most.items()
            ]
            text = "Seconds from the making of a dispatch to its hand-over."
            yield HistogramMetricFamily("mason_dispatch_seconds", text, buckets=buckets, sum_value=seen.latency.total)
        if seen.rate_limit_left is not None:
            text = "Calls to GitHub that are left until its next reset."
            yield GaugeMetricFamily("mason_github_calls_left", text, value=seen.rate_limit_left)
        if seen.cost_usd is not None:
            yield GaugeMetricFamily("mason_agent_cost_usd", "What agents have cost.", value=seen.cost_usd)


_UP = "Whether the app database answers."


def _of_queue(queue: QueueState) -> Iterator[Metric]:
    yield GaugeMetricFamily("mason_queue_age_seconds", "Age of the oldest job that is due and waits.", value=queue.age)
    states = (("waiting", "Jobs that wait."), ("doing", "Jobs that are being done."), ("parked", "Jobs that gave up."))
    for state, text in states:
        by_task = {task.task: getattr(task, state) for task in queue.tasks}
        yield _by(f"mason_jobs_{state}", text, "task", by_task)


def _by(name: str, text: str, label: str, numbers: Mapping[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=[label])
    for value, number in sorted(numbers.items()):
        family.add_metric([value], number)
    return family
