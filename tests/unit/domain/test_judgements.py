"""What one job says of a pull request to the next: whole where there is room, bounded, and hostile when it is read."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from typing import Any

import pytest

from app.domain.judgements import REPORT_LIMIT, Judgement, as_report, parse_report
from app.domain.results import CheckKind, CheckResult, CheckStatus, Diagnostic, GateResult, Severity
from app.errors import UsageError

FOUND = Diagnostic(path="src/a b.py", line=3, message="no “such” thing", column=4, severity=Severity.WARNING, code="E1")
FAILED = CheckResult(
    kind=CheckKind.TEST,
    status=CheckStatus.FAIL,
    command="pytest -q",
    seconds=1.5,
    output="a\nb\t\x1b[31m😀",
    diagnostics=(FOUND,),
    reason="exit code 1",
)
PASSED = CheckResult(kind=CheckKind.LINT, status=CheckStatus.PASS)


def judgement(*checks: CheckResult) -> Judgement:
    return Judgement(number=7, commit="a" * 40, gate=GateResult(checks=checks, tree="a" * 40))


def again(one: Judgement) -> Judgement:
    return parse_report(as_report(one))


def test_judgement__passed_only_when_its_gate_did_and_the_change_was_made() -> None:
    assert judgement(PASSED).passed
    assert not judgement(PASSED, FAILED).passed
    assert not judgement().passed
    assert not replace(judgement(PASSED), reason="it could not be pushed").passed


@pytest.mark.parametrize("checks", [(), (PASSED,), (FAILED, PASSED)])
def test_report__is_read_as_it_was_written(checks: tuple[CheckResult, ...]) -> None:
    assert again(judgement(*checks)) == judgement(*checks)


def test_report__of_a_sha256_repository() -> None:
    one = Judgement(number=1, commit="b" * 64, gate=GateResult(checks=(), tree="b" * 64))
    assert again(one) == one


@pytest.mark.parametrize("letter", ["x", "\x01", "😀", '"', "\ud800"])
def test_report__fits_into_a_variable_whatever_the_checks_said(letter: str) -> None:
    loud = Diagnostic(path=letter * 5000, line=1, message=letter * 5000, code=letter * 5000)
    check = CheckResult(
        kind=CheckKind.TEST,
        status=CheckStatus.FAIL,
        command=letter * 5000,
        output=letter * 1_000_000 + "the end",
        diagnostics=(loud,) * 1000,
        reason=letter * 5000,
    )
    report = as_report(judgement(*(replace(check, kind=kind) for kind in CheckKind)))
    assert len(report.encode()) <= REPORT_LIMIT
    assert subprocess.run(["true"], env={"INPUT_REPORT": report}, check=False).returncode == 0
    read = parse_report(report)
    assert [one.kind for one in read.gate.checks] == list(CheckKind)
    assert all(one.status is CheckStatus.FAIL and one.output.endswith("the end") for one in read.gate.checks)


def test_report__keeps_the_tail_of_an_output_that_is_too_long() -> None:
    (check,) = again(judgement(replace(FAILED, output="x" * 30_000 + "the end"))).gate.checks
    assert len(check.output) == 20_000 and check.output.endswith("xthe end")


@pytest.mark.parametrize("number", [-1, 10**7 + 1, 10**30])
def test_report__lines_that_no_file_has(number: int) -> None:
    (check,) = again(judgement(replace(FAILED, diagnostics=(replace(FOUND, line=number, column=number),)))).gate.checks
    assert 0 <= check.diagnostics[0].line <= 10**7


CHECK: dict[str, Any] = {"kind": "test", "status": "pass"}
VALID: dict[str, Any] = {"number": 7, "commit": "a" * 40, "checks": [CHECK]}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{",
        '"text"',
        "[" * 100_000,
        json.dumps(VALID)[:-1],
        json.dumps(VALID | {"number": 0}),
        json.dumps(VALID | {"number": "7; rm -rf"}),
        json.dumps(VALID | {"number": 10**30}),
        json.dumps(VALID | {"commit": "main"}),
        json.dumps(VALID | {"commit": "a" * 41}),
        json.dumps(VALID | {"commit": "a" * 40 + "\n"}),
        json.dumps(VALID | {"checks": [CHECK] * 9}),
        json.dumps(VALID | {"checks": [CHECK | {"kind": "magic"}]}),
        json.dumps(VALID | {"checks": [CHECK | {"status": "approved"}]}),
        json.dumps(VALID | {"checks": [CHECK | {"seconds": -1}]}),
        json.dumps(VALID | {"checks": [CHECK | {"seconds": float("nan")}]}),
        json.dumps(VALID | {"checks": [CHECK | {"output": "x" * 20_001}]}),
        json.dumps(VALID | {"checks": [CHECK | {"diagnostics": [{"path": "a", "line": -1, "message": ""}]}]}),
        json.dumps(VALID | {"checks": [CHECK | {"diagnostics": [{"path": "a", "line": 1, "message": ""}] * 101}]}),
        json.dumps(VALID | {"reason": ""}),
        json.dumps(VALID | {"::error::" + "x" * 100_000 + "\n": 1}),
    ],
    ids=lambda text: text[:40],
)
def test_report__that_is_none_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(UsageError, match=r"^report: ") as caught:
        parse_report(text)
    said = str(caught.value)
    assert len(said) < 500 and "\n" not in said


def test_report__says_nothing_of_what_mason_pushed() -> None:
    """The second job must not take a stranger's word that Mason itself made the commit."""
    read = again(replace(judgement(PASSED), changed=True, reason="no"))
    assert (read.changed, read.reason) == (False, "")
