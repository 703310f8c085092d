"""The texts of check runs: harmless whatever a stranger wrote, and within GitHub's limits."""

from __future__ import annotations

import re
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from app.domain.check_runs import ANNOTATION_LIMIT, TEXT_LIMIT, Button, CheckRun, Conclusion, Subject
from app.domain.events import Phase
from app.domain.progress import first_progress
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
    ValidatorResult,
    Verdict,
)
from app.reporting.check_texts import fenced_tail, plain, prose, within_limit
from app.reporting.head_checks import head_check_runs
from app.reporting.item_checks import ended, item_check_name, working
from tests.unit.reporting.builders import GREEN, RED, RUN_ID, check, claim, gate, item

SHA = "fedcba9876543210fedcba9876543210fedcba98"
SUBJECT = Subject(run_id=RUN_ID, item_id=UUID(int=1), pull_request=12)
HOSTILE = "@org/team #1 <script>x</script> ![i](https://evil.example/p.png) [l](javascript:x) | `a` GH-7 \x1b[2J \u202e"
MARKDOWN = MarkdownIt("gfm-like", {"linkify": False})

VALID = ValidatorResult(tiers=tuple(TierResult(tier=tier, status=TierStatus.PASS) for tier in Tier))


def validator(status: TierStatus, *findings: Finding, others: TierStatus = TierStatus.PASS) -> ValidatorResult:
    first, *rest = Tier
    tiers = (TierResult(tier=first, status=status, findings=findings),)
    return ValidatorResult(tiers=tiers + tuple(TierResult(tier=tier, status=others) for tier in rest))


def heads(of: GateResult | None, validated: ValidatorResult | None = VALID, stopped: str = "") -> dict[str, CheckRun]:
    return {c.name.removeprefix("mason / "): c for c in head_check_runs(SHA, SUBJECT, of, validated, stopped=stopped)}


def fits(run: CheckRun) -> bool:
    return (
        all(len(text.encode()) <= TEXT_LIMIT for text in (run.summary, run.text)) and "\n" not in run.title + run.name
    )


@pytest.mark.parametrize(
    ("kind", "status", "conclusion"),
    [
        (CheckKind.LINT, CheckStatus.PASS, Conclusion.SUCCESS),
        (CheckKind.LINT, CheckStatus.FAIL, Conclusion.FAILURE),
        (CheckKind.LINT, CheckStatus.SKIPPED, Conclusion.SKIPPED),
        (CheckKind.LINT, CheckStatus.TIMEOUT, Conclusion.TIMED_OUT),
        (CheckKind.LINT, CheckStatus.ERROR, Conclusion.FAILURE),
        (CheckKind.SMOKE, CheckStatus.PASS, Conclusion.SUCCESS),
        (CheckKind.SMOKE, CheckStatus.FAIL, Conclusion.NEUTRAL),
        (CheckKind.SMOKE, CheckStatus.TIMEOUT, Conclusion.NEUTRAL),
        (CheckKind.E2E, CheckStatus.FAIL, Conclusion.FAILURE),
    ],
)
def test_head__each_check_has_its_own_conclusion(kind: CheckKind, status: CheckStatus, conclusion: Conclusion) -> None:
    found = heads(gate(*[c for c in GREEN.checks if c.kind is not kind], check(kind, status)))
    assert found[kind.value].conclusion is conclusion
    others = {
        run.conclusion for name, run in found.items() if name not in (kind.value, "tests" if kind == "test" else "")
    }
    assert others == {Conclusion.SUCCESS}


def test_head__the_evidence_is_in_the_summary() -> None:
    lint = CheckResult(
        kind=CheckKind.LINT,
        status=CheckStatus.FAIL,
        command="npm run lint | cat",
        seconds=75,
        output="\x1b[31mbad\x1b[0m\n",
        diagnostics=(
            Diagnostic(path="b.ts", line=2, message="warn", severity=Severity.WARNING),
            Diagnostic(path="a.ts", line=1, message="bad"),
        ),
    )
    found = heads(GateResult(checks=(lint,), tree="0" * 40))["lint"]
    assert found.title == "Failed, 1 error"
    for part in (
        f"`{SHA}`",
        f"`{'0' * 40}`",
        r"`npm run lint \| cat`",
        "1 min 15 s",
        "| Errors | 1 |",
        "| Warnings | 1 |",
    ):
        assert part in found.summary
    assert found.text == "```text\nbad\n```"
    assert [d.path for d in found.diagnostics] == ["a.ts", "b.ts"]
    assert found.buttons == (Button.RETRY, Button.FIX, Button.CANCEL)


def test_head__what_did_not_run_is_neutral_and_says_why() -> None:
    install = gate(check(CheckKind.BUILD, CheckStatus.FAIL, reason="npm ci failed"))
    assert heads(install)["lint"].conclusion is Conclusion.NEUTRAL
    assert heads(install)["lint"].title == "Not run: build failed before"
    stopped = heads(None, validator(TierStatus.FAIL))
    assert stopped["validator"].conclusion is Conclusion.FAILURE
    assert stopped["tests"].title == "Not run: the validator stopped the change before its checks"
    policy = heads(None, None, "heads of forks are validated without secrets only")
    assert {run.conclusion for run in policy.values()} == {Conclusion.NEUTRAL}
    assert policy["validator"].title == "Not run: heads of forks are validated without secrets only"


def test_head__the_validator_names_tiers_and_findings() -> None:
    finding = Finding(path="ci.yml", message="is a protected path @x", recommendation="name it in the PRD")
    run = heads(GREEN, validator(TierStatus.FAIL, finding, others=TierStatus.NOT_RUN))["validator"]
    assert run.title == "Failed: scope verification; 4 tiers not run"
    assert "| Scope verification | failed | 1 |" in run.summary
    assert "- `ci.yml`: is a protected path @&#8203;x → name it in the PRD" in run.summary
    assert [(d.path, d.line) for d in run.diagnostics] == [("ci.yml", 1)]
    warned = heads(GREEN, validator(TierStatus.WARN, replace(finding, severity=Severity.WARNING)))["validator"]
    assert (warned.conclusion, warned.title) == (Conclusion.SUCCESS, "Passed with 1 finding")
    idle = heads(GREEN, validator(TierStatus.NOT_RUN, others=TierStatus.NOT_RUN))["validator"]
    assert idle.conclusion is Conclusion.NEUTRAL


def test_head__annotations_are_bounded_errors_first() -> None:
    warnings = [Diagnostic(path="a", line=n, message="w", severity=Severity.WARNING) for n in range(300)]
    found = CheckResult(
        kind=CheckKind.LINT,
        status=CheckStatus.FAIL,
        diagnostics=(
            *warnings,
            Diagnostic(path="", line=0, message="no file"),
            Diagnostic(path="z", line=1, message="e"),
        ),
    )
    run = heads(gate(found))["lint"]
    assert len(run.diagnostics) == ANNOTATION_LIMIT
    assert run.diagnostics[0].path == "z"
    assert "102 of these are not shown at their lines" in run.summary


@given(st.text(max_size=300) | st.just(HOSTILE))
def test_prose__is_only_text(value: str) -> None:
    tokens = MARKDOWN.parse(f"| a |\n|---|\n| {prose(value)} |\n\n- {prose(value)}")
    inline = [child.type for token in tokens for child in token.children or ()]
    assert set(inline) <= {"text", "text_special"}
    assert sum(token.type == "td_open" for token in tokens) == 1
    shown = "".join(child.content for token in tokens for child in token.children or ())
    assert not re.search(r"@\w|#\d|://|GH-\d", shown)


@given(st.text(alphabet="`~x\n\r\x1b[31m é\ud800") | st.integers(0, 200).map(lambda n: "`" * n), st.integers(300, 2000))
def test_fenced_tail__cannot_be_left(output: str, limit: int) -> None:
    text = fenced_tail(output * 40, limit)
    assert len(text.encode()) <= limit
    tokens = MARKDOWN.parse(text)
    assert [token.type for token in tokens] == (["fence"] if text else [])


def test_fenced_tail__keeps_the_end() -> None:
    text = fenced_tail("first\n" + "é" * TEXT_LIMIT + "\nlast")
    assert text.startswith("```text\n…\n")
    assert text.endswith("é\nlast\n```")
    assert TEXT_LIMIT - 3 <= len(text.encode()) <= TEXT_LIMIT


def test_plain__colours_progress_bars_and_links_are_gone() -> None:
    output = "\x1b[1;31mred\x1b[0m\r\n10%\r50%\r100%\n\x1b]8;;https://x\x1b\\link\x1b]8;;\x07\x00"
    assert plain(output) == "red\n100%\nlink\ufffd"


def test_within_limit__cuts_at_a_line() -> None:
    text = within_limit("\n".join(["a line é"] * 1000), 200)
    assert len(text.encode()) <= 200
    assert text.endswith("a line é\n\n… The rest is left out: it would not fit.")


@pytest.mark.parametrize("title", [HOSTILE, "", "x" * 5000, "tests", "line\nbreak"])
def test_item__every_text_is_harmless_and_fits(title: str) -> None:
    one = item(title=title)
    name = item_check_name(one)
    assert name.startswith("mason / ")
    assert name.endswith("(00000000)")
    assert len(name) <= 80
    progress = replace(first_progress(claim()), phase=Phase.BUILDING, wave=2, current_task=HOSTILE)
    huge = tuple(Finding(path=HOSTILE * 50, message=HOSTILE * 50) for _ in range(500))
    failed = Outcome(
        verdict=Verdict.REJECTED,
        reason=HOSTILE * 100,
        gate=RED,
        validator=validator(TierStatus.FAIL, *huge),
        kept=HOSTILE,
        pull_request="https://x/<!-- -->",
    )
    runs = [
        working(name, SHA, SUBJECT, HOSTILE, progress),
        ended(name, SHA, SUBJECT, failed),
        *head_check_runs(SHA, SUBJECT, RED, validator(TierStatus.FAIL, *huge)),
    ]
    for run in runs:
        assert fits(run)
        html = MARKDOWN.render(run.summary)
        assert "<script" not in html
        assert "<img" not in html
        assert 'href="javascript' not in html


def test_item__the_name_stays_while_the_item_does() -> None:
    assert item_check_name(item(title="Add  avatar\nupload")) == item_check_name(item())
    assert item_check_name(item(1)) != item_check_name(replace(item(2), id=UUID("12345678" + "0" * 24)))
