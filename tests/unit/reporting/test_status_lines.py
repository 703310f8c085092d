"""AUTOPILOT_STATUS lines: the five shapes, always one line, always JSON."""

from __future__ import annotations

import io
import json
import threading
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain import events as ev
from app.domain.results import CheckKind, Outcome, Verdict
from app.domain.runs import ItemResult
from app.reporting.status_lines import PREFIX, StatusLines
from tests.unit.reporting.builders import claim, item, result, run_started, settled, started


def lines(*events: ev.Event) -> list[str]:
    stream = io.StringIO()
    reporter = StatusLines(stream)
    for event in events:
        reporter.report(event)
    reporter.flush()
    reporter.close()
    return stream.getvalue().splitlines()


def test_status_lines__the_five_shapes_of_the_seed() -> None:
    done = ItemResult(item=item(1), outcome=Outcome(verdict=Verdict.COMPLETED, pull_request="https://x/1"))
    failed = ItemResult(item=item(2), outcome=Outcome(verdict=Verdict.REJECTED))
    put_off = ItemResult(item=item(3), outcome=Outcome(verdict=Verdict.DEFERRED))
    assert lines(
        run_started(item(1), item(2), item(3)),
        started(1, total=3),
        ev.CheckStarted(claim=claim(1), kind=CheckKind.TYPECHECK),
        settled(Verdict.COMPLETED),
        settled(Verdict.REJECTED, 2, reason="Validation failed"),
        settled(Verdict.DEFERRED, 3, reason="no PRD"),
        ev.RunFinished(result=result(done, failed, put_off)),
    ) == [
        'AUTOPILOT_STATUS: {"phase": "starting", "items_count": 3}',
        f'AUTOPILOT_STATUS: {{"phase": "executing", "item_id": "{UUID(int=1)}", "item_title": "Add avatar upload",'
        ' "progress": "1/3"}',
        f'AUTOPILOT_STATUS: {{"phase": "validating", "item_id": "{UUID(int=1)}", "check": "typescript"}}',
        f'AUTOPILOT_STATUS: {{"phase": "error", "message": "Validation failed", "item_id": "{UUID(int=2)}"}}',
        'AUTOPILOT_STATUS: {"phase": "complete", "items_executed": 2, "prs_created": 1}',
    ]


UNNAMED = (CheckKind.FRONTEND, CheckKind.BACKEND)


@pytest.mark.parametrize("kind", UNNAMED)
def test_status_lines__checks_that_the_contract_has_no_name_for_are_not_told(kind: CheckKind) -> None:
    assert lines(ev.CheckStarted(claim=claim(), kind=kind)) == []


NAMED = [kind for kind in CheckKind if kind not in UNNAMED]


@pytest.mark.parametrize(
    ("kind", "name"),
    list(zip(NAMED, ["typescript", "eslint", "build", "tests", "e2e", "smoke_test"], strict=True)),
)
def test_status_lines__check_names_are_the_contracts(kind: CheckKind, name: str) -> None:
    (line,) = lines(ev.CheckStarted(claim=claim(), kind=kind))
    assert json.loads(line.removeprefix(PREFIX))["check"] == name


@given(st.text(st.characters(), max_size=200))
def test_status_lines__any_title_comes_back_from_one_line(title: str) -> None:
    (line,) = lines(started(title=title))
    assert line.isascii()
    assert json.loads(line.removeprefix(PREFIX))["item_title"] == title


def test_status_lines__every_line_is_whole_among_threads() -> None:
    stream = io.StringIO()
    reporter = StatusLines(stream)
    threads = [
        threading.Thread(target=lambda n=n: [reporter.report(started(n, title="x" * 500)) for _ in range(50)])  # type: ignore[misc]
        for n in range(1, 5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    written = stream.getvalue().splitlines()
    assert len(written) == 200
    assert all(json.loads(line.removeprefix(PREFIX))["phase"] == "executing" for line in written)


def test_status_lines__a_closed_stream_raises_for_the_fan_out() -> None:
    stream = io.StringIO()
    stream.close()
    with pytest.raises(ValueError, match="closed"):
        StatusLines(stream).report(run_started())
