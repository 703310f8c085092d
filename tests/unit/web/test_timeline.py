"""The geometry of the timeline: what ran beside what, and for how long."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from app.domain.events import Phase, TaskStatus
from app.domain.run_views import RunView
from app.web.pages.timeline import Bar, svg, timeline
from tests.unit.web.run_kit import a_run, at, done_item, failed_item, going_item, task


def bars(view: RunView, lane: int = 0) -> list[Bar]:
    shown = timeline(view)
    assert shown
    return list(shown.lanes[lane].bars)


def test_timeline__bars_lie_where_their_times_are() -> None:
    item = done_item(tasks=(task(1, 1, 10, 30),), started_at=at(0), completed_at=at(50), iterations=())
    whole, one, checks = bars(a_run(item, ended=100))
    assert (whole.kind, whole.left, whole.width) == ("whole", 0, 50)
    assert (one.kind, one.left, one.width) == ("task completed", 10, 20)
    assert (checks.kind, checks.left, checks.width) == ("check", 30, 20)
    assert one.words.endswith("(20 s)")


def test_timeline__tasks_beside_each_other_do_not_cover_each_other() -> None:
    item = done_item(tasks=(task(1, 1, 0, 20), task(1, 2, 5, 15), task(2, 1, 20, 30)), iterations=())
    first, second, third = (bar for bar in bars(a_run(item, ended=100)) if bar.kind.startswith("task"))
    assert first.top + first.height <= second.top
    assert third.top == first.top


def test_timeline__forty_tasks_at_once_stay_in_their_lane() -> None:
    item = done_item(tasks=tuple(task(1, number, 0, 50) for number in range(1, 41)))
    for bar in bars(a_run(item, ended=100)):
        assert bar.top >= 0 and bar.top + bar.height <= 36
        assert bar.height >= 3


def test_timeline__fixes_follow_each_other() -> None:
    item = done_item(tasks=(task(1, 1, 0, 40),))
    fix, checks = [bar for bar in bars(a_run(item, ended=100)) if bar.kind.startswith(("fix", "check"))]
    assert (fix.kind, fix.left, fix.width, fix.label) == ("fix passed", 40, 30, "fix 1")
    assert (checks.left, checks.width) == (70, 20)


def test_timeline__what_runs_reaches_to_now() -> None:
    view = a_run(going_item(started_at=at(50), tasks=(task(1, 1, 60),)))
    running = next(bar for bar in bars(view) if bar.kind == "task in_progress")
    assert running.left + running.width == pytest.approx(100)
    fixing = going_item(started_at=at(0), tasks=(task(1, 1, 0, 50),), phase=Phase.INSPECTION, fix_iteration=1)
    checks = replace(fixing, checks=(replace(fixing.checks[0], status="fail"),))
    assert bars(a_run(checks))[-1].label == "fix 1"


def test_timeline__what_has_not_begun_has_a_lane_without_bars() -> None:
    view = a_run(done_item(1), going_item(2, started_at=None, tasks=()))
    assert bars(view, 1) == []
    assert timeline(replace(view, run=replace(view.run, started_at=None), items=view.items[1:])) is None


def test_timeline__clocks_that_disagree_stay_in_the_picture() -> None:
    item = done_item(
        tasks=(task(1, 1, -500, -400), task(1, 2, 900, 800), task(1, 3, 50, 10)),
        iterations=(replace(done_item().iterations[0], created_at=at(-1000)),),
        completed_at=at(-5),
    )
    for bar in bars(a_run(item, ended=100)):
        assert bar.left >= 0 and bar.width > 0 and bar.left + bar.width <= 100.001


@pytest.mark.parametrize("seconds", [0, 0.2, 7, 59, 61, 600, 3_601, 90_000, 5_000_000])
def test_timeline__has_a_few_ticks_whatever_it_lasts(seconds: float) -> None:
    shown = timeline(a_run(done_item(), ended=seconds))
    assert shown and 1 <= len(shown.ticks) <= 7
    assert all(0 <= place <= 100 for place, _ in shown.ticks)
    assert len({label for _, label in shown.ticks}) == len(shown.ticks)


def test_svg__is_well_formed_and_says_what_it_shows() -> None:
    hostile = "</title><script>alert(1)</script>\x00\x1b[31m & \"'"
    view = a_run(
        done_item(1, title=hostile, tasks=(task(1, 1, 1, 20, description=hostile),)),
        failed_item(2, tasks=(task(1, 1, 6, 30, status=TaskStatus.FAILED),)),
        going_item(3),
    )
    shown = timeline(view)
    assert shown
    picture = ET.fromstring(str(svg(view, shown)))
    assert picture.attrib["role"] == "img"
    assert not picture.findall(".//script")
    description = picture.findtext("desc") or ""
    assert "<script>alert(1)</script>" in description
    assert "still running" in description and "rejected" in description
    assert "style" not in {name for element in picture.iter() for name in element.attrib}
    kinds = {rect.attrib["class"] for rect in picture.iter("rect")}
    assert {"whole", "task completed", "task failed", "task in_progress", "check", "fix passed"} <= kinds


def test_svg__of_a_finished_run_has_no_line_for_now() -> None:
    for view, lines in ((a_run(done_item()), 1), (a_run(done_item(), ended=95), 0)):
        shown = timeline(view)
        assert shown
        assert str(svg(view, shown)).count('class="now"') == lines


def test_timeline__fifty_items_are_fifty_lanes() -> None:
    view = a_run(*(done_item(number) for number in range(50)), ended=100)
    shown = timeline(view)
    assert shown and len(shown.lanes) == 50
    heights = ET.fromstring(str(svg(view, shown))).attrib["height"]
    assert int(heights) == 50 * 36 + 26


def test_timeline__a_run_that_was_cut_short_ends_its_items_where_they_were_last_seen() -> None:
    item = going_item(started_at=at(0), updated_at=at(40), tasks=())
    whole = bars(a_run(item, ended=100))[0]
    assert whole.width == pytest.approx(40)
