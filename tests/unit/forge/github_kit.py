"""What the tests of the GitHub forge share: a clock of their own."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.forge.github.limits import Pace


@dataclass
class Clock:
    now: float = 1_000_000.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def pace(clock: Clock, patience: float = 600.0) -> Pace:
    return Pace(patience=patience, clock=clock, sleep=clock.sleep, jitter=lambda: 1.0)
