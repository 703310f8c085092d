"""The pull request's body: Mason's section among what people wrote."""

from __future__ import annotations

import re
from dataclasses import replace
from uuid import UUID

import pytest

from app.domain.items import Item, ItemStatus
from app.domain.plans import Criterion, PrdContext
from app.domain.results import (
    CheckKind,
    CheckResult,
    CheckStatus,
    Finding,
    GateResult,
    Iteration,
    Outcome,
    Tier,
    TierResult,
    TierStatus,
    Usage,
    ValidatorResult,
    Verdict,
)
from app.domain.runs import Base
from app.forge.github import body
from app.ports.forge import Publication
from app.ports.workspace import Change, ChangeKind

ITEM = UUID(int=1)
COMMIT = "c" * 40
EVIL = "Fixes #12 @ada <!-- mason:end --> <script> ![x](https://x.example/p.png)\n| a | b |\n"

PUBLICATION = Publication(
    run_id=UUID(int=2),
    item=Item(id=ITEM, title="Add it", status=ItemStatus.IN_PROGRESS, problem=EVIL, solution=EVIL),
    base=Base(commit="b" * 40, branch="main"),
    outcome=Outcome(
        verdict=Verdict.COMPLETED,
        branch="mason/add-it",
        commit=COMMIT,
        gate=GateResult(
            checks=(
                CheckResult(kind=CheckKind.TEST, status=CheckStatus.PASS, command="pytest -q", seconds=12.34),
                CheckResult(kind=CheckKind.BUILD, status=CheckStatus.SKIPPED),
            )
        ),
        validator=ValidatorResult(
            tiers=(TierResult(tier=Tier.SCOPE, status=TierStatus.WARN, findings=(Finding(path=EVIL, message=EVIL),)),)
        ),
        iterations=(Iteration(number=1, failed_before=("lint",), tried=EVIL, gate=None, validator=None, passed=True),),
        usage=Usage(input_tokens=1200, output_tokens=34, cost_usd=0.5, turns=7),
    ),
    context=PrdContext(criteria=(Criterion(text=EVIL, checked=True),)),
    changes=tuple(
        Change(path=f"src/a {number}`|.py", kind=ChangeKind.ADDED, added_lines=3, removed_lines=1)
        for number in range(60)
    ),
    note="main moved; it was merged and checked again.",
)


def test_section__says_everything() -> None:
    text = body.section(PUBLICATION, COMMIT)
    for part in (
        f"<!-- mason:begin run={UUID(int=2)} item={ITEM} -->",
        f"`{COMMIT}`",
        "| test | ✅ passed | `pytest -q` | 12.3 s |",
        "| build | ⏭️ skipped: the repository has no such check | — | – |",
        "and 10 more",
        "scope verification",
        "## Success criteria",
        "1,200 input and 34 output tokens, 0.50 USD, 7 turns",
        "main moved; it was merged",
        "/mason fix",
        "web app",
    ):
        assert part in text, part


def test_section__nothing_from_outside_acts() -> None:
    text = body.section(PUBLICATION, COMMIT)
    assert text.count("<!-- mason:end -->") == 1 and text.endswith("<!-- mason:end -->")
    assert "<script" not in text and "](" not in text.replace("\\](", "").replace("\\]\\(", "")
    assert not re.search(r"@ada|(?i:fixes) #\d|https://", text)


def test_section__names_both_commits_when_github_signed() -> None:
    signed = "d" * 40
    text = body.section(PUBLICATION, signed)
    assert f"`{COMMIT}`, published as the signed commit `{signed}` with the same tree" in text


def test_section__leaves_the_cost_out_when_nothing_was_used() -> None:
    free = replace(PUBLICATION, outcome=replace(PUBLICATION.outcome, usage=Usage(seconds=3.0, tool_calls=1)))
    assert "## Cost" not in body.section(free, COMMIT)


def test_section__of_a_bare_publication() -> None:
    bare = Publication(
        run_id=UUID(int=2),
        item=Item(id=ITEM, title="x", status=ItemStatus.IN_PROGRESS),
        base=PUBLICATION.base,
        outcome=Outcome(verdict=Verdict.COMPLETED, branch="b", commit=COMMIT),
    )
    text = body.section(bare, COMMIT)
    assert "_The item names none._" in text and "## Success criteria" not in text


def test_merged__changes_only_what_is_between_the_markers() -> None:
    first = body.merged("", PUBLICATION, COMMIT)
    assert first is not None and body.item_of(first) == ITEM and body.mentions(first, COMMIT)
    around = f"  People wrote:\r\n\r\n{first}\r\n\tand more @here  \n\n"
    again = body.merged(around, replace(PUBLICATION, note="Something new."), COMMIT)
    assert again is not None and "Something new." in again
    assert again.startswith("  People wrote:\r\n\r\n<!--") and again.endswith("-->\r\n\tand more @here  \n\n")
    assert body.merged(again, replace(PUBLICATION, note="Something new."), COMMIT) == again


def test_merged__appends_once_where_people_removed_the_markers() -> None:
    once = body.merged("Mine now.", PUBLICATION, COMMIT)
    assert once is not None and once.startswith("Mine now.\n\n<!-- mason:begin")
    assert body.merged(once, PUBLICATION, COMMIT) == once


def test_merged__the_first_whole_pair_counts() -> None:
    one = body.section(PUBLICATION, COMMIT)
    text = f"<!-- mason:begin half -->kept\n{one}\nbetween\n{one}"
    again = body.merged(text, replace(PUBLICATION, note="Newest."), COMMIT)
    assert again is not None
    assert again.startswith("<!-- mason:begin half -->kept\n") and again.endswith(f"\nbetween\n{one}")
    assert again.count("Newest.") == 1


@pytest.mark.parametrize("others", [0, 40_000, 57_000])
def test_merged__fits_whatever_there_is(others: int) -> None:
    big = replace(
        PUBLICATION,
        item=replace(PUBLICATION.item, problem="@#" * 100_000, solution="#@" * 100_000),
        context=PrdContext(criteria=tuple(Criterion(text="@" * 1000) for _ in range(500))),
        changes=tuple(Change(path="p" * 300 + str(n), kind=ChangeKind.MODIFIED) for n in range(3000)),
    )
    text = body.merged("x" * others, big, COMMIT)
    assert text is not None and len(text) <= body.BODY_LIMIT and text.startswith("x" * others)


def test_merged__no_room_is_no_change() -> None:
    assert body.merged("x" * 65_500, PUBLICATION, COMMIT) is None


@pytest.mark.parametrize("text", ["", "<!-- mason:begin item=zz --> <!-- mason:end -->", "<!-- mason:begin"])
def test_item_of__no_section_of_ours(text: str) -> None:
    assert body.item_of(text) is None
