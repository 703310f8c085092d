"""How often GitHub is asked, and how long it is waited for, on a clock of our own."""

from __future__ import annotations

import logging
import threading

import pytest

from app.errors import ForgeUnreachable
from app.forge.github.limits import Later, Limits, asked_to_wait
from tests.unit.forge.github_kit import Clock, pace


def test_insist__backs_off_and_gives_up_in_time() -> None:
    clock = Clock()

    def fail() -> None:
        raise Later("it broke")

    with pytest.raises(ForgeUnreachable, match="for 600 seconds: it broke"):
        pace(clock).insist(fail)
    assert clock.slept[:7] == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0]
    assert sum(clock.slept) <= 600


def test_insist__a_limit_without_a_time_doubles_from_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    answers = iter([Later("limit", limited=True), Later("limit", limited=True), None])

    def attempt() -> str:
        if later := next(answers):
            raise later
        return "done"

    with caplog.at_level(logging.WARNING):
        assert pace(clock).insist(attempt) == "done"
    assert clock.slept == [60.0, 120.0]
    assert len(caplog.records) == 2


def test_insist__a_limit_beyond_patience_says_when_it_ends() -> None:
    clock = Clock(now=0.0)

    def attempt() -> None:
        raise Later("limit", seconds=3600, limited=True)

    with pytest.raises(ForgeUnreachable, match=r"until 1970-01-01T01:00:00\+00:00"):
        pace(clock).insist(attempt)
    assert clock.slept == []


@pytest.mark.parametrize(
    ("status", "headers", "said", "seconds"),
    [
        (429, {"retry-after": "37"}, "", 37.0),
        (403, {"retry-after": "5"}, "You have exceeded a secondary rate limit", 5.0),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1000090"}, "", 91.0),
        (
            403,
            {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "90", "date": "Thu, 01 Jan 1970 00:01:00 GMT"},
            "",
            31.0,
        ),
        (403, {}, "You have exceeded a secondary rate limit", None),
        (429, {"retry-after": "soon", "x-ratelimit-reset": "\u0663"}, "", None),
    ],
)
def test_asked_to_wait__reads_the_headers(
    status: int, headers: dict[str, str], said: str, seconds: float | None
) -> None:
    later = asked_to_wait(status, headers, said, 1_000_000.0)
    assert later is not None and later.limited and later.seconds == seconds


def test_asked_to_wait__another_refusal_is_no_limit() -> None:
    assert asked_to_wait(403, {}, "Resource not accessible by integration", 0.0) is None
    assert asked_to_wait(404, {"retry-after": "3"}, "", 0.0) is None


def test_limits__any_minute_holds_no_more_writes_than_allowed() -> None:
    clock = Clock()
    limits = Limits(72, clock)
    at = []
    for _ in range(500):
        clock.now += limits.reserve_write()
        at.append(clock.now)
    assert all(after - before >= 60 for before, after in zip(at, at[72:], strict=False))


def test_limits__threads_share_the_window() -> None:
    clock = Clock()
    limits = Limits(10, clock)
    waits: list[float] = []
    threads = [threading.Thread(target=lambda: waits.append(limits.reserve_write())) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(waits) == [0.0] * 10 + [60.0] * 6


def test_limits__what_can_be_spared_is_left_out_in_time() -> None:
    clock = Clock()
    limits = Limits(72, clock)
    for _ in range(47):
        limits.reserve_write()
    assert limits.roomy
    limits.reserve_write()
    assert not limits.roomy
    clock.now += 61
    assert limits.roomy
    for _ in range(260):
        clock.now += 10
        limits.reserve_write()
    assert not limits.roomy  # 300 in the last hour
    clock.now += 3601
    assert limits.roomy
    limits.ask_for_pause(5)
    assert not limits.roomy and limits.paused_for() == 5


def test_spread__fifty_items_in_a_matrix_stay_under_githubs_minute() -> None:
    """Each item is a new process that knows nothing of the one before it in its place."""
    made: list[float] = []
    free = [0.0] * 5
    for _ in range(50):
        place = free.index(min(free))
        now = [free[place]]
        limits = Limits(72 // 5, lambda now=now: now[0], spread=True)  # type: ignore[misc]
        for _ in range(12):
            now[0] += limits.reserve_write()
            made.append(now[0])
        free[place] = now[0]
    assert max(sum(at <= other < at + 60 for other in made) for at in made) < 80


def test_reserve_write__none_is_taken_that_is_too_far_away() -> None:
    clock = Clock()
    limits = Limits(2, clock)
    assert [limits.reserve_write(20) for _ in range(2)] == [0, 0]
    with pytest.raises(Later) as caught:
        limits.reserve_write(20)
    assert (caught.value.seconds, caught.value.limited) == (60, True)
    assert limits.reserve_write() == 60  # the place is still free


def test_insist__says_how_long_a_limit_asks_for() -> None:
    def attempt(later: Later) -> None:
        raise later

    for later, seconds in (
        (Later("x", seconds=90, limited=True), 90),
        (Later("x", limited=True), 60),
        (Later("x"), None),
    ):
        with pytest.raises(ForgeUnreachable) as caught:
            pace(Clock(), patience=20).insist(lambda later=later: attempt(later))
        assert caught.value.retry_after == seconds


def test_left__is_what_the_newest_answer_said_for_an_hour() -> None:
    clock = Clock()
    limits = Limits(72, clock)
    assert limits.left is None
    for said in ("12", "11", "", "nonsense"):
        limits.hear({"x-ratelimit-remaining": said})
    limits.hear({})
    assert limits.left == 11
    clock.now += 3601
    assert limits.left is None
