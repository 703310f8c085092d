"""The log, the outputs and the summary of an Actions job."""

from __future__ import annotations

import io
import json
import re
import threading
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain import events as ev
from app.domain.results import (
    CheckKind,
    CheckResult,
    CheckStatus,
    Diagnostic,
    Finding,
    GateResult,
    Outcome,
    Severity,
    Tier,
    TierResult,
    TierStatus,
    Usage,
    ValidatorResult,
    Verdict,
)
from app.domain.runs import ItemResult, RunResult
from app.reporting.actions import SHOWN, ActionsLog
from app.reporting.commands import InertStream
from app.reporting.job_files import SUMMARY_LIMIT, output, outputs, write_outputs, write_summary
from tests.unit.reporting.builders import RUN_ID, check, claim, item, result, run_started, settled, started


def log_of(*events: ev.Event) -> list[str]:
    stream = io.StringIO()
    reporter = ActionsLog(InertStream(stream))
    for event in events:
        reporter.report(event)
    reporter.flush()
    reporter.close()
    return stream.getvalue().splitlines()


def finished(number: int = 1, **values: object) -> ev.CheckFinished:
    given = {"kind": CheckKind.LINT, "status": CheckStatus.FAIL, "seconds": 3.21, **values}
    return ev.CheckFinished(claim=claim(number), result=CheckResult(**given))  # type: ignore[arg-type]


def test_log__a_finished_check_is_a_group_and_the_rest_are_milestones() -> None:
    output = "\x1b[31mbad\x1b[0m\n::error::a\r##[group]x\n ::error::b\n"
    event = finished(command="npm run lint", output=output, reason="2 errors")
    assert log_of(run_started(item()), started(1, "Add ::x", total=3), event) == [
        "Working on 1 item from main at 0123456789ab",
        "[1/3] Add ::x: started, branch mason/item-1",
        "::group::[1/3] Add ::x: ✗ Lint (fail, 3.2 s)",
        "$ npm run lint",
        "2 errors",
        "bad",
        "## [group]x",
        " : :error::b",
        "::endgroup::",
    ]


def test_log__a_title_cannot_speak_to_the_runner() -> None:
    hostile = "%0A::set-output name=x::y ##[error]z\n::error::w"
    lines = log_of(started(1, hostile), finished(reason=hostile), settled(Verdict.REJECTED, reason=hostile))
    name = "[1/1] %0A::set-output name=x::y ##[error]z ::error::w"
    assert lines[0] == f"{name.replace('##[', '## [')}: started, branch mason/item-1"
    assert lines[1] == f"::group::{name.replace('%', '%25').replace('##[', '## [')}: ✗ Lint (fail, 3.2 s)"
    assert lines[2] == "%0A::set-output name=x::y ## [error]z ::error::w"
    given = [line for line in lines if line.startswith("::")]
    assert [line[2:].split(" ")[0].split("::")[0] for line in given] == ["group", "endgroup", "error"]
    assert "title=[1/1] %250A%3A%3Aset-output name=x%3A%3Ay" in given[-1]


def test_log__groups_of_items_side_by_side_stay_whole() -> None:
    stream = io.StringIO()
    reporter = ActionsLog(InertStream(stream))

    def one(number: int) -> None:
        reporter.report(started(number, f"item {number}", total=8))
        for _ in range(20):
            reporter.report(finished(number, output=f"{number}\n" * 5))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    groups = re.findall(r"::group::.*?item (\d).*\n((?:\d\n)*)::endgroup::\n", stream.getvalue())
    assert len(groups) == 160
    assert all(body == f"{number}\n" * 5 for number, body in groups)


def test_log__a_completed_item_is_a_notice() -> None:
    lines = log_of(started(), settled(Verdict.COMPLETED, pull_request="https://github.com/o/r/pull/1"))
    assert lines[-1] == "::notice title=[1/1] Add avatar upload::Pull request: https://github.com/o/r/pull/1"


def test_log__a_rejected_item_has_its_errors_at_their_lines() -> None:
    diagnostics = (
        Diagnostic(path="src/a,b.ts", line=3, column=7, message="100% bad\nvery", code="TS1"),
        Diagnostic(path="a.ts", line=0, message="careful", severity=Severity.WARNING),
        Diagnostic(path="a.ts", line=1, message="by the way", severity=Severity.NOTE),
    )
    failed = CheckResult(kind=CheckKind.TYPECHECK, status=CheckStatus.FAIL, diagnostics=diagnostics)
    passed = check(CheckKind.LINT, errors=2)
    tier = TierResult(tier=Tier.SCOPE, status=TierStatus.FAIL, findings=(Finding(path="ci.yml", message="protected"),))
    lines = log_of(
        started(),
        settled(
            Verdict.REJECTED,
            reason="Validation failed",
            gate=GateResult(checks=(failed, passed)),
            validator=ValidatorResult(tiers=(tier,)),
        ),
    )
    assert lines[2:] == [
        "::error title=[1/1] Add avatar upload::Validation failed",
        "::error file=ci.yml,title=Validator::protected",
        "::error file=src/a%2Cb.ts,line=3,col=7,title=Typecheck TS1::100%25 bad very",
        "::warning file=a.ts,title=Typecheck::careful",
    ]


def test_log__no_more_annotations_than_are_shown() -> None:
    failures = GateResult(checks=(check(CheckKind.TYPECHECK, CheckStatus.FAIL, errors=50),))
    events = [settled(Verdict.REJECTED, number, reason="no", gate=failures) for number in (1, 2)]
    lines = log_of(started(1), started(2), *events)
    assert sum(line.startswith("::error") for line in lines) == SHOWN


@pytest.mark.parametrize("verdict", [Verdict.DEFERRED, Verdict.RELEASED, Verdict.LOST, Verdict.ALREADY_RESOLVED])
def test_log__other_ends_have_no_annotation(verdict: Verdict) -> None:
    assert not any(line.startswith("::") for line in log_of(started(), settled(verdict, reason="x")))


def read_outputs(text: str) -> dict[str, str]:
    """The file as the runner reads it: lines end at a line feed alone."""
    found, lines = {}, iter(text.split("\n"))
    for line in lines:
        if line:
            name, _, delimiter = line.partition("<<")
            value = []
            for inner in lines:
                if inner == delimiter:
                    break
                value.append(inner)
            found[name] = "\n".join(value)
    return found


@given(
    st.dictionaries(st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]*", fullmatch=True), st.text(st.characters(codec="utf-8")))
)
def test_output__any_value_is_read_back(values: dict[str, str]) -> None:
    assert read_outputs("".join(output(name, value) for name, value in values.items())) == values


@pytest.mark.parametrize("name", ["", "a b", "a<<b", "a\nb", "1a", "a=b"])
def test_output__a_name_that_is_none(name: str) -> None:
    with pytest.raises(ValueError, match="no name of an output"):
        output(name, "x")


def test_outputs__are_appended(tmp_path: Path) -> None:
    path = tmp_path / "outputs"
    path.write_text("before<<x\ny\nx\n", encoding="utf-8")
    write_outputs(path, {"status": "success\ud800", "pr-urls": "[]\n::error::x"})
    expected = {"before": "y", "status": "success?", "pr-urls": "[]\n::error::x"}
    assert read_outputs(path.read_text(encoding="utf-8")) == expected


def test_files__without_one_nothing_happens(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_outputs(None, {"a": "b"})
    write_summary(None, "# x", kept="row")
    write_outputs(tmp_path / "missing", {"a": "b"})
    assert list(tmp_path.iterdir()) == []
    assert caplog.records == []


def test_files__one_that_cannot_be_written_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_outputs(tmp_path, {"a": "b"})
    write_summary(tmp_path, "x")
    assert [r.levelname for r in caplog.records] == ["WARNING"] * 2


def test_outputs__of_a_run() -> None:
    usage = Usage(cost_usd=1.23456)
    done = Outcome(verdict=Verdict.COMPLETED, pull_request="https://github.com/o/r/pull/1", usage=usage)
    run = result(
        ItemResult(item=item(1), outcome=done),
        ItemResult(item=item(2), outcome=Outcome(verdict=Verdict.REJECTED)),
        ItemResult(item=item(3), outcome=Outcome(verdict=Verdict.DEFERRED)),
    )
    found = outputs(run)
    assert json.loads(found.pop("pr-urls")) == ["https://github.com/o/r/pull/1"]
    assert found == {
        "run-id": str(RUN_ID),
        "items-executed": "2",
        "items-failed": "1",
        "prs-created": "1",
        "cost-usd": "1.2346",
        "status": "failed",
    }
    assert UUID(found["run-id"]) == RUN_ID
    nothing = outputs(RunResult(run_id=None, base=None))
    assert (nothing["run-id"], nothing["status"], nothing["pr-urls"]) == ("", "success", "[]")


def test_summary__with_rows_that_were_kept(tmp_path: Path) -> None:
    path = tmp_path / "summary"
    path.touch()
    write_summary(path, "## Execution Complete\n")
    write_summary(path, "second\n", kept='{"row": "```"}\n')
    text = path.read_text(encoding="utf-8")
    assert text.startswith("## Execution Complete\n\nsecond\n\n### Rows that could not be written\n")
    assert '````text\n{"row": "```"}\n````' in text


def test_summary__stays_within_the_limit(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "summary"
    path.write_text("x" * 1000, encoding="utf-8")
    write_summary(path, "a line é\n" * 200_000, kept="last row\n" * 100_000)
    text = path.read_text(encoding="utf-8")
    assert len(text.encode()) <= SUMMARY_LIMIT
    assert "a line é\n\n… The rest is left out" in text
    assert "last row\n```" in text
    size = path.stat().st_size
    write_summary(path, "more\n" * 1000)
    assert path.stat().st_size == size
    assert "The job summary is full" in caplog.text
