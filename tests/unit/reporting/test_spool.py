"""The spool: rows on disk while the database is away, and what else may lie there."""

from __future__ import annotations

import json
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.domain import events as ev
from app.domain.results import Verdict
from app.errors import DatabaseRefused, DatabaseUnreachable
from app.log import Redactor
from app.reporting import spool as spools
from app.reporting.fan_out import FanOut
from app.reporting.spool import Spool
from app.reporting.store import StoreReporter
from tests.unit.reporting.builders import (
    PLAN,
    RUN_ID,
    RecordingBacklog,
    check,
    claim,
    item,
    iteration,
    run_started,
    settled,
    started,
)

SECRET = "hunter2-hunter2"
STORY = (
    run_started(item()),
    started(),
    ev.CheckpointReached(claim=claim(), checkpoint=7, phase=ev.Phase.FOUNDATION, message="Going on"),
    ev.Planned(claim=claim(), plan=PLAN),
    ev.CheckFinished(claim=claim(), result=check()),
    ev.IterationFinished(claim=claim(), iteration=iteration(1, passed=False)),
    ev.Noted(claim=claim(), message="nul \0 lone \ud800 emoji 🚀", metadata={"more": [1, 2.5, None, {"a": Path("b")}]}),
    ev.Noted(run_id=RUN_ID, message=f"the key is {SECRET}", level=ev.Level.DEBUG),
)


def told(backlog: RecordingBacklog, directory: Path, *events: ev.Event) -> None:
    """A runner's reporter, from its start to its end."""
    reporter = StoreReporter(backlog, spool=Spool(directory), interval=3600)  # type: ignore[arg-type]
    fan_out = FanOut({"database": reporter}, Redactor([SECRET]))
    for event in events:
        fan_out.report(event)
    fan_out.close()


def kept(directory: Path) -> Path:
    """The file of a runner whose database was away."""
    backlog = RecordingBacklog()
    backlog.problem = DatabaseUnreachable("away")
    told(backlog, directory, *STORY)
    (file,) = directory.iterdir()
    return file


def taken(directory: Path) -> RecordingBacklog:
    """What a later runner writes back."""
    backlog = RecordingBacklog()
    Spool(directory).write_back(backlog)  # type: ignore[arg-type]
    return backlog


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_spool__what_the_database_did_not_take_is_written_later_as_it_was(tmp_path: Path) -> None:
    direct = RecordingBacklog()
    told(direct, tmp_path, *STORY)
    assert list(tmp_path.iterdir()) == []
    file = kept(tmp_path)
    later = taken(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert file.name == f"{RUN_ID}.jsonl"
    assert later.progress[-1].checkpoints[-1][:2] == direct.progress[-1].checkpoints[-1][:2]
    assert (later.progress[-1].claim, later.progress[-1].phase) == (claim(), ev.Phase.FOUNDATION)
    assert later.tasks == direct.tasks
    assert [row.iteration for row in later.iterations] == [row.iteration for row in direct.iterations]
    assert [(row.id, row.payload) for row in later.events] == [(row.id, row.payload) for row in direct.events]
    assert sorted(row.message for row in later.logs) == sorted(row.message for row in direct.logs)


def test_spool__is_for_nobody_elses_eyes_and_holds_no_secret(tmp_path: Path) -> None:
    file = kept(tmp_path / "spool")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    text = file.read_text()
    assert "the key is ***" in text
    assert SECRET not in text


def test_spool__says_where_the_rows_wait(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = kept(tmp_path)
    said = f"{len(lines(file))} rows of progress and log wait in {file}; the next run writes them"
    assert caplog.records[-1].getMessage() == said


def test_spool__waits_while_the_database_is_away(tmp_path: Path) -> None:
    file = kept(tmp_path)
    before = file.read_bytes()
    backlog = RecordingBacklog()
    backlog.problem = DatabaseUnreachable("away")
    Spool(tmp_path).write_back(backlog)  # type: ignore[arg-type]
    assert file.read_bytes() == before


def test_spool__is_written_back_by_a_flush_and_not_by_a_reporter_that_only_opens_and_closes(tmp_path: Path) -> None:
    file = kept(tmp_path)
    backlog = RecordingBacklog()
    told(backlog, tmp_path)
    assert file.exists()
    reporter = StoreReporter(backlog, spool=Spool(tmp_path), interval=3600)  # type: ignore[arg-type]
    reporter.flush()
    assert not file.exists()
    assert backlog.logs
    reporter.close()


def test_spool__drops_debug_rows_first_when_it_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    whole = kept(tmp_path)
    monkeypatch.setattr(spools, "LIMIT", whole.stat().st_size - 1)
    before = lines(whole)
    whole.unlink()
    after = lines(kept(tmp_path))
    assert [line["kind"] for line in after] == [line["kind"] for line in before][:-1]
    assert before[-1]["row"]["level"] == "debug"
    assert caplog.records[-1].getMessage() == f"1 rows of progress and log are lost: {RUN_ID}.jsonl is full"


def test_spool__that_cannot_be_written_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    backlog = RecordingBacklog()
    backlog.problem = DatabaseUnreachable("away")
    told(backlog, tmp_path / "file" / "spool", *STORY)
    assert "are lost, they cannot be kept on disk" in caplog.records[-1].getMessage()


@pytest.mark.parametrize(
    "line",
    [
        b"no json",
        b"[" * 100_000,
        b"null",
        b'"kind"',
        b'{"kind":"logs"}',
        b'{"kind":"items","row":{}}',
        b'{"kind":["logs"],"row":{}}',
        b'{"kind":"logs","row":{"id":"x"}}',
        b'{"kind":"progress","row":{"claim":null}}',
        b'{"kind":"logs","row":"\\ud800"}',
        b"\xff\xfe\0",
    ],
)
def test_spool__a_line_that_is_no_row_is_set_aside(
    tmp_path: Path, line: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    file = kept(tmp_path)
    content = file.read_bytes()
    file.write_bytes(line + b"\n" + content)
    count = len(taken(tmp_path).logs)
    assert count == sum(row["kind"] in ("logs", "debug") for row in map(json.loads, content.splitlines()))
    (aside,) = tmp_path.iterdir()
    assert (aside.name, aside.read_bytes()) == (f"{file.name}.bad", line + b"\n")
    assert "cannot be used" in caplog.records[-1].getMessage()


def test_spool__a_last_line_that_was_cut_is_set_aside(tmp_path: Path) -> None:
    file = kept(tmp_path)
    file.write_bytes(file.read_bytes()[:-20])
    assert taken(tmp_path).tasks
    assert [path.suffix for path in tmp_path.iterdir()] == [".bad"]


def _link(file: Path) -> None:
    file.symlink_to("/etc/passwd")


def _huge(file: Path) -> None:
    with file.open("wb") as out:
        out.truncate(spools.LIMIT + 1)


@pytest.mark.parametrize("make", [_link, _huge, Path.mkdir, os.mkfifo])
def test_spool__what_is_no_spool_file_is_set_aside(
    tmp_path: Path, make: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    make(tmp_path / "a.jsonl")
    kept_beside = RecordingBacklog()
    kept_beside.problem = DatabaseUnreachable("away")
    told(kept_beside, tmp_path, *STORY)
    assert taken(tmp_path).tasks
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl.bad"]
    assert "it is set aside as a.jsonl.bad" in caplog.records[-1].getMessage()


def test_spool__rows_that_the_database_refuses_are_set_aside(tmp_path: Path) -> None:
    content = kept(tmp_path).read_bytes()
    backlog = RecordingBacklog()
    backlog.problem = DatabaseRefused("no such run")
    Spool(tmp_path).write_back(backlog)  # type: ignore[arg-type]
    (aside,) = tmp_path.iterdir()
    assert sorted(aside.read_bytes().splitlines()) == sorted(content.splitlines())
    assert stat.S_IMODE(aside.stat().st_mode) == 0o600


def test_spool__a_file_that_one_runner_is_at_is_left_alone_by_another(tmp_path: Path) -> None:
    file = kept(tmp_path)
    others: list[RecordingBacklog] = []

    class Slow(RecordingBacklog):
        def save_tasks(self, rows: Any) -> None:
            others.append(taken(tmp_path))
            super().save_tasks(rows)

    backlog = Slow()
    Spool(tmp_path).write_back(backlog)  # type: ignore[arg-type]
    assert others[0].calls == 0
    assert backlog.tasks
    assert not file.exists()


def test_spool__the_work_does_not_wait_for_a_database_that_does_not_answer(tmp_path: Path) -> None:
    """The rows of a flush that hangs are on disk, and may still be written when it goes on."""
    go_on = threading.Event()

    class Hanging(RecordingBacklog):
        def append_logs(self, rows: Any) -> None:
            go_on.wait(60)
            super().append_logs(rows)

    reporter = StoreReporter(Hanging(), spool=Spool(tmp_path), interval=3600, longest_wait=0.01)  # type: ignore[arg-type]
    reporter.report(started())
    reporter.report(settled(Verdict.COMPLETED))
    reporter.flush()
    reporter.close()
    (file,) = tmp_path.iterdir()
    assert {line["kind"] for line in lines(file)} == {"logs"}
    go_on.set()
