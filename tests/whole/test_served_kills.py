"""Web servers and workers that are killed with SIGKILL, or stopped with SIGSTOP, in the middle of their work."""

from __future__ import annotations

from collections.abc import Callable

from tests.whole.fleet import Fleet
from tests.whole.storm import Storm


def test_sigkill__every_delivery_that_was_accepted_has_its_effect_once(make_fleet: Callable[..., Fleet]) -> None:
    """A fifth of the storm; the whole of it is `python -m tests.benchmarks.web_app kills`."""
    storm = Storm(make_fleet(12), number=200, seed=4)
    storm.rage(kills=10)
    storm.check()
