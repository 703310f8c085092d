"""Tier 2 of the validator: the reviewing agent judges the change by the patterns of the code around it."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from app.domain.results import Finding, Severity, Tier, TierResult, TierStatus
from app.flows.work import ItemWork, NoAnswer, ask_agent
from app.ports.agent import Role
from app.ports.workspace import Change, ChangeKind, Files, Tree
from app.prompts import answers, render

DIFF_LIMIT = 120_000
"""Characters of the change that the reviewer is shown."""

MOST_NEIGHBOURS = 6
NEIGHBOUR_LIMIT = 6_000
"""How many files beside the changed ones it sees, and how many characters of each."""


def review_patterns(work: ItemWork, tree: Tree, snapshot: str, changes: Sequence[Change]) -> TierResult:
    """What the reviewer says of the change in ``snapshot``; it is asked again only about what it objected to.

    A reviewer that gives no usable answer, twice, has reviewed nothing: ``not_run``. Raises what `call_agent` raises.
    """
    if work.patterns and work.patterns.status is not TierStatus.FAIL:
        return work.patterns
    workspace = work.ports.workspace
    diff = workspace.diff(work.begin, snapshot, limit=DIFF_LIMIT)
    beside = neighbours(changes, workspace.files(snapshot))
    answer = ask_agent(
        work,
        tree,
        Role.PATTERNS,
        lambda again: render.pattern_review(work.briefing, diff, beside, again=again),
        answers.PatternReview,
        answers.parse_pattern_review,
    )
    work.patterns = judged(None if isinstance(answer, NoAnswer) else answer)
    return work.patterns


def judged(review: answers.PatternReview | None) -> TierResult:
    """The review as a tier (pure): an error stops, a warning is shown."""
    if review is None:
        return TierResult(tier=Tier.PATTERNS, status=TierStatus.NOT_RUN)
    findings = tuple(
        Finding(
            path=f"{violation.path}:{violation.line}" if violation.line else violation.path,
            message=violation.message,
            severity=Severity.ERROR if violation.severity == "error" else Severity.WARNING,
            recommendation=violation.recommendation,
        )
        for violation in review.violations
    )
    severe = any(finding.severity is Severity.ERROR for finding in findings)
    status = TierStatus.FAIL if severe else TierStatus.WARN if findings else TierStatus.PASS
    return TierResult(tier=Tier.PATTERNS, status=status, findings=findings)


def neighbours(changes: Sequence[Change], files: Files) -> list[tuple[str, str]]:
    """Unchanged files of the same kind beside the changed ones, as (path, beginning of the text).

    New files have the first say: what stands beside them is what they have to look like.
    """
    changed = {change.path for change in changes}
    places: dict[str, list[str]] = {}
    for path in files.paths():
        if path not in changed:
            places.setdefault(_place(path), []).append(path)
    wanted: list[str] = []
    written = [change for change in changes if change.kind is not ChangeKind.DELETED]
    for change in sorted(written, key=lambda change: change.kind is not ChangeKind.ADDED):
        wanted += [path for path in places.get(_place(change.path), ())[:2] if path not in wanted]
    texts = files.read(wanted[:MOST_NEIGHBOURS])
    return [
        (path, data[: 4 * NEIGHBOUR_LIMIT].decode("utf-8", "replace")[:NEIGHBOUR_LIMIT]) for path, data in texts.items()
    ]


def _place(path: str) -> str:
    """Directory and extension: files that share both are of a kind."""
    return f"{posixpath.dirname(path)}/*{posixpath.splitext(path)[1]}"
