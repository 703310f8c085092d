"""Tier 2: what the reviewer is shown, and what becomes of what it says."""

from __future__ import annotations

from app.domain.results import Severity, TierStatus
from app.flows.pattern_review import MOST_NEIGHBOURS, NEIGHBOUR_LIMIT, judged, neighbours
from app.ports.workspace import Change, ChangeKind
from app.prompts.answers import parse_pattern_review
from tests.unit.validator.file_sets import FileSet


def change(path: str, kind: ChangeKind = ChangeKind.MODIFIED) -> Change:
    return Change(path=path, kind=kind)


def test_neighbours__unchanged_files_of_the_same_kind_beside_the_change() -> None:
    files = FileSet({"ui/a.tsx": "A", "ui/b.tsx": "B", "ui/b.css": "css", "api/c.ts": "C", "ui/new.tsx": "N"})
    assert neighbours([change("ui/new.tsx", ChangeKind.ADDED)], files) == [("ui/a.tsx", "A"), ("ui/b.tsx", "B")]
    assert neighbours([change("ui/a.tsx"), change("ui/b.tsx")], files) == [("ui/new.tsx", "N")]
    assert neighbours([change("ui/gone.tsx", ChangeKind.DELETED)], files) == []


def test_neighbours__those_of_new_files_come_first_and_all_is_bounded() -> None:
    texts = {f"{place}/{name}.py": "x" * 50_000 for place in "abcdefgh" for name in ("one", "two", "three")}
    changes = [*(change(f"{place}/one.py") for place in "abcdefg"), change("h/new.py", ChangeKind.ADDED)]
    found = neighbours(changes, FileSet(texts))
    assert [path for path, _ in found[:2]] == ["h/one.py", "h/three.py"]
    assert len(found) == MOST_NEIGHBOURS
    assert {len(text) for _, text in found} == {NEIGHBOUR_LIMIT}


def test_judged__an_error_stops_a_warning_is_shown_silence_has_reviewed_nothing() -> None:
    wrong = {"path": "a.ts", "line": 3, "message": "throws", "severity": "error", "recommendation": "return a result"}
    odd = {"path": "a.ts", "message": "long", "severity": "warning"}
    assert judged(None).status is TierStatus.NOT_RUN
    assert judged(parse_pattern_review({"violations": []})).status is TierStatus.PASS
    assert judged(parse_pattern_review({"violations": [odd]})).status is TierStatus.WARN
    tier = judged(parse_pattern_review({"violations": [odd, wrong]}))
    assert tier.status is TierStatus.FAIL
    assert [(f.path, f.severity) for f in tier.findings] == [("a.ts:3", Severity.ERROR), ("a.ts", Severity.WARNING)]
