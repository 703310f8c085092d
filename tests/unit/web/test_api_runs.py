"""`/api/execution/runs`: what is read of runs, over a real backlog."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from app.backlog.store import SqlBacklog
from app.domain.api_keys import Scope
from app.domain.events import Level, TaskStatus
from app.domain.items import NewItem
from app.domain.plans import Subagent, Task
from app.domain.results import CheckKind, CheckResult, CheckStatus, GateResult, Iteration, Outcome, Usage, Verdict
from app.domain.runs import Base, Run
from app.errors import DatabaseUnreachable, UnknownRun
from app.ports.backlog import Claimed, IterationRow, LogRow, TaskRow
from app.ports.run_views import RunViews
from app.web.api.runs import FIRST_LINES, RunReading, run_routes
from tests.unit.web.api_kit import ApiDoor, error_of

RUNS = "/api/execution/runs"
AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
HTML = "<script>alert('1')</script> & \"more\" \u2028"


@pytest.fixture
def api(backlog: SqlBacklog) -> ApiDoor:
    return door_to(backlog)


def door_to(views: SqlBacklog, **links: Any) -> ApiDoor:
    @contextmanager
    def views_for(_: UUID | None) -> Iterator[RunViews]:
        yield views

    return ApiDoor(routes=(run_routes(RunReading(views_for=views_for, **links)),))


def opened(backlog: SqlBacklog, *titles: str) -> Run:
    new = NewItem(title="", problem="It is missing", solution="Add it")
    ids = tuple(backlog.add_item(replace(new, title=title), repository=None) for title in titles)
    run = Run(id=uuid4(), base=Base(commit="c" * 40, branch="main"), item_ids=ids)
    backlog.open_run(run, repository=None)
    return run


def claimed(backlog: SqlBacklog, run: Run, item: UUID) -> Claimed:
    taken = backlog.claim(backlog.items([item])[0], run_id=run.id, claimed_by="tester", branch="mason/x")
    assert taken is not None
    return taken


def logged(backlog: SqlBacklog, run: Run, *messages: str, item: UUID | None = None) -> None:
    about: dict[str, object] = {"item_id": str(item)} if item else {}
    backlog.append_logs(
        [
            LogRow(id=uuid4(), run_id=run.id, level=Level.WARN, message=said, metadata=about, created_at=AT)
            for said in messages
        ]
    )


def read(api: ApiDoor, path: str) -> dict[str, Any]:
    response = api.get(path, scope=Scope.READ)
    assert response.status_code == 200, response.data
    body = json.loads(response.data)
    assert isinstance(body, dict)
    return body


# -- one run ---------------------------------------------------------------------------------------------------------


def test_run__says_everything_that_is_known_of_it(backlog: SqlBacklog) -> None:
    run = opened(backlog, HTML, "second")
    claim = claimed(backlog, run, run.item_ids[0]).claim
    task = Task(id="1.1", subagent=Subagent.EXPLORE, description=HTML)
    row = TaskRow(id=uuid4(), claim=claim, wave=1, number=1, task=task, status=TaskStatus.FAILED, error=HTML)
    backlog.save_tasks([replace(row, started_at=AT)])
    check = CheckResult(
        kind=CheckKind.TEST, status=CheckStatus.FAIL, command="pytest", seconds=1.5, output=HTML, reason="exit code 1"
    )
    gate = GateResult(checks=(check,))
    one = Iteration(
        number=1, failed_before=("lint",), tried=HTML, gate=gate, validator=None, passed=False, changed="+a"
    )
    backlog.save_iterations([IterationRow(id=uuid4(), claim=claim, iteration=one, created_at=AT)])
    logged(backlog, run, HTML, item=run.item_ids[0])
    usage = Usage(input_tokens=1, output_tokens=2, cost_usd=0.25, turns=3, tool_calls=4, seconds=5.5)
    outcome = Outcome(verdict=Verdict.REJECTED, reason=HTML, gate=gate, usage=usage, diff="+<b>\n", kept="there")
    assert backlog.settle(claim, replace(outcome, iterations=(one,)))

    api = door_to(backlog, page=lambda run_id: f"https://mason.test/runs/{run_id}", workflow=lambda _: "")
    body = read(api, f"{RUNS}/{run.id}")

    about = body["run"]
    assert (about["id"], about["status"], about["repository"]) == (str(run.id), "in_progress", None)
    assert (about["baseBranch"], about["baseCommit"], about["errorMessage"]) == ("main", "c" * 40, None)
    assert (about["itemCount"], about["successCount"], about["failureCount"]) == (2, 0, 1)
    assert body["links"] == {"page": f"https://mason.test/runs/{run.id}", "workflow": None}
    first, second = body["items"]
    assert (first["title"], first["status"], first["verdict"], first["reason"]) == (HTML, "rejected", "rejected", HTML)
    assert (first["diff"], first["kept"], second["status"], second["verdict"]) == ("+<b>\n", "there", "approved", None)
    assert first["tasks"] == [
        {
            "wave": 1,
            "number": 1,
            "description": HTML,
            "agent": "Explore",
            "status": "failed",
            "errorMessage": HTML,
            "startedAt": "2026-01-02T03:04:05.678901Z",
            "completedAt": None,
        }
    ]
    assert first["checks"] == [
        {
            "kind": "test",
            "status": "fail",
            "command": "pytest",
            "seconds": 1.5,
            "reason": "exit code 1",
            "output": HTML,
            "findings": [],
        }
    ]
    (iteration,) = first["iterations"]
    assert (iteration["failed"], iteration["stillFailing"], iteration["changed"]) == (["lint"], ["test"], "+a")
    assert body["usage"] == first["usage"]
    assert body["usage"]["costUsd"] == 0.25
    (line,) = body["logs"]
    assert (line["message"], line["level"], line["itemId"]) == (HTML, "warn", str(run.item_ids[0]))
    assert line["createdAt"] == "2026-01-02T03:04:05.678901Z"
    assert body["logsMore"] is False
    assert body["seenAt"].endswith("Z")


def test_run__of_one_item(backlog: SqlBacklog, api: ApiDoor) -> None:
    run = opened(backlog, "a", "b")
    logged(backlog, run, "of a", item=run.item_ids[0])
    logged(backlog, run, "of b", item=run.item_ids[1])
    body = read(api, f"{RUNS}/{run.id}?item={run.item_ids[1]}")
    assert [item["title"] for item in body["items"]] == ["b"]
    assert [line["message"] for line in body["logs"]] == ["of b"]


def test_run__its_log_goes_on_behind_its_cursor(backlog: SqlBacklog, api: ApiDoor) -> None:
    run = opened(backlog, "a")
    logged(backlog, run, *map(str, range(FIRST_LINES + 1)))
    body = read(api, f"{RUNS}/{run.id}")
    assert (len(body["logs"]), body["logsMore"]) == (FIRST_LINES, True)
    rest = read(api, f"{RUNS}/{run.id}/logs?after={body['logsNext']}")
    assert [line["message"] for line in rest["lines"]] == [str(FIRST_LINES)]


def test_run__that_nobody_knows(api: ApiDoor) -> None:
    for path in ("", "/logs", f"/logs?after={uuid4()}"):
        assert error_of(api.get(f"{RUNS}/{uuid4()}{path}")) == (404, "There is no such run.")


def test_run__whose_rows_are_out_of_reach_is_told() -> None:
    def gone(_: UUID | None) -> Any:
        raise UnknownRun("This run has ended; what is known of it is in the project that it ran on.")

    def away(_: UUID | None) -> Any:
        raise DatabaseUnreachable

    api = ApiDoor(routes=(run_routes(RunReading(views_for=gone)),))
    assert error_of(api.get(f"{RUNS}/{uuid4()}"))[0] == 404
    api = ApiDoor(routes=(run_routes(RunReading(views_for=away)),))
    assert error_of(api.get(RUNS)) == (503, "Something that Mason needs is away; try again.")


# -- runs ------------------------------------------------------------------------------------------------------------


def test_runs__come_newest_first_and_page_by_page(backlog: SqlBacklog, api: ApiDoor) -> None:
    runs = [str(opened(backlog, "a").id) for _ in range(3)]
    first = read(api, f"{RUNS}?limit=2")
    assert [run["id"] for run in first["runs"]] == [runs[2], runs[1]]
    rest = read(api, f"{RUNS}?limit=2&before={first['next']}")
    assert ([run["id"] for run in rest["runs"]], rest["next"]) == ([runs[0]], None)
    assert read(api, f"{RUNS}?limit=3")["next"] is None


def test_runs__of_an_empty_backlog(api: ApiDoor) -> None:
    assert read(api, RUNS) == {"runs": [], "next": None}


# -- bad input -------------------------------------------------------------------------------------------------------

NOBODY = UUID(int=7)

BAD = [
    "?limit=0",
    "?limit=101",
    "?limit=-1",
    "?limit=1.5",
    "?limit=many",
    "?limit=9" + "9" * 400,
    "?before=1",
    "?before=",
    f"?before={NOBODY}",
    "?page=2",
    "/1",
    "/%00",
    "/" + "a" * 2000,
    "/{run}?item=1",
    "/{run}?after=1",
    "/{run}/logs?limit=0",
    "/{run}/logs?limit=1001",
    "/{run}/logs?after=",
    "/{run}/logs?after=1",
    "/{run}/logs?after=%00",
    "/{run}/logs?after=%ed%a0%80",
    "/{run}/logs?after=" + "1" * 101,
    f"/{{run}}/logs?after={NOBODY}",
    "/{run}/logs?item=x",
    "/{run}/logs?newest=true",
    "/x/logs",
]


@pytest.mark.parametrize("path", BAD)
def test_bad_input__is_answered_with_400(backlog: SqlBacklog, api: ApiDoor, path: str) -> None:
    run = opened(backlog, "a")
    logged(backlog, run, "one")
    assert error_of(api.get(RUNS + path.format(run=run.id)))[0] == 400


def test_bad_input__a_cursor_of_another_run(backlog: SqlBacklog, api: ApiDoor) -> None:
    run, other = opened(backlog, "a"), opened(backlog, "b")
    logged(backlog, run, "one")
    cursor = read(api, f"{RUNS}/{run.id}/logs")["next"]
    assert error_of(api.get(f"{RUNS}/{other.id}/logs?after={cursor}")) == (
        400,
        "This cursor was not given by a page of this log.",
    )


@pytest.mark.parametrize("path", ["", "/{run}", "/{run}/logs"])
def test_keys__are_asked_for(backlog: SqlBacklog, api: ApiDoor, path: str) -> None:
    target = RUNS + path.format(run=opened(backlog, "a").id)
    assert api.client.get(target).status_code == 401
    assert [api.get(target, scope=scope).status_code for scope in Scope] == [200] * len(Scope)
    assert api.post(target).status_code == 405


# -- a log of 100,000 lines ------------------------------------------------------------------------------------------

LINES = 100_000
FILL = """
insert into mason_execution_logs (execution_run_id, message, created_at, line)
select %s, n::text, now(), n from generate_series(1, %s) n
"""


def test_logs__of_a_hundred_thousand_lines_are_read_once_each_while_more_come(
    backlog: SqlBacklog, api: ApiDoor, database: str
) -> None:
    run = opened(backlog, "a")
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(FILL, (run.id, LINES))
    found: list[int] = []
    after, more, pages = "", True, 0
    while more:
        page = read(api, f"{RUNS}/{run.id}/logs?limit=1000{after}")
        found += [int(line["message"]) for line in page["lines"]]
        after, more, pages = f"&after={page['next']}", page["more"], pages + 1
        if pages % 10 == 0 and pages <= 100:
            logged(backlog, run, *(str(LINES + pages + number) for number in range(1, 11)))
    assert found == list(range(1, LINES + 1)) + [LINES + 10 * t + n for t in range(1, 11) for n in range(1, 11)]
